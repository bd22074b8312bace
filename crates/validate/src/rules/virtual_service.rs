//! Rules for VirtualServices: what they bind to, and their TCP and TLS routes. HTTP routes and what shadows what have
//! files of their own.

mod headers;
mod http;
mod reach;

use std::collections::BTreeSet;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::names::{
    covering, export_to, fqdn, is_ip, is_label, is_partial_wildcard, label_map, wider, wildcard_domain,
};
use crate::rules::Judged;
use crate::values::{port, port_selector, subnet};

pub(super) fn check(findings: &mut Findings, judged: Judged<'_>, spec: &Node<'_>) {
    let hosts = spec.at("hosts");
    let is_delegate = hosts.is_empty();
    if is_delegate {
        for (name, what) in [("gateways", "gateways"), ("tls", "tls route"), ("tcp", "tcp route")] {
            let list = spec.at(name);
            if !list.is_empty() {
                findings.error(
                    &list,
                    format!("a delegate virtual service (one without hosts) must have no {what} specified"),
                );
            }
        }
    }
    let gateways = spec.at("gateways");
    gateway_names(findings, &gateways);
    let for_gateway = is_for_gateway(spec);
    check_hosts(findings, spec, for_gateway);
    if !for_gateway {
        claims_need_gateway(findings, spec);
    }
    if ["http", "tcp", "tls"].iter().all(|name| spec.at(name).is_empty()) {
        findings.error(spec, "http, tcp or tls must be provided in a virtual service");
    }
    for route in spec.at("http").items() {
        http::check(findings, &route, is_delegate);
    }
    let names_of_hosts = hosts.items().iter().map(|host| host.text().to_ascii_lowercase()).collect();
    for route in spec.at("tls").items() {
        let matches = route.at("match");
        if matches.is_empty() {
            findings.error(&matches, "a TLS route must have at least one match condition");
        }
        for condition in matches.items() {
            let names = condition.at("sniHosts");
            if names.is_empty() {
                findings.error(&names, "a TLS match must have at least one SNI host");
            }
            for name in names.items() {
                check_sni(findings, &name, &names_of_hosts, for_gateway);
            }
            check_layer4_match(findings, &condition);
        }
        check_route(findings, &route.at("route"), "TLS");
    }
    for route in spec.at("tcp").items() {
        for condition in route.at("match").items() {
            check_layer4_match(findings, &condition);
        }
        check_route(findings, &route.at("route"), "TCP");
    }
    export_to(findings, spec, judged.namespace, false);
    reach::check(findings, spec);
}

/// Whether it binds to gateways and not to the mesh.
fn is_for_gateway(spec: &Node<'_>) -> bool {
    let gateways = spec.at("gateways");
    !gateways.is_empty() && gateways.items().iter().all(|name| name.text() != "mesh")
}

fn check_hosts(findings: &mut Findings, spec: &Node<'_>, for_gateway: bool) {
    let hosts = spec.at("hosts").items();
    let has_sni =
        spec.at("tls").items().iter().any(|route| {
            route.at("match").items().iter().any(|condition| !condition.at("sniHosts").is_empty())
        });
    let mut all_good = true;
    for host in &hosts {
        let name = host.text();
        let outcome = host_for(name, for_gateway, has_sni);
        if outcome.is_err() && is_ip(name) {
            continue;
        }
        all_good &= outcome.is_ok();
        findings.require(host, outcome);
        if name == "*" && !for_gateway {
            all_good = false;
            findings
                .error(host, "wildcard host * is not allowed for virtual services bound to the mesh gateway");
        }
    }
    if !all_good {
        return;
    }
    let mut names = BTreeSet::new();
    for host in &hosts {
        if !names.insert(host.text().to_ascii_lowercase()) {
            let name = host.text();
            findings.error(host, format!("duplicate hosts in virtual service: {name} & {name}"));
        }
    }
    for host in &hosts {
        if let Some(wider) = wider(&names, &host.text().to_ascii_lowercase()) {
            findings.error(host, format!("duplicate hosts in virtual service: {wider} & {}", host.text()));
        }
    }
}

fn host_for(name: &str, for_gateway: bool, has_sni: bool) -> Result<(), String> {
    if for_gateway && has_sni && name.starts_with("outbound_") {
        return Ok(());
    }
    if for_gateway && !has_sni && is_partial_wildcard(name) {
        return Err(format!("partial wildcard {} is not allowed", quoted(name)));
    }
    wildcard_domain(name)
}

