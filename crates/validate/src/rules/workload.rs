//! Rules for workloads outside Kubernetes: WorkloadEntries, endpoints of ServiceEntries, WorkloadGroups.

use std::collections::BTreeSet;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::names::{fqdn, is_ip, label_map};
use crate::values::{UNIX, not_negative, port, port_name, strict_header_name, unix_path};

pub(super) fn check_entry(findings: &mut Findings, spec: &Node<'_>) {
    check_endpoint(findings, spec, None, true);
}

/// One workload. `ports` are the names that its service has, if it has one; a host name as address needs `by_name`.
pub(super) fn check_endpoint(
    findings: &mut Findings,
    at: &Node<'_>,
    ports: Option<&BTreeSet<&str>>,
    by_name: bool,
) {
    let address = at.at("address");
    let text = address.text();
    let own_ports = at.at("ports");
    if text.is_empty() {
        let network = at.at("network").text();
        if network.is_empty() {
            findings.error(&address, "address is required");
            return;
        }
        findings.warn(&address, format!("address is unset with network {}", quoted(network)));
    } else if let Some(path) = text.strip_prefix(UNIX) {
        unix_path(findings, &address, path);
        if !own_ports.is_empty() {
            findings.error(&own_ports, format!("unix endpoint {} must not include ports", quoted(text)));
        }
        if ports.is_some_and(|ports| ports.len() != 1) {
            findings.error(&address, "exactly 1 service port is required for unix endpoints");
        }
    } else if !is_ip(text) {
        if !by_name {
            findings.error(&address, format!("endpoint address {} is not a valid IP address", quoted(text)));
        } else if fqdn(text).is_err() {
            let message = format!("endpoint address {} is not a valid FQDN or an IP address", quoted(text));
            findings.error(&address, message);
        }
    }
    for (name, number) in own_ports.entries() {
        if ports.is_some_and(|ports| !ports.contains(name)) {
            let message = format!("endpoint port {} is not defined by the service entry", number.integer());
            findings.error(&number, message);
        }
        port_name(findings, &number, name);
        port(findings, &number);
    }
    label_map(findings, &at.at("labels"));
}

pub(super) fn check_group(findings: &mut Findings, spec: &Node<'_>) {
    if !spec.has("template") {
        findings.error(&spec.at("template"), "template is required");
        return;
    }
    label_map(findings, &spec.at("metadata").at("labels"));
    let probe = spec.at("probe");
    if !probe.is_set() {
        return;
    }
    let counts =
        ["periodSeconds", "initialDelaySeconds", "timeoutSeconds", "successThreshold", "failureThreshold"];
    not_negative(findings, &probe, &counts);
    let methods = ["httpGet", "tcpSocket", "exec", "grpc"];
    if methods.iter().filter(|name| probe.has(name)).count() != 1 {
        findings.error(&probe, "a probe needs exactly one method: httpGet, tcpSocket, exec or grpc");
    }
    for name in ["httpGet", "tcpSocket", "grpc"] {
        if let Some(method) = probe.at(name).set() {
            port(findings, &method.at("port"));
        }
    }
    let scheme = probe.at("httpGet").at("scheme");
    if !matches!(scheme.text(), "" | "HTTP" | "HTTPS") {
        findings.error(&scheme, "httpGet.scheme must be one of \"HTTPS\", \"HTTP\"");
    }
    for header in probe.at("httpGet").at("httpHeaders").items() {
        findings.require(&header.at("name"), strict_header_name(header.at("name").text()));
    }
    let exec = probe.at("exec");
    if exec.is_set() && exec.at("command").is_empty() {
        findings.error(&exec.at("command"), "exec.command is required");
    }
}
