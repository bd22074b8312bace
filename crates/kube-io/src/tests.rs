//! The catalog and the definitions, without an API server.

use config::Kind;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::decode::{Item, decode};
use crate::definitions::Definitions;
use crate::place::Place;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("JSON")
}

fn item(kind: Kind, value: &Value) -> Item {
    let raw = raw(value);
    let place = Place::of(kind, kind.versions()[0], "plural");
    decode(kind, &place, "", "a test", &raw)
}

fn service_entry(name: &str, host: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "n", "managedFields": [{"manager": "m"}]},
           "spec": {"hosts": [host], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}})
}

#[test]
fn a_new_list_takes_the_place_of_the_old_one_and_only_differences_are_told() {
    let mut catalog = Catalog::default();
    let kind = Kind::ServiceEntry;
    let listed =
        |names: &[&str]| names.iter().map(|n| item(kind, &service_entry(n, &json!("h")))).collect::<Vec<_>>();
    catalog.replace(kind, listed(&["a", "b"]));
    assert_eq!(catalog.event(true).expect("the first event").changes.len(), 2);
    catalog.replace(kind, listed(&["b", "c"]));
    let changes = catalog.event(false).expect("a difference").changes;
    let told: Vec<_> = changes.iter().map(|(key, object)| (&*key.name, object.is_some())).collect();
    assert_eq!(told, [("a", false), ("c", true)]);
    catalog.replace(kind, listed(&["b", "c"]));
    assert!(catalog.event(false).is_none());
}

#[test]
fn the_last_good_version_stays_while_an_object_is_broken() {
    let mut catalog = Catalog::default();
    let kind = Kind::ServiceEntry;
    catalog.put(item(kind, &service_entry("a", &json!("h"))));
    catalog.event(true).expect("the first event");
    catalog.put(item(kind, &service_entry("a", &json!({"not": "a host"}))));
    let event = catalog.event(false).expect("a rejection");
    assert!(event.changes.is_empty());
    assert_eq!(event.rejections.len(), 1);
    assert_eq!(event.rejections[0].path, "spec.hosts[0]");
    catalog.put(item(kind, &service_entry("a", &json!("h"))));
    let event = catalog.event(false).expect("the end of the rejection");
    assert!(event.changes.is_empty() && event.rejections.is_empty());
}

#[test]
fn objects_of_another_revision_and_locks_are_passed_over() {
    let mut catalog = Catalog::default();
    let mut other = service_entry("a", &json!("h"));
    other["metadata"]["labels"] = json!({"istio.io/rev": "canary"});
    catalog.put(item(Kind::ServiceEntry, &other));
    let lock = json!({"metadata": {"name": "istio-leader", "namespace": "istio-system",
                      "annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}});
    catalog.put(item(Kind::ConfigMap, &lock));
    assert!(catalog.event(true).expect("the first event").changes.is_empty());
}

#[test]
fn an_object_that_nests_too_deeply_is_a_rejection_with_its_key() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let text = format!(r#"{{"metadata":{{"name":"a","namespace":"n"}},"spec":{{"hosts":{deep}}}}}"#);
    let raw = RawValue::from_string(text).expect("JSON");
    let kind = Kind::ServiceEntry;
    let place = Place::of(kind, "v1", "serviceentries");
    let mut catalog = Catalog::default();
    catalog.put(decode(kind, &place, "", "a test", &raw));
    let event = catalog.event(true).expect("the first event");
    assert_eq!(
        event.rejections[0].key.as_ref().map(ToString::to_string).as_deref(),
        Some("ServiceEntry n/a")
    );
}

#[test]
fn definitions_tell_the_preferred_version_that_is_served_and_only_once_established() {
    let definition = |established: &str| {
        raw(&json!({
            "spec": {"group": "networking.istio.io", "names": {"kind": "ServiceEntry", "plural": "serviceentries"},
                     "versions": [{"name": "v1", "served": false}, {"name": "v1alpha3", "served": true},
                                  {"name": "v1beta1", "served": true}]},
            "status": {"conditions": [{"type": "Established", "status": established}]},
        }))
    };
    let mut definitions = Definitions::default();
    definitions.put("x", &definition("False"));
    assert!(definitions.places().is_empty());
    definitions.put("x", &definition("True"));
    let places = definitions.places();
    let place = places.get(&Kind::ServiceEntry).expect("served");
    assert_eq!(place.path(), "/apis/networking.istio.io/v1beta1/serviceentries?");
    definitions.remove("x");
    assert!(definitions.places().is_empty());
}
