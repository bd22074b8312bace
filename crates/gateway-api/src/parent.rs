//! What routes attach to: the listeners of Gateways and ListenerSets.

use std::collections::BTreeMap;

use config::gateway_api::{Listener, RouteGroupKind};

use crate::names::{GATEWAY_GROUP, GroupKind};

/// A listener that routes can attach to.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    /// `namespace/name` of the Gateway that it becomes.
    pub(crate) gateway: String,
    /// The name of the listener.
    pub(crate) section: String,
    pub(crate) port: u32,
    pub(crate) protocol: String,
    /// The host as written; empty for any.
    pub(crate) hostname: String,
    /// Hosts of the server: `namespace/host`.
    pub(crate) hosts: Vec<String>,
    /// Kinds of routes that may attach.
    pub(crate) kinds: Vec<RouteGroupKind>,
}

/// The owner of listeners: its kind, namespace and name.
pub(crate) type OwnerKey = (GroupKind<'static>, String, String);

/// All listeners by owner, in the order in which they are written.
pub(crate) type Parents = BTreeMap<OwnerKey, Vec<Parent>>;

/// The kinds of routes that a listener admits, and whether it names only such.
pub(crate) fn kinds(listener: &Listener) -> (Vec<RouteGroupKind>, bool) {
    let names: &[&str] = match listener.protocol.as_str() {
        "HTTP" | "HTTPS" => &["HTTPRoute", "GRPCRoute"],
        "TCP" => &["TCPRoute"],
        "TLS" if listener.tls.as_ref().is_some_and(|tls| tls.mode == "Terminate") => {
            &["TLSRoute", "TCPRoute"]
        }
        "TLS" => &["TLSRoute"],
        _ => &[],
    };
    let kind = |name: &&str| RouteGroupKind { group: GATEWAY_GROUP.to_owned(), kind: (*name).to_owned() };
    let mut known: Vec<RouteGroupKind> = names.iter().map(kind).collect();
    let wanted = &listener.allowed_routes.kinds;
    if wanted.is_empty() {
        return (known, true);
    }
    known.retain(|kind| wanted.contains(kind));
    let all_known = known.len() == wanted.len();
    (known, all_known)
}
