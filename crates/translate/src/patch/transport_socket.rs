//! Patches that carry a transport socket (row F14): its settings are laid over those of the socket of the same name,
//! and nothing else of such a patch counts.

use proto::envoy::cluster::Cluster;
use proto::envoy::core::TransportSocket;
use proto::envoy::core::transport_socket::ConfigType;
use proto::envoy::listener::FilterChain;

/// Merges the transport socket of a patch into the chain's of the same name; false if there is none of them, so that
/// the patch is an ordinary one.
pub(super) fn merge_of_chain(chain: &mut FilterChain, patch: &FilterChain) -> bool {
    match (&mut chain.transport_socket, &patch.transport_socket) {
        (Some(socket), Some(laid)) if socket.name == laid.name => {
            merge(socket, laid);
            true
        }
        _ => false,
    }
}

/// Merges the transport socket of a patch into the cluster's; false if the patch has none. A cluster that chooses
/// among sockets cannot have another beside them, so there a patch without a match is dropped.
pub(super) fn merge_of_cluster(cluster: &mut Cluster, patch: &Cluster) -> bool {
    let Some(laid) = &patch.transport_socket else { return false };
    if !cluster.transport_socket_matches.is_empty() {
        let sockets = cluster.transport_socket_matches.iter_mut().filter_map(|m| m.transport_socket.as_mut());
        if let Some(socket) = sockets.into_iter().find(|socket| socket.name == laid.name) {
            merge(socket, laid);
        }
        return true;
    }
    match &mut cluster.transport_socket {
        Some(socket) if socket.name == laid.name => merge(socket, laid),
        socket => *socket = Some(laid.clone()),
    }
    true
}

fn merge(socket: &mut TransportSocket, patch: &TransportSocket) {
    if let (Some(ConfigType::TypedConfig(config)), Some(ConfigType::TypedConfig(laid))) =
        (&mut socket.config_type, &patch.config_type)
        && let Some(merged) = proto::merge::merged_any(config, laid)
    {
        *config = merged;
    }
}
