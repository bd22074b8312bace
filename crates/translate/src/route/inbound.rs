//! The inline route configuration of an inbound HTTP chain: everything goes to the one cluster of the workload's port
//! (spec 3.3 "Inbound").

use model::Protocol;
use proto::envoy;
use proto::envoy::google;
use proto::envoy::route::route_action::{ClusterSpecifier, MaxStreamDuration};

use super::default_route;
use super::retry;

/// What an inbound route depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundRoute {
    /// `inbound|<port>||`, or `InboundPassthroughCluster`.
    pub cluster: String,
    /// The host of the service, for traces; empty for the passthrough chains.
    pub host: String,
    /// The service port, 0 for the passthrough chains.
    pub port: u32,
    /// What is spoken there; gRPC is never retried.
    pub protocol: Protocol,
}

/// The route configuration that stands inside an inbound HTTP connection manager.
pub fn inbound(input: &InboundRoute) -> envoy::route::RouteConfiguration {
    let action = envoy::route::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(input.cluster.clone())),
        timeout: Some(google::seconds(0)),
        max_stream_duration: Some(MaxStreamDuration {
            max_stream_duration: Some(google::seconds(0)),
            grpc_timeout_header_max: Some(google::seconds(0)),
            ..Default::default()
        }),
        retry_policy: (!input.protocol.is_grpc()).then(retry::inbound),
        ..Default::default()
    };
    let operation = format!("{}:{}/*", input.host, input.port);
    envoy::route::RouteConfiguration {
        name: input.cluster.clone(),
        virtual_hosts: vec![envoy::route::VirtualHost {
            name: format!("inbound|http|{}", input.port),
            domains: vec!["*".to_owned()],
            routes: vec![default_route::of_action(action, operation)],
            ..Default::default()
        }],
        validate_clusters: Some(google::boolean(false)),
        ..Default::default()
    }
}
