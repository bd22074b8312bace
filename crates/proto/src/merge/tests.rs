//! Merging as EnvoyFilter means it.

use super::*;
use crate::envoy;
use crate::envoy::google::{boolean, millis, seconds};

#[test]
fn lists_append_and_durations_replace() {
    let base = envoy::cluster::Cluster {
        connect_timeout: Some(envoy::google::Duration { seconds: 10, nanos: 5 }),
        filters: vec![envoy::cluster::Filter { name: "a".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let patch = envoy::cluster::Cluster {
        connect_timeout: Some(millis(250)),
        filters: vec![envoy::cluster::Filter { name: "b".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let merged = merged(&base, &patch).unwrap();
    assert_eq!(merged.connect_timeout, Some(millis(250)));
    assert_eq!(merged.filters.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_default_says_nothing() {
    let base =
        envoy::hcm::HttpConnectionManager { normalize_path: Some(boolean(true)), ..Default::default() };
    let patch =
        envoy::hcm::HttpConnectionManager { normalize_path: Some(boolean(false)), ..Default::default() };
    assert_eq!(merged(&base, &patch).unwrap(), base);
}

#[test]
fn only_one_member_of_a_choice_stays() {
    use envoy::route::route::Action;
    let base = envoy::route::Route {
        action: Some(Action::Redirect(envoy::route::RedirectAction::default())),
        ..Default::default()
    };
    let action = envoy::route::RouteAction { timeout: Some(seconds(3)), ..Default::default() };
    let patch = envoy::route::Route { action: Some(Action::Route(action)), ..Default::default() };
    assert_eq!(merged(&base, &patch).unwrap().action, patch.action);
}

#[test]
fn content_of_another_type_is_refused() {
    let a = pack::any(&envoy::cluster::Cluster::default());
    let b = pack::any(&envoy::route::Route::default());
    assert!(merged_any(&a, &b).is_none());
}
