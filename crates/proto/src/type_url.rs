//! The type URLs by which clients and servers name resources (platform specification, 2.3). All but the debug types
//! and the Kubernetes kinds of the API generator carry Google's prefix.

/// What stands before the full name of a message in an `Any` and in a discovery request.
pub const PREFIX: &str = "type.googleapis.com/";

/// Clusters (CDS).
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// Endpoints (EDS).
pub const ENDPOINT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// Listeners (LDS).
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// Route configurations (RDS).
pub const ROUTE: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/// Secrets (SDS).
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// Extension configurations (ECDS).
pub const EXTENSION_CONFIG: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
/// The agent's table of names for its DNS proxy (NDS).
pub const NAME_TABLE: &str = "type.googleapis.com/istio.networking.nds.v1.NameTable";
/// Proxy settings for the agent (PCDS).
pub const PROXY_CONFIG: &str = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig";
/// Health reports of virtual machines; only ever sent by clients.
pub const HEALTH_INFORMATION: &str = "type.googleapis.com/istio.v1.HealthInformation";
/// Workloads and services for ztunnel.
pub const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";
/// Workloads alone.
pub const WORKLOAD: &str = "type.googleapis.com/istio.workload.Workload";
/// Authorization policies for ztunnel.
pub const AUTHORIZATION: &str = "type.googleapis.com/istio.security.Authorization";
/// An object of the API generator.
pub const MCP_RESOURCE: &str = "type.googleapis.com/istio.mcp.v1alpha1.Resource";
/// Prefix shared by the debug types; on its own, the list of debug pages.
pub const DEBUG: &str = "istio.io/debug";
/// Synchronisation status of connected proxies.
pub const DEBUG_SYNC_STATUS: &str = "istio.io/debug/syncz";
/// The configuration a proxy was sent.
pub const DEBUG_CONFIG_DUMP: &str = "istio.io/debug/config_dump";

/// The full name of the message that `type_url` names: what follows the last slash.
pub fn message_name(type_url: &str) -> &str {
    type_url.rsplit_once('/').map_or(type_url, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_envoy_asks_for_has_a_descriptor() {
        for url in [CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, EXTENSION_CONFIG, NAME_TABLE] {
            assert!(url.starts_with(PREFIX));
            assert!(crate::descriptors::message(message_name(url)).is_some(), "{url}");
        }
    }

    #[test]
    fn every_filter_of_istio_has_a_descriptor() {
        for name in [
            "stats.PluginConfig",
            "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
            "envoy.tcp.metadataexchange.config.MetadataExchange",
            "io.istio.http.peer_metadata.Config",
            "udpa.type.v1.TypedStruct",
            "xds.type.v3.TypedStruct",
            "xds.type.matcher.v3.IPMatcher",
            "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
        ] {
            assert!(crate::descriptors::message(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_name_follows_the_last_slash() {
        assert_eq!(message_name("a/b/c.D"), "c.D");
        assert_eq!(message_name("c.D"), "c.D");
    }
}
