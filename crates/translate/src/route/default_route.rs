//! The route of a service that no VirtualService speaks of (spec 3.3, row R09).

use std::sync::Arc;

use mesh::Fact;
use proto::envoy;
use proto::envoy::route::route::Action;
use proto::envoy::route::route_action::ClusterSpecifier;
use proto::envoy::route::route_match::PathSpecifier;
use proto::istio;

use super::hash_policy::{self, ConsistentHash};
use super::{retry, timeout};

/// What the default route of one service port depends on.
#[derive(Clone, Debug, Hash)]
pub(super) struct DefaultRoute {
    /// The cluster behind it.
    pub cluster: String,
    /// `<host>:<port>`, for traces.
    pub authority: String,
    /// Consistent hashing, from the service's DestinationRule.
    pub hash: Option<Arc<Fact<ConsistentHash>>>,
    /// The mesh's own retry policy.
    pub mesh_retry: Option<istio::networking::HttpRetry>,
}

/// The outbound default route.
pub(super) fn outbound(input: &DefaultRoute) -> envoy::route::Route {
    let mut action = envoy::route::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(input.cluster.clone())),
        retry_policy: retry::policy(input.mesh_retry.as_ref(), false),
        hash_policy: input.hash.iter().filter_map(|hash| hash_policy::policy(hash)).collect(),
        ..Default::default()
    };
    timeout::apply(&mut action, None);
    of_action(action, format!("{}/*", input.authority))
}

/// A route named `default` that takes every path.
pub(super) fn of_action(action: envoy::route::RouteAction, operation: String) -> envoy::route::Route {
    envoy::route::Route {
        name: "default".to_owned(),
        r#match: Some(every_path()),
        decorator: Some(envoy::route::Decorator { operation, ..Default::default() }),
        action: Some(Action::Route(action)),
        ..Default::default()
    }
}

/// The match of every path.
pub(super) fn every_path() -> envoy::route::RouteMatch {
    envoy::route::RouteMatch {
        path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
        ..Default::default()
    }
}
