//! The mesh that is measured: namespaces of twenty services, so many endpoints each, a VirtualService for every
//! tenth service, a DestinationRule for every fifth, a policy in each namespace (performance specification, 4).

use serde_json::{Value, json};
use swarm::Place;

/// Services of one namespace.
const PER_NAMESPACE: usize = 20;

/// Sizes of a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Services.
    pub services: usize,
    /// Endpoints of each.
    pub endpoints: usize,
    /// Whether each sidecar sees its own namespace only.
    pub scoped: bool,
}

impl Size {
    /// A mesh in which everybody sees everything.
    pub fn new(services: usize, endpoints: usize) -> Self {
        Self { services, endpoints, scoped: false }
    }
}

/// Where a service stands.
pub fn namespace_of(service: usize) -> String {
    format!("ns-{}", service / PER_NAMESPACE)
}

/// The proxies, pods of one service after the other.
pub fn places(size: Size, n: usize) -> Vec<Place> {
    (0..n)
        .map(|index| {
            // Neighbours stand in different namespaces, so that a few proxies are spread as many are.
            let n_namespaces = size.services.div_ceil(PER_NAMESPACE).max(1);
            let (namespace, turn) = (index % n_namespaces, index / n_namespaces);
            let service = (namespace * PER_NAMESPACE + turn % PER_NAMESPACE).min(size.services.max(1) - 1);
            let pod = turn / PER_NAMESPACE;
            Place {
                namespace: namespace_of(service),
                app: format!("svc-{service}"),
                pod: format!("svc-{service}-{pod}"),
                ip: address(service, pod),
            }
        })
        .collect()
}

/// Everything that the mesh holds.
pub fn objects(size: Size) -> Vec<Value> {
    let mut objects = vec![mesh_config(), strict()];
    for namespace in 0..size.services.div_ceil(PER_NAMESPACE) {
        objects.push(policy(&format!("ns-{namespace}")));
        if size.scoped {
            objects.push(sidecar(&format!("ns-{namespace}")));
        }
    }
    for index in 0..size.services {
        objects.push(service(index));
        objects.push(slice(index, size.endpoints, false));
        if index.is_multiple_of(10) {
            objects.push(virtual_service(index, 90));
        }
        if index.is_multiple_of(5) {
            objects.push(destination_rule(index));
        }
    }
    objects
}

fn mesh_config() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "rootNamespace: istio-system\ntrustDomain: cluster.local\n"}})
}

fn strict() -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "istio-system"}, "spec": {"mtls": {"mode": "STRICT"}}})
}

fn policy(namespace: &str) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "allow", "namespace": namespace},
        "spec": {"rules": [{"from": [{"source": {"namespaces": [namespace, "ns-0"]}}]}]}})
}

fn sidecar(namespace: &str) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": namespace},
        "spec": {"egress": [{"hosts": ["./*", "istio-system/*"]}]}})
}

/// One service: HTTP always, gRPC for every fifth, TCP for every tenth.
pub fn service(index: usize) -> Value {
    let mut ports = vec![json!({"name": "http", "port": 80, "targetPort": 8080})];
    if index.is_multiple_of(5) {
        ports.push(json!({"name": "grpc", "port": 9090, "targetPort": 9090}));
    }
    if index.is_multiple_of(10) {
        ports.push(json!({"name": "tcp", "port": 5432, "targetPort": 5432}));
    }
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("svc-{index}"), "namespace": namespace_of(index)},
        "spec": {"clusterIP": format!("10.{}.{}.{}", 100 + index / 62_500, index / 250 % 250, index % 250 + 1),
            "selector": {"app": format!("svc-{index}")}, "ports": ports}})
}

fn address(service: usize, endpoint: usize) -> String {
    let number = service * 16 + endpoint;
    format!("10.{}.{}.{}", 16 + number / 62_500, number / 250 % 250, number % 250 + 1)
}

/// The one slice of a service; `swapped` gives its last endpoint another address.
pub fn slice(index: usize, n_endpoints: usize, swapped: bool) -> Value {
    let endpoint = |number: usize| {
        let number = if swapped && number + 1 == n_endpoints { 15 } else { number };
        json!({"addresses": [address(index, number)], "conditions": {"ready": true},
               "nodeName": format!("node-{}", number % 10), "zone": "z1"})
    };
    let endpoints: Vec<Value> = (0..n_endpoints).map(endpoint).collect();
    let mut ports = vec![json!({"name": "http", "port": 8080, "protocol": "TCP"})];
    if index.is_multiple_of(5) {
        ports.push(json!({"name": "grpc", "port": 9090, "protocol": "TCP"}));
    }
    if index.is_multiple_of(10) {
        ports.push(json!({"name": "tcp", "port": 5432, "protocol": "TCP"}));
    }
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("svc-{index}-1"), "namespace": namespace_of(index),
            "labels": {"kubernetes.io/service-name": format!("svc-{index}")}},
        "endpoints": endpoints, "ports": ports})
}

/// A split of one service's traffic over its two subsets.
pub fn virtual_service(index: usize, weight: u32) -> Value {
    let host = format!("svc-{index}");
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": host, "namespace": namespace_of(index)},
        "spec": {"hosts": [host], "http": [{"route": [
            {"destination": {"host": host, "subset": "v1"}, "weight": weight},
            {"destination": {"host": host, "subset": "v2"}, "weight": 100 - weight}]}]}})
}

fn destination_rule(index: usize) -> Value {
    let host = format!("svc-{index}");
    json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": host, "namespace": namespace_of(index)},
        "spec": {"host": host, "subsets": [{"name": "v1", "labels": {"version": "v1"}},
                                           {"name": "v2", "labels": {"version": "v2"}}]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_slices_and_nobody_elses() {
        let size = Size::new(100, 10);
        let places = places(size, 1000);
        let distinct: std::collections::BTreeSet<_> = places.iter().map(|place| &place.ip).collect();
        assert_eq!(distinct.len(), 1000);
        let slice = slice(0, 10, false).to_string();
        let own = places.iter().filter(|place| place.app == "svc-0");
        assert!(own.clone().count() == 10 && own.into_iter().all(|place| slice.contains(&place.ip)));
    }
}
