//! The rules of Envoy's own files, seen on messages that keep and break them.

use super::{violation, violation_of};
use crate::envoy::cluster::{Cluster, OutlierDetection};
use crate::envoy::core::{HeaderValue, SocketAddress, socket_address::PortSpecifier};
use crate::envoy::google::{Any, Duration};
use crate::envoy::route::{Route, VirtualHost};

fn told<M: prost::Name>(message: &M) -> String {
    violation_of(message).map(|violation| violation.to_string()).unwrap_or_default()
}

fn cluster(seconds: i64) -> Cluster {
    let interval = Some(Duration { seconds, nanos: 0 });
    let outlier_detection = Some(OutlierDetection { interval, ..Default::default() });
    Cluster { name: "a".to_owned(), outlier_detection, ..Default::default() }
}

#[test]
fn what_keeps_every_rule_is_let_through() {
    assert_eq!(told(&cluster(5)), "");
    let address = SocketAddress {
        address: "10.0.0.1".to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(65_535)),
        ..Default::default()
    };
    assert_eq!(told(&address), "");
}

#[test]
fn a_broken_rule_is_told_with_its_path() {
    assert_eq!(told(&cluster(0)), "outlier_detection.interval: 0 s is not more than 0 s");
    assert_eq!(told(&cluster(-1)), "outlier_detection.interval: a duration is negative");
    let host = VirtualHost {
        name: "a".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![Route::default()],
        ..Default::default()
    };
    assert_eq!(told(&host), "routes[0].match: is needed");
}

#[test]
fn what_is_absent_has_its_default_value() {
    assert_eq!(told(&Cluster::default()), "name: is empty");
    assert_eq!(
        told(&VirtualHost { name: "a".to_owned(), ..Default::default() }),
        "domains: 1 or more are needed, there are 0"
    );
    let address = SocketAddress { address: "10.0.0.1".to_owned(), ..Default::default() };
    assert_eq!(told(&address), "port_specifier: one of its alternatives is needed");
}

#[test]
fn headers_and_ports_are_bounded() {
    let header = HeaderValue { key: "x-a".to_owned(), value: "a\nb".to_owned(), ..Default::default() };
    assert_eq!(told(&header), "value: \"a\\nb\" holds a character that headers may not have");
    let address = SocketAddress {
        address: "10.0.0.1".to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(70_000)),
        ..Default::default()
    };
    assert_eq!(told(&address), "port_value: 70000 is not 65535 or less");
}

#[test]
fn messages_are_checked_inside_of_any_and_unknown_ones_are_not() {
    let packed = crate::pack::any(&cluster(0));
    assert_eq!(told(&packed), "outlier_detection.interval: 0 s is not more than 0 s");
    assert_eq!(
        told(&Any { type_url: "type.googleapis.com/no.such.Message".to_owned(), value: vec![255] }),
        ""
    );
    assert_eq!(violation("no.such.Message", &[255, 255]), None);
    assert_eq!(violation("envoy.config.cluster.v3.Cluster", &[255, 255]), None);
}

#[test]
fn an_ordinary_route_and_an_ordinary_endpoint_keep_every_rule() {
    use crate::envoy::endpoint::{
        ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
    };
    use crate::envoy::google::{string_value, struct_of, uint32};
    use crate::envoy::route::{
        RouteAction, RouteMatch, route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier,
    };
    let metadata = crate::envoy::core::Metadata {
        filter_metadata: [("istio".to_owned(), struct_of([("config", string_value("a"))]))]
            .into_iter()
            .collect(),
        ..Default::default()
    };
    let route = Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            ..Default::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster("a".to_owned())),
            timeout: Some(Duration::default()),
            ..Default::default()
        })),
        metadata: Some(metadata.clone()),
        ..Default::default()
    };
    assert_eq!(told(&route), "");
    let address = SocketAddress {
        address: "10.0.0.1".to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(80)),
        ..Default::default()
    };
    let address = crate::envoy::core::Address {
        address: Some(crate::envoy::core::address::Address::SocketAddress(address)),
    };
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address),
            ..Default::default()
        })),
        load_balancing_weight: Some(uint32(1)),
        metadata: Some(metadata),
        ..Default::default()
    };
    let assignment = ClusterLoadAssignment {
        cluster_name: "a".to_owned(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: vec![endpoint],
            load_balancing_weight: Some(uint32(1)),
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(told(&assignment), "");
}
