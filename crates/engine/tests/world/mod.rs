//! A small world for engine tests: objects as JSON, staged and committed, and proxies that connect.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "shared by test binaries that use parts of it; a broken fixture may end a test"
)]

use config::Changeset;
use engine::{Engine, ProxyId, Report};
use mesh::Base;
use scope::Proxy;
use serde_json::{Value, json};

/// An engine and the changes that wait for the next commit.
pub struct World {
    pub engine: Engine,
    staged: Changeset,
}

impl Default for World {
    fn default() -> Self {
        Self { engine: Engine::new(Base::default()), staged: Changeset::default() }
    }
}

impl World {
    /// Adds or changes an object at the next commit.
    pub fn stage(&mut self, object: Value) {
        let object = config::parse(object, "test").expect("a valid object").expect("a known kind");
        self.staged.upsert(object);
    }

    /// Removes an object at the next commit.
    pub fn unstage(&mut self, object: &Value) {
        let object = config::parse(object.clone(), "test").expect("a valid object").expect("a known kind");
        self.staged.delete(object.key());
    }

    /// Commits what is staged.
    pub fn commit(&mut self) -> Report {
        self.engine.commit(std::mem::take(&mut self.staged))
    }

    /// Connects a proxy.
    pub fn connect(&mut self, id: u64, proxy: &Proxy) {
        self.engine.connect(ProxyId(id), proxy.clone());
    }
}

/// A sidecar.
pub fn proxy(name: &str, namespace: &str) -> Proxy {
    workload("sidecar", name, namespace)
}

/// A gateway.
pub fn router(name: &str, namespace: &str) -> Proxy {
    workload("router", name, namespace)
}

fn workload(kind: &str, name: &str, namespace: &str) -> Proxy {
    let number = name.bytes().fold(0_u32, |sum, byte| (sum * 10 + u32::from(byte)) % 250);
    let ip = format!("10.9.0.{}", number + 1);
    Proxy::parse(&scope::Node {
        id: format!("{kind}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"),
        cluster: format!("app.{namespace}"),
        metadata: json!({"NAMESPACE": namespace, "ISTIO_VERSION": "1.30.0", "CLUSTER_ID": "Kubernetes",
            "DNS_CAPTURE": "true", "NAME": name, "INSTANCE_IPS": ip,
            "LABELS": {"app": "app", "statefulset.kubernetes.io/pod-name": name}}),
        ..Default::default()
    })
    .expect("a valid node")
}

/// A ClusterIP Service with one port.
pub fn service(name: &str, namespace: &str, port: u32, protocol: &str) -> Value {
    let number = name.bytes().fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 60_000);
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": format!("10.96.{}.{}", number / 250, number % 250 + 1),
            "selector": {"app": name},
            "ports": [{"name": protocol, "port": port, "targetPort": 8080}]}})
}

/// The one EndpointSlice of a Service.
pub fn endpoint_slice(service: &str, namespace: &str, addresses: &[&str]) -> Value {
    let endpoints: Vec<Value> = addresses.iter().map(|a| json!({"addresses": [a]})).collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-slice"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service}},
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]})
}

/// A VirtualService for a Service of the same name.
pub fn virtual_service(name: &str, namespace: &str, timeout: &str) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": [name], "http": [{"timeout": timeout, "route": [{"destination": {"host": name}}]}]}})
}
