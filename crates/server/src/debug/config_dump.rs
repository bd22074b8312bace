//! What a proxy was sent, in the shape of Envoy's own `/config_dump`, so that tools can compare the two.

use std::collections::BTreeMap;

use prost::Message;
use proto::envoy::google::Any;
use serde_json::{Value, json};
use xds::{Resource, ResourceType};

use super::redact::redact;
use crate::Connection;

/// The dump: bootstrap, clusters, endpoints if asked for, listeners, scoped routes, routes, secrets, extensions.
pub(crate) fn dump(connection: &Connection, query: &BTreeMap<String, String>) -> Value {
    let types: Option<Vec<&str>> = query.get("types").map(|types| types.split(',').map(str::trim).collect());
    let wants = |short: &str| types.as_ref().is_none_or(|types| types.contains(&short));
    let endpoints = query.contains_key("include_eds") || types.is_some();
    let mut configs = Vec::new();
    if wants("bootstrap") {
        configs.push(bootstrap(connection));
    }
    let mut add =
        |short: &str, kind: &str, list: &str, entry: &dyn Fn(&Resource) -> Value, of: ResourceType| {
            if wants(short) {
                let entries: Vec<Value> = connection.sent(of).iter().map(entry).collect();
                let mut config = json!({"@type": format!("type.googleapis.com/envoy.admin.v3.{kind}")});
                if !entries.is_empty() {
                    config[list] = entries.into();
                }
                configs.push(config);
            }
        };
    let plain = |key: &'static str| move |sent: &Resource| json!({"versionInfo": sent.version(), key: resource(sent)});
    add("cds", "ClustersConfigDump", "dynamicActiveClusters", &plain("cluster"), ResourceType::Cluster);
    if endpoints {
        let entry = plain("endpointConfig");
        add("eds", "EndpointsConfigDump", "dynamicEndpointConfigs", &entry, ResourceType::Endpoint);
    }
    let listener = |sent: &Resource| {
        let state = json!({"versionInfo": sent.version(), "listener": resource(sent)});
        json!({"name": **sent.name(), "activeState": state})
    };
    add("lds", "ListenersConfigDump", "dynamicListeners", &listener, ResourceType::Listener);
    if types.is_none() {
        // Never used, but its place in the order is expected.
        add("rds", "ScopedRoutesConfigDump", "", &|_| Value::Null, ResourceType::ProxyConfig);
    }
    add("rds", "RoutesConfigDump", "dynamicRouteConfigs", &plain("routeConfig"), ResourceType::Route);
    let secret = |sent: &Resource| json!({"name": **sent.name(), "versionInfo": sent.version(), "secret": resource(sent)});
    add("sds", "SecretsConfigDump", "dynamicActiveSecrets", &secret, ResourceType::Secret);
    add("ecds", "EcdsConfigDump", "ecdsFilters", &plain("ecdsFilter"), ResourceType::ExtensionConfig);
    json!({"configs": configs})
}

/// A resource as JSON, secrets struck out. One that cannot be read is shown by its type and the reason.
pub(crate) fn resource(resource: &Resource) -> Value {
    let any = match Any::decode(resource.body().whole()) {
        Ok(any) => any,
        Err(error) => return json!({"error": error.to_string()}),
    };
    match proto::json::any_to_json(&any.type_url, &any.value) {
        Ok(mut value) => {
            redact(&mut value);
            value
        }
        Err(error) => json!({"@type": any.type_url, "error": error.to_string()}),
    }
}

fn bootstrap(connection: &Connection) -> Value {
    let proxy = &connection.proxy;
    let ip = proxy.ip_addresses.first().map(ToString::to_string).unwrap_or_default();
    let node = json!({
        "id": format!("{}~{ip}~{}~{}", proxy.proxy_type, proxy.id, proxy.dns_domain),
        "cluster": proxy.cluster,
        "metadata": proxy.metadata.raw,
        "locality": {
            "region": proxy.locality.region, "zone": proxy.locality.zone, "subZone": proxy.locality.subzone,
        },
    });
    json!({"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": node}})
}
