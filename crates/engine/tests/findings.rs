//! Bad input by family: what does not fit together is told with object, field and reason, and counted by the names of
//! istiod's push status; what is beside it is served all the same.

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Gauge, Issue, findings};
use serde_json::{Value, json};
use world::{World, endpoint_slice, proxy, service};

/// What came up.
struct Found {
    issues: Arc<[Issue]>,
    counted: BTreeMap<Gauge, usize>,
}

/// A world with a service that nothing is wrong with, and the objects given.
fn found(objects: &[Value]) -> Found {
    let mut world = World::default();
    world.stage(service("good", "apps", 80, "http"));
    world.stage(endpoint_slice("good", "apps", &["10.1.0.1"]));
    for object in objects {
        world.stage(object.clone());
    }
    world.commit();
    world.connect(0, &proxy("p", "apps"));
    let snapshot = world.engine.snapshot(engine::ProxyId(0)).unwrap_or_default();
    let clusters = snapshot.resources(xds::ResourceType::Cluster);
    assert!(clusters.resource("outbound|80||good.apps.svc.cluster.local").is_some(), "the rest is served");
    Found { issues: world.engine.issues(), counted: world.engine.counted() }
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let group = if kind == "Telemetry" { "telemetry.istio.io/v1" } else { "networking.istio.io/v1" };
    json!({"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": "apps"}, "spec": spec})
}

fn route(to: Value) -> Value {
    object("VirtualService", "bad", json!({"hosts": ["good"], "http": [{"route": [{"destination": to}]}]}))
}

fn count(of: &Found, gauge: Gauge) -> usize {
    of.counted[&gauge]
}

#[track_caller]
fn tells(found: &Found, object: &str, path: &str, message: &str) {
    let is_it =
        |issue: &&Issue| issue.object == object && issue.path == path && issue.message.contains(message);
    assert!(
        found.issues.iter().any(|issue| is_it(&issue)),
        "{object} {path} {message} in {:#?}",
        found.issues
    );
}

#[test]
fn what_a_route_names_in_vain_is_told() {
    let subset = object("DestinationRule", "rule", json!({"host": "good", "subsets": [{"name": "v1"}]}));
    let cases = [
        (json!({"host": "absent"}), "host", "there is no service absent"),
        (
            json!({"host": "good", "port": {"number": 81}}),
            "port.number",
            "there is no port 81 of service good",
        ),
        (json!({"host": "good", "subset": "v2"}), "subset", "there is no subset v2 of good"),
    ];
    for (to, field, message) in cases {
        let found = found(&[subset.clone(), route(to)]);
        let path = format!("spec.http[0].route[0].destination.{field}");
        tells(&found, "VirtualService apps/bad", &path, message);
    }
    let fine = found(&[subset, route(json!({"host": "good", "port": {"number": 80}, "subset": "v1"}))]);
    assert_eq!(fine.issues.len(), 0, "{:?}", fine.issues);
}

#[test]
fn missing_gateways_hosts_of_rules_mirrors_and_providers_are_told() {
    let found = found(&[
        object(
            "VirtualService",
            "edge",
            json!({"hosts": ["a.example"], "gateways": ["mesh", "front", "infra/back"],
            "http": [{"mirror": {"host": "shadow"}, "route": [{"destination": {"host": "good"}}]}]}),
        ),
        object("DestinationRule", "lost", json!({"host": "nobody"})),
        object(
            "Telemetry",
            "told",
            json!({"tracing": [{"providers": [{"name": "jaeger"}]}],
            "accessLogging": [{"providers": [{"name": "envoy"}]}]}),
        ),
    ]);
    tells(&found, "VirtualService apps/edge", "spec.gateways[1]", "there is no Gateway apps/front");
    tells(&found, "VirtualService apps/edge", "spec.gateways[2]", "there is no Gateway infra/back");
    tells(&found, "VirtualService apps/edge", "spec.http[0].mirror.host", "there is no service shadow");
    tells(&found, "DestinationRule apps/lost", "spec.host", "there is no service nobody");
    tells(&found, "Telemetry apps/told", "spec.tracing[0].providers[0].name", "no extension provider jaeger");
    assert_eq!(found.issues.len(), 5, "{:#?}", found.issues);
}

#[test]
fn a_second_virtual_service_for_a_host_is_told_and_counted() {
    let of = |name: &str| {
        object(
            "VirtualService",
            name,
            json!({"hosts": ["good"], "http": [{"route": [{"destination": {"host": "good"}}]}]}),
        )
    };
    let found = found(&[of("a"), of("b")]);
    tells(&found, "VirtualService apps/b", "spec.hosts[0]", "VirtualService apps/a is older and routes good");
    assert_eq!(count(&found, findings::DUPLICATE_DOMAINS), 1, "{:?}", found.counted);
}

#[test]
fn a_subset_that_an_older_rule_declares_is_told_and_counted() {
    let of =
        |name: &str| object("DestinationRule", name, json!({"host": "good", "subsets": [{"name": "v1"}]}));
    let found = found(&[of("a"), of("b")]);
    tells(&found, "DestinationRule apps/b", "spec.subsets", "by the older DestinationRule apps/a too");
    assert_eq!(count(&found, findings::DUPLICATE_SUBSETS), 1);
}

#[test]
fn clusters_without_endpoints_and_proxies_without_services_are_counted() {
    let entry = object(
        "ServiceEntry",
        "entry",
        json!({"hosts": ["a.example.com"], "resolution": "DNS", "endpoints": [{"address": "b.example.com"}],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}),
    );
    let rule = object(
        "DestinationRule",
        "rule",
        json!({"host": "a.example.com", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}),
    );
    let found = found(&[service("idle", "apps", 80, "http"), entry, rule]);
    assert_eq!(count(&found, findings::NO_INSTANCES), 1, "{:?}", found.counted);
    assert_eq!(count(&found, findings::DNS_WITHOUT_ENDPOINTS), 1, "{:?}", found.counted);
    assert_eq!(count(&found, findings::NO_IP), 1, "{:?}", found.counted);
}

#[test]
fn streams_that_cannot_be_told_apart_are_told_and_counted() {
    let entry = |name: &str| {
        object(
            "ServiceEntry",
            name,
            json!({"hosts": [format!("{name}.example.com")], "resolution": "NONE",
            "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}]}),
        )
    };
    let found = found(&[entry("a"), entry("b")]);
    tells(&found, "ServiceEntry apps/b", "spec.ports", "cannot be told from those to an older service");
    assert_eq!(count(&found, findings::CONFLICTING_OUTBOUND), 1, "{:?}", found.counted);
}
