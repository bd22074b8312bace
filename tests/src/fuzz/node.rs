//! The two proxies of a world, with whatever their agents may say of themselves.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn node(
    kind: &str,
    ip: &str,
    name: &str,
    namespace: &str,
    labels: &Value,
    more: Map<String, Value>,
) -> Value {
    let mut metadata = json!({
        "CLUSTER_ID": "Kubernetes", "NAMESPACE": namespace, "NAME": name, "SERVICE_ACCOUNT": "default",
        "LABELS": labels, "INSTANCE_IPS": ip, "ISTIO_VERSION": "1.30.0", "MESH_ID": "cluster.local",
        "WORKLOAD_NAME": name,
    });
    if let Some(known) = metadata.as_object_mut() {
        known.extend(more);
    }
    json!({"id": format!("{kind}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"),
        "cluster": format!("{name}.{namespace}"), "metadata": metadata,
        "locality": {"region": "r1", "zone": "z1"}})
}

fn optional(key: &'static str, values: Vec<Value>) -> BoxedStrategy<Option<(String, Value)>> {
    let value = prop::sample::select(values).prop_map(move |value| (key.to_owned(), value));
    prop::option::weighted(0.2, value).boxed()
}

fn settings() -> impl Strategy<Value = Map<String, Value>> {
    let proxy_config = vec![
        json!({"gatewayTopology": {"numTrustedProxies": 2, "forwardClientCertDetails": "APPEND_FORWARD", "proxyProtocol": {}}}),
        json!({"proxyHeaders": {"server": {"value": "a\nb"}, "requestId": {"disabled": true}, "attemptCount": {"disabled": true}, "preserveHttp1HeaderCase": true}}),
        json!({"tracing": {"sampling": 150.0, "maxPathTagLength": 1, "customTags": {"a": {"literal": {"value": ""}}}}}),
        json!({"proxyStatsMatcher": {"inclusionRegexps": ["[["]}}),
    ];
    vec![
        optional("INTERCEPTION_MODE", vec![json!("TPROXY"), json!("NONE")]),
        optional("DNS_CAPTURE", vec![json!("true")]),
        optional("HTTP10", vec![json!("1")]),
        optional("IDLE_TIMEOUT", vec![json!("15m"), json!("-1s"), json!("nonsense"), json!("9999999h")]),
        optional("HTTP_PROXY_PORT", vec![json!("15007"), json!("0"), json!("70000")]),
        optional("UNPRIVILEGED_POD", vec![json!("true")]),
        optional("INBOUND_LISTENER_EXACT_BALANCE", vec![json!("true")]),
        optional("OUTBOUND_LISTENER_EXACT_BALANCE", vec![json!("true")]),
        optional("TLS_CLIENT_CERT_CHAIN", vec![json!("/etc/certs/chain.pem")]),
        optional("TLS_CLIENT_KEY", vec![json!("/etc/certs/key.pem")]),
        optional("TLS_CLIENT_ROOT_CERT", vec![json!("/etc/certs/root.pem")]),
        optional("TLS_SERVER_CERT_CHAIN", vec![json!("/etc/certs/chain.pem")]),
        optional("credential", vec![json!("true")]),
        optional("PROXY_CONFIG", proxy_config),
    ]
    .prop_map(|settings| settings.into_iter().flatten().collect())
}

pub(super) fn sidecar() -> impl Strategy<Value = Value> {
    let labels = json!({"app": "reviews", "version": "v1", "security.istio.io/tlsMode": "istio"});
    settings().prop_map(move |more| node("sidecar", "10.1.0.1", "reviews-v1", "shop", &labels, more))
}

pub(super) fn gateway() -> impl Strategy<Value = Value> {
    let labels = json!({"app": "gateway", "istio": "ingressgateway"});
    settings().prop_map(move |more| node("router", "10.1.9.9", "gateway-0", "istio-system", &labels, more))
}
