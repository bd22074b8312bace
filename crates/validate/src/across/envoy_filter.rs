//! Patches of EnvoyFilters that Envoy's configuration passes over (IST0152 to IST0154), and those whose effect hangs on
//! the order of others (IST0151, IST0155).

use std::collections::BTreeSet;

use config::Kind;

use super::Report;
use super::world::World;
use crate::cursor::Node;
use crate::rules::{ENVOY_FILTER_OPERATIONS, ENVOY_FILTER_TARGETS};

pub(super) fn check(world: &World<'_>, report: &mut Report) {
    // Filters that some patch is for in one version of the proxy alone.
    let mut of_versions: BTreeSet<&str> = BTreeSet::new();
    for subject in world.of(Kind::EnvoyFilter) {
        for entry in subject.spec.at("configPatches").items() {
            if !entry.at("match").at("proxy").at("proxyVersion").text().is_empty() {
                of_versions.insert(patched(&entry));
            }
        }
    }
    for subject in world.of(Kind::EnvoyFilter) {
        let has_priority = subject.spec.at("priority").integer() != 0;
        for entry in subject.spec.at("configPatches").items() {
            let at = entry.at("patch").at("operation");
            let operation = at.choice(&ENVOY_FILTER_OPERATIONS);
            let target = entry.at("applyTo").choice(&ENVOY_FILTER_TARGETS);
            let is_of_routes = matches!(target, "ROUTE_CONFIGURATION" | "HTTP_ROUTE");
            let ignored = match operation {
                "ADD" if is_of_routes => Some(("IST0153", "ADD")),
                "REMOVE" if is_of_routes => Some(("IST0154", "REMOVE")),
                _ => None,
            };
            if let Some((code, operation)) = ignored {
                let message = format!(
                    "The {operation} operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE."
                );
                report.error(subject, code, &at, message);
                continue;
            }
            let replaces = matches!(target, "NETWORK_FILTER" | "HTTP_FILTER" | "VIRTUAL_HOST");
            if operation == "REPLACE" && !replaces {
                let message = "The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER. Use MERGE, or REMOVE and \
                     ADD.";
                report.error(subject, "IST0152", &at, message.to_owned());
                continue;
            }
            let is_relative = matches!(operation, "REMOVE" | "REPLACE" | "INSERT_BEFORE" | "INSERT_AFTER");
            if is_relative && !has_priority {
                let is_of_version = of_versions.contains(patched(&entry));
                let (code, and) = if is_of_version {
                    (
                        "IST0155",
                        " and proxyVersion set which can cause the EnvoyFilter not to be applied during an upgrade",
                    )
                } else {
                    ("IST0151", " set which can cause the EnvoyFilter not to be applied")
                };
                let message = format!(
                    "This EnvoyFilter does not have a priority and has a relative patch operation ({operation}){and}. \
                     Using the INSERT_FIRST or ADD option or setting the priority may help in ensuring the EnvoyFilter \
                     is applied correctly."
                );
                report.warn(subject, code, &at, message);
            }
        }
    }
}

/// The filter that a patch is about.
fn patched<'a>(entry: &Node<'a>) -> &'a str {
    let name = entry.at("patch").at("value").at("name").text();
    if name.is_empty() {
        entry.at("match").at("listener").at("filterChain").at("filter").at("name").text()
    } else {
        name
    }
}
