//! Rules for ServiceEntries: hosts, addresses, ports, and what each way to resolve them asks for.

use std::collections::BTreeSet;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::names::{export_to, fqdn, is_ip, is_partial_wildcard, label_map, wildcard_domain};
use crate::policy::selector;
use crate::rules::{Judged, workload};
use crate::values::{Protocol, port, port_name, protocol, subnet};

const RESOLUTIONS: [&str; 5] = ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"];

pub(super) fn check(findings: &mut Findings, judged: Judged<'_>, spec: &Node<'_>) {
    selector(findings, &spec.at("workloadSelector"), "labels");
    let (hosts, endpoints) = (spec.at("hosts"), spec.at("endpoints"));
    let has_selector = spec.has("workloadSelector");
    if has_selector && endpoints.is_set() {
        findings.error(&endpoints, "only one of workloadSelector or endpoints is allowed in a service entry");
    }
    if hosts.is_empty() {
        findings.error(&hosts, "a service entry must have at least one host");
    }
    for host in hosts.items() {
        let name = host.text();
        if name == "*" {
            findings.error(&host, "invalid host *: a service entry needs a name or a part of one");
            continue;
        }
        findings.require(&host, wildcard_domain(name));
        if is_partial_wildcard(name) {
            findings.warn(&host, format!("partial wildcard {} not allowed", quoted(name)));
        }
    }
    let resolution = spec.at("resolution").choice(&RESOLUTIONS);
    let addresses = spec.at("addresses");
    for address in addresses.items() {
        subnet(findings, &address);
        if address.text().contains('/') && !matches!(resolution, "NONE" | "STATIC") {
            findings.error(&address, "CIDR addresses are allowed only for NONE/STATIC resolution types");
        }
    }
    let names = check_ports(findings, spec, resolution);
    match resolution {
        "NONE" => {
            if !endpoints.is_empty() {
                findings.error(&endpoints, "no endpoints should be provided for resolution type NONE");
            }
            if has_selector {
                let message = "workloadSelector should not be set when resolution mode is NONE";
                findings.warn(&spec.at("workloadSelector"), message);
            }
        }
        "STATIC" => {
            for endpoint in endpoints.items() {
                workload::check_endpoint(findings, &endpoint, Some(&names), false);
            }
        }
        "DNS" | "DNS_ROUND_ROBIN" => by_name(findings, spec, resolution, &names),
        "DYNAMIC_DNS" => dynamic(findings, spec),
        other => {
            let message = format!("unsupported resolution type {}", quoted(other));
            findings.error(&spec.at("resolution"), message);
        }
    }
    if resolution != "NONE" && hosts.len() > 1 {
        let plain = spec.at("ports").items().into_iter().find(|port| {
            let protocol = Protocol::parse(port.at("protocol").text());
            !protocol.is_http() && !protocol.is_tls()
        });
        if let Some(plain) = plain {
            findings.error(&plain, "multiple hosts provided with non-HTTP, non-TLS ports");
        }
    }
    export_to(findings, spec, judged.namespace, true);
}

/// Judges the ports and returns their names.
fn check_ports<'a>(findings: &mut Findings, spec: &Node<'a>, resolution: &str) -> BTreeSet<&'a str> {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for item in spec.at("ports").items() {
        let (name, number) = (item.at("name"), item.at("number"));
        if !names.insert(name.text()) {
            findings.error(&name, format!("service entry port name {} already defined", quoted(name.text())));
        }
        if !numbers.insert(number.integer()) {
            findings.error(&number, format!("service entry port {} already defined", number.integer()));
        }
        let target = item.at("targetPort");
        if target.integer() != 0 {
            port(findings, &target);
            if resolution == "NONE" {
                findings.warn(&target, "targetPort has no effect when resolution mode is NONE");
            }
        }
        port_name(findings, &name, name.text());
        protocol(findings, &item.at("protocol"));
        port(findings, &number);
    }
    names
}

fn by_name(findings: &mut Findings, spec: &Node<'_>, resolution: &str, names: &BTreeSet<&str>) {
    let (hosts, endpoints) = (spec.at("hosts"), spec.at("endpoints"));
    if endpoints.is_empty() {
        for host in hosts.items() {
            if fqdn(host.text()).is_err() {
                let message = format!(
                    "hosts must be FQDN if no endpoints are provided for resolution mode {resolution}, and not {}",
                    quoted(host.text())
                );
                findings.error(&host, message);
            }
        }
    }
    if resolution == "DNS_ROUND_ROBIN" && endpoints.len() > 1 {
        let message = "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN";
        findings.error(&endpoints, message);
    }
    for endpoint in endpoints.items() {
        let address = endpoint.at("address");
        if !is_ip(address.text()) && fqdn(address.text()).is_err() {
            let text = quoted(address.text());
            findings.error(&address, format!("endpoint address {text} is not a valid FQDN or an IP address"));
        }
        label_map(findings, &endpoint.at("labels"));
        for (name, number) in endpoint.at("ports").entries() {
            if !names.contains(name) {
                let message =
                    format!("endpoint port {} is not defined by the service entry", number.integer());
                findings.error(&number, message);
            }
            port_name(findings, &number, name);
            port(findings, &number);
        }
    }
    if spec.has("workloadSelector") && resolution == "DNS_ROUND_ROBIN" {
        let message = format!("workloadSelector should not be set when resolution mode is {resolution}");
        findings.warn(&spec.at("workloadSelector"), message);
    }
    let has_tcp = spec
        .at("ports")
        .items()
        .iter()
        .any(|port| Protocol::parse(port.at("protocol").text()) == Protocol::Tcp);
    if has_tcp && !spec.at("addresses").is_empty() && hosts.len() > 1 {
        let message = "a service entry can not have more than one host with addresses and a TCP port";
        findings.warn(&hosts, message);
    }
}

/// Names that are resolved request by request.
fn dynamic(findings: &mut Findings, spec: &Node<'_>) {
    for host in spec.at("hosts").items() {
        if !host.text().starts_with('*') {
            let message =
                format!("resolution DYNAMIC_DNS is for wildcard hosts only, not {}", quoted(host.text()));
            findings.error(&host, message);
        }
    }
    for name in ["addresses", "endpoints"] {
        let list = spec.at(name);
        if !list.is_empty() {
            findings.error(&list, format!("no {name} should be provided for resolution type DYNAMIC_DNS"));
        }
    }
    for port in spec.at("ports").items() {
        let name = port.at("protocol");
        if !matches!(name.text().to_ascii_uppercase().as_str(), "HTTP" | "HTTP2" | "GRPC" | "TLS") {
            let message = format!(
                "resolution DYNAMIC_DNS supports HTTP, HTTP2, GRPC and TLS, not {}",
                quoted(name.text())
            );
            findings.error(&name, message);
        }
    }
}
