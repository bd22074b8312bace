//! Where endpoints come from, and that every change reaches the services it concerns (rows E20 to E22, K08 to K13).

use std::sync::Arc;

use config::{AnyObject, Changeset, ConfigStore};
use model::Host;
use serde_json::{Value, json};

use crate::{Base, Endpoint, EndpointAddress, Mesh, Question, Reader};

const HOST: &str = "db.shop.svc.cluster.local";

fn parsed(objects: &[Value]) -> Vec<AnyObject> {
    objects.iter().filter_map(|object| config::parse(object.clone(), "test").unwrap()).collect()
}

fn mesh(objects: &[Value]) -> Mesh {
    Mesh::build(parsed(objects).into_iter().collect::<ConfigStore>(), Arc::new(Base::default()))
}

fn endpoints(mesh: &Mesh, host: &str) -> Vec<Endpoint> {
    Reader::new(mesh).endpoints(&Host::from(host), &"shop".into()).endpoints.to_vec()
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "clusterIP": "10.0.0.1", "selector": {"app": "db"},
            "ports": [{"name": "tcp", "port": 5432, "targetPort": "sql"}],
        },
    })
}

fn slice(name: &str, addresses: &[(&str, Value)]) -> Value {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|(ip, target)| json!({"addresses": [ip], "conditions": {"ready": true}, "targetRef": target}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"},
        },
        "endpoints": endpoints, "ports": [{"name": "tcp", "port": 5432}],
    })
}

fn named(pod: &str) -> Value {
    json!({"kind": "Pod", "name": pod, "namespace": "shop"})
}

fn pod(name: &str, ip: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {
            "nodeName": "n1", "serviceAccountName": "db",
            "containers": [{"name": "c", "ports": [{"name": "sql", "containerPort": 5433}]}],
        },
        "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn node(zone: &str) -> Value {
    let labels = json!({"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": zone});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}})
}

