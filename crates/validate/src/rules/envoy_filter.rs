//! Rules for EnvoyFilters: what a patch applies to, what it matches, and whether its value is a message of Envoy.

use proto::json::{UnknownFields, json_to_dynamic};

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::policy::selector;
use crate::values::regex;

/// By number.
pub(crate) const OPERATIONS: [&str; 8] =
    ["INVALID", "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE"];
/// By number; some numbers are free.
pub(crate) const TARGETS: [&str; 12] = [
    "INVALID",
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
];
const HCM: [&str; 2] = ["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

pub(super) fn check(findings: &mut Findings, spec: &Node<'_>) {
    let message = "EnvoyFilter exposes internal implementation details that may change at any time. Prefer other APIs \
                   if possible, and exercise extreme caution, especially around upgrades.";
    findings.warn(spec, message);
    selector(findings, &spec.at("workloadSelector"), "labels");
    let targets = spec.at("targetRefs");
    if spec.has("workloadSelector") && !targets.is_empty() {
        findings.error(&targets, "only one of targetRefs or workloadSelector can be set");
    }
    for patch in spec.at("configPatches").items() {
        check_patch(findings, &patch);
    }
}

fn check_patch(findings: &mut Findings, entry: &Node<'_>) {
    let at = entry.at("applyTo");
    let target = at.choice(&TARGETS);
    if target == "INVALID" || !at.is_set() {
        findings.error(&at, "Envoy filter: missing applyTo");
        return;
    }
    let patch = entry.at("patch");
    if !patch.is_set() {
        findings.error(&patch, "Envoy filter: missing patch");
        return;
    }
    let operation = patch.at("operation").choice(&OPERATIONS);
    if operation == "INVALID" {
        findings.error(&patch.at("operation"), "Envoy filter: missing patch operation");
        return;
    }
    let value = patch.at("value");
    if operation != "REMOVE" && !value.is_set() {
        findings.error(&value, "Envoy filter: missing patch value for non-remove operation");
        return;
    }
    let condition = entry.at("match");
    let version = condition.at("proxy").at("proxyVersion");
    if !version.text().is_empty() {
        findings.require(&version, regex(version.text(), "proxyVersion"));
    }
    if condition.at("context").text() == "WAYPOINT" {
        return;
    }
    let (class, wanted, others): (&str, &str, &[&str]) = match target {
        "LISTENER" | "FILTER_CHAIN" | "NETWORK_FILTER" | "HTTP_FILTER" => {
            ("listener", "listener", &["routeConfiguration", "cluster"])
        }
        "ROUTE_CONFIGURATION" | "VIRTUAL_HOST" | "HTTP_ROUTE" => {
            ("http route", "routeConfiguration", &["listener", "cluster"])
        }
        "CLUSTER" => ("cluster", "cluster", &["listener", "routeConfiguration"]),
        _ => ("", "", &[]),
    };
    if let Some(other) = others.iter().find(|other| condition.has(other)) {
        let message = format!(
            "Envoy filter: applyTo {target} for {class} class objects cannot have non {class} match: use {wanted}"
        );
        findings.error(&condition.at(other), message);
        return;
    }
    if class == "listener" {
        check_listener(findings, &condition.at("listener"), target);
    }
    check_value(findings, &value, target);
}

fn check_listener(findings: &mut Findings, listener: &Node<'_>, target: &str) {
    let chain = listener.at("filterChain");
    let filter = chain.at("filter");
    if !filter.is_set() {
        return;
    }
    let (name, sub) = (filter.at("name"), filter.at("subFilter"));
    if matches!(target, "LISTENER" | "FILTER_CHAIN") {
        let message = format!("Envoy filter: filter match has no effect when used with {target}");
        findings.warn(&filter, message);
    }
    if name.text().is_empty() {
        findings.error(&name, "Envoy filter: filter match has no name to match on");
        return;
    }
    for at in [&name, &sub.at("name")] {
        if let Some(new) = renamed(at.text()) {
            findings
                .warn(at, format!("using deprecated filter name {}; use {new:?} instead", quoted(at.text())));
        }
    }
    if sub.is_set() {
        if target != "HTTP_FILTER" {
            findings.error(&sub, "Envoy filter: subFilter match can be used with applyTo HTTP_FILTER only");
        } else if !HCM.contains(&name.text()) {
            let message = format!("Envoy filter: subFilter match requires filter match with {}", HCM[0]);
            findings.error(&name, message);
        } else if sub.at("name").text().is_empty() {
            findings.error(&sub.at("name"), "Envoy filter: subFilter match has no name to match on");
        }
    }
}

/// The message that a patch of this target is.
fn message_of(target: &str) -> Option<&'static str> {
    Some(match target {
        "LISTENER" => "envoy.config.listener.v3.Listener",
        "FILTER_CHAIN" => "envoy.config.listener.v3.FilterChain",
        "NETWORK_FILTER" => "envoy.config.listener.v3.Filter",
        "LISTENER_FILTER" => "envoy.config.listener.v3.ListenerFilter",
        "HTTP_FILTER" => "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        "ROUTE_CONFIGURATION" => "envoy.config.route.v3.RouteConfiguration",
        "VIRTUAL_HOST" => "envoy.config.route.v3.VirtualHost",
        "HTTP_ROUTE" => "envoy.config.route.v3.Route",
        "CLUSTER" => "envoy.config.cluster.v3.Cluster",
        "EXTENSION_CONFIG" => "envoy.config.core.v3.TypedExtensionConfig",
        "BOOTSTRAP" => "envoy.config.bootstrap.v3.Bootstrap",
        _ => return None,
    })
}

