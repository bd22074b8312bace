//! Who the proxy says it is: node metadata from flags, the environment and PROXY_CONFIG, by the names that pilot-agent
//! sends (platform specification, 2.2).

use std::collections::BTreeMap;
use std::net::IpAddr;

use agent::{NodeKind, ProxyNode};
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::{Agent, own_address};

/// Variables that become entries as texts, and those that hold an object of entries as JSON.
const TEXT: &str = "ISTIO_META_";
const JSON: &str = "ISTIO_METAJSON_";
/// What the control plane is told of the version of Istio that this agent stands in for.
const VERSION: &str = "1.30.0";

pub(super) fn node(
    options: &Agent,
    kind: NodeKind,
    environment: &[(String, String)],
    config: &Value,
    discovery: &str,
) -> Result<ProxyNode> {
    let namespace = &options.namespace;
    let name = options.name.clone().unwrap_or_else(host_name);
    let addresses: Vec<IpAddr> = match options.addresses.as_slice() {
        [] => vec![own_address(discovery)],
        given => given.to_vec(),
    };
    let joined = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut labels = pairs(&options.labels, "--label")?;
    labels.entry("service.istio.io/canonical-revision".to_owned()).or_insert_with(|| "latest".to_owned());

    let mut metadata = Map::new();
    for (key, value) in [
        ("CLUSTER_ID", "Kubernetes"),
        ("INSTANCE_IPS", &joined),
        ("ISTIO_VERSION", VERSION),
        ("MESH_ID", "cluster.local"),
        ("NAME", &name),
        ("NAMESPACE", namespace),
        ("SERVICE_ACCOUNT", &options.service_account),
        ("WORKLOAD_NAME", &name),
    ] {
        metadata.insert(key.to_owned(), json!(value));
    }
    metadata.insert("ENVOY_STATUS_PORT".to_owned(), json!(options.ready_address.port()));
    metadata.insert("ENVOY_PROMETHEUS_PORT".to_owned(), json!(options.stats_address.port()));
    let mut config = config.clone();
    if !config.is_object() {
        config = json!({});
    }
    if let Some(members) = config.as_object_mut() {
        members.entry("discoveryAddress").or_insert_with(|| json!(discovery));
    }
    metadata.insert("PROXY_CONFIG".to_owned(), config);
    for (key, value) in environment {
        if let Some(key) = key.strip_prefix(TEXT).filter(|key| !key.is_empty()) {
            metadata.insert(key.to_owned(), json!(value));
        } else if key.starts_with(JSON) {
            let entries: Value = serde_json::from_str(value).with_context(|| format!("{key} is not JSON"))?;
            let entries = entries.as_object().with_context(|| format!("{key} is not an object"))?;
            metadata.extend(entries.clone());
        }
    }
    for (key, value) in pairs(&options.metadata, "--meta")? {
        metadata.insert(key, json!(value));
    }
    // Labels may come from the environment too; flags win.
    let mut all = metadata.get("LABELS").and_then(Value::as_object).cloned().unwrap_or_default();
    all.extend(labels.into_iter().map(|(key, value)| (key, json!(value))));
    let app = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]
        .iter()
        .find_map(|key| all.get(*key)?.as_str())
        .unwrap_or(&name)
        .to_owned();
    all.entry("service.istio.io/canonical-name").or_insert_with(|| json!(app));
    metadata.insert("LABELS".to_owned(), Value::Object(all));

    Ok(ProxyNode {
        kind,
        addresses,
        domain: options.domain.clone().unwrap_or_else(|| format!("{namespace}.svc.cluster.local")),
        cluster: options.service_cluster.clone().unwrap_or_else(|| format!("{app}.{namespace}")),
        locality: options.locality.clone(),
        name,
        namespace: namespace.clone(),
        metadata,
    })
}

fn pairs(list: &[String], flag: &str) -> Result<BTreeMap<String, String>> {
    list.iter()
        .map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .with_context(|| format!("{flag} {pair:?} is not KEY=VALUE"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    if name.is_empty() { "workload".to_owned() } else { name }
}
