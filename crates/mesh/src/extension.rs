//! Extensions of proxies: TrafficExtensions, and WasmPlugins as the TrafficExtensions that they amount to (spec 6.3;
//! rows F16 to F19).

use std::cmp::Reverse;
use std::sync::Arc;

use config::{Kind, Meta, Object};
use model::{Fingerprint, Labels, Namespace};
use proto::istio::extensions::traffic_extension::FilterConfig;
use proto::istio::extensions::{TrafficExtension, TrafficSelector, WasmConfig, WasmPlugin};
use proto::istio::types::PolicyTargetReference;

use crate::attachment::{Attachment, attach};
use crate::{Fact, Question, Reader};

/// What a WasmPlugin is called as a TrafficExtension.
const TRANSLATED: &str = "~istio-translated-wasmplugin";

/// One extension.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
    /// What it says.
    pub spec: TrafficExtension,
}

impl Reader<'_> {
    /// The extensions for a proxy with these labels in this namespace: by priority, the highest first and those
    /// without one last, then its own namespace before the root one, then by age and name.
    pub fn extensions(&self, namespace: &Namespace, labels: &Labels) -> Vec<Arc<Fact<Extension>>> {
        let root = self.settings().root_namespace();
        let mut found = self.extensions_in(namespace, labels, true);
        if *namespace != root {
            found.extend(self.extensions_in(&root, labels, false));
        }
        // No number is the least.
        found.sort_by_key(|extension| {
            Reverse(extension.spec.priority.as_ref().map(|priority| priority.value))
        });
        found
    }

    /// By age. Targets are beside the extension, so those of another namespace never mean this proxy.
    fn extensions_in(&self, namespace: &Namespace, labels: &Labels, own: bool) -> Vec<Arc<Fact<Extension>>> {
        self.note(&Question::KindIn(Kind::TrafficExtension, namespace.clone()));
        self.note(&Question::KindIn(Kind::WasmPlugin, namespace.clone()));
        let store = self.store();
        let mut found: Vec<_> = Vec::new();
        for object in store.traffic_extensions().in_namespace(namespace) {
            let spec = &object.spec;
            let attachment = attach(spec.selector.as_ref(), &spec.target_refs, labels);
            if attachment != Attachment::None && (own || spec.target_refs.is_empty()) {
                found.push((object.meta.creation, native(object)));
            }
        }
        for object in store.wasm_plugins().in_namespace(namespace) {
            let spec = &object.spec;
            let targets: Vec<PolicyTargetReference> =
                spec.target_refs.iter().chain(&spec.target_ref).cloned().collect();
            let attachment = attach(spec.selector.as_ref(), &targets, labels);
            if attachment != Attachment::None && (own || targets.is_empty()) {
                found.push((object.meta.creation, translated(object)));
            }
        }
        found.sort_by(|(a_age, a), (b_age, b)| (a_age, &a.name).cmp(&(b_age, &b.name)));
        found.into_iter().map(|(_, extension)| Arc::new(extension)).collect()
    }
}

fn native(object: &Object<TrafficExtension>) -> Fact<Extension> {
    fact(&object.meta, &object.meta.name, object.spec.clone(), object.fingerprint)
}

fn translated(object: &Object<WasmPlugin>) -> Fact<Extension> {
    let plugin = object.spec.clone();
    let wasm = WasmConfig {
        url: plugin.url,
        sha256: plugin.sha256,
        image_pull_policy: plugin.image_pull_policy,
        image_pull_secret: plugin.image_pull_secret,
        verification_key: plugin.verification_key,
        plugin_config: plugin.plugin_config,
        plugin_name: plugin.plugin_name,
        fail_strategy: plugin.fail_strategy,
        vm_config: plugin.vm_config,
        r#type: plugin.r#type,
    };
    let matches = plugin.r#match.into_iter().map(|m| TrafficSelector { mode: m.mode, ports: m.ports });
    let spec = TrafficExtension {
        selector: plugin.selector,
        target_refs: plugin.target_refs,
        // The phases have the same numbers.
        phase: plugin.phase,
        priority: plugin.priority,
        r#match: matches.collect(),
        filter_config: Some(FilterConfig::Wasm(wasm)),
    };
    fact(&object.meta, &format!("{}{TRANSLATED}", object.meta.name), spec, object.fingerprint)
}

fn fact(meta: &Meta, name: &str, spec: TrafficExtension, fingerprint: Fingerprint) -> Fact<Extension> {
    let extension = Extension { namespace: meta.namespace.clone(), name: name.to_owned(), spec };
    Fact::new(extension, fingerprint)
}
