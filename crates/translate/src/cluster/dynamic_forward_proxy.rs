//! Clusters of wildcard hosts that the proxy resolves per request: DYNAMIC_DNS ServiceEntries (spec 1.2, row C02).

use envoy::cluster::cluster::{ClusterDiscoveryType, CustomClusterType, LbPolicy};
use envoy::dynamic_forward_proxy_cluster::{ClusterConfig, cluster_config::ClusterImplementationSpecifier};
use mesh::Service;
use model::Protocol;
use proto::envoy;

const TYPE: &str = "envoy.clusters.dynamic_forward_proxy";

/// The name of the DNS cache that the cluster of a host shares with filters.
pub fn cache_name(host: &str) -> String {
    format!("{host}_dfp_dns_cache")
}

/// Only these protocols carry a host name that can be resolved.
pub(super) fn serves(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::Tls)
}

/// The DNS cache of a host, the same in cluster and filters.
pub fn cache(host: &str) -> envoy::dynamic_forward_proxy::DnsCacheConfig {
    envoy::dynamic_forward_proxy::DnsCacheConfig {
        name: cache_name(host),
        dns_lookup_family: envoy::cluster::cluster::DnsLookupFamily::V4Only as i32,
        ..Default::default()
    }
}

/// Turns a cluster into one of this type.
pub(super) fn make(cluster: &mut envoy::cluster::Cluster, service: &Service) {
    let specifier = ClusterImplementationSpecifier::DnsCacheConfig(cache(&service.host));
    let config = ClusterConfig { cluster_implementation_specifier: Some(specifier), ..Default::default() };
    cluster.set_lb_policy(LbPolicy::ClusterProvided);
    cluster.cluster_discovery_type = Some(of(&config));
}

/// Envoy wants names from requests wherever settings of HTTP are stated, unless it is told not to.
pub(super) fn settle(cluster: &mut envoy::cluster::Cluster) {
    let takes_names = |config: &envoy::google::Any| {
        let options =
            <envoy::upstreams_http::HttpProtocolOptions as prost::Message>::decode(&config.value[..]);
        let names = options.ok().and_then(|options| options.upstream_http_protocol_options);
        names.is_some_and(|names| names.auto_sni && names.auto_san_validation)
    };
    if !cluster.typed_extension_protocol_options.values().all(takes_names) {
        allow_insecure(cluster);
    }
}

/// Lets the cluster originate TLS without taking names from requests.
pub(super) fn allow_insecure(cluster: &mut envoy::cluster::Cluster) {
    let Some(ClusterDiscoveryType::ClusterType(custom)) = &cluster.cluster_discovery_type else { return };
    let Some(config) = &custom.typed_config else { return };
    if config.type_url.ends_with(".ClusterConfig")
        && let Ok(mut config) = <ClusterConfig as prost::Message>::decode(&config.value[..])
    {
        config.allow_insecure_cluster_options = true;
        cluster.cluster_discovery_type = Some(of(&config));
    }
}

fn of(config: &ClusterConfig) -> ClusterDiscoveryType {
    ClusterDiscoveryType::ClusterType(CustomClusterType {
        name: TYPE.to_owned(),
        typed_config: Some(proto::pack::any(config)),
    })
}
