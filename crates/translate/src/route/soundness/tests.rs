//! Routes that Envoy takes, and some that it does not.

use proto::envoy::google;
use proto::envoy::matcher::RegexMatcher;
use proto::envoy::route::route::Action;
use proto::envoy::route::route_action::ClusterSpecifier;
use proto::envoy::route::route_match::PathSpecifier;
use proto::envoy::route::weighted_cluster::ClusterWeight;
use proto::envoy::route::{DirectResponseAction, Route, RouteAction, RouteMatch, WeightedCluster};

use super::refusal;

fn to(specifier: ClusterSpecifier) -> Route {
    let action = RouteAction { cluster_specifier: Some(specifier), ..Default::default() };
    Route { r#match: Some(everything()), action: Some(Action::Route(action)), ..Default::default() }
}

fn everything() -> RouteMatch {
    RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..Default::default() }
}

fn weighted(weights: &[u32]) -> Route {
    let clusters = weights
        .iter()
        .map(|weight| ClusterWeight {
            name: "to".to_owned(),
            weight: Some(google::uint32(*weight)),
            ..Default::default()
        })
        .collect();
    to(ClusterSpecifier::WeightedClusters(WeightedCluster { clusters, ..Default::default() }))
}

#[test]
fn a_route_needs_a_destination() {
    assert_eq!(refusal(&to(ClusterSpecifier::Cluster("to".to_owned()))), None);
    assert!(refusal(&to(ClusterSpecifier::Cluster(String::new()))).is_some());
    assert!(refusal(&Route::default()).is_some());
}

#[test]
fn weights_need_a_sum() {
    assert_eq!(refusal(&weighted(&[0, 1])), None);
    assert!(refusal(&weighted(&[])).is_some());
    assert!(refusal(&weighted(&[0, 0])).is_some());
    assert!(refusal(&weighted(&[u32::MAX, 1])).is_some());
}

#[test]
fn a_direct_response_needs_a_status() {
    let answer = |status| Route {
        r#match: Some(everything()),
        action: Some(Action::DirectResponse(DirectResponseAction { status, ..Default::default() })),
        ..Default::default()
    };
    assert_eq!(refusal(&answer(503)), None);
    assert!(refusal(&answer(0)).is_some());
    assert!(refusal(&answer(600)).is_some());
}

#[test]
fn a_broken_expression_is_refused_and_one_of_re2_is_not() {
    let matching = |regex: &str| Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::SafeRegex(RegexMatcher {
                regex: regex.to_owned(),
                ..Default::default()
            })),
            ..Default::default()
        }),
        ..to(ClusterSpecifier::Cluster("to".to_owned()))
    };
    assert_eq!(refusal(&matching("/v[0-9]+/.*")), None);
    assert_eq!(refusal(&matching(r"/\Q(\E")), None);
    assert!(refusal(&matching("/(")).is_some());
    assert!(refusal(&matching("")).is_some());
}
