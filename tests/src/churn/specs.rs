//! What a random object says: for each kind something that means something to the mesh, over few enough names that
//! objects speak of each other.

use config::Kind;
use serde_json::{Value, json};

use super::random::Random;

/// The namespaces that objects live in.
pub(crate) const NAMESPACES: [&str; 5] = ["shop", "town", "port", "fort", "istio-system"];
/// A mesh configuration that does not parse.
pub(crate) const BROKEN_MESH: &str = "no: such: mesh";
const APPS: [&str; 6] = ["till", "shelf", "bank", "mint", "dock", "gate"];

/// A name for an object of a kind.
pub(crate) fn name(random: &mut Random) -> &'static str {
    random.of(&APPS)
}

fn host(random: &mut Random) -> String {
    let (app, namespace) = (random.of(&APPS), random.of(&NAMESPACES));
    match random.below(4) {
        0 => app.to_owned(),
        1 => format!("{app}.{namespace}.svc.cluster.local"),
        2 => format!("{app}.test"),
        _ => format!("*.{app}.test"),
    }
}

fn labels(random: &mut Random) -> Value {
    json!({"app": random.of(&APPS), "version": random.of(&["v1", "v2"])})
}

fn address(random: &mut Random) -> String {
    format!("10.244.{}.{}", random.below(4), 1 + random.below(60))
}

fn selector(random: &mut Random) -> Value {
    if random.one_in(2) { json!({"matchLabels": {"app": random.of(&APPS)}}) } else { Value::Null }
}

fn destination(random: &mut Random) -> Value {
    let mut destination = json!({"host": host(random), "port": {"number": 80}});
    if random.one_in(3) {
        destination["subset"] = json!(random.of(&["v1", "v2", "none"]));
    }
    destination
}

fn port(random: &mut Random) -> Value {
    let (number, protocol) = [(80, "HTTP"), (443, "TLS"), (9000, "TCP"), (7070, "GRPC")][random.below(4)];
    json!({"number": number, "name": protocol.to_lowercase(), "protocol": protocol})
}

fn backend(random: &mut Random) -> Value {
    json!({"name": random.of(&APPS), "port": 80})
}

