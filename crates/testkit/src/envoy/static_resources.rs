//! From the resources of one proxy to a bootstrap that holds them all, so that Envoy's validate mode checks every
//! one: route configurations move into the connection managers that name them, load assignments into their clusters.

use serde_json::{Map, Value, json};

use crate::parity::Resources;

/// Clusters that the sidecar agent's bootstrap has and that resources may name.
const OF_THE_AGENT: &[&str] = &[
    "xds-grpc",
    "sds-grpc",
    "sds-files-grpc",
    "zipkin",
    "envoy_accesslog_service",
    "prometheus_stats",
    "agent",
];

/// The bootstrap. `node` is the xDS node as JSON.
pub fn static_bootstrap(node: &Value, resources: &Resources) -> Value {
    let of_type = |kind: &str| resources.get(kind).cloned().unwrap_or_default();
    let (assignments, routes) = (of_type("eds"), of_type("rds"));
    let mut clusters: Vec<Value> = of_type("cds").into_values().collect();
    for cluster in &mut clusters {
        with_endpoints(cluster, |name| assignments.get(name).cloned());
        with_secrets_of_the_agent(cluster);
    }
    let known = |name: &str| resources.get("cds").is_some_and(|all| all.contains_key(name));
    let missing = OF_THE_AGENT.iter().filter(|name| !known(name));
    clusters.extend(missing.map(|name| json!({"name": name, "type": "STATIC", "connectTimeout": "1s"})));
    let mut listeners: Vec<Value> = of_type("lds").into_values().collect();
    for listener in &mut listeners {
        with_routes(listener, &|name| routes.get(name).cloned());
    }
    let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    json!({
        "node": {"id": text("id"), "cluster": text("cluster")},
        "dynamicResources": {"adsConfig": {
            "apiType": "GRPC",
            "transportApiVersion": "V3",
            "grpcServices": [{"envoyGrpc": {"clusterName": "xds-grpc"}}],
        }},
        // As under Istio's agent and ours: Envoy's own limit for regular expressions is lower.
        "layeredRuntime": {"layers": [{"name": "static", "staticLayer": {"re2.max_program_size.error_level": 32768}}]},
        "staticResources": {"clusters": clusters, "listeners": listeners},
    })
}

/// A cluster with endpoints from elsewhere gets them at once. One that has none stays as it is.
fn with_endpoints(cluster: &mut Value, find: impl Fn(&str) -> Option<Value>) {
    let service = cluster.pointer("/edsClusterConfig/serviceName").and_then(Value::as_str);
    let name = service.or_else(|| cluster["name"].as_str()).unwrap_or_default().to_owned();
    if cluster["type"] != "EDS" {
        return;
    }
    let Some(assignment) = find(&name) else { return };
    if let Some(fields) = cluster.as_object_mut() {
        fields.remove("edsClusterConfig");
        fields.insert("type".to_owned(), "STATIC".into());
        fields.insert("loadAssignment".to_owned(), assignment);
    }
}

/// Static clusters are made before Envoy has an ADS stream; one that asks it for a secret crashes the validation. So
/// its secrets come from the agent here.
fn with_secrets_of_the_agent(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(source) = fields.get_mut("sdsConfig").filter(|source| !source["ads"].is_null()) {
                *source = json!({"resourceApiVersion": "V3", "apiConfigSource": {
                    "apiType": "GRPC",
                    "transportApiVersion": "V3",
                    "grpcServices": [{"envoyGrpc": {"clusterName": "sds-grpc"}}],
                }});
            }
            fields.values_mut().for_each(with_secrets_of_the_agent);
        }
        Value::Array(list) => list.iter_mut().for_each(with_secrets_of_the_agent),
        _ => {}
    }
}

fn with_routes(value: &mut Value, find: &impl Fn(&str) -> Option<Value>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = named_routes(fields) {
                let routes = find(&name).unwrap_or_else(|| json!({"name": name}));
                fields.remove("rds");
                fields.insert("routeConfig".to_owned(), routes);
            }
            fields.values_mut().for_each(|child| with_routes(child, find));
        }
        Value::Array(list) => list.iter_mut().for_each(|child| with_routes(child, find)),
        _ => {}
    }
}

fn named_routes(fields: &Map<String, Value>) -> Option<String> {
    Some(fields.get("rds")?.get("routeConfigName")?.as_str()?.to_owned())
}