fn check_sni(findings: &mut Findings, at: &Node<'_>, hosts: &BTreeSet<String>, for_gateway: bool) {
    let name = at.text();
    if let Err(message) = host_for(name, for_gateway, true) {
        if is_ip(name) {
            let message = format!(
                "using an IP address ({name:?}) goes against SNI spec and most clients do not support this"
            );
            findings.warn(at, message);
        } else {
            findings.error(at, message);
        }
        return;
    }
    if covering(hosts, name).is_none() {
        let hosts: Vec<&str> = hosts.iter().take(10).map(String::as_str).collect();
        let message = format!(
            "SNI host {} is not a compatible subset of any of the virtual service hosts: [{}]",
            quoted(name),
            hosts.join(", ")
        );
        findings.error(at, message);
    }
}

/// Names of gateways: `name`, `namespace/name`, `mesh`, or the old form with dots.
fn gateway_names(findings: &mut Findings, list: &Node<'_>) {
    for item in list.items() {
        let name = item.text();
        let Some((namespace, gateway)) = name.split_once('/') else {
            if let Some((gateway, rest)) = name.split_once('.') {
                let namespace = rest.split('.').next().unwrap_or_default();
                let message = format!(
                    "using legacy gatewayName format {}; prefer the <namespace>/<name> format: {}",
                    quoted(name),
                    quoted(&format!("{namespace}/{gateway}"))
                );
                findings.warn(&item, message);
            }
            findings.require(&item, fqdn(name));
            continue;
        };
        if !is_label(namespace) {
            findings.error(&item, format!("invalid value for namespace: {}", quoted(namespace)));
        }
        if !is_label(gateway) {
            findings.error(&item, format!("invalid value for gateway name: {}", quoted(gateway)));
        }
    }
}

fn check_layer4_match(findings: &mut Findings, condition: &Node<'_>) {
    for block in condition.at("destinationSubnets").items() {
        subnet(findings, &block);
    }
    match_common(findings, condition);
}

/// What conditions of all protocols have.
fn match_common(findings: &mut Findings, condition: &Node<'_>) {
    if condition.at("port").integer() != 0 {
        port(findings, &condition.at("port"));
    }
    label_map(findings, &condition.at("sourceLabels"));
    gateway_names(findings, &condition.at("gateways"));
    let namespace = condition.at("sourceNamespace");
    if !namespace.text().is_empty() && !is_label(namespace.text()) {
        findings.error(&namespace, format!("sourceNamespace match {} is invalid", quoted(namespace.text())));
    }
}

/// The destinations of a TCP or TLS route.
fn check_route(findings: &mut Findings, route: &Node<'_>, protocol: &str) {
    if route.is_empty() {
        findings.error(route, format!("a {protocol} route needs a destination"));
    }
    check_weights(findings, route);
    for item in route.items() {
        check_weighted(findings, &item);
    }
}

fn check_weights(findings: &mut Findings, route: &Node<'_>) {
    let items = route.items();
    let total: i64 = items.iter().map(|item| item.at("weight").integer()).sum();
    if items.len() > 1 && total == 0 {
        findings.error(route, "total destination weight = 0: at least one weight must be positive");
    }
}

fn check_weighted(findings: &mut Findings, item: &Node<'_>) {
    let to = item.at("destination");
    if !to.is_set() {
        findings.error(&to, "destination is required");
    }
    destination(findings, &to);
    let weight = item.at("weight");
    if weight.integer() < 0 {
        findings.error(&weight, format!("weight {} < 0", weight.integer()));
    }
}

/// Where requests go: host, subset, port.
pub(super) fn destination(findings: &mut Findings, at: &Node<'_>) {
    if !at.is_set() {
        return;
    }
    let host = at.at("host");
    if host.text() == "*" {
        findings.error(&host, "invalid destination host *");
    } else {
        findings.require(&host, wildcard_domain(host.text()));
    }
    let subset = at.at("subset");
    if !subset.text().is_empty() && !is_label(subset.text()) {
        findings.error(&subset, format!("subset name is invalid: {}", subset.text()));
    }
    port_selector(findings, &at.at("port"));
}

/// Claims of tokens are known only to gateways.
fn claims_need_gateway(findings: &mut Findings, spec: &Node<'_>) {
    for route in spec.at("http").items() {
        for condition in route.at("match").items() {
            for list in ["headers", "withoutHeaders"] {
                for (name, header) in condition.at(list).entries() {
                    if is_claim(name) {
                        let message =
                            format!("JWT claim based routing (key: {name}) is only supported for gateways");
                        findings.error(&header, message);
                    }
                }
            }
        }
    }
}

/// Whether a header stands for a claim of the request's token.
fn is_claim(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("@request.auth.claims") else { return false };
    match rest.strip_prefix('.') {
        Some(claim) => !claim.is_empty(),
        None => rest.starts_with('[') && rest.ends_with(']') && rest.len() > 2,
    }
}
