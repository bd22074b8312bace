//! Which rule wins: namespaces in turn, merging, exportTo, selectors (rows C08 to C12).

use std::sync::Arc;

use model::{Host, Labels, Namespace};
use serde_json::{Value, json};

use crate::{Base, MergedDestinationRule, Mesh, Question, Reader};

fn rule(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// The rule for calls from a workload of namespace `client` with `labels` to `db` of namespace `shop`.
fn chosen(rules: &[Value], client: &str, labels: Labels) -> Option<Arc<MergedDestinationRule>> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "tcp", "port": 5432}]},
    });
    let objects = rules.iter().chain([&service]);
    let store = objects.filter_map(|object| config::parse(object.clone(), "test").unwrap()).collect();
    let mesh = Mesh::build(store, Arc::new(Base::default()));
    let reader = Reader::new(&mesh);
    let service = reader.service(&Host::from("db.shop.svc.cluster.local"), &"shop".into()).unwrap();
    reader.destination_rule(&Namespace::from(client), &labels, &service)
}

fn name_of(rules: &[Value], client: &str) -> Option<String> {
    chosen(rules, client, Labels::default()).map(|rule| rule.name.clone())
}

const HOST: &str = "db.shop.svc.cluster.local";

#[test]
fn a_wildcard_of_the_client_beats_an_exact_host_of_the_service() {
    let rules = [
        rule("shop", "of-service", json!({"host": "db"})),
        rule("desk", "of-client", json!({"host": "*.local"})),
        rule("istio-system", "of-root", json!({"host": HOST})),
    ];
    assert_eq!(name_of(&rules, "desk").as_deref(), Some("of-client"));
    assert_eq!(name_of(&rules, "hall").as_deref(), Some("of-service"));
    assert_eq!(name_of(&rules[1..], "hall").as_deref(), Some("of-root"));
}

#[test]
fn a_public_rule_of_the_root_does_not_shadow_the_service_for_clients_there() {
    let rules = [
        rule("shop", "of-service", json!({"host": "db"})),
        rule("istio-system", "of-root", json!({"host": "*"})),
    ];
    assert_eq!(name_of(&rules, "istio-system").as_deref(), Some("of-service"));
    let private =
        [rules[0].clone(), rule("istio-system", "of-root", json!({"host": "*", "exportTo": ["."]}))];
    assert_eq!(name_of(&private, "istio-system").as_deref(), Some("of-root"));
}

#[test]
fn the_most_specific_host_is_chosen_before_anybody_asks_to_whom_it_is_exported() {
    let rules = [
        rule("shop", "exact", json!({"host": "db", "exportTo": ["hall"]})),
        rule("shop", "wide", json!({"host": "*.shop.svc.cluster.local"})),
    ];
    assert_eq!(name_of(&rules, "hall").as_deref(), Some("exact"));
    assert_eq!(name_of(&rules, "desk"), None);
}

#[test]
fn rules_of_one_host_merge_their_subsets_and_keep_the_older_policy() {
    let random = json!({"loadBalancer": {"simple": "RANDOM"}});
    let rules = [
        rule("shop", "a", json!({"host": "db", "subsets": [{"name": "one"}, {"name": "two"}]})),
        rule(
            "shop",
            "b",
            json!({"host": "db", "trafficPolicy": random, "subsets": [{"name": "two"}, {"name": "three"}]}),
        ),
        rule("shop", "c", json!({"host": "db", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}})),
    ];
    let merged = chosen(&rules, "desk", Labels::default()).unwrap();
    let subsets: Vec<_> = merged.spec.subsets.iter().map(|subset| subset.name.as_str()).collect();
    assert_eq!((merged.name.as_str(), subsets), ("a", vec!["one", "two", "three"]));
    let policy = merged.spec.traffic_policy.as_ref().unwrap();
    assert!(policy.load_balancer.is_some() && policy.tls.is_none());
    assert_eq!(merged.from.len(), 3);
}

#[test]
fn rules_for_different_namespaces_do_not_merge() {
    let rules = [
        rule("shop", "a", json!({"host": "db", "exportTo": ["desk"], "subsets": [{"name": "one"}]})),
        rule("shop", "b", json!({"host": "db", "exportTo": ["hall"], "subsets": [{"name": "two"}]})),
    ];
    for (client, name) in [("desk", "a"), ("hall", "b")] {
        let rule = chosen(&rules, client, Labels::default()).unwrap();
        assert_eq!((rule.name.as_str(), rule.spec.subsets.len()), (name, 1));
    }
}

#[test]
fn a_rule_that_selects_clients_counts_for_them_in_its_own_namespace_alone() {
    let selector = json!({"matchLabels": {"app": "till"}});
    let rules = [
        rule("desk", "all", json!({"host": HOST})),
        rule("desk", "some", json!({"host": HOST, "workloadSelector": selector, "exportTo": ["*"]})),
    ];
    let till = Labels::from([("app", "till")]);
    assert_eq!(chosen(&rules, "desk", till.clone()).unwrap().name, "some");
    assert_eq!(chosen(&rules, "desk", Labels::default()).unwrap().name, "all");
    assert!(chosen(&rules, "hall", till).is_none());
}

#[test]
fn a_changed_rule_concerns_its_own_host_alone() {
    let object = |spec: Value| config::parse(rule("shop", "a", spec), "test").unwrap().unwrap();
    let host = |name: &str| Question::DestinationRules(Host::from(format!("{name}.shop.svc.cluster.local")));
    let mesh = Mesh::build([object(json!({"host": "db"}))].into_iter().collect(), Arc::new(Base::default()));
    let changed = [object(json!({"host": "db", "subsets": [{"name": "one"}]}))];
    let (mesh, dirty, _) = mesh.advance(changed.into_iter().collect());
    assert!(dirty.ids().contains(&host("db").id()));
    assert!(!dirty.ids().contains(&host("web").id()));
    assert!(!dirty.ids().contains(&Question::WildcardDestinationRules.id()));
    let (_, dirty, _) =
        mesh.advance([object(json!({"host": "*.shop.svc.cluster.local"}))].into_iter().collect());
    assert!(dirty.ids().contains(&host("db").id()));
    assert!(dirty.ids().contains(&Question::WildcardDestinationRules.id()));
}
