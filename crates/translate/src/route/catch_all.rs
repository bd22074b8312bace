//! The last virtual host of a sidecar's route configuration: what is done with unknown hosts (rows R25, R26).

use proto::envoy;
use proto::envoy::route::route::Action;
use proto::envoy::route::route_action::ClusterSpecifier;
use scope::UnknownTraffic;

use super::default_route::every_path;
use super::timeout;
use crate::Context;

/// What happens to requests for hosts that nobody declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum CatchAll {
    /// They pass, to this cluster.
    Allow {
        /// The cluster.
        cluster: String,
        /// `proxyHeaders.xForwardedHost`.
        x_forwarded_host: bool,
    },
    /// They are refused.
    Block,
}

/// What holds for the class.
pub(super) fn of(ctx: &Context<'_>, x_forwarded_host: bool) -> CatchAll {
    let cluster = match ctx.scope.unknown_traffic() {
        UnknownTraffic::Blocked => return CatchAll::Block,
        UnknownTraffic::EgressProxy(cluster) => cluster,
        UnknownTraffic::Passthrough => "PassthroughCluster".to_owned(),
    };
    CatchAll::Allow { cluster, x_forwarded_host }
}

impl CatchAll {
    /// The name of the virtual host, and of its route.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Allow { .. } => "allow_any",
            Self::Block => "block_all",
        }
    }

    /// Its one route.
    pub(super) fn route(&self) -> envoy::route::Route {
        let action = match self {
            Self::Allow { cluster, x_forwarded_host } => {
                let mut action = envoy::route::RouteAction {
                    cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.clone())),
                    append_x_forwarded_host: *x_forwarded_host,
                    ..Default::default()
                };
                timeout::apply(&mut action, None);
                Action::Route(action)
            }
            Self::Block => Action::DirectResponse(envoy::route::DirectResponseAction {
                status: 502,
                ..Default::default()
            }),
        };
        envoy::route::Route {
            name: self.name().to_owned(),
            r#match: Some(every_path()),
            action: Some(action),
            ..Default::default()
        }
    }
}
