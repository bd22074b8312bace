//! The meshes that translators are measured on: namespaces of twenty services with ten endpoints each, a VirtualService
//! for every tenth, a DestinationRule for every fifth service, a policy in each namespace (performance specification, 4),
//! and in the first namespace, whose sidecar is translated for, a policy more for each hundred services.

use std::sync::Arc;

use mesh::{Base, Mesh};
use scope::{Node, Proxy};
use serde_json::{Value, json};

/// Services of one namespace.
const PER_NAMESPACE: usize = 20;
/// Endpoints of one service.
const N_ENDPOINTS: usize = 10;

/// A sidecar of the first service.
pub(crate) fn proxy() -> Proxy {
    Proxy::parse(&Node {
        id: "sidecar~10.16.0.1~svc-0-0.ns-0~ns-0.svc.cluster.local".to_owned(),
        cluster: "svc-0.ns-0".to_owned(),
        metadata: json!({"NAMESPACE": "ns-0", "ISTIO_VERSION": "1.30.0", "CLUSTER_ID": "Kubernetes",
                         "LABELS": {"app": "svc-0", "version": "v1"}, "SERVICE_ACCOUNT": "svc-0"}),
        ..Node::default()
    })
    .expect("a node that can be read")
}

/// A mesh of so many services.
pub(crate) fn services(n_services: usize) -> Mesh {
    let mut objects = vec![mesh_wide()];
    for number in 0..n_services.div_ceil(PER_NAMESPACE) {
        objects.push(policy("allow", number, 1));
    }
    for number in 0..n_services / 100 {
        objects.push(policy(&format!("more-{number}"), 0, 10));
    }
    for number in 0..n_services {
        objects.push(service(number));
        objects.push(slice(number));
        if number.is_multiple_of(10) {
            objects.push(virtual_service(number));
        }
        if number.is_multiple_of(5) {
            objects.push(destination_rule(number));
        }
    }
    let parse = |object| config::parse(object, "bench").expect("a valid object").expect("a known kind");
    Mesh::build(objects.into_iter().map(parse).collect(), Arc::new(Base::default()))
}

fn object(version: &str, kind: &str, name: &str, namespace: &str, spec: Value) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn namespace_of(number: usize) -> String {
    format!("ns-{}", number / PER_NAMESPACE)
}

fn mesh_wide() -> Value {
    let spec = json!({"mtls": {"mode": "STRICT"}});
    object("security.istio.io/v1", "PeerAuthentication", "default", "istio-system", spec)
}

fn policy(name: &str, number: usize, n_rules: usize) -> Value {
    let rule = |rule: usize| {
        json!({"from": [{"source": {"namespaces": [format!("ns-{number}"), "ns-0"]}}],
               "to": [{"operation": {"methods": ["GET"], "paths": [format!("/{name}/{rule}/*")]}}]})
    };
    let rules: Vec<Value> = (0..n_rules).map(rule).collect();
    object(
        "security.istio.io/v1",
        "AuthorizationPolicy",
        name,
        &format!("ns-{number}"),
        json!({"rules": rules}),
    )
}

/// HTTP always, gRPC for every fifth, TCP for every tenth.
fn ports(number: usize, port: impl Fn(u32) -> u32) -> Vec<Value> {
    let mut ports = vec![("http", 80), ("grpc", 9090), ("tcp", 5432)];
    ports.truncate(1 + usize::from(number.is_multiple_of(5)) + usize::from(number.is_multiple_of(10)));
    ports.into_iter().map(|(name, number)| json!({"name": name, "port": port(number)})).collect()
}

fn service(number: usize) -> Value {
    let name = format!("svc-{number}");
    let address = format!("10.{}.{}.{}", 100 + number / 62_500, number / 250 % 250, number % 250 + 1);
    let ports = ports(number, |port| port);
    let spec = json!({"clusterIP": address, "selector": {"app": name}, "ports": ports});
    object("v1", "Service", &name, &namespace_of(number), spec)
}

fn slice(number: usize) -> Value {
    let endpoint = |endpoint: usize| {
        let place = number * N_ENDPOINTS + endpoint;
        let address = format!("10.{}.{}.{}", 16 + place / 62_500, place / 250 % 250, place % 250 + 1);
        json!({"addresses": [address], "conditions": {"ready": true}, "zone": "z1"})
    };
    let endpoints: Vec<Value> = (0..N_ENDPOINTS).map(endpoint).collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
           "metadata": {"name": format!("svc-{number}-1"), "namespace": namespace_of(number),
                        "labels": {"kubernetes.io/service-name": format!("svc-{number}")}},
           "endpoints": endpoints, "ports": ports(number, |port| if port == 80 { 8080 } else { port })})
}

fn virtual_service(number: usize) -> Value {
    let host = format!("svc-{number}");
    let to = |subset, weight| json!({"destination": {"host": host, "subset": subset}, "weight": weight});
    let spec = json!({"hosts": [host], "http": [{"route": [to("v1", 90), to("v2", 10)]}]});
    object("networking.istio.io/v1", "VirtualService", &host, &namespace_of(number), spec)
}

fn destination_rule(number: usize) -> Value {
    let host = format!("svc-{number}");
    let subset = |name| json!({"name": name, "labels": {"version": name}});
    let spec = json!({"host": host, "subsets": [subset("v1"), subset("v2")]});
    object("networking.istio.io/v1", "DestinationRule", &host, &namespace_of(number), spec)
}
