//! The documents `mesh` and `meshNetworks` of the ConfigMap `istio`: MeshConfig over Istio's defaults, MeshNetworks,
//! and the ProxyConfig of a pod's annotation over that of the mesh. Answers "Mesh defaults" of the traffic
//! specification and section 1.5 of the platform specification.
//!
//! A later document wins member by member. Whole members are replaced, but for `defaultConfig` and
//! `defaultProviders` (whose members are), `extensionProviders` (by name) and `trustDomainAliases` (united).

use std::sync::Arc;

use proto::istio::mesh::{MeshConfig, MeshNetworks, ProxyConfig};
use proto::istio::struct_paths;
use proto::wkt::strip_nulls;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::depth::{MAX_DEPTH, is_too_deep};
use crate::{Rejection, yaml};

/// Mesh configuration before any document.
pub fn default_mesh() -> MeshConfig {
    // A test proves that the defaults can be read.
    serde_json::from_value(Value::Object(defaults())).unwrap_or_default()
}

/// Mesh configuration: the document `mesh` over the defaults. An empty document is the defaults.
pub fn parse_mesh(document: &str) -> Result<MeshConfig, Rejection> {
    merge_mesh(&[document])
}

/// Mesh configuration from several documents over the defaults, later ones over earlier ones.
pub fn merge_mesh(documents: &[&str]) -> Result<MeshConfig, Rejection> {
    const SOURCE: &str = "the mesh configuration";
    let mut merged = defaults();
    for document in documents {
        let mut over = read_mapping(document, SOURCE)?;
        strip_nulls(&mut over, struct_paths("MeshConfig"));
        lay_mesh_over(&mut merged, over);
    }
    read(Value::Object(merged), SOURCE)
}

/// Networks from the document `meshNetworks`.
pub fn parse_networks(document: &str) -> Result<MeshNetworks, Rejection> {
    const SOURCE: &str = "the mesh networks";
    let mut networks = read_mapping(document, SOURCE)?;
    strip_nulls(&mut networks, &[]);
    read(networks, SOURCE)
}

/// Settings of a proxy: a document, such as the annotation `proxy.istio.io/config`, over settings of less weight.
pub fn apply_proxy_config(under: &ProxyConfig, document: &str) -> Result<ProxyConfig, Rejection> {
    const SOURCE: &str = "the proxy configuration";
    let mut over = read_mapping(document, SOURCE)?;
    strip_nulls(&mut over, &[]);
    let under = serde_json::to_value(under)
        .map_err(|error| Rejection::of_document(&Arc::from(SOURCE), error.to_string()))?;
    let (Value::Object(mut merged), Value::Object(over)) = (under, over) else {
        return Ok(ProxyConfig::default());
    };
    lay_proxy_config_over(&mut merged, over);
    read(Value::Object(merged), SOURCE)
}

