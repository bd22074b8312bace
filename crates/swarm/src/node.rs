//! The node that a proxy presents, with the metadata that pilot-agent sends.

use proto::envoy::core::Node;
use proto::envoy::google::{ListValue, Struct, Value, value::Kind};
use serde_json::json;

/// Where a proxy stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its workload; label `app` and service account as well.
    pub app: String,
    /// Its pod.
    pub pod: String,
    /// Its address.
    pub ip: String,
}

/// The node of a sidecar.
pub fn node(place: &Place) -> Node {
    let Place { namespace, app, pod, ip } = place;
    let metadata = json!({
        "NAMESPACE": namespace, "NAME": pod, "INSTANCE_IPS": ip, "CLUSTER_ID": "Kubernetes",
        "ISTIO_VERSION": "1.30.0", "MESH_ID": "cluster.local", "SERVICE_ACCOUNT": app, "WORKLOAD_NAME": app,
        "INTERCEPTION_MODE": "REDIRECT", "APP_CONTAINERS": "app", "NODE_NAME": "node-1",
        "POD_PORTS": "[{\"name\":\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"}]",
        "LABELS": {"app": app, "version": "v1", "service.istio.io/canonical-name": app,
                   "service.istio.io/canonical-revision": "v1", "security.istio.io/tlsMode": "istio"},
        "PROXY_CONFIG": {"discoveryAddress": "istiod.istio-system.svc:15012", "concurrency": 2,
                         "serviceCluster": format!("{app}.{namespace}")},
    });
    Node {
        id: format!("sidecar~{ip}~{pod}.{namespace}~{namespace}.svc.cluster.local"),
        cluster: format!("{app}.{namespace}"),
        metadata: match value(&metadata).kind {
            Some(Kind::StructValue(fields)) => Some(fields),
            _ => None,
        },
        user_agent_name: "envoy".to_owned(),
        ..Node::default()
    }
}

fn value(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(flag) => Kind::BoolValue(*flag),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(list) => {
            Kind::ListValue(ListValue { values: list.iter().map(value).collect() })
        }
        serde_json::Value::Object(members) => Kind::StructValue(Struct {
            fields: members.iter().map(|(name, member)| (name.clone(), value(member))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}