/// A whole object of a kind, less its metadata.
pub(crate) fn content(kind: Kind, random: &mut Random) -> Value {
    match kind {
        Kind::Service => {
            let mut ports = vec![json!({"name": "http", "port": 80, "targetPort": 8080})];
            if random.one_in(2) {
                ports.push(json!({"name": random.of(&["tcp-a", "grpc-a", "a"]), "port": 9000}));
            }
            // Headless, as a change of the address of a Service is refused.
            json!({"spec": {"ports": ports, "clusterIP": "None", "selector": labels(random)}})
        }
        Kind::EndpointSlice => {
            let endpoints: Vec<Value> = (0..random.below(5))
                .map(|_| json!({"addresses": [address(random)], "conditions": {"ready": !random.one_in(4)}}))
                .collect();
            json!({"addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]})
        }
        Kind::Pod => {
            let ip = address(random);
            json!({"spec": {"containers": [{"name": "c", "image": "i"}]},
                   "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                              "conditions": [{"type": "Ready", "status": random.of(&["True", "False"])}]}})
        }
        Kind::Secret => {
            json!({"type": "Opaque", "data": {"key": "YQ==", "cert": random.of(&["YQ==", "Yg=="])}})
        }
        Kind::ConfigMap => json!({"data": {"mesh": random.of(&[
            "accessLogFile: /dev/stdout\n", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n", "{}\n",
            "discoverySelectors:\n- matchLabels: {mesh: \"yes\"}\n", BROKEN_MESH,
        ])}}),
        Kind::Ingress => {
            json!({"spec": {"ingressClassName": "istio", "rules": [{"host": host(random), "http": {
            "paths": [{"path": "/", "pathType": "Prefix",
                       "backend": {"service": {"name": random.of(&APPS), "port": {"number": 80}}}}]}}]}})
        }
        Kind::IngressClass => json!({"spec": {"controller": "istio.io/ingress-controller"}}),
        Kind::Node | Kind::Namespace | Kind::ServiceAccount => json!({}),
        kind => json!({"spec": istio(kind, random)}),
    }
}

fn istio(kind: Kind, random: &mut Random) -> Value {
    match kind {
        Kind::VirtualService => {
            let route = json!({"match": [{"uri": {"prefix": random.of(&["/", "/a", "/b"])}}],
                "timeout": random.of(&["1s", "2s", "7s"]),
                "route": [{"destination": destination(random), "weight": 30}, {"destination": destination(random), "weight": 70}]});
            let gateways = random.of(&[&json!([]), &json!(["mesh"]), &json!(["istio-system/gate"])]).clone();
            json!({"hosts": [host(random)], "gateways": gateways, "http": [route]})
        }
        Kind::DestinationRule => json!({"host": host(random),
            "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": random.below(9)}},
                              "loadBalancer": {"simple": random.of(&["RANDOM", "ROUND_ROBIN", "LEAST_REQUEST"])}},
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}]}),
        Kind::Gateway => json!({"selector": {"istio": "ingressgateway"},
            "servers": [{"port": port(random), "hosts": [host(random)], "tls": {"mode": "PASSTHROUGH"}}]}),
        Kind::ServiceEntry => {
            let mut entry = json!({"hosts": [host(random)], "location": random.of(&["MESH_EXTERNAL", "MESH_INTERNAL"]),
                "ports": [port(random)], "resolution": random.of(&["STATIC", "DNS", "NONE"])});
            match random.below(3) {
                0 => entry["endpoints"] = json!([{"address": address(random)}]),
                1 => entry["workloadSelector"] = json!({"labels": labels(random)}),
                _ => entry["addresses"] = json!([format!("192.0.2.{}", random.below(9))]),
            }
            entry
        }
        Kind::Sidecar => json!({"workloadSelector": {"labels": {"app": random.of(&APPS)}},
            "egress": [{"hosts": [random.of(&["./*", "*/*", "shop/*", "town/bank.town.svc.cluster.local"])]}]}),
        Kind::WorkloadEntry => json!({"address": address(random), "labels": labels(random)}),
        Kind::WorkloadGroup => json!({"template": {"serviceAccount": "default"}}),
        Kind::EnvoyFilter => json!({"configPatches": [{"applyTo": "CLUSTER", "match": {"context": "ANY"},
            "patch": {"operation": "MERGE", "value": {"connect_timeout": random.of(&["3s", "4s", "x"])}}}]}),
        Kind::ProxyConfig => json!({"concurrency": random.below(4)}),
        Kind::PeerAuthentication => {
            json!({"selector": selector(random), "mtls": {"mode": random.of(&["STRICT", "PERMISSIVE", "DISABLE"])}})
        }
        Kind::RequestAuthentication => json!({"selector": selector(random), "jwtRules": [
            {"issuer": host(random), "jwks": "{\"keys\":[]}"}]}),
        Kind::AuthorizationPolicy => {
            json!({"selector": selector(random), "action": random.of(&["ALLOW", "DENY", "AUDIT"]),
            "rules": [{"from": [{"source": {"namespaces": [random.of(&NAMESPACES)]}}],
                       "to": [{"operation": {"paths": [random.of(&["/a", "/b/*"])]}}]}]})
        }
        Kind::Telemetry => {
            json!({"selector": selector(random), "accessLogging": [{"disabled": random.one_in(2)}]})
        }
        Kind::WasmPlugin => {
            json!({"selector": selector(random), "url": format!("https://{}/x.wasm", host(random).replace('*', "w")),
            "phase": random.of(&["AUTHN", "STATS"])})
        }
        Kind::GatewayClass => json!({"controllerName": "istio.io/gateway-controller"}),
        Kind::KubernetesGateway => json!({"gatewayClassName": random.of(&["istio", "till"]),
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "hostname": host(random),
                           "allowedRoutes": {"namespaces": {"from": random.of(&["All", "Same"])}}}]}),
        Kind::HttpRoute | Kind::GrpcRoute => json!({
            "parentRefs": [{"name": random.of(&APPS), "namespace": random.of(&NAMESPACES)}],
            "hostnames": [host(random)], "rules": [{"backendRefs": [backend(random)]}]}),
        Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => json!({
            "parentRefs": [{"name": random.of(&APPS)}], "rules": [{"backendRefs": [backend(random)]}]}),
        Kind::ReferenceGrant => json!({
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": random.of(&NAMESPACES)}],
            "to": [{"group": "", "kind": "Service"}]}),
        Kind::BackendTlsPolicy => {
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": random.of(&APPS)}],
            "validation": {"hostname": "a.test", "wellKnownCACertificates": "System"}})
        }
        _ => {
            json!({"targetRefs": [{"kind": "Gateway", "name": random.of(&APPS)}], "parentRef": {"name": random.of(&APPS)}})
        }
    }
}

/// What is no content for any kind of Istio's: a definition without a schema lets it in.
pub(crate) fn bad(random: &mut Random) -> Value {
    let choices = [
        json!(null),
        json!("text"),
        json!({"hosts": {"a": 1}, "host": [], "selector": 7, "rules": "x", "servers": [[]], "listeners": {}}),
        json!({"hosts": [null, 3], "http": [null], "configPatches": [3], "parentRefs": 5, "mtls": []}),
    ];
    json!({"spec": choices[random.below(choices.len())]})
}

/// The whole object.
pub(crate) fn object(kind: Kind, namespace: &str, name: &str, content: Value, random: &mut Random) -> Value {
    let version = kind.versions()[0];
    let mut object = content;
    let group = kind.group();
    object["apiVersion"] =
        json!(if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") });
    object["kind"] = json!(kind.name());
    object["metadata"] = json!({"name": name});
    if kind.is_namespaced() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    match kind {
        Kind::EndpointSlice => {
            object["metadata"]["labels"] = json!({"kubernetes.io/service-name": random.of(&APPS)});
        }
        Kind::Namespace => object["metadata"]["labels"] = json!({"mesh": random.of(&["yes", "no"])}),
        Kind::Pod | Kind::Node => object["metadata"]["labels"] = labels(random),
        _ if random.one_in(12) => {
            object["metadata"]["labels"] = json!({"istio.io/rev": random.of(&["default", "other"])});
        }
        _ => {}
    }
    object
}
