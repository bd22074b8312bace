//! Rules for Sidecars: listeners of both directions, hosts that are reached, the proxy for the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::names::{fqdn, namespaced_host};
use crate::policy::selector;
use crate::rules::destination_rule::connection_pool;
use crate::rules::virtual_service::destination;
use crate::rules::{Judged, server_tls};
use crate::values::{Protocol, UNIX, ip, port, port_name, protocol, unix_path};

pub(super) fn check(findings: &mut Findings, judged: Judged<'_>, spec: &Node<'_>) {
    selector(findings, &spec.at("workloadSelector"), "labels");
    let (ingress, egress) = (spec.at("ingress"), spec.at("egress"));
    let others = ["outboundTrafficPolicy", "inboundConnectionPool"];
    if ingress.is_empty() && egress.is_empty() && !others.iter().any(|name| spec.has(name)) {
        findings.error(spec, "sidecar: empty configuration provided");
        return;
    }
    let mut ports = BTreeSet::new();
    for listener in ingress.items() {
        check_ingress(findings, &listener, &mut ports, judged);
    }
    connection_pool(findings, &spec.at("inboundConnectionPool"));
    let (mut ports, mut sockets) = (BTreeSet::new(), BTreeSet::new());
    let listeners = egress.items();
    for (index, listener) in listeners.iter().enumerate() {
        if listener.has("port") {
            check_egress_port(findings, listener, &mut ports, &mut sockets);
        } else if index + 1 < listeners.len() {
            let message =
                "sidecar: the egress listener with empty port should be the last listener in the list";
            findings.error(listener, message);
        }
        check_egress_hosts(findings, listener, judged);
    }
    let policy = spec.at("outboundTrafficPolicy");
    let proxy = policy.at("egressProxy");
    if !proxy.is_set() {
        return;
    }
    if policy.at("mode").choice(&["REGISTRY_ONLY", "ALLOW_ANY"]) != "ALLOW_ANY" {
        findings
            .error(&proxy, "sidecar: egressProxy must be set only with ALLOW_ANY outboundTrafficPolicy mode");
        return;
    }
    findings.require(&proxy.at("host"), fqdn(proxy.at("host").text()));
    if !proxy.has("port") {
        findings.error(&proxy.at("port"), "sidecar: egressProxy needs a port");
    }
    destination(findings, &proxy);
}

fn check_ingress(
    findings: &mut Findings,
    listener: &Node<'_>,
    ports: &mut BTreeSet<i64>,
    judged: Judged<'_>,
) {
    let at = listener.at("port");
    if !at.is_set() {
        findings.error(&at, "sidecar: port is required for ingress listeners");
        return;
    }
    no_target_port(findings, &at);
    named_protocol(findings, &at);
    port(findings, &at.at("number"));
    let bind = listener.at("bind");
    if !bind.text().is_empty() {
        ip(findings, &bind, bind.text());
    }
    if !ports.insert(at.at("number").integer()) {
        findings.error(&at.at("number"), "sidecar: ports on IP bound listeners must be unique");
    }
    check_default_endpoint(findings, &listener.at("defaultEndpoint"));
    let tls = listener.at("tls");
    if tls.is_set() {
        if !Protocol::parse(at.at("protocol").text()).is_tls() {
            findings.error(&tls, "sidecar: tls needs a port of protocol HTTPS or TLS");
        }
        for name in ["subjectAltNames", "httpsRedirect", "credentialName", "credentialNames"] {
            let field = tls.at(name);
            if !field.text().is_empty() || !field.is_empty() || field.flag() {
                findings.error(&field, format!("sidecar: {name} is not supported in ingress tls"));
            }
        }
        let mode = tls.at("mode").choice(&server_tls::MODES);
        if matches!(mode, "ISTIO_MUTUAL" | "AUTO_PASSTHROUGH") {
            findings.error(&tls.at("mode"), format!("cannot set mode to {mode} in sidecar ingress tls"));
        }
        server_tls::check(findings, &tls, judged);
    }
    let pool = listener.at("connectionPool");
    connection_pool(findings, &pool);
    let name = at.at("protocol").text();
    if pool.has("http") && !Protocol::parse(name).is_http() {
        let message = format!(
            "sidecar: HTTP connection pool settings on port {} of protocol {}: only TCP settings will apply",
            at.at("number").integer(),
            quoted(name)
        );
        findings.warn(&pool.at("http"), message);
    }
}

