//! What a sidecar may see: which Sidecar applies, what its entries admit, and what VirtualServices pull in.

use std::sync::Arc;

use config::ConfigStore;
use mesh::{Base, Mesh, Reader};
use serde_json::{Value, json};

use crate::{Node, Proxy, ProxyClass, ProxyScope, UnknownTraffic};

fn scope_of(proxy: &Value, objects: &[Value]) -> ProxyScope {
    let objects = objects.iter().map(|object| config::parse(object.clone(), "test").unwrap().unwrap());
    let store: ConfigStore = objects.collect();
    let mesh = Mesh::build(store, Arc::new(Base::default()));
    let reader = Reader::new(&mesh);
    let node = Node {
        id: format!("{}~10.9.0.1~a.apps~apps.svc.cluster.local", proxy["type"].as_str().unwrap_or("sidecar")),
        metadata: json!({"NAMESPACE": "apps", "LABELS": proxy["labels"]}),
        ..Node::default()
    };
    let class = ProxyClass::of(&Proxy::parse(&node).unwrap(), &reader);
    ProxyScope::build(Arc::new(class), &reader)
}

fn hosts(scope: &ProxyScope) -> Vec<String> {
    let mut hosts: Vec<_> = scope
        .services
        .iter()
        .map(|s| {
            let ports: Vec<_> = s.ports.iter().map(|p| p.number.to_string()).collect();
            format!("{} in {}: {}", s.host, s.namespace, ports.join(" "))
        })
        .collect();
    hosts.sort();
    hosts
}

fn object(kind: &str, name: &str, namespace: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn service(name: &str, namespace: &str, ports: &[u32]) -> Value {
    let ports: Vec<_> = ports.iter().map(|p| json!({"name": format!("http-{p}"), "port": p})).collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": "10.96.0.9", "ports": ports}})
}

fn entry(name: &str, namespace: &str, host: &str, ports: &[u32]) -> Value {
    let ports: Vec<_> =
        ports.iter().map(|p| json!({"name": format!("tcp-{p}"), "number": p, "protocol": "TCP"})).collect();
    object("ServiceEntry", name, namespace, &json!({"hosts": [host], "ports": ports, "resolution": "DNS"}))
}

fn sidecar(name: &str, namespace: &str, spec: &Value) -> Value {
    object("Sidecar", name, namespace, spec)
}

#[test]
fn one_with_a_selector_goes_before_one_without_and_both_before_the_root_namespace() {
    let only = |hosts: &str| json!({"egress": [{"hosts": [hosts]}]});
    let mut selective = only("./b.apps.svc.cluster.local");
    selective["workloadSelector"] = json!({"labels": {"app": "x"}});
    let objects = [
        service("a", "apps", &[80]),
        service("b", "apps", &[80]),
        service("c", "other", &[80]),
        sidecar("root", "istio-system", &only("./a.apps.svc.cluster.local")),
        sidecar("selective", "apps", &selective),
        sidecar("general", "apps", &only("other/*")),
    ];
    let chosen = scope_of(&json!({"labels": {"app": "x"}}), &objects);
    assert_eq!(hosts(&chosen), ["b.apps.svc.cluster.local in apps: 80"]);
    let general = scope_of(&json!({"labels": {"app": "y"}}), &objects);
    assert_eq!(hosts(&general), ["c.other.svc.cluster.local in other: 80"]);
    let root = scope_of(&json!({"labels": {}}), &objects[..4]);
    assert_eq!(hosts(&root), ["a.apps.svc.cluster.local in apps: 80"]);
    let gateway = scope_of(&json!({"type": "router", "labels": {"app": "x"}}), &objects);
    assert_eq!(gateway.services.len(), 3);
}

#[test]
fn an_entry_with_a_port_admits_that_port_alone_and_listeners_are_put_together() {
    let objects = [
        service("a", "other", &[80, 90, 100]),
        service("b", "other", &[90]),
        sidecar(
            "s",
            "apps",
            &json!({"egress": [
                {"port": {"number": 80, "protocol": "HTTP", "name": "h"}, "hosts": ["other/*"]},
                {"port": {"number": 90, "protocol": "HTTP", "name": "i"}, "hosts": ["*/a.other.svc.cluster.local"]},
            ]}),
        ),
    ];
    let scope = scope_of(&json!({"labels": {}}), &objects);
    assert_eq!(hosts(&scope), ["a.other.svc.cluster.local in other: 80 90"]);
    assert_eq!(scope.egress[0].services[0].ports.len(), 1);
    assert!(scope.egress_for_route(90, "").is_some_and(|e| e.services[0].ports[0].number == 90));
    assert!(scope.egress_for_route(70, "").is_none());
}

#[test]
fn destinations_of_virtual_services_are_pulled_in_with_the_ports_that_are_named() {
    let objects = [
        service("front", "apps", &[80]),
        service("back", "other", &[80, 90]),
        service("strange", "other", &[80]),
        object(
            "VirtualService",
            "v",
            "apps",
            &json!({"hosts": ["front"], "http": [
                {"route": [{"destination": {"host": "back.other.svc.cluster.local", "port": {"number": 90}}}]},
                {"match": [{"sourceNamespace": "elsewhere"}],
                 "route": [{"destination": {"host": "strange.other.svc.cluster.local"}}]},
            ]}),
        ),
        sidecar("s", "apps", &json!({"egress": [{"hosts": ["./*"]}]})),
    ];
    let scope = scope_of(&json!({"labels": {}}), &objects);
    assert_eq!(
        hosts(&scope),
        ["back.other.svc.cluster.local in other: 90", "front.apps.svc.cluster.local in apps: 80"]
    );
}

#[test]
fn a_host_belongs_to_the_clients_namespace_else_to_kubernetes_else_to_the_first() {
    let host = "a.other.svc.cluster.local";
    let foreign = [entry("early", "beta", host, &[1]), service("a", "other", &[2])];
    assert_eq!(hosts(&scope_of(&json!({"labels": {}}), &foreign)), [format!("{host} in other: 2")]);
    let own = [entry("early", "beta", "x.com", &[1]), entry("own", "apps", "x.com", &[2])];
    assert_eq!(hosts(&scope_of(&json!({"labels": {}}), &own)), ["x.com in apps: 2"]);
    let both = [entry("early", "beta", "x.com", &[1]), entry("late", "gamma", "x.com", &[2])];
    assert_eq!(hosts(&scope_of(&json!({"labels": {}}), &both)), ["x.com in beta: 1"]);
}

#[test]
fn an_egress_proxy_counts_only_where_everything_is_allowed() {
    let policy = |mode: &str| {
        let spec = json!({"egress": [{"hosts": ["./*"]}], "outboundTrafficPolicy": {"mode": mode,
            "egressProxy": {"host": "out.example.com", "subset": "s", "port": {"number": 3128}}}});
        scope_of(&json!({"labels": {}}), &[sidecar("s", "apps", &spec)]).unknown_traffic()
    };
    let cluster = "outbound|3128|s|out.example.com".to_owned();
    assert_eq!(policy("ALLOW_ANY"), UnknownTraffic::EgressProxy(cluster));
    assert_eq!(policy("REGISTRY_ONLY"), UnknownTraffic::Blocked);
    assert_eq!(scope_of(&json!({"labels": {}}), &[]).unknown_traffic(), UnknownTraffic::Passthrough);
}
