//! Services and workloads of several clusters (rows K14 and E18): one service per host, with the addresses of each
//! cluster, and the endpoints of all. What is advanced to equals what is built (invariant I1).

use std::sync::Arc;

use config::{Changeset, ConfigKey, ConfigStore, Kind};
use model::Host;
use serde_json::{Value, json};

use crate::{Base, EndpointAddress, Mesh, Reader, Service, StatedWorkload};

const HOST: &str = "till.shop.svc.cluster.local";

/// Objects of a cluster; an empty ID is our own.
fn objects(cluster: &str, objects: &[Value]) -> Changeset {
    let changes: Changeset =
        objects.iter().filter_map(|object| config::parse(object.clone(), "test").unwrap()).collect();
    if cluster.is_empty() { changes } else { changes.in_cluster(&Arc::from(cluster)) }
}

fn service(ip: &str, port: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "till", "namespace": "shop",
            "annotations": {"alpha.istio.io/canonical-serviceaccounts": format!("of-{ip}")}},
        "spec": {"clusterIP": ip, "selector": {"app": "till"}, "ports": [{"name": "tcp", "port": port}]}})
}

fn slice(pod: &str, ip: &str) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "till-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "till"}},
        "endpoints": [{"addresses": [ip], "targetRef": {"kind": "Pod", "name": pod, "namespace": "shop"}}],
        "ports": [{"name": "tcp", "port": 8080}]})
}

fn pod(name: &str, ip: &str, version: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "till", "version": version}},
        "spec": {"nodeName": "n", "containers": [{"name": "c"}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn node(region: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n", "labels": {"topology.kubernetes.io/region": region}}})
}

fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn own() -> Vec<Value> {
    vec![
        service("10.96.0.1", 80),
        slice("till-0", "10.1.0.1"),
        pod("till-0", "10.1.0.1", "own"),
        node("here"),
    ]
}

fn west() -> Vec<Value> {
    let network = json!({"topology.istio.io/network": "net-west"});
    vec![
        service("10.96.0.2", 90),
        slice("till-0", "10.2.0.1"),
        pod("till-0", "10.2.0.1", "west"),
        node("there"),
        namespace("istio-system", network),
    ]
}

/// A mesh over these changes, made step by step; that it equals one that is built is checked.
fn mesh(steps: Vec<Changeset>) -> Mesh {
    let base = Arc::new(Base::default());
    let mut store = ConfigStore::default();
    let mut mesh = Mesh::build(ConfigStore::default(), Arc::clone(&base));
    for step in steps {
        store.apply(step.clone());
        mesh = mesh.advance(step).0;
        let built = Mesh::build(store.clone(), Arc::clone(&base));
        assert_eq!(mesh.all_services(), built.all_services());
        assert_eq!(endpoints(&mesh), endpoints(&built));
        assert_eq!(mesh.network_gateways(), built.network_gateways());
    }
    mesh
}

/// Address, cluster, network and region of each endpoint.
fn endpoints(mesh: &Mesh) -> Vec<String> {
    let set = Reader::new(mesh).endpoints(&Host::from(HOST), &"shop".into());
    let line = |endpoint: &crate::Endpoint| {
        let EndpointAddress::Ip(ip, port) = &endpoint.address else { return String::new() };
        let (cluster, network) = (&endpoint.cluster, &endpoint.network);
        assert_eq!(endpoint.labels.value("topology.istio.io/cluster"), Some(cluster.as_str()));
        format!("{ip}:{port} {cluster} {network} {}", endpoint.locality.region)
    };
    set.endpoints.iter().map(line).collect()
}

fn the_service(mesh: &Mesh) -> Arc<Service> {
    assert_eq!(mesh.all_services().len(), 1);
    Arc::clone(&mesh.all_services()[0])
}

fn without(cluster: &str, all: &[Value]) -> Changeset {
    let mut changes = Changeset::default();
    for (key, _) in objects(cluster, all).iter() {
        changes.delete(key.clone());
    }
    changes
}

#[test]
fn services_of_one_host_are_one_with_the_addresses_of_each_cluster_and_the_endpoints_of_all() {
    let both = mesh(vec![objects("west", &west()), objects("", &own())]);
    let service = the_service(&both);
    // Our own cluster goes first, though it came last.
    assert_eq!((service.cluster.as_str(), service.ports[0].number), ("Kubernetes", 80));
    assert_eq!(service.addresses_for("Kubernetes"), ["10.96.0.1"]);
    assert_eq!(service.addresses_for("west"), ["10.96.0.2"]);
    assert_eq!(service.addresses_for("unknown"), ["10.96.0.1"]);
    assert_eq!(service.subject_alt_names, ["of-10.96.0.1", "of-10.96.0.2"]);
    let here = "10.1.0.1:8080 Kubernetes  here";
    let there = "10.2.0.1:8080 west net-west there";
    assert_eq!(endpoints(&both), [here, there]);

    // A pod of the same name in one cluster says nothing about the other's.
    let moved = both.advance(objects("west", &[node("elsewhere")])).0;
    assert_eq!(endpoints(&moved), [here, "10.2.0.1:8080 west net-west elsewhere"]);

    // A cluster that goes takes its own with it, and nothing else.
    let left = mesh(vec![objects("", &own()), objects("west", &west()), without("west", &west())]);
    assert_eq!(endpoints(&left), [here]);
    assert!(the_service(&left).addresses_elsewhere.is_empty());
    let left = mesh(vec![objects("", &own()), objects("west", &west()), without("", &own())]);
    assert_eq!(endpoints(&left), [there]);
    assert_eq!(the_service(&left).addresses_for("Kubernetes"), ["10.96.0.2"]);
}

#[test]
fn a_proxy_is_known_by_the_pod_and_the_services_of_its_own_cluster() {
    let mesh = mesh(vec![objects("", &own()), objects("west", &west())]);
    let reader = Reader::new(&mesh);
    let version = |cluster: &str| {
        let facts = reader.workload(cluster, "till-0", &"shop".into())?;
        let labels = reader.workload_labels(cluster, "till-0", &"shop".into(), &[])?;
        assert_eq!(labels, facts.labels);
        Some((labels.value("version")?.to_owned(), facts.locality.region, facts.network))
    };
    let (own, west) = (("own", "here", ""), ("west", "there", "net-west"));
    let text = |(a, b, c): (&str, &str, &str)| Some((a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(version(""), text(own));
    assert_eq!(version("Kubernetes"), text(own));
    assert_eq!(version("west"), text(west));
    assert_eq!(version("unknown"), None);
    let port = |cluster: &str| {
        let labels = model::Labels::default();
        let found = reader.own_services(StatedWorkload {
            pod: "till-0",
            namespace: &"shop".into(),
            addresses: &[],
            labels: &labels,
            ports: None,
            cluster,
        });
        found.iter().map(|own| own.port.number).collect::<Vec<_>>()
    };
    assert_eq!((port(""), port("west"), port("unknown")), (vec![80], vec![90], vec![]));
}

#[test]
fn a_service_entry_selects_workloads_of_every_cluster() {
    let entry = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "e", "namespace": "shop"},
        "spec": {"hosts": [HOST], "resolution": "STATIC", "workloadSelector": {"labels": {"app": "till"}},
            "ports": [{"number": 80, "name": "tcp", "protocol": "TCP"}]}});
    let west = [pod("till-0", "10.2.0.1", "west")];
    let steps = vec![objects("", &[entry, pod("till-0", "10.1.0.1", "own")]), objects("west", &west)];
    let both = mesh(steps.clone());
    assert_eq!(endpoints(&both), ["10.1.0.1:80 Kubernetes  ", "10.2.0.1:80 west  "]);
    let left = mesh([steps, vec![without("west", &west)]].concat());
    assert_eq!(endpoints(&left), ["10.1.0.1:80 Kubernetes  "]);
}

#[test]
fn namespaces_are_chosen_by_the_labels_of_their_own_cluster() {
    let selectors = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "discoverySelectors: [{matchLabels: {mesh: 'yes'}}]"}});
    let shop = |mesh: &str| namespace("shop", json!({"mesh": mesh}));
    let steps = vec![
        objects("", &own()),
        objects("west", &west()),
        objects("", &[selectors, shop("no")]),
        objects("west", &[shop("yes")]),
    ];
    let there = "10.2.0.1:8080 west net-west there";
    assert_eq!(endpoints(&mesh(steps.clone())), [there]);
    let more = vec![objects("", &[shop("yes")]), objects("west", &[shop("no")])];
    assert_eq!(endpoints(&mesh([steps, more].concat())), ["10.1.0.1:8080 Kubernetes  here"]);
}

