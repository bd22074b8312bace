//! A traffic simulator: given the resources that one proxy is sent, which listener, filter chain, virtual host, route
//! and cluster does a call take? It follows Envoy's rules of choice as far as our resources use them, and knows
//! nothing of the objects they came from, so it can judge a translation by what a user expects.

mod chain;
mod host;
mod request;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::parity::Resources;

/// A connection as the proxy sees it, and the request on it when it carries HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The address and port that the client connected to, before any interception.
    pub to: String,
    /// Whether the proxy took it in for its own application.
    #[serde(default)]
    pub inbound: bool,
    /// The `Host` header; a call without one is a plain TCP connection.
    pub host: Option<String>,
    #[serde(default = "root")]
    pub path: String,
    #[serde(default = "get")]
    pub method: String,
    /// Names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The name asked for in a TLS handshake; with it the call is TLS.
    pub sni: Option<String>,
}

/// The way of a call, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The name of the listener.
    pub listener: String,
    /// The name of the filter chain; empty where it has none.
    pub chain: String,
    /// The name of the virtual host.
    pub virtual_host: String,
    /// The name of the route; empty where it has none.
    pub route: String,
    /// Where it ends: a cluster, `90 a, 10 b`, `status 503`, `redirect 301`, or `closed`.
    pub takes: String,
}

fn root() -> String {
    "/".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

/// Follows a call through the resources of one proxy.
pub fn simulate(resources: &Resources, call: &Call) -> Way {
    let mut way = Way { takes: "closed".to_owned(), ..Way::default() };
    let empty = BTreeMap::new();
    let listeners = resources.get("lds").unwrap_or(&empty);
    let Some(listener) = chain::listener(listeners, call) else { return way };
    text(&listener["name"]).clone_into(&mut way.listener);
    let Some(chain) = chain::chain(listener, call) else { return way };
    text(&chain["name"]).clone_into(&mut way.chain);
    for filter in list(&chain["filters"]) {
        let config = &filter["typedConfig"];
        if text(&config["@type"]).ends_with(".TcpProxy") {
            way.takes = request::target(config);
        }
        if text(&config["@type"]).ends_with(".HttpConnectionManager") {
            let name = text(&config["rds"]["routeConfigName"]);
            let by_name = resources.get("rds").and_then(|routes| routes.get(name));
            route(by_name.unwrap_or(&config["routeConfig"]), call, &mut way);
        }
    }
    way
}

/// Through a route configuration.
fn route(configuration: &Value, call: &Call, way: &mut Way) {
    let Some(host) = &call.host else { return };
    "status 404".clone_into(&mut way.takes);
    let Some(virtual_host) = host::virtual_host(configuration, host) else { return };
    text(&virtual_host["name"]).clone_into(&mut way.virtual_host);
    let tls = virtual_host["requireTls"] == "ALL" && call.sni.is_none();
    if tls {
        "redirect 301".clone_into(&mut way.takes);
        return;
    }
    let route = list(&virtual_host["routes"]).iter().find(|route| request::fits(&route["match"], call));
    if let Some(route) = route {
        text(&route["name"]).clone_into(&mut way.route);
        way.takes = request::outcome(route);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
