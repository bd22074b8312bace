//! The patches of EnvoyFilters that hold for a class of proxies, in the order in which they apply (spec 6.1; rows F01,
//! F02, F12, F20). Values are read here, once: JSON becomes the bytes of the message that the patch is about, and a
//! value that is no such message drops this one patch.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use config::Object;
use mesh::Reader;
use model::{Fingerprint, Issue};
use proto::istio::networking::EnvoyFilter;
use proto::istio::networking::envoy_filter::envoy_config_object_match::ObjectTypes;
use proto::istio::networking::envoy_filter::patch::Operation;
use proto::istio::networking::envoy_filter::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, PatchContext, ProxyMatch,
};
use proto::json::{UnknownFields, json_to_bytes};
use regex::Regex;

use crate::ProxyClass;

/// An annotation of EnvoyFilters: services, written `host` or `namespace/host` and told apart by commas, that what the
/// filter adds sends something to.
const REFERENCED_SERVICES: &str = "envoyfilter.istio.io/referenced-services";

/// Longer expressions for versions match nothing: they cost more than a version is worth.
const LONGEST_VERSION: usize = 1024;

/// One patch.
#[derive(Clone, Debug)]
pub struct EnvoyPatch {
    /// `EnvoyFilter namespace/name`.
    pub object: String,
    /// Where in the object it stands.
    pub path: String,
    /// What it is applied to.
    pub apply_to: ApplyTo,
    /// Which listeners, routes and clusters it is for.
    pub context: PatchContext,
    /// What is done.
    pub operation: Operation,
    /// Which of them it is for; `None` for all.
    pub subject: Option<ObjectTypes>,
    /// The encoded message.
    pub value: Vec<u8>,
    fingerprint: Fingerprint,
}

impl EnvoyPatch {
    /// Whether it is for what is in `context`.
    pub fn is_for(&self, context: PatchContext) -> bool {
        self.context == context || self.context == PatchContext::Any
    }

    /// Something the user should know about it.
    pub fn issue(&self, message: impl Into<String>) -> Issue {
        Issue { object: self.object.clone(), path: self.path.clone(), message: message.into() }
    }
}

impl PartialEq for EnvoyPatch {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for EnvoyPatch {}

impl Hash for EnvoyPatch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// All patches for one class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnvoyPatches {
    /// The first to apply first.
    pub patches: Vec<Arc<EnvoyPatch>>,
    /// Services that the filters say they send something to, as written.
    pub referenced_services: BTreeSet<String>,
    /// Patches that were left out.
    pub issues: Vec<Issue>,
}

impl EnvoyPatches {
    /// Reads the patches for a class.
    pub(crate) fn build(class: &ProxyClass, reader: &Reader<'_>) -> Self {
        let mut all = Self::default();
        for filter in reader.envoy_filters(&class.namespace, &class.labels) {
            let referenced = filter.meta.annotations.value(REFERENCED_SERVICES).unwrap_or_default();
            let referenced = referenced.split(',').map(str::trim).filter(|service| !service.is_empty());
            all.referenced_services.extend(referenced.map(str::to_owned));
            for (index, patch) in filter.spec.config_patches.iter().enumerate() {
                let proxy = patch.r#match.as_ref().and_then(|matched| matched.proxy.as_ref());
                if proxy.is_some_and(|proxy| !is_meant(class, proxy)) {
                    continue;
                }
                let path = format!("spec.configPatches[{index}]");
                match read(&filter, &path, patch) {
                    Ok(Some(patch)) => all.patches.push(Arc::new(patch)),
                    Ok(None) => {}
                    Err(message) => {
                        all.issues.push(Issue { object: object(&filter), path, message });
                    }
                }
            }
        }
        all
    }

    /// Those of some kinds that are for what is in `context`.
    pub fn of<'a>(
        &'a self,
        context: PatchContext,
        kinds: &'a [ApplyTo],
    ) -> impl Iterator<Item = &'a Arc<EnvoyPatch>> {
        self.patches.iter().filter(move |patch| kinds.contains(&patch.apply_to) && patch.is_for(context))
    }
}

