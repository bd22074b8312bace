//! Kubernetes' own objects: what every world has, and Services, Pods, slices and mesh settings made by chance.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::words;

/// Two applications and a gateway, each with a Service and a pod.
pub(super) fn foundation() -> Vec<Value> {
    let service = |name: &str, namespace: &str, ip: &str, ports: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": ip, "selector": {"app": name}, "ports": ports}})
    };
    let mut all = vec![
        service(
            "reviews",
            "shop",
            "10.96.0.1",
            json!([
            {"name": "http", "port": 9080}, {"name": "tcp", "port": 9000}, {"name": "p0", "port": 80}]),
        ),
        service(
            "ratings",
            "shop",
            "10.96.0.2",
            json!([{"name": "http", "port": 9080}, {"name": "tls", "port": 443}]),
        ),
        service(
            "database",
            "shop",
            "None",
            json!([{"name": "mongo", "port": 27017}, {"name": "tcp", "port": 9000}]),
        ),
        service(
            "gateway",
            "istio-system",
            "10.96.0.4",
            json!([
            {"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443},
            {"name": "tls", "port": 15443}, {"name": "http3", "port": 443, "protocol": "UDP", "targetPort": 8443}]),
        ),
    ];
    for (app, namespace, ip) in [
        ("reviews", "shop", "10.1.0.1"),
        ("ratings", "shop", "10.1.0.2"),
        ("database", "shop", "10.1.0.3"),
        ("gateway", "istio-system", "10.1.9.9"),
    ] {
        all.push(pod(&format!("{app}-v1"), namespace, app, ip));
        let ports: Vec<Value> =
            [("http", 9080), ("tcp", 9000), ("p0", 8080), ("tls", 8443), ("mongo", 27017)]
                .map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"}))
                .to_vec();
        all.push(slice(app, namespace, &[ip], &json!(ports), true));
    }
    all
}

fn pod(name: &str, namespace: &str, app: &str, ip: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace,
            "labels": {"app": app, "version": "v1", "istio": "ingressgateway", "security.istio.io/tlsMode": "istio"}},
        "spec": {"serviceAccountName": app, "nodeName": "node-1"},
        "status": {"podIP": ip, "podIPs": [{"ip": ip}], "phase": "Running"}})
}

fn slice(service: &str, namespace: &str, ips: &[&str], ports: &Value, ready: bool) -> Value {
    let endpoints: Vec<Value> =
        ips.iter().map(|ip| json!({"addresses": [ip], "conditions": {"ready": ready}})).collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-{}", ips.len()), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service}},
        "endpoints": endpoints, "ports": ports})
}

/// Strategies, with how often each comes.
pub(super) fn objects() -> Vec<(u32, BoxedStrategy<Value>)> {
    vec![(4, a_service()), (2, a_slice()), (1, a_pod()), (1, settings())]
}

fn select<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> prop::sample::Select<T> {
    prop::sample::select(values.to_vec())
}

fn port() -> impl Strategy<Value = Value> {
    let name = select(&[
        "http", "tcp", "grpc", "https", "tls", "mongo", "mysql", "redis", "p0", "", "grpc-web", "udp-x",
    ]);
    let number = select(&[80, 443, 9080, 9000, 8080, 3306, 15001, 15006, 15021, 1, 65535]);
    let target = select(&[json!(null), json!(8080), json!(9080), json!("http"), json!("absent")]);
    let protocol = select(&["TCP", "TCP", "TCP", "UDP", "SCTP"]);
    let app = select(&[
        json!(null),
        json!(null),
        json!("http"),
        json!("kubernetes.io/h2c"),
        json!("tls"),
        json!("nonsense"),
    ]);
    (name, number, target, protocol, app).prop_map(|(name, number, target, protocol, app)| {
        let mut port = json!({"name": name, "port": number, "protocol": protocol});
        if !target.is_null() {
            port["targetPort"] = target;
        }
        if !app.is_null() {
            port["appProtocol"] = app;
        }
        port
    })
}

