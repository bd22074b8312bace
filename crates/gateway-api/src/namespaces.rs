//! Which namespaces a listener admits routes from, and a Gateway ListenerSets. The label that holds a namespace's own
//! name need not be written on it.

use std::collections::BTreeMap;

use config::gateway_api::{AllowedRoutes, LabelSelector};

use crate::lookup::Lookup;

const OWN_NAME: &str = "kubernetes.io/metadata.name";
/// The name of no namespace.
const NOBODY: &str = "~";

/// The hosts of a listener's server: `namespace/host` for every namespace that may attach.
pub(crate) fn server_hosts(
    lookup: &Lookup<'_>,
    own: &str,
    allowed: &AllowedRoutes,
    hostname: &str,
) -> Vec<String> {
    let hostname = if hostname.is_empty() { "*" } else { hostname };
    let mut hosts: Vec<String> =
        admitted(lookup, own, allowed).into_iter().map(|name| format!("{name}/{hostname}")).collect();
    if hosts.is_empty() {
        // The listener is still there, and its server names with it.
        hosts.push(format!("{NOBODY}/{hostname}"));
    }
    hosts
}

fn admitted(lookup: &Lookup<'_>, own: &str, allowed: &AllowedRoutes) -> Vec<String> {
    match (allowed.namespaces.from.as_deref(), &allowed.namespaces.selector) {
        (None | Some("Same"), _) => vec![own.to_owned()],
        (Some("All"), _) | (Some(_), None) => vec!["*".to_owned()],
        (Some(_), Some(selector)) => lookup
            .namespaces()
            .filter(|(name, labels)| selects(selector, name, labels))
            .map(|(name, _)| name.to_owned())
            .collect(),
    }
}

/// Whether ListenerSets of that namespace may attach to a Gateway of namespace `own`; none may unless it says so.
pub(crate) fn admits_listener_set(
    lookup: &Lookup<'_>,
    own: &str,
    allowed: Option<&AllowedRoutes>,
    namespace: &str,
) -> bool {
    let Some(allowed) = allowed.map(|allowed| &allowed.namespaces) else { return false };
    match (allowed.from.as_deref(), &allowed.selector) {
        (Some("All"), _) => true,
        (Some("Same"), _) => namespace == own,
        (None | Some("Selector"), Some(selector)) => {
            lookup.namespace_labels(namespace).is_some_and(|labels| selects(selector, namespace, labels))
        }
        _ => false,
    }
}

fn selects(selector: &LabelSelector, name: &str, labels: &BTreeMap<String, String>) -> bool {
    if labels.get(OWN_NAME).is_some_and(|own| own == name) {
        return selector.selects(labels);
    }
    let mut labels = labels.clone();
    labels.insert(OWN_NAME.to_owned(), name.to_owned());
    selector.selects(&labels)
}