/// Where the application listens: an address of this host with a port, or a socket.
fn check_default_endpoint(findings: &mut Findings, at: &Node<'_>) {
    let text = at.text();
    if text.is_empty() {
        return;
    }
    if let Some(path) = text.strip_prefix(UNIX) {
        unix_path(findings, at, path);
        return;
    }
    let Some((host, number)) = text.rsplit_once(':') else {
        findings.error(at, format!("sidecar: defaultEndpoint {} has no port", quoted(text)));
        return;
    };
    if !matches!(host, "" | "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]") {
        let message = "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, \
                       [::]:<port>, unix://<path> or unset";
        findings.error(at, message);
    }
    match number.parse::<i64>() {
        Ok(1..=65535) => {}
        Ok(number) => {
            findings.error(at, format!("defaultEndpoint port number {number} must be in the range 1..65535"));
        }
        Err(_) => {
            findings.error(at, format!("sidecar: defaultEndpoint port ({}) is not a number", quoted(number)));
        }
    }
}

fn no_target_port(findings: &mut Findings, port: &Node<'_>) {
    if port.at("targetPort").integer() > 0 {
        findings.error(&port.at("targetPort"), "targetPort has no impact on Sidecars");
    }
}

fn named_protocol(findings: &mut Findings, port: &Node<'_>) {
    let name = port.at("name");
    if !name.text().is_empty() {
        port_name(findings, &name, name.text());
    }
    protocol(findings, &port.at("protocol"));
}

fn check_egress_port<'a>(
    findings: &mut Findings,
    listener: &Node<'a>,
    ports: &mut BTreeSet<i64>,
    sockets: &mut BTreeSet<&'a str>,
) {
    let at = listener.at("port");
    no_target_port(findings, &at);
    named_protocol(findings, &at);
    let (number, bind) = (at.at("number"), listener.at("bind"));
    if number.integer() != 0 {
        port(findings, &number);
        if !bind.text().is_empty() {
            ip(findings, &bind, bind.text());
        }
        if !ports.insert(number.integer()) {
            findings.error(&number, "sidecar: ports on IP bound listeners must be unique");
        }
        return;
    }
    match bind.text().strip_prefix(UNIX) {
        Some(path) => unix_path(findings, &bind, path),
        None => {
            let message = "sidecar: ports with 0 value must have a unix domain socket bind address";
            findings.error(&bind, message);
        }
    }
    let mode = listener.at("captureMode");
    if !matches!(mode.choice(&["DEFAULT", "IPTABLES", "NONE"]), "DEFAULT" | "NONE") {
        findings.error(&mode, "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners");
    }
    if !sockets.insert(bind.text()) {
        findings.error(&bind, "sidecar: unix domain socket values for listeners must be unique");
    }
}

fn check_egress_hosts(findings: &mut Findings, listener: &Node<'_>, judged: Judged<'_>) {
    let hosts = listener.at("hosts");
    if hosts.is_empty() {
        findings.error(&hosts, "sidecar: an egress listener must contain at least one host");
    }
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for host in hosts.items() {
        namespaced_host(findings, &host, false);
        let Some((namespace, name)) = host.text().split_once('/') else { continue };
        let namespace = if namespace == "." { judged.namespace } else { namespace };
        let others = seen.entry(namespace).or_default();
        let is_duplicate = if name == "*" { !others.is_empty() } else { others.contains("*") };
        if is_duplicate || others.contains(name) {
            findings.warn(&host, format!("duplicated egress host: {}", host.text()));
        }
        others.insert(name);
    }
    if seen.get("*").is_some_and(|names| names.contains("*")) && seen.len() > 1 {
        findings.warn(&hosts, "`*/*` host select all resources, no other hosts can be added");
    }
}
