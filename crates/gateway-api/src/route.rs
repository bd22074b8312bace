//! What routes of every kind have in common: where they attach, and their rules converted at most twice, once as the
//! mesh sees them and once as Gateways do.

use std::sync::Arc;

use config::gateway_api::ParentReference;
use config::{ConfigKey, Meta, Object, Resource};
use model::{Host, Labels};

use crate::attach::{Attachment, attachments};
use crate::fault::Fault;
use crate::grant::Grants;
use crate::lookup::Lookup;
use crate::names::{GATEWAY_GROUP, GroupKind, PARENTS, ROUTE_SEMANTICS};
use crate::outcome::RouteOutcome;
use crate::parent::{OwnerKey, Parents};

/// A route, whatever its kind.
pub(crate) struct Route<'a> {
    pub(crate) key: ConfigKey,
    pub(crate) meta: &'a Meta,
    pub(crate) kind: GroupKind<'static>,
    /// The version that the kind is read in.
    pub(crate) version: &'static str,
    pub(crate) namespace: &'a str,
    pub(crate) parents: &'a [ParentReference],
    pub(crate) hostnames: &'a [String],
    pub(crate) source: &'a Arc<str>,
}

impl<'a> Route<'a> {
    /// The route that an object is.
    pub(crate) fn of<T: Resource>(
        object: &'a Object<T>,
        kind: &'static str,
        version: &'static str,
        parents: &'a [ParentReference],
        hostnames: &'a [String],
    ) -> Self {
        Self {
            key: object.key(),
            meta: &object.meta,
            kind: GroupKind(GATEWAY_GROUP, kind),
            version,
            namespace: &object.meta.namespace,
            parents,
            hostnames,
            source: &object.source,
        }
    }

    /// Hosts; any where none are written.
    pub(crate) fn hosts(&self) -> Vec<String> {
        if self.hostnames.is_empty() { vec!["*".to_owned()] } else { self.hostnames.to_vec() }
    }

    /// Says in a VirtualService what it was made of.
    pub(crate) fn parent_name(&self) -> String {
        format!("{}/{}.{}", self.kind.1, self.meta.name, self.namespace)
    }
}

/// What rules are converted with.
pub(crate) struct RouteContext<'a> {
    pub(crate) lookup: &'a Lookup<'a>,
    pub(crate) grants: &'a Grants<'a>,
    pub(crate) kind: GroupKind<'static>,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// For the mesh no grants are needed: whoever may call a Service may send calls there.
    pub(crate) mesh: bool,
}

/// Rules that were converted, and what is wrong with one of them.
#[derive(Clone, Debug)]
pub(crate) struct Converted<R> {
    pub(crate) routes: Vec<R>,
    pub(crate) fault: Option<Fault>,
}

impl<R> Default for Converted<R> {
    fn default() -> Self {
        Self { routes: Vec::new(), fault: None }
    }
}

impl<R> Converted<R> {
    /// Adds a rule. One that cannot be converted takes the others with it; nothing is to be added after that.
    pub(crate) fn add(&mut self, rule: Result<(R, Option<Fault>), Fault>) -> bool {
        match rule {
            Ok((route, fault)) => {
                self.routes.push(route);
                self.fault = fault.or_else(|| self.fault.take());
                true
            }
            Err(fault) => {
                *self = Self { routes: Vec::new(), fault: Some(fault) };
                false
            }
        }
    }
}

/// The name of the routes that a rule becomes.
pub(crate) fn rule_name(ctx: &RouteContext<'_>, stated: Option<&str>, position: usize) -> String {
    stated.map_or_else(|| format!("{}.{}.{position}", ctx.namespace, ctx.name), str::to_owned)
}

/// A route with its rules converted for the parents that take it.
pub(crate) struct Attached<'a, R> {
    /// The parents that take it, by the name of the Gateway.
    pub(crate) taken_by: Vec<Attachment<'a>>,
    pub(crate) mesh: Converted<R>,
    pub(crate) gateway: Converted<R>,
    pub(crate) outcome: RouteOutcome,
}

/// Attaches a route and converts its rules.
pub(crate) fn attach<'a, R>(
    lookup: &'a Lookup<'a>,
    grants: &'a Grants<'a>,
    parents: &Parents,
    route: &Route<'a>,
    convert: impl Fn(&RouteContext<'_>) -> Converted<R>,
) -> Attached<'a, R> {
    let mut all = attachments(lookup, parents, route);
    let ctx = |mesh| RouteContext {
        lookup,
        grants,
        kind: route.kind,
        namespace: route.namespace,
        name: &route.meta.name,
        mesh,
    };
    let of = |mesh: bool| {
        if all.iter().any(|a| a.is_mesh() == mesh) { convert(&ctx(mesh)) } else { Converted::default() }
    };
    let (mesh, gateway) = (of(true), of(false));
    let outcome = RouteOutcome {
        key: route.key.clone(),
        generation: route.meta.generation,
        parents: all.iter().map(Attachment::outcome).collect(),
        mesh_fault: mesh.fault.clone(),
        gateway_fault: gateway.fault.clone(),
    };
    all.retain(|attachment| attachment.denied.is_none());
    all.sort_by(|a, b| a.gateway.cmp(&b.gateway));
    Attached { taken_by: all, mesh, gateway, outcome }
}

impl<R> Attached<'_, R> {
    /// The listeners that the route counts for.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &(OwnerKey, String)> {
        self.taken_by.iter().filter_map(|attachment| attachment.listener.as_ref())
    }
}

/// The hosts of a parent that is a Service or ServiceEntry.
pub(crate) fn mesh_hosts(lookup: &Lookup<'_>, attachment: &Attachment<'_>) -> Vec<String> {
    let name = &attachment.reference.name;
    if attachment.kind == GroupKind::SERVICE_ENTRY {
        let entry = lookup.service_entry(attachment.namespace, name);
        return entry.map(|entry| entry.spec.hosts.clone()).unwrap_or_default();
    }
    vec![lookup.service_host(attachment.namespace, name)]
}

/// Annotations of a VirtualService made of these parents.
pub(crate) fn annotations(parents: &str) -> Labels {
    Labels::from([(PARENTS, parents), (ROUTE_SEMANTICS, "gateway")])
}

/// The hosts that two lists share, each the narrower of the pair.
pub(crate) fn intersection(hosts: &[String], other: &str) -> Vec<String> {
    let mut shared: Vec<String> = Vec::new();
    for host in hosts {
        let narrow = if Host::from(host.as_str()).subset_of(other) {
            host
        } else if Host::from(other).subset_of(host) {
            other
        } else {
            continue;
        };
        if !shared.iter().any(|known| known == narrow) {
            shared.push(narrow.to_owned());
        }
    }
    shared
}
