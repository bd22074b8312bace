//! Which rules an object has to keep, by its kind, and those that all kinds have to.

mod authentication;
mod authorization;
mod destination_rule;
mod envoy_filter;
mod extension;
mod gateway;
mod load_balancer;
mod server_tls;
mod service_entry;
mod sidecar;
mod telemetry;
mod virtual_service;
mod workload;

#[cfg(test)]
mod tests;

pub(crate) use envoy_filter::{OPERATIONS as ENVOY_FILTER_OPERATIONS, TARGETS as ENVOY_FILTER_TARGETS};

use config::{Kind, Rejection};
use serde_json::Value;

use crate::cursor::Node;
use crate::finding::{Finding, Findings, quoted};
use crate::values::not_negative;

/// Judges one object, as written. A rejection is what `config` says of an object that is none; findings come in the
/// order of the rules.
pub fn check(object: &Value) -> Result<Vec<Finding>, Rejection> {
    let mut object = object.clone();
    let parsed = config::parse(object.clone(), "")?;
    let Some(kind) = parsed.as_ref().map(config::AnyObject::kind) else { return Ok(Vec::new()) };
    let (name, namespace) = match &parsed {
        Some(object) => (object.meta().name.to_string(), object.meta().namespace.to_string()),
        None => return Ok(Vec::new()),
    };
    // What is null is absent, as for the API server, but not where structs say null and mean it.
    if let Some(spec) = object.get_mut("spec") {
        proto::wkt::strip_nulls(spec, proto::istio::struct_paths(kind.name()));
    }
    let annotations = Node::new(object.pointer("/metadata/annotations"), "metadata.annotations");
    let spec = Node::new(object.get("spec"), "spec");
    let mut findings = Findings::default();
    let judged = Judged { name: &name, namespace: &namespace };
    if !kind.group().ends_with(".istio.io") {
        return Ok(Vec::new());
    }
    annotated(&mut findings, kind, &annotations, &spec);
    let findings_of_kind = &mut findings;
    match kind {
        Kind::VirtualService => virtual_service::check(findings_of_kind, judged, &spec),
        Kind::DestinationRule => destination_rule::check(findings_of_kind, judged, &spec),
        Kind::Gateway => gateway::check(findings_of_kind, judged, &spec),
        Kind::ServiceEntry => service_entry::check(findings_of_kind, judged, &spec),
        Kind::Sidecar => sidecar::check(findings_of_kind, judged, &spec),
        Kind::WorkloadEntry => workload::check_entry(findings_of_kind, &spec),
        Kind::WorkloadGroup => workload::check_group(findings_of_kind, &spec),
        Kind::EnvoyFilter => envoy_filter::check(findings_of_kind, &spec),
        Kind::ProxyConfig => {
            crate::policy::selector(findings_of_kind, &spec.at("selector"), "matchLabels");
            not_negative(findings_of_kind, &spec, &["concurrency"]);
        }
        Kind::PeerAuthentication => authentication::check_peer(findings_of_kind, &spec),
        Kind::RequestAuthentication => authentication::check_request(findings_of_kind, &spec),
        Kind::AuthorizationPolicy => authorization::check(findings_of_kind, &spec),
        Kind::Telemetry => telemetry::check(findings_of_kind, &spec),
        Kind::WasmPlugin => extension::check_wasm_plugin(findings_of_kind, &spec),
        Kind::TrafficExtension => extension::check_traffic_extension(findings_of_kind, &spec),
        _ => {}
    }
    Ok(findings.list)
}

/// The object that is judged.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
}

/// Annotations that an object may not have.
fn annotated(findings: &mut Findings, kind: Kind, annotations: &Node<'_>, spec: &Node<'_>) {
    for (name, value) in annotations.entries() {
        match name {
            "istio.io/dry-run" => {
                let action = spec.at("action").choice(&authorization::ACTIONS);
                if kind != Kind::AuthorizationPolicy {
                    findings.error(&value, format!("a {kind} cannot have the annotation {name}: remove it"));
                } else if !matches!(action, "ALLOW" | "DENY") {
                    findings
                        .error(&value, format!("{name} supports the actions ALLOW and DENY, not {action}"));
                } else if !is_boolean(value.text()) {
                    let text = quoted(value.text());
                    findings.error(&value, format!("{name} is {text}, but must be true or false"));
                }
            }
            "internal.istio.io/webhook-always-reject" => {
                findings.error(&value, format!("{name:?} annotation found, rejecting"));
            }
            "internal.istio.io/parents" | "internal.istio.io/parent-namespace" => {
                findings.error(&value, format!("{name:?} is for internal use only: remove it"));
            }
            _ => {}
        }
    }
}

fn is_boolean(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE" | "False")
}
