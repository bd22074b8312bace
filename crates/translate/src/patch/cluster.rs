//! Patches of clusters (CLUSTER; rows F06, F07, F14), chosen by name, or by what the name says: service, subset, port.
//! An inbound name says no service, so there it is every service behind the port.

use std::sync::Arc;

use model::Issue;
use proto::constraints::Violation;
use proto::envoy::cluster::Cluster;
use proto::envoy::cluster::cluster::ClusterDiscoveryType;
use proto::envoy::cluster::cluster::DiscoveryType;
use proto::istio::networking::envoy_filter::envoy_config_object_match::ObjectTypes;
use proto::istio::networking::envoy_filter::patch::Operation;
use proto::istio::networking::envoy_filter::{ApplyTo, PatchContext};
use scope::{EnvoyPatch, ProxyType};

use super::{Base, Patch, Referring, added, merge, patched, sound, transport_socket, value};
use crate::cluster::{INBOUND_PASSTHROUGH, soundness};
use crate::{Context, Input, Reference, Rendered, Resource};

const KINDS: &[ApplyTo] = &[ApplyTo::Cluster];

/// Whether clusters that patches add are made; where a class is made in parts, only one part makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Additions {
    Made,
    LeftOut,
}

/// Clusters of the class, patched.
pub(crate) fn clusters(ctx: &Context<'_>, clusters: Vec<Resource>, additions: Additions) -> Vec<Resource> {
    let patches = &ctx.scope.envoy_patches;
    if !patches.patches.iter().any(|patch| patch.apply_to == ApplyTo::Cluster) {
        return clusters;
    }
    let outbound = match ctx.class().proxy_type {
        ProxyType::Sidecar => PatchContext::SidecarOutbound,
        ProxyType::Router => PatchContext::Gateway,
        ProxyType::Waypoint | ProxyType::Ztunnel | ProxyType::Agentgateway => return clusters,
    };
    let mut made = Vec::with_capacity(clusters.len());
    'clusters: for cluster in clusters {
        let inbound = cluster.name.starts_with("inbound|") || &*cluster.name == INBOUND_PASSTHROUGH;
        let context = if inbound { PatchContext::SidecarInbound } else { outbound };
        let mut applied: Vec<Patch> = Vec::new();
        for patch in patches.of(context, KINDS).filter(|patch| is_for(ctx, patch, &cluster.name)) {
            match patch.operation {
                Operation::Remove => continue 'clusters,
                Operation::Merge => applied.push(Arc::clone(patch)),
                _ => {}
            }
        }
        if applied.is_empty() || cluster.piece.is_refused {
            made.push(cluster);
        } else {
            let input = PatchedCluster { base: Base(Arc::clone(&cluster.piece)), patches: applied };
            made.extend(patched(ctx, &input));
        }
    }
    if additions == Additions::LeftOut {
        return made;
    }
    for context in [outbound, PatchContext::SidecarInbound] {
        for patch in patches.of(context, KINDS).filter(|patch| patch.operation == Operation::Add) {
            // Without a context it would be added twice to a sidecar.
            let elsewhere = context == PatchContext::SidecarInbound
                && (patch.context == PatchContext::Any || outbound == PatchContext::Gateway);
            if !elsewhere {
                made.push(added::<Cluster>(ctx, patch));
            }
        }
    }
    made
}

/// What the name of a cluster says.
struct Said<'a> {
    inbound: bool,
    port: u32,
    subset: &'a str,
    host: &'a str,
}

fn said(name: &str) -> Said<'_> {
    let parts: Vec<&str> = match name.strip_prefix("outbound_.") {
        Some(rest) => std::iter::once("outbound").chain(rest.splitn(3, "_.")).collect(),
        None => name.splitn(4, '|').collect(),
    };
    match parts.as_slice() {
        [direction, port, subset, host] => {
            Said { inbound: *direction == "inbound", port: port.parse().unwrap_or(0), subset, host }
        }
        _ => Said { inbound: false, port: 0, subset: "", host: "" },
    }
}

fn is_for(ctx: &Context<'_>, patch: &EnvoyPatch, name: &str) -> bool {
    let Some(ObjectTypes::Cluster(wanted)) = &patch.subject else { return true };
    if !wanted.name.is_empty() {
        return wanted.name == name;
    }
    let said = said(name);
    let is_of_service = || {
        let mut behind = ctx
            .class()
            .own_services
            .iter()
            .filter(|own| said.inbound && own.target_port == said.port)
            .peekable();
        if behind.peek().is_none() {
            return wanted.service == said.host;
        }
        behind.any(|own| &*own.service.host == wanted.service.as_str())
    };
    (wanted.subset.is_empty() || wanted.subset == said.subset)
        && (wanted.port_number == 0 || wanted.port_number == said.port)
        && (wanted.service.is_empty() || is_of_service())
}

#[derive(Hash)]
struct PatchedCluster {
    base: Base,
    patches: Vec<Patch>,
}

impl Input for PatchedCluster {
    type Output = Cluster;
    const TAG: &'static str = "PatchedCluster";

    fn render(&self) -> Rendered<Cluster> {
        let mut issues = self.base.issues();
        let apply = |patches: &[Patch], issues: &mut Vec<Issue>| {
            let mut cluster: Cluster = self.base.message();
            for patch in patches {
                let laid: Cluster = value(patch);
                if !transport_socket::merge_of_cluster(&mut cluster, &laid) {
                    merge(&mut cluster, patch, issues);
                }
            }
            cluster
        };
        let cluster = sound(&self.patches, &mut issues, apply, Referring::refusal);
        let mut references = self.base.0.references.to_vec();
        references.retain(|reference| !matches!(reference, Reference::Endpoints(_)));
        references.extend(cluster.references());
        Rendered { message: cluster, references, issues }
    }
}

impl Referring for Cluster {
    fn refusal(&self) -> Option<Violation> {
        soundness::refusal(self)
    }

    fn references(&self) -> Vec<Reference> {
        let is_eds = matches!(
            self.cluster_discovery_type,
            Some(ClusterDiscoveryType::Type(kind)) if kind == DiscoveryType::Eds as i32
        );
        let stated = self.eds_cluster_config.as_ref().map_or("", |config| config.service_name.as_str());
        let name = if stated.is_empty() { &self.name } else { stated };
        if is_eds { vec![Reference::Endpoints(name.to_owned())] } else { Vec::new() }
    }
}
