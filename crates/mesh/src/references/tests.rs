//! What refers to nothing is told with object, field and reason.

use std::sync::Arc;

use model::Issue;
use serde_json::{Value, json};

use crate::{Base, Mesh};

/// What is told of these objects beside a service that nothing is wrong with.
fn found(objects: &[Value]) -> Vec<Issue> {
    let good = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "good", "namespace": "apps"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}]}});
    let objects = objects.iter().chain([&good]);
    let store = objects.filter_map(|object| config::parse(object.clone(), "test").unwrap()).collect();
    Mesh::build(store, Arc::new(Base::default())).findings().issues.into_iter().collect()
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let group = if kind == "Telemetry" { "telemetry.istio.io/v1" } else { "networking.istio.io/v1" };
    json!({"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": "apps"}, "spec": spec})
}

fn route(to: Value) -> Value {
    object("VirtualService", "bad", json!({"hosts": ["good"], "http": [{"route": [{"destination": to}]}]}))
}

#[track_caller]
fn tells(found: &[Issue], object: &str, path: &str, message: &str) {
    let is_it =
        |issue: &&Issue| issue.object == object && issue.path == path && issue.message.contains(message);
    assert!(found.iter().any(|issue| is_it(&issue)), "{object} {path} {message} in {found:#?}");
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
    assert_eq!(fine.len(), 0, "{fine:?}");
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
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn a_subset_that_an_older_rule_declares_is_told() {
    let of =
        |name: &str| object("DestinationRule", name, json!({"host": "good", "subsets": [{"name": "v1"}]}));
    let found = found(&[of("a"), of("b")]);
    tells(&found, "DestinationRule apps/b", "spec.subsets", "by the older DestinationRule apps/a too");
}