/// Whether a proxy is of a version and says of itself what a patch asks for.
fn is_meant(class: &ProxyClass, proxy: &ProxyMatch) -> bool {
    let version = &class.metadata.istio_version;
    let of_version = proxy.proxy_version.is_empty()
        || (!version.is_empty()
            && proxy.proxy_version.len() <= LONGEST_VERSION
            && Regex::new(&proxy.proxy_version).is_ok_and(|regex| regex.is_match(version)));
    of_version
        && proxy.metadata.iter().all(|(key, value)| class.metadata.raw_text(key) == Some(value.as_str()))
}

/// The patch; nothing if it is not for what is sent over the wire.
fn read(
    filter: &Object<EnvoyFilter>,
    path: &str,
    spec: &EnvoyConfigObjectPatch,
) -> Result<Option<EnvoyPatch>, String> {
    let Some(patch) = &spec.patch else {
        return Err("there is no patch, so nothing is done".to_owned());
    };
    let apply_to = spec.apply_to();
    let Some(message) = message_of(apply_to) else { return Ok(None) };
    let value = match &patch.value {
        // istiod's webhook admits no such patch, and only taking away needs no value.
        None if !matches!(patch.operation(), Operation::Remove | Operation::Invalid) => {
            return Err("the patch has no value, so it is left out".to_owned());
        }
        None => Vec::new(),
        Some(value) => {
            let value = serde_json::to_value(value).unwrap_or_default();
            json_to_bytes(message, &value, UnknownFields::Ignore)
                .map_err(|error| format!("the value is no {message}, so the patch is left out: {error}"))?
                .to_vec()
        }
    };
    let context = spec.r#match.as_ref().map_or(PatchContext::Any, EnvoyConfigObjectMatch::context);
    let subject = spec.r#match.as_ref().and_then(|matched| matched.object_types.clone());
    let object = object(filter);
    let fingerprint = Fingerprint::of_hash(&(&object, path, proto::pack::bytes(spec)));
    let operation = effective(patch.operation(), apply_to);
    Ok(Some(EnvoyPatch {
        object,
        path: path.to_owned(),
        apply_to,
        context,
        operation,
        subject,
        value,
        fingerprint,
    }))
}

/// Where there is no order to insert into, inserting is adding.
fn effective(operation: Operation, apply_to: ApplyTo) -> Operation {
    let inserts =
        matches!(operation, Operation::InsertFirst | Operation::InsertBefore | Operation::InsertAfter);
    let has_order = matches!(
        apply_to,
        ApplyTo::NetworkFilter | ApplyTo::HttpFilter | ApplyTo::ListenerFilter | ApplyTo::HttpRoute
    );
    if inserts && !has_order { Operation::Add } else { operation }
}

fn object(filter: &Object<EnvoyFilter>) -> String {
    format!("EnvoyFilter {}/{}", filter.meta.namespace, filter.meta.name)
}

/// The message that a kind of patch is about.
fn message_of(apply_to: ApplyTo) -> Option<&'static str> {
    match apply_to {
        ApplyTo::Listener => Some("envoy.config.listener.v3.Listener"),
        ApplyTo::FilterChain => Some("envoy.config.listener.v3.FilterChain"),
        ApplyTo::NetworkFilter => Some("envoy.config.listener.v3.Filter"),
        ApplyTo::ListenerFilter => Some("envoy.config.listener.v3.ListenerFilter"),
        ApplyTo::HttpFilter => Some("envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"),
        ApplyTo::RouteConfiguration => Some("envoy.config.route.v3.RouteConfiguration"),
        ApplyTo::VirtualHost => Some("envoy.config.route.v3.VirtualHost"),
        ApplyTo::HttpRoute => Some("envoy.config.route.v3.Route"),
        ApplyTo::Cluster => Some("envoy.config.cluster.v3.Cluster"),
        ApplyTo::ExtensionConfig => Some("envoy.config.core.v3.TypedExtensionConfig"),
        ApplyTo::Invalid | ApplyTo::Bootstrap => None,
    }
}