fn entry(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

/// What the endpoints are after a change, which `advance` and `build` must agree on, and whether the question about
/// them was marked.
fn after(objects: &[Value], change: &Value, host: &str) -> (Vec<Endpoint>, bool) {
    let mut changes = Changeset::default();
    for object in parsed(std::slice::from_ref(change)) {
        changes.upsert(object);
    }
    let before = mesh(objects);
    let (advanced, dirty, _) = before.advance(changes.clone());
    let mut store = before.store().clone();
    store.apply(changes);
    let rebuilt = Mesh::build(store, Arc::new(Base::default()));
    let (advanced, rebuilt) = (endpoints(&advanced, host), endpoints(&rebuilt, host));
    assert_eq!(advanced, rebuilt);
    let question = Question::Endpoints(Host::from(host), "shop".into());
    (advanced, dirty.ids().contains(&question.id()))
}

#[test]
fn a_pod_that_a_slice_names_describes_its_endpoint_once_it_is_known() {
    let objects = [service(), node("z"), slice("db-1", &[("10.1.0.1", named("db-0"))])];
    assert!(endpoints(&mesh(&objects), HOST).is_empty());
    let labels = json!({"app": "db", "security.istio.io/tlsMode": "istio"});
    let (found, marked) = after(&objects, &pod("db-0", "10.1.0.1", labels), HOST);
    assert!(marked);
    assert_eq!(found[0].tls_mode, "istio");
    assert_eq!(found[0].locality_label, "r/z/");
    assert_eq!(found[0].service_account, "spiffe://cluster.local/ns/shop/sa/db");
}

#[test]
fn an_address_in_two_slices_is_one_endpoint() {
    let pods = [pod("db-0", "10.1.0.1", json!({"app": "db"}))];
    let slices = ["db-1", "db-2"].map(|name| slice(name, &[("10.1.0.1", named("db-0"))]));
    let objects: Vec<_> = [service()].into_iter().chain(pods).chain(slices).collect();
    assert_eq!(endpoints(&mesh(&objects), HOST).len(), 1);
}

#[test]
fn without_slices_the_selected_pods_count_with_the_ports_they_name() {
    let (found, marked) = after(&[service()], &pod("db-0", "10.1.0.1", json!({"app": "db"})), HOST);
    assert!(marked);
    assert_eq!(found[0].address, EndpointAddress::Ip("10.1.0.1".to_owned(), 5433));
}

#[test]
fn a_node_moves_the_endpoints_of_its_pods() {
    let objects = [service(), node("z"), pod("db-0", "10.1.0.1", json!({"app": "db"}))];
    let (found, marked) = after(&objects, &node("y"), HOST);
    assert!(marked);
    assert_eq!(found[0].locality.zone, "y");
}

#[test]
fn a_pod_of_another_application_concerns_nobody() {
    let objects = [service(), slice("db-1", &[("10.1.0.9", Value::Null)])];
    let (found, marked) = after(&objects, &pod("web-0", "10.1.0.1", json!({"app": "web"})), HOST);
    assert!(!marked);
    assert_eq!(found.len(), 1);
}

#[test]
fn an_entry_for_the_host_of_a_service_adds_its_endpoints_before_those_of_slices() {
    let extra = entry(
        "extra",
        json!({
            "hosts": [HOST], "resolution": "STATIC",
            "ports": [{"number": 5432, "name": "tcp", "protocol": "TCP"}],
            "endpoints": [{"address": "10.9.0.1", "locality": "r/z"}],
        }),
    );
    let objects = [service(), slice("db-1", &[("10.1.0.9", Value::Null)])];
    let (found, marked) = after(&objects, &extra, HOST);
    assert!(marked);
    let labels: Vec<_> =
        found.iter().map(|e| (e.workload_name.as_str(), e.locality_label.as_str())).collect();
    assert_eq!(labels, [("extra-0", "r/z"), ("", "")]);
}

#[test]
fn an_entry_selects_workload_entries_and_ready_pods_with_the_ports_they_name() {
    let ports = json!([{"number": 80, "name": "sql", "protocol": "TCP", "targetPort": 81}]);
    let objects = [
        entry(
            "vms",
            json!({
                "hosts": ["vms.test"], "resolution": "STATIC", "ports": ports,
                "workloadSelector": {"labels": {"app": "db"}},
            }),
        ),
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
            "metadata": {"name": "vm", "namespace": "shop", "labels": {"app": "db"}},
            "spec": {"address": "10.2.0.1", "serviceAccount": "vm", "weight": 3},
        }),
    ];
    let (found, marked) = after(&objects, &pod("db-0", "10.1.0.1", json!({"app": "db"})), "vms.test");
    assert!(marked);
    let addresses: Vec<_> = found.iter().map(|endpoint| endpoint.address.clone()).collect();
    let ip = |ip: &str, port| EndpointAddress::Ip(ip.to_owned(), port);
    assert_eq!(addresses, [ip("10.2.0.1", 81), ip("10.1.0.1", 5433)]);
    assert_eq!((found[0].weight, found[0].tls_mode.as_str()), (3, "istio"));
}

#[test]
fn the_name_of_a_workload_is_that_of_its_deployment_if_the_pods_name_was_generated() {
    let mut object = pod("db-5f7-x1", "10.1.0.1", json!({"app": "db", "pod-template-hash": "5f7"}));
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "db-5f7", "controller": true}]);
    let name = |object: &Value| endpoints(&mesh(&[service(), object.clone()]), HOST)[0].workload_name.clone();
    assert_eq!(name(&object), "db-5f7-x1");
    object["metadata"]["generateName"] = json!("db-5f7-");
    assert_eq!(name(&object), "db");
}

#[test]
fn a_service_that_goes_takes_its_endpoints_along() {
    let before = mesh(&[service(), pod("db-0", "10.1.0.1", json!({"app": "db"}))]);
    let mut changes = Changeset::default();
    for object in parsed(&[service()]) {
        changes.delete(object.key());
    }
    let (advanced, dirty, _) = before.advance(changes);
    assert!(endpoints(&advanced, HOST).is_empty());
    assert!(dirty.ids().contains(&Question::Endpoints(Host::from(HOST), "shop".into()).id()));
}
