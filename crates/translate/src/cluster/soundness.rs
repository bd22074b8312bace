//! What Envoy refuses of a cluster beyond the rules of its proto files: endpoints whose addresses do not fit how the
//! cluster finds them, a source of endpoints that is not stated.

use std::net::IpAddr;

use proto::constraints::Violation;
use proto::envoy::cluster::Cluster;
use proto::envoy::cluster::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
use proto::envoy::core::TransportSocket;
use proto::envoy::core::address::Address;
use proto::envoy::core::transport_socket::ConfigType;
use proto::envoy::endpoint::lb_endpoint::HostIdentifier;
use proto::envoy::endpoint::{LbEndpoint, LocalityLbEndpoints};

/// Why Envoy would refuse the cluster.
pub(crate) fn refusal(cluster: &Cluster) -> Option<Violation> {
    let broken = |path: String, reason: &str| Some(Violation { path, reason: reason.to_owned() });
    let kind = match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(*kind).ok()?,
        Some(ClusterDiscoveryType::ClusterType(_)) => return None,
        None => DiscoveryType::Static,
    };
    let n_endpoints = || {
        let localities = cluster.load_assignment.iter().flat_map(|assignment| &assignment.endpoints);
        localities.map(|locality| locality.lb_endpoints.len()).sum::<usize>()
    };
    let sockets = cluster
        .transport_socket
        .iter()
        .chain(cluster.transport_socket_matches.iter().filter_map(|m| m.transport_socket.as_ref()));
    if sockets.filter_map(type_of).any(|name| name.ends_with(".DownstreamTlsContext")) {
        return broken("transport_socket".to_owned(), "is one for listeners");
    }
    let provided = cluster.lb_policy == LbPolicy::ClusterProvided as i32;
    if provided != (kind == DiscoveryType::OriginalDst) && cluster.load_balancing_policy.is_none() {
        return broken("lb_policy".to_owned(), "does not fit the type of the cluster");
    }
    match kind {
        DiscoveryType::Eds if cluster.eds_cluster_config.is_none() => {
            broken("eds_cluster_config".to_owned(), "is needed")
        }
        DiscoveryType::Static => {
            let path = unresolved(&cluster.load_assignment.as_ref()?.endpoints)?;
            broken(format!("load_assignment.{path}"), "the address is no IP address")
        }
        DiscoveryType::LogicalDns if n_endpoints() != 1 => {
            broken("load_assignment".to_owned(), "exactly one endpoint is needed")
        }
        DiscoveryType::Eds | DiscoveryType::OriginalDst if cluster.load_assignment.is_some() => {
            broken("load_assignment".to_owned(), "does not fit the type of the cluster")
        }
        DiscoveryType::Eds
        | DiscoveryType::OriginalDst
        | DiscoveryType::StrictDns
        | DiscoveryType::LogicalDns => None,
    }
}

/// The path of the first endpoint that cannot be reached without a resolver.
pub(crate) fn unresolved(localities: &[LocalityLbEndpoints]) -> Option<String> {
    localities.iter().enumerate().find_map(|(at, locality)| {
        let index = locality.lb_endpoints.iter().position(|endpoint| !is_resolved(endpoint))?;
        Some(format!("endpoints[{at}].lb_endpoints[{index}]"))
    })
}

fn is_resolved(endpoint: &LbEndpoint) -> bool {
    let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else { return true };
    match endpoint.address.as_ref().and_then(|address| address.address.as_ref()) {
        Some(Address::SocketAddress(socket)) => socket.address.parse::<IpAddr>().is_ok(),
        _ => true,
    }
}

/// The type of a transport socket's configuration.
fn type_of(socket: &TransportSocket) -> Option<&str> {
    let Some(ConfigType::TypedConfig(config)) = &socket.config_type else { return None };
    Some(&config.type_url)
}