fn a_service() -> BoxedStrategy<Value> {
    let address =
        select(&["10.96.1.1", "10.96.1.2", "None", "", "10.96.0.1", "fd00::77", "nonsense", "0.0.0.0"]);
    let name = select(&["reviews", "ratings", "database", "other", "n0"]);
    let namespace = select(&["shop", "other", "istio-system"]);
    let kind = select(&["ClusterIP", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]);
    let external = select(&[
        "api.example.com",
        "reviews.shop.svc.cluster.local",
        "other.shop.svc.cluster.local",
        "a b",
        "",
    ]);
    let labels = select(&[
        json!({}),
        json!({"istio.io/persistent-session": "cookie"}),
        json!({"istio.io/persistent-session": ""}),
        json!({"istio.io/persistent-session-header": "x-session"}),
        json!({"topology.istio.io/network": "n2"}),
    ]);
    let annotations = select(&[
        json!({}),
        json!({"networking.istio.io/exportTo": "."}),
        json!({"networking.istio.io/exportTo": "~"}),
        json!({"alpha.istio.io/kubernetes-serviceaccounts": "a,b"}),
        json!({"networking.istio.io/traffic-distribution": "PreferClose"}),
    ]);
    let ports = prop::collection::vec(port(), 0..4);
    (name, namespace, address, kind, external, labels, annotations, ports)
        .prop_map(|(name, namespace, address, kind, external, labels, annotations, ports)| {
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
                "spec": {"type": kind, "clusterIP": address, "externalName": external,
                    "selector": {"app": name}, "ports": ports,
                    "externalIPs": ["203.0.113.1", "nonsense"]},
                "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}, {"ip": "203.0.113.2"}]}}})
        })
        .boxed()
}

fn a_slice() -> BoxedStrategy<Value> {
    let service = select(&["reviews", "ratings", "database", "other"]);
    let ip = select(&["10.1.0.1", "10.1.0.5", "10.1.0.6", "fd00::5", "nonsense", ""]);
    let port = select(&[json!(9080), json!(0), json!(null), json!(65535)]);
    let name = select(&["http", "tcp", "", "p0"]);
    (service, prop::collection::vec(ip, 0..3), port, name, any::<bool>())
        .prop_map(|(service, ips, port, name, ready)| {
            slice(service, "shop", &ips, &json!([{"name": name, "port": port, "protocol": "TCP"}]), ready)
        })
        .boxed()
}

fn a_pod() -> BoxedStrategy<Value> {
    let ip = select(&["10.1.0.5", "10.1.0.6", "", "nonsense"]);
    let app = select(&["reviews", "ratings", "other"]);
    (ip, app).prop_map(|(ip, app)| pod(&format!("{app}-more"), "shop", app, ip)).boxed()
}

/// The ConfigMap with the mesh settings.
fn settings() -> BoxedStrategy<Value> {
    let Some(descriptor) = proto::descriptors::message("istio.mesh.v1alpha1.MeshConfig") else {
        return words::meta().prop_map(|_| Value::Null).boxed();
    };
    super::message::of(&descriptor)
        .prop_map(|mut mesh| {
            if let Some(fields) = mesh.as_object_mut() {
                // Settings that would leave nothing to be translated.
                for field in ["discoverySelectors", "rootNamespace", "configSources"] {
                    fields.remove(field);
                }
                let own = fields.entry("extensionProviders").or_insert(json!([]));
                if let Some(own) = own.as_array_mut() {
                    own.extend(providers());
                }
            }
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": mesh.to_string()}})
        })
        .boxed()
}

fn providers() -> Vec<Value> {
    let reviews = "reviews.shop.svc.cluster.local";
    vec![
        json!({"name": "zipkin", "zipkin": {"service": reviews, "port": 9080}}),
        json!({"name": "otel", "opentelemetry": {"service": reviews, "port": 9080}}),
        json!({"name": "als", "envoyHttpAls": {"service": reviews, "port": 9080}}),
        json!({"name": "log", "envoyFileAccessLog": {"path": "/dev/stdout", "logFormat": {"text": "%NONSENSE%"}}}),
        json!({"name": "authz-http", "envoyExtAuthzHttp": {"service": reviews, "port": 9080}}),
        json!({"name": "authz-grpc", "envoyExtAuthzGrpc": {"service": "absent.example.com", "port": 1}}),
    ]
}
