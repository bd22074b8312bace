//! Clusters (CDS, spec section 1): one per service port and subset for calls, one per port of the workload for what
//! comes in, and the few that everybody has.
//!
//! Reading order: `outbound` (the bulk), the settings it applies (`connection_pool`, `outlier_detection`,
//! `load_balancer`, `transport`, `http_protocol`, `metadata`, `stat_name`), `inbound`, `fixed`.

mod client;
mod connection_pool;
mod dns;
pub mod dynamic_forward_proxy;
mod fixed;
mod http_protocol;
mod inbound;
mod load_balancer;
mod mend;
mod metadata;
mod outbound;
mod outlier_detection;
pub mod policy;
pub(crate) mod soundness;
mod stat_name;
mod transport;

pub use fixed::{BLACK_HOLE, INBOUND_PASSTHROUGH, PASSTHROUGH};
pub use inbound::name as inbound_name;
pub use outbound::{name as outbound_name, sni_name};

use std::sync::Arc;

use client::ClientFacts;
use envoy::cluster::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, LbConfig, OriginalDstLbConfig,
};
use http_protocol::ProtocolOptions;
use mesh::{Resolution, Service, TargetPort};
use model::{Protocol, findings};
use outbound::Purpose;
use proto::envoy;
use scope::ProxyType;

use crate::patch::Additions;
use crate::{Context, Resource, patch};

/// Every cluster of the class, in Istio's order; of two with one name the first stays.
pub fn generate(ctx: &Context<'_>) -> Vec<Resource> {
    let mut clusters = outbound::generate(ctx, Purpose::Calls);
    add_own(ctx, &mut clusters);
    first_of_each_name(ctx, patch::clusters(ctx, clusters, Additions::Made))
}

/// The clusters of calls alone: they depend on what [`scope::ProxyClass::outbound`] keeps of the class.
pub fn outbound(ctx: &Context<'_>) -> Vec<Resource> {
    let clusters = outbound::generate(ctx, Purpose::Calls);
    first_of_each_name(ctx, patch::clusters(ctx, clusters, Additions::LeftOut))
}

/// All others. Where one has the name of a cluster of calls, that one goes first.
pub fn own(ctx: &Context<'_>) -> Vec<Resource> {
    let mut clusters = Vec::new();
    add_own(ctx, &mut clusters);
    first_of_each_name(ctx, patch::clusters(ctx, clusters, Additions::Made))
}

fn add_own(ctx: &Context<'_>, clusters: &mut Vec<Resource>) {
    clusters.push(fixed::black_hole(ctx));
    if ctx.class().proxy_type == ProxyType::Sidecar {
        clusters.push(fixed::passthrough(ctx));
        clusters.extend(inbound::generate(ctx));
        clusters.push(fixed::inbound_passthrough(ctx));
    }
    if ctx.scope.gateway.as_ref().is_some_and(|gateway| gateway.auto_passthrough) {
        clusters.extend(outbound::generate(ctx, Purpose::SniForwarding));
    }
    if ctx.class().metadata.credential {
        clusters.push(fixed::external_sds(ctx));
    }
}

fn first_of_each_name(ctx: &Context<'_>, mut clusters: Vec<Resource>) -> Vec<Resource> {
    let mut seen = std::collections::HashSet::with_capacity(clusters.len());
    clusters.retain(|cluster| {
        let is_first = seen.insert(Arc::clone(&cluster.name));
        if !is_first {
            ctx.count(findings::DUPLICATE_CLUSTERS, &*cluster.name);
        }
        is_first
    });
    clusters
}

/// A cluster of that name with nothing decided.
fn base(name: &str) -> envoy::cluster::Cluster {
    envoy::cluster::Cluster {
        name: name.to_owned(),
        alt_stat_name: stat_name::delimited(name),
        common_lb_config: Some(CommonLbConfig::default()),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32)),
        ..Default::default()
    }
}

/// The protocol that a port's declaration asks for. A gateway does not follow its clients: they may have agreed on
/// HTTP/2 with it that the endpoint knows nothing of.
fn upstream_protocol(options: &mut ProtocolOptions, client: &ClientFacts, protocol: Protocol) {
    if protocol.is_http2() {
        options.choose_http2();
        return;
    }
    if client.preserves_case && (protocol.is_http() || protocol.is_unsupported()) {
        options.preserve_case();
    }
    if !client.router && protocol.is_unsupported() {
        options.follow_client();
    }
}

/// A ServiceEntry that resolves nothing may still move connections to another port.
fn port_override(service: &Service, number: u32) -> Option<LbConfig> {
    let port = service.port(number).filter(|port| port.target_stated)?;
    if service.is_kubernetes() || service.resolution != Resolution::Passthrough {
        return None;
    }
    let TargetPort::Number(target) = port.target else { return None };
    Some(LbConfig::OriginalDstLbConfig(OriginalDstLbConfig {
        upstream_port_override: Some(envoy::google::uint32(target)),
        ..Default::default()
    }))
}

/// The type of a cluster; `None` for a custom one.
fn discovery_type(cluster: &envoy::cluster::Cluster) -> Option<DiscoveryType> {
    match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(*kind).ok(),
        Some(ClusterDiscoveryType::ClusterType(_)) | None => None,
    }
}

fn is_dynamic_forward_proxy(cluster: &envoy::cluster::Cluster) -> bool {
    matches!(cluster.cluster_discovery_type, Some(ClusterDiscoveryType::ClusterType(_)))
}