fn check_value(findings: &mut Findings, value: &Node<'_>, target: &str) {
    let (Some(content), Some(name)) = (value.value(), message_of(target)) else { return };
    let url = format!("type.googleapis.com/{name}");
    match json_to_dynamic(&url, content, UnknownFields::Ignore) {
        Err(error) => {
            let hint = if content.to_string().contains("v2.") {
                " (types of Envoy's API v2 are gone, use v3)"
            } else {
                ""
            };
            let message = format!("Envoy filter: the value is no {}: {error}{hint}", short(name));
            findings.error(value, message);
        }
        Ok(_) => {
            if let Err(error) = json_to_dynamic(&url, content, UnknownFields::Refuse) {
                findings.warn(value, format!("Envoy filter: unknown field: {error}"));
            }
            let is_typed =
                matches!(target, "NETWORK_FILTER" | "HTTP_FILTER" | "LISTENER_FILTER" | "EXTENSION_CONFIG");
            let mut untyped = Vec::new();
            without_type(value, is_typed, &mut untyped);
            if !untyped.is_empty() {
                let names = untyped.join(", ");
                let message = format!("using deprecated types by name without typed_config; {names}");
                findings.warn(value, message);
            }
        }
    }
}

/// Members of Envoy's messages that name an extension, and are no lists.
const EXTENSIONS: [&str; 3] = ["transportSocket", "clusterType", "upstreamConfig"];

/// The names of extensions that come without what configures them.
fn without_type<'a>(value: &Node<'a>, is_extension: bool, names: &mut Vec<&'a str>) {
    if is_extension && !value.has("typedConfig") && !value.has("configDiscovery") {
        names.push(value.at("name").text());
    }
    for name in EXTENSIONS {
        if let Some(inner) = value.at(name).set() {
            without_type(&inner, true, names);
        }
    }
    if let Some(chain) = value.at("defaultFilterChain").set() {
        without_type(&chain, false, names);
    }
}

/// What a filter is called now whose old name Envoy has given up.
fn renamed(name: &str) -> Option<&'static str> {
    Some(match name {
        "envoy.buffer" => "envoy.filters.http.buffer",
        "envoy.cors" => "envoy.filters.http.cors",
        "envoy.csrf" => "envoy.filters.http.csrf",
        "envoy.http_dynamo_filter" => "envoy.filters.http.dynamo",
        "envoy.ext_authz" => "envoy.filters.http.ext_authz",
        "envoy.fault" => "envoy.filters.http.fault",
        "envoy.grpc_http1_bridge" => "envoy.filters.http.grpc_http1_bridge",
        "envoy.grpc_json_transcoder" => "envoy.filters.http.grpc_json_transcoder",
        "envoy.grpc_web" => "envoy.filters.http.grpc_web",
        "envoy.gzip" => "envoy.filters.http.gzip",
        "envoy.health_check" => "envoy.filters.http.health_check",
        "envoy.ip_tagging" => "envoy.filters.http.ip_tagging",
        "envoy.lua" => "envoy.filters.http.lua",
        "envoy.rate_limit" => "envoy.filters.http.ratelimit",
        "envoy.router" => "envoy.filters.http.router",
        "envoy.squash" => "envoy.filters.http.squash",
        "envoy.listener.http_inspector" => "envoy.filters.listener.http_inspector",
        "envoy.listener.original_dst" => "envoy.filters.listener.original_dst",
        "envoy.listener.original_src" => "envoy.filters.listener.original_src",
        "envoy.listener.proxy_protocol" => "envoy.filters.listener.proxy_protocol",
        "envoy.listener.tls_inspector" => "envoy.filters.listener.tls_inspector",
        "envoy.client_ssl_auth" => "envoy.filters.network.client_ssl_auth",
        "envoy.http_connection_manager" => "envoy.filters.network.http_connection_manager",
        "envoy.mongo_proxy" => "envoy.filters.network.mongo_proxy",
        "envoy.ratelimit" => "envoy.filters.network.ratelimit",
        "envoy.redis_proxy" => "envoy.filters.network.redis_proxy",
        "envoy.tcp_proxy" => "envoy.filters.network.tcp_proxy",
        _ => return None,
    })
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
