//! The injector as the objects of the cluster have it at this moment: the ConfigMap `istio-sidecar-injector`, the
//! mesh's configuration, ProxyConfig objects and nodes. What does not parse is told, and the last good one stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Object;
use config::k8s::ConfigMap;
use inject::{Config, Environment, Injector, NativeSidecars};
use mesh::{Mesh, MeshSettings, Reader};
use model::Fingerprint;
use parking_lot::Mutex;
use proto::istio::mesh::MeshConfig;

use crate::state::State;

/// Kubelets from this minor version on run init containers that stay beside the others.
const NATIVE_SINCE: u32 = 33;

/// Who knows the injector.
pub(crate) struct Live {
    state: Arc<State>,
    settings: Settings,
    parsed: Mutex<Parsed>,
}

/// What of the process's settings counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Namespace of the control plane.
    pub(crate) namespace: String,
    /// Its revision.
    pub(crate) revision: String,
    /// Whether proxies are init containers; by the versions of the nodes if unset.
    pub(crate) native_sidecars: Option<bool>,
    /// Whether namespaces have users of their own.
    pub(crate) openshift: bool,
    /// The policy of ciphers.
    pub(crate) compliance_policy: String,
}

#[derive(Default)]
struct Parsed {
    from: Option<Arc<Object<ConfigMap>>>,
    config: Option<Arc<Config>>,
    mesh: Option<(Fingerprint, Arc<MeshConfig>)>,
}

/// The process's own environment, for the function `env` of templates.
#[derive(Debug)]
struct Process;

impl Environment for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Settings {
    /// What the environment says: `ENABLE_NATIVE_SIDECARS`, `PLATFORM`, `COMPLIANCE_POLICY`.
    pub(crate) fn read(namespace: &str, revision: &str, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            revision: revision.to_owned(),
            native_sidecars: variable("ENABLE_NATIVE_SIDECARS").and_then(|value| value.parse().ok()),
            openshift: variable("PLATFORM").is_some_and(|platform| platform == "openshift"),
            compliance_policy: variable("COMPLIANCE_POLICY").unwrap_or_default(),
        }
    }
}

impl Live {
    /// The injector of the objects that the control thread has committed.
    pub(crate) fn new(state: Arc<State>, settings: Settings) -> Self {
        Self { state, settings, parsed: Mutex::default() }
    }

    fn assembled(&self) -> Option<Arc<Injector>> {
        let mesh = self.state.mesh()?;
        let config = self.config(&mesh)?;
        let reader = Reader::new(&mesh);
        let store = mesh.store();
        let mut proxy_configs: Vec<_> = store.proxy_configs().iter().cloned().collect();
        proxy_configs.sort_by(|a, b| (a.meta.creation, &a.meta.name).cmp(&(b.meta.creation, &b.meta.name)));
        let openshift = self.settings.openshift.then(|| {
            let annotations = |namespace: &Arc<Object<config::k8s::Namespace>>| {
                let pairs = namespace.meta.annotations.iter();
                pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
            };
            store.namespaces().iter().map(|one| (one.meta.name.to_string(), annotations(one))).collect()
        });
        Some(Arc::new(Injector {
            config,
            mesh: self.mesh_config(reader.settings()),
            proxy_configs,
            revision: self.settings.revision.clone(),
            native_sidecars: self.native_sidecars(&mesh),
            openshift,
            compliance_policy: self.settings.compliance_policy.clone(),
            environment: Arc::new(Process),
        }))
    }

    fn config(&self, mesh: &Mesh) -> Option<Arc<Config>> {
        let name = match self.settings.revision.as_str() {
            "" | "default" => "istio-sidecar-injector".to_owned(),
            revision => format!("istio-sidecar-injector-{revision}"),
        };
        let found = mesh.store().config_maps().get(&self.settings.namespace, &name)?;
        let mut parsed = self.parsed.lock();
        if !parsed.from.as_ref().is_some_and(|from| Arc::ptr_eq(from, found)) {
            let text = |key: &str| found.spec.data.get(key).map(String::as_str).unwrap_or_default();
            match Config::parse(text("config"), text("values")) {
                Ok(config) => parsed.config = Some(Arc::new(config)),
                Err(error) => tracing::warn!(
                    scope = "injector",
                    "ConfigMap {}/{name}, {error}; the last good one stays",
                    self.settings.namespace
                ),
            }
            parsed.from = Some(Arc::clone(found));
        }
        parsed.config.clone()
    }

    fn mesh_config(&self, settings: &MeshSettings) -> Arc<MeshConfig> {
        let mut parsed = self.parsed.lock();
        match &parsed.mesh {
            Some((of, config)) if *of == settings.fingerprint => Arc::clone(config),
            _ => {
                let config = Arc::new(settings.config.clone());
                parsed.mesh = Some((settings.fingerprint, Arc::clone(&config)));
                config
            }
        }
    }

    /// Every node must be able to; a pod that has its node already asks that one alone.
    fn native_sidecars(&self, mesh: &Mesh) -> NativeSidecars {
        if let Some(everywhere) = self.settings.native_sidecars {
            return NativeSidecars { everywhere, nodes: BTreeMap::new() };
        }
        let able = |version: &str| minor(version).is_some_and(|minor| minor >= NATIVE_SINCE);
        let nodes: BTreeMap<String, bool> = mesh
            .store()
            .nodes()
            .iter()
            .map(|node| (node.meta.name.to_string(), able(&node.spec.kubelet_version)))
            .collect();
        let everywhere = !nodes.is_empty() && nodes.values().all(|able| *able);
        NativeSidecars { everywhere, nodes }
    }
}

impl server::Injectors for Live {
    /// The injector now; nothing before configuration was read, or where there is no ConfigMap of it.
    fn injector(&self) -> Option<Arc<Injector>> {
        self.assembled()
    }
}

/// The minor version in `v1.33.2`.
fn minor(version: &str) -> Option<u32> {
    let mut parts = version.trim_start_matches('v').split('.');
    parts.next()?.parse::<u32>().ok()?;
    let minor = parts.next()?;
    let digits = minor.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(minor.len());
    minor.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_kubelets_are_read() {
        assert_eq!(minor("v1.33.2"), Some(33));
        assert_eq!(minor("v1.29.0-eks-1234"), Some(29));
        assert_eq!(minor("v1.34+"), Some(34));
        assert_eq!(minor("unknown"), None);
    }
}
