//! Which listeners a route attaches to, and why the others do not take it: section, port, hosts in common, namespaces,
//! kinds; and which of its hosts a more specific listener of the same port claims.

use config::gateway_api::ParentReference;
use model::Host;

use crate::fault::Fault;
use crate::lookup::Lookup;
use crate::names::GroupKind;
use crate::outcome::RouteParent;
use crate::parent::{OwnerKey, Parent, Parents};
use crate::route::Route;

/// The parent that stands for sidecars.
pub(crate) const MESH: &str = "mesh";

const NOT_ACCEPTED: &str = "NoMatchingParent";
const NOT_ALLOWED: &str = "NotAllowedByListeners";
const NO_HOSTNAME: &str = "NoMatchingListenerHostname";

/// One listener that a parent reference may mean, or the mesh.
#[derive(Clone, Debug)]
pub(crate) struct Attachment<'a> {
    pub(crate) reference: &'a ParentReference,
    /// The namespace that the reference means.
    pub(crate) namespace: &'a str,
    /// The kind of the parent.
    pub(crate) kind: GroupKind<'a>,
    /// `namespace/name` of a Gateway, or `mesh`.
    pub(crate) gateway: String,
    /// The listener's host; empty for any.
    pub(crate) hostname: String,
    /// Hosts of other listeners on the same port.
    others: Vec<String>,
    /// The owner of the listener and its name; none for the mesh.
    pub(crate) listener: Option<(OwnerKey, String)>,
    /// Why it does not take the route.
    pub(crate) denied: Option<Fault>,
}

impl Attachment<'_> {
    /// Whether it is the mesh.
    pub(crate) fn is_mesh(&self) -> bool {
        self.listener.is_none()
    }

    /// For the status.
    pub(crate) fn outcome(&self) -> RouteParent {
        let (is_mesh, denied) = (self.is_mesh(), self.denied.clone());
        RouteParent { reference: self.reference.clone(), is_mesh, denied }
    }

    /// Whether requests for a host of the route come in by this listener: not where another one of the same port is
    /// more specific.
    pub(crate) fn serves(&self, host: &str) -> bool {
        let own = Host::from(self.hostname.as_str());
        if !own.is_empty() && !own.is_wildcard() {
            return true;
        }
        let host = Host::from(host);
        if !own.is_empty() && !host.matches(&own) {
            return false;
        }
        let claims = |other: &String| own.len() <= other.len() && host.subset_of(other);
        !self.others.iter().any(claims)
    }
}

/// The listeners that the references of a route may mean, in the order of what the references say.
pub(crate) fn attachments<'a>(
    lookup: &Lookup<'_>,
    parents: &Parents,
    route: &Route<'a>,
) -> Vec<Attachment<'a>> {
    let mut found = Vec::new();
    for reference in route.parents {
        let namespace = reference.namespace.as_deref().unwrap_or(route.namespace);
        let kind = GroupKind(&reference.group, &reference.kind);
        let owner = match kind {
            GroupKind::GATEWAY => GroupKind::GATEWAY,
            GroupKind::LISTENER_SET => GroupKind::LISTENER_SET,
            GroupKind::SERVICE | GroupKind::SERVICE_ENTRY => {
                found.push(Attachment {
                    reference,
                    namespace,
                    kind,
                    gateway: MESH.to_owned(),
                    hostname: String::new(),
                    others: Vec::new(),
                    listener: None,
                    denied: missing(lookup, kind, namespace, &reference.name),
                });
                continue;
            }
            // Perhaps of another controller.
            _ => continue,
        };
        let key = (owner, namespace.to_owned(), reference.name.clone());
        let listeners = parents.get(&key).map_or(&[][..], Vec::as_slice);
        for (index, parent) in listeners.iter().enumerate() {
            let others = listeners.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, p)| p);
            let others = others
                .filter(|other| other.port == parent.port && other.protocol == parent.protocol)
                .map(|other| other.hostname.clone())
                .filter(|hostname| *hostname != parent.hostname);
            found.push(Attachment {
                reference,
                namespace,
                kind,
                gateway: parent.gateway.clone(),
                hostname: parent.hostname.clone(),
                others: others.collect(),
                listener: Some((key.clone(), parent.section.clone())),
                denied: denied(parent, reference, route),
            });
        }
    }
    found.sort_by_key(|attachment| shown(attachment.reference, route.namespace));
    found
}

/// A reference as text, which gives the order of references.
pub(crate) fn shown(reference: &ParentReference, namespace: &str) -> String {
    format!(
        "{}/{}/{}/{}/{}.{}",
        reference.group,
        reference.kind,
        reference.name,
        reference.section_name.as_deref().unwrap_or_default(),
        reference.port.unwrap_or_default(),
        reference.namespace.as_deref().unwrap_or(namespace)
    )
}

fn missing(lookup: &Lookup<'_>, kind: GroupKind<'_>, namespace: &str, name: &str) -> Option<Fault> {
    let (is_there, what) = match kind {
        GroupKind::SERVICE => (lookup.service(namespace, name).is_some(), "service"),
        _ => (lookup.service_entry(namespace, name).is_some(), "service entry"),
    };
    (!is_there).then(|| Fault::new(NOT_ACCEPTED, format!("parent {what}: \"{name}\" not found")))
}

fn denied(parent: &Parent, reference: &ParentReference, route: &Route<'_>) -> Option<Fault> {
    if let Some(port) = reference.port.filter(|port| *port != 0 && *port != parent.port) {
        return Some(Fault::new(NOT_ACCEPTED, format!("port {port} not found")));
    }
    let section = reference.section_name.as_deref().unwrap_or_default();
    if !section.is_empty() && section != parent.section {
        return Some(Fault::new(NOT_ACCEPTED, format!("sectionName \"{section}\" not found")));
    }
    let any = ["*".to_owned()];
    let hostnames = if route.hostnames.is_empty() { &any } else { route.hostnames };
    let (mut host_fits, mut fits) = (false, false);
    for of_route in hostnames {
        for of_parent in &parent.hosts {
            let (namespace, host) = of_parent.split_once('/').unwrap_or(("*", of_parent));
            if Host::from(host).matches(of_route) {
                host_fits = true;
                fits |= namespace == "*" || namespace == route.namespace;
            }
        }
    }
    if !fits {
        let hostname = &parent.hostname;
        return Some(if host_fits {
            let message = format!(
                "hostnames matched parent hostname \"{hostname}\", but namespace \"{}\" is not allowed by the parent",
                route.namespace
            );
            Fault::new(NOT_ALLOWED, message)
        } else {
            Fault::new(NO_HOSTNAME, format!("no hostnames matched parent hostname \"{hostname}\""))
        });
    }
    let is_kind =
        |kind: &config::gateway_api::RouteGroupKind| kind.group == route.kind.0 && kind.kind == route.kind.1;
    let message = || format!("kind {}/{}/{} is not allowed", route.kind.0, route.version, route.kind.1);
    (!parent.kinds.iter().any(is_kind)).then(|| Fault::new(NOT_ALLOWED, message()))
}