#[test]
fn a_gateway_of_a_network_is_of_the_cluster_that_declares_it() {
    let gateway = |ip: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge", "namespace": "istio-system",
                "labels": {"topology.istio.io/network": "net-west"}},
            "spec": {"clusterIP": "10.96.0.9", "externalIPs": [ip], "ports": [{"name": "tls", "port": 15443}]}})
    };
    let both = mesh(vec![objects("", &[gateway("192.0.2.1")]), objects("west", &[gateway("192.0.2.2")])]);
    let gateways = Reader::new(&both).network_gateways(false);
    let of = |cluster: &str| -> Vec<String> {
        gateways.of("net-west", cluster).iter().map(|gateway| gateway.address.clone()).collect()
    };
    assert_eq!((of("Kubernetes"), of("west")), (vec!["192.0.2.1".to_owned()], vec!["192.0.2.2".to_owned()]));
}

#[test]
fn what_a_remote_cluster_holds_is_found_by_its_key_alone() {
    let mut store = ConfigStore::default();
    store.apply(objects("west", &west()));
    let key = ConfigKey::new(Kind::Service, "shop", "till");
    assert!(store.is_empty() && store.get(&key).is_none());
    assert!(store.get(&key.clone().in_cluster(&"west".into())).is_some());
    assert!(store.get(&key.in_cluster(&"east".into())).is_none());
    store.apply(without("west", &west()));
    assert_eq!(store.remotes().count(), 0);
}
