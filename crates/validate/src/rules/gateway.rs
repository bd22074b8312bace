//! Rules for Gateways: servers, their ports, hosts and TLS.

use std::collections::BTreeSet;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::names::{is_label, namespaced_host};
use crate::rules::{Judged, server_tls};
use crate::values::{Protocol, UNIX, ip, port, unix_path};

pub(super) fn check(findings: &mut Findings, judged: Judged<'_>, spec: &Node<'_>) {
    if !is_label(judged.name) {
        let name = Node::new(None, "metadata.name");
        findings
            .error(&name, format!("invalid gateway name {}: it must be a DNS label", quoted(judged.name)));
    }
    let servers = spec.at("servers");
    if servers.is_empty() {
        findings.error(&servers, "a gateway must have at least one server");
    }
    let mut names = BTreeSet::new();
    for server in servers.items() {
        check_server(findings, &server, judged);
        let name = server.at("port").at("name");
        if server.has("port") && !names.insert(name.text()) {
            let text = name.text();
            findings.error(&name, format!("port names in servers must be unique: duplicate name {text}"));
        }
        let protocol = Protocol::parse(server.at("port").at("protocol").text());
        let redirect = server.at("tls").at("httpsRedirect");
        if redirect.flag() && !protocol.is_http() {
            findings.warn(&redirect, "tls.httpsRedirect should only be used with http servers");
        }
    }
}

fn check_server(findings: &mut Findings, server: &Node<'_>, judged: Judged<'_>) {
    let hosts = server.at("hosts");
    if hosts.is_empty() {
        findings.error(&hosts, "a server must have at least one host");
    }
    for host in hosts.items() {
        namespaced_host(findings, &host, true);
    }
    let bind = server.at("bind");
    let before = findings.list.len();
    check_port(findings, &server.at("port"), bind.text());
    let port_is_good = findings.list.len() == before;
    check_bind(findings, server);
    let tls = server.at("tls");
    server_tls::check(findings, &tls, judged);
    if !port_is_good {
        return;
    }
    let text = server.at("port").at("protocol").text();
    let protocol = Protocol::parse(text);
    if protocol.is_tls() && !tls.is_set() {
        findings
            .error(&tls, format!("a server must have TLS settings for HTTPS/TLS protocols, such as {text}"));
    }
    if protocol.is_tls() || !tls.is_set() {
        return;
    }
    let has_files = ["caCertificates", "privateKey", "serverCertificate"].iter().any(|name| tls.has(name));
    let mode = tls.at("mode").choice(&server_tls::MODES);
    let passes = mode == "PASSTHROUGH" || mode == "AUTO_PASSTHROUGH";
    let only_redirects = tls.at("httpsRedirect").flag() && tls.len() == 1;
    if protocol.is_http() {
        if !(passes || only_redirects) || has_files {
            findings.error(&tls, "a server cannot have TLS settings for plain text HTTP ports");
        }
    } else {
        findings.error(&tls, "a server cannot have TLS settings for non HTTPS/TLS ports");
    }
}

fn check_port(findings: &mut Findings, at: &Node<'_>, bind: &str) {
    if !at.is_set() {
        findings.error(at, "port is required");
        return;
    }
    let protocol = at.at("protocol");
    if Protocol::parse(protocol.text()) == Protocol::Unknown {
        let message = format!(
            "invalid protocol {}, supported protocols are HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, MONGO, REDIS, MYSQL, TCP",
            quoted(protocol.text())
        );
        findings.error(&protocol, message);
    }
    if at.at("number").integer() > 0 || !bind.starts_with(UNIX) {
        port(findings, &at.at("number"));
    }
    if at.at("targetPort").integer() > 0 {
        findings.error(&at.at("targetPort"), "targetPort has no impact on Gateways");
    }
    if at.at("name").text().is_empty() {
        let number = at.at("number").integer();
        findings.error(&at.at("name"), format!("the port {number} must have a name"));
    }
}

fn check_bind(findings: &mut Findings, server: &Node<'_>) {
    let bind = server.at("bind");
    if let Some(path) = bind.text().strip_prefix(UNIX) {
        unix_path(findings, &bind, path);
        let number = server.at("port").at("number");
        if number.integer() != 0 {
            findings.error(&number, "port number must be 0 for a unix domain socket");
        }
    } else if !bind.text().is_empty() {
        ip(findings, &bind, bind.text());
    }
}