fn defaults() -> Map<String, Value> {
    let defaults = json!({
        "proxyListenPort": 15001,
        "proxyInboundListenPort": 15006,
        "connectTimeout": "10s",
        "dnsRefreshRate": "60s",
        "protocolDetectionTimeout": "0s",
        "ingressClass": "istio",
        "ingressService": "istio-ingressgateway",
        "ingressControllerMode": "STRICT",
        "enableTracing": true,
        "enableAutoMtls": true,
        "enablePrometheusMerge": true,
        "rootNamespace": "istio-system",
        "trustDomain": "cluster.local",
        "outboundTrafficPolicy": {"mode": "ALLOW_ANY"},
        "inboundTrafficPolicy": {"mode": "PASSTHROUGH"},
        "localityLbSetting": {"enabled": true},
        "defaultServiceExportTo": ["*"],
        "defaultVirtualServiceExportTo": ["*"],
        "defaultDestinationRuleExportTo": ["*"],
        "defaultProviders": {},
        "extensionProviders": [
            {"name": "prometheus", "prometheus": {}},
            {"name": "stackdriver", "stackdriver": {}},
            {"name": "envoy", "envoyFileAccessLog": {"path": "/dev/stdout"}},
        ],
        "defaultConfig": {
            "configPath": "./etc/istio/proxy",
            "binaryPath": "/usr/local/bin/envoy",
            "serviceCluster": "istio-proxy",
            "drainDuration": "45s",
            "terminationDrainDuration": "5s",
            "proxyAdminPort": 15000,
            "controlPlaneAuthPolicy": "MUTUAL_TLS",
            "discoveryAddress": "istiod.istio-system.svc:15012",
            "statNameLength": 189,
            "statusPort": 15020,
        },
    });
    match defaults {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn lay_mesh_over(under: &mut Map<String, Value>, over: Value) {
    for (name, value) in members(over) {
        match (name.as_str(), under.get_mut(&name), value) {
            ("defaultConfig", Some(Value::Object(under)), Value::Object(over)) => {
                lay_proxy_config_over(under, over);
            }
            ("defaultProviders", Some(Value::Object(under)), over @ Value::Object(_)) => {
                under.extend(members(over));
            }
            ("extensionProviders", Some(Value::Array(under)), Value::Array(over)) => {
                unite_by_name(under, over);
            }
            ("trustDomainAliases", Some(Value::Array(under)), Value::Array(over)) => unite(under, over),
            ("trustDomainAliases", None, Value::Array(mut aliases)) => {
                unite(&mut aliases, Vec::new());
                under.insert(name, Value::Array(aliases));
            }
            (_, _, value) => {
                under.insert(name, value);
            }
        }
    }
}

fn lay_proxy_config_over(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in members(Value::Object(over)) {
        match (name.as_str(), under.get_mut(&name), value) {
            ("proxyMetadata", Some(Value::Object(under)), Value::Object(over)) => under.extend(over),
            ("proxyHeaders", Some(Value::Object(under)), over @ Value::Object(_)) => {
                under.extend(members(over));
            }
            (_, _, value) => {
                // These two name the same thing in two ways, and the one of more weight holds.
                match name.as_str() {
                    "serviceCluster" => under.remove("tracingServiceName"),
                    "tracingServiceName" => under.remove("serviceCluster"),
                    _ => None,
                };
                under.insert(name, value);
            }
        }
    }
}

/// The members of a mapping under their names in camel case: both spellings are legal, and must meet.
fn members(value: Value) -> impl Iterator<Item = (String, Value)> {
    let members = if let Value::Object(members) = value { members } else { Map::new() };
    members.into_iter().map(|(name, value)| (camel_case(&name), value))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn unite_by_name(under: &mut Vec<Value>, over: Vec<Value>) {
    for provider in over {
        match under
            .iter_mut()
            .find(|known| known.get("name").is_some() && known.get("name") == provider.get("name"))
        {
            Some(known) => *known = provider,
            None => under.push(provider),
        }
    }
}

/// Unites two lists, in order and each item once.
fn unite(under: &mut Vec<Value>, over: Vec<Value>) {
    under.extend(over);
    under.sort_by_cached_key(|alias| alias.as_str().unwrap_or_default().to_owned());
    under.dedup();
}

fn read_mapping(document: &str, source: &str) -> Result<Value, Rejection> {
    let reject = |reason: String| Rejection::of_document(&Arc::from(source), reason);
    let mut documents =
        yaml::documents(document).map_err(|error| reject(format!("it is not YAML: {error}")))?;
    documents.retain(|document| !document.is_null());
    if documents.len() > 1 {
        return Err(reject("it must be one document, not several".to_owned()));
    }
    match documents.pop() {
        None => Ok(Value::Object(Map::new())),
        Some(document) if is_too_deep(&document) => {
            Err(reject(format!("it nests deeper than {MAX_DEPTH} levels")))
        }
        Some(document @ Value::Object(_)) => Ok(document),
        Some(_) => Err(reject("it must be a mapping".to_owned())),
    }
}

fn read<T: DeserializeOwned>(value: Value, source: &str) -> Result<T, Rejection> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        Rejection { key: None, source: source.into(), path, reason: error.inner().to_string() }
    })
}

#[cfg(test)]
mod tests;
