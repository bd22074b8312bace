//! Statuses of objects of the Gateway API and of Ingresses equal those that the real istiod wrote.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::generate::mesh_of;
use testkit::parity::{Scenario, shared_dir};

const NOW: &str = "2026-11-21T00:00:00Z";

/// Statuses by kind, namespace and name.
type Statuses = BTreeMap<(String, String, String), Value>;

/// Kinds whose status is written by somebody else, or by nobody.
fn is_of_gateway_api(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("gateway.networking.k8s.io/") || object["kind"] == "Ingress"
}

fn key(object: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("lastTransitionTime");
            map.values_mut().for_each(without_times);
        }
        Value::Array(list) => list.iter_mut().for_each(without_times),
        _ => {}
    }
}

fn written(scenario: &mut Scenario) -> anyhow::Result<Statuses> {
    for object in &mut scenario.objects {
        // As the API server counts.
        object["metadata"]["generation"] = json!(1);
    }
    let mesh = mesh_of(&scenario.objects)?;
    let statuses = mesh.statuses();
    let entry = |status: &mesh::ObjectStatus| {
        let mut document = status.document(None, NOW);
        without_times(&mut document);
        let key = &status.key;
        ((key.kind.name().to_owned(), key.namespace.to_string(), key.name.to_string()), document)
    };
    Ok(statuses.iter().map(entry).collect())
}

#[test]
fn statuses_equal_the_recorded_ones() {
    let Some(shared) = shared_dir() else {
        assert!(std::env::var_os("CI").is_none(), "the recordings (shared/parity) are absent");
        eprintln!("SKIPPED: no folder shared/parity beside the repository, so no status was compared");
        return;
    };
    let mut differences = Vec::new();
    let mut n_compared = 0;
    for name in Scenario::names(&shared).expect("the scenarios") {
        let mut scenario = Scenario::load(&shared, &name).expect("a scenario");
        // Waypoints belong to ambient mode.
        let recorded = scenario.recorded_statuses().expect("what was recorded");
        let recorded: Vec<Value> = recorded.into_iter().filter(is_of_gateway_api).collect();
        if recorded.is_empty() || name == "waypoint" {
            continue;
        }
        let written = written(&mut scenario).expect("a mesh");
        for object in recorded {
            let mut wanted = object["status"].clone();
            without_times(&mut wanted);
            n_compared += 1;
            match written.get(&key(&object)) {
                Some(found) if *found == wanted => {}
                // Who is not ours has what the API server gave it.
                None if wanted == json!({"loadBalancer": {}}) => {}
                found => {
                    let found = testkit::parity::diff(Some(&wanted), found);
                    differences.push(format!("{name} {:?}\n{found}", key(&object)));
                }
            }
        }
    }
    assert!(n_compared > 20, "{n_compared} statuses were compared");
    assert!(differences.is_empty(), "{} statuses differ:\n{}", differences.len(), differences.join("\n"));
}
