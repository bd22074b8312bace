//! What is written beside the words of others, and what is not written again.

use std::collections::{BTreeMap, BTreeSet};

use proto::istio::mesh::MeshConfig;
use serde_json::{Value, json};

use super::{Instances, ObjectStatus, ServiceInstances, StatusBody};
use crate::tests::{derived, gateway, object, store};
use crate::{Settings, status::Condition};

/// Services by host, all of namespace `edge`.
struct Known(BTreeMap<&'static str, ServiceInstances>);

impl Instances for Known {
    fn service(&self, host: &str, namespace: &str) -> Option<ServiceInstances> {
        self.0.get(host).filter(|_| namespace == "edge").cloned()
    }

    fn namespaces(&self, host: &str) -> Vec<String> {
        if self.0.contains_key(host) { vec!["edge".to_owned()] } else { Vec::new() }
    }
}

const HOST: &str = "gw-istio.edge.svc.cluster.local";

fn behind(ports: &[(u32, &[u32])]) -> Known {
    let ports = ports.iter().map(|(port, to)| (*port, to.iter().copied().collect::<BTreeSet<_>>())).collect();
    let addresses = vec!["10.0.0.1".to_owned()];
    Known(BTreeMap::from([(HOST, ServiceInstances { ports, addresses, ..Default::default() })]))
}

fn statuses(objects: &[Value], instances: &Known) -> Vec<ObjectStatus> {
    let mesh = MeshConfig::default();
    let settings =
        Settings { mesh: &mesh, domain: "cluster.local", ingress_namespace: "istio-system", alpha: false };
    derived(objects).statuses(&store(objects), settings, instances)
}

fn programmed(instances: &Known) -> Condition {
    let listeners = json!([{"name": "web", "port": 80, "protocol": "HTTP"}]);
    match statuses(&[gateway(listeners)], instances).remove(0).body {
        StatusBody::Gateway(status) => status.conditions[1].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gateway_is_programmed_where_its_service_leads_to_some_instance() {
    let found = programmed(&behind(&[(80, &[8080])]));
    assert!(found.holds);
    assert_eq!(found.message, format!("Resource programmed, assigned to service(s) {HOST}:80"));
}

#[test]
fn a_gateway_that_names_the_port_of_the_workload_is_told_which_one_is_meant() {
    let found = programmed(&behind(&[(8000, &[80])]));
    assert_eq!((found.holds, found.reason.as_str()), (false, "AddressNotUsable"));
    assert!(found.message.contains("Did you mean one of these ports: [8000]?"), "{}", found.message);
}

#[test]
fn a_gateway_without_a_service_yet_is_told_so() {
    let found = programmed(&Known(BTreeMap::new()));
    assert_eq!(
        found.message,
        format!("Failed to assign to any requested addresses: hostname \"{HOST}\" not found")
    );
}

fn route_status() -> ObjectStatus {
    let route = object("HTTPRoute", "edge", "r", json!({"parentRefs": [{"name": "gw"}]}));
    let listeners = json!([{"name": "web", "port": 80, "protocol": "HTTP"}]);
    let all = statuses(&[gateway(listeners), route], &behind(&[(80, &[80])]));
    all.into_iter().find(|status| matches!(status.body, StatusBody::Route(_))).unwrap()
}

#[test]
fn what_another_controller_says_of_a_route_stays_and_stale_words_of_ours_go() {
    let others =
        json!({"parentRef": {"name": "gw"}, "controllerName": "example.com/other", "conditions": []});
    let stale = json!({"parentRef": {"name": "gone"}, "controllerName": "istio.io/gateway-controller"});
    let existing = json!({"parents": [stale, others]});
    let document = route_status().document(Some(&existing), "2026-01-01T00:00:00Z");
    let parents = document["parents"].as_array().unwrap();
    assert_eq!(parents.len(), 2);
    assert_eq!(parents[0], others);
    assert_eq!(parents[1]["parentRef"]["name"], "gw");
    assert_eq!(parents[1]["conditions"][0]["status"], "True");
}

#[test]
fn a_status_that_says_the_same_is_written_once() {
    let status = route_status();
    let first = status.document(None, "2026-01-01T00:00:00Z");
    assert_eq!(status.document(Some(&first), "2026-02-02T00:00:00Z"), first);
}

#[test]
fn a_condition_that_turns_gets_the_time_at_which_it_did() {
    let mut status = route_status();
    let first = status.document(None, "2026-01-01T00:00:00Z");
    if let StatusBody::Route(parents) = &mut status.body {
        parents[0].conditions[0].holds = false;
    }
    let second = status.document(Some(&first), "2026-02-02T00:00:00Z");
    let times: Vec<&str> = second["parents"][0]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| condition["lastTransitionTime"].as_str().unwrap())
        .collect();
    assert_eq!(times, ["2026-02-02T00:00:00Z", "2026-01-01T00:00:00Z"]);
}
