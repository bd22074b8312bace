//! What traces call a route: the destination when there is exactly one, else the VirtualService, and the path.

use proto::envoy::route::route::Action;
use proto::envoy::route::route_action::ClusterSpecifier;
use proto::envoy::route::route_match::PathSpecifier;
use proto::envoy::route::{Decorator, Route};

use super::cluster_name;

/// The decorator of a route of the VirtualService `name` on `port`.
pub(super) fn decorator(route: &Route, name: &str, port: u32) -> Decorator {
    let path = match route.r#match.as_ref().and_then(|m| m.path_specifier.as_ref()) {
        Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}*"),
        Some(PathSpecifier::Path(path)) => path.clone(),
        Some(PathSpecifier::SafeRegex(regex)) => regex.regex.clone(),
        Some(_) | None => "/*".to_owned(),
    };
    let operation = match single_cluster(route).and_then(cluster_name::parse) {
        Some((host, port)) => format!("{host}:{port}{path}"),
        None => format!("{name}:{port}{path}"),
    };
    Decorator { operation, ..Default::default() }
}

fn single_cluster(route: &Route) -> Option<&str> {
    match route.action.as_ref()? {
        Action::Route(action) => match action.cluster_specifier.as_ref()? {
            ClusterSpecifier::Cluster(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}
