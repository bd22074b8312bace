//! Rules for DestinationRules: subsets, and traffic policies with what they set of connections, ejection and TLS.

use std::collections::BTreeSet;

use proto::wkt::Duration;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::names::{export_to, fqdn, is_ip, is_label, label_map, wildcard_domain};
use crate::policy::selector;
use crate::rules::{Judged, load_balancer, server_tls};
use crate::values::{duration, not_negative, percent, port, port_selector};

pub(super) fn check(findings: &mut Findings, judged: Judged<'_>, spec: &Node<'_>) {
    let host = spec.at("host");
    findings.require(&host, wildcard_domain(host.text()));
    traffic_policy(findings, &spec.at("trafficPolicy"), judged);
    let mut names = BTreeSet::new();
    for subset in spec.at("subsets").items() {
        let name = subset.at("name");
        let text = name.text();
        if !names.insert(text) {
            findings.error(&name, format!("duplicate subset names: {text}"));
        }
        if text.is_empty() {
            findings.error(&name, "subset name cannot be empty");
        } else if !is_label(text) {
            findings.error(&name, format!("subset name is invalid: {text}"));
        }
        label_map(findings, &subset.at("labels"));
        traffic_policy(findings, &subset.at("trafficPolicy"), judged);
    }
    export_to(findings, spec, judged.namespace, false);
    let chosen = spec.at("workloadSelector");
    if chosen.is_set() {
        for item in spec.at("exportTo").items() {
            if item.text() != "." && item.text() != judged.namespace {
                let message =
                    "a destination rule with workloadSelector cannot have exportTo beyond its namespace";
                findings.error(&item, message);
            }
        }
    }
    selector(findings, &chosen, "matchLabels");
}

const PARTS: [&str; 4] = ["outlierDetection", "connectionPool", "loadBalancer", "tls"];

fn traffic_policy(findings: &mut Findings, policy: &Node<'_>, judged: Judged<'_>) {
    if !policy.is_set() {
        return;
    }
    let others = ["portLevelSettings", "tunnel", "proxyProtocol", "retryBudget"];
    if !PARTS.iter().chain(&others).any(|name| policy.has(name)) {
        findings.error(policy, "traffic policy must have at least one field");
        return;
    }
    let tunnel = policy.at("tunnel");
    if tunnel.is_set() && policy.has("proxyProtocol") {
        findings.error(policy, "tunnel and proxyProtocol must not be set together");
        return;
    }
    parts(findings, policy, judged);
    for settings in policy.at("portLevelSettings").items() {
        if !settings.has("port") {
            findings.error(&settings.at("port"), "a port traffic policy must have a valid port");
        }
        port_selector(findings, &settings.at("port"));
        if PARTS.iter().any(|name| settings.has(name)) {
            parts(findings, &settings, judged);
        } else {
            findings.error(&settings, "a port traffic policy must have at least one field");
        }
    }
    if tunnel.is_set() {
        let protocol = tunnel.at("protocol");
        if !matches!(protocol.text(), "" | "CONNECT" | "POST") {
            findings.error(&protocol, "tunnel protocol must be \"CONNECT\" or \"POST\"");
        }
        let host = tunnel.at("targetHost");
        if !is_ip(host.text()) && fqdn(host.text()).is_err() {
            let text = quoted(host.text());
            findings.error(&host, format!("tunnel target host {text} must be a valid FQDN or IP address"));
        }
        port(findings, &tunnel.at("targetPort"));
    }
}

fn parts(findings: &mut Findings, policy: &Node<'_>, judged: Judged<'_>) {
    outlier_detection(findings, &policy.at("outlierDetection"));
    connection_pool(findings, &policy.at("connectionPool"));
    load_balancer::check(findings, policy);
    client_tls(findings, &policy.at("tls"), judged);
}

fn outlier_detection(findings: &mut Findings, outlier: &Node<'_>) {
    if !outlier.is_set() {
        return;
    }
    duration(findings, &outlier.at("baseEjectionTime"));
    duration(findings, &outlier.at("interval"));
    let old = outlier.at("consecutiveErrors");
    if old.integer() != 0 {
        let message = "outlier detection consecutiveErrors is deprecated, use consecutiveGatewayErrors or \
                       consecutive5xxErrors instead";
        findings.warn(&old, message);
    }
    let local = outlier.at("consecutiveLocalOriginFailures");
    if local.integer() > 0 && !outlier.at("splitExternalLocalOriginErrors").flag() {
        let message = "consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors to be true";
        findings.error(&local, message);
    }
    percent(findings, &outlier.at("maxEjectionPercent"));
    percent(findings, &outlier.at("minHealthPercent"));
}

/// Settings of connections, of destinations and of what arrives at Sidecars.
pub(super) fn connection_pool(findings: &mut Findings, pool: &Node<'_>) {
    if !pool.is_set() {
        return;
    }
    let (http, tcp) = (pool.at("http"), pool.at("tcp"));
    if !http.is_set() && !tcp.is_set() {
        findings.error(pool, "connection pool must have at least one field");
    }
    let counts = [
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRequestsPerConnection",
        "maxRetries",
        "maxConcurrentStreams",
    ];
    not_negative(findings, &http, &counts);
    duration(findings, &http.at("idleTimeout"));
    let upgrade = http.at("h2UpgradePolicy").choice(&["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]);
    let client = http.at("useClientProtocol");
    if upgrade == "UPGRADE" && client.flag() {
        findings.error(&client, "useClientProtocol must not be true when h2UpgradePolicy is UPGRADE");
    }
    not_negative(findings, &tcp, &["maxConnections"]);
    for name in ["connectTimeout", "maxConnectionDuration"] {
        duration(findings, &tcp.at(name));
    }
    // Zero turns it off.
    let idle = tcp.at("idleTimeout");
    if !Duration::parse(idle.text()).is_some_and(|time| time.seconds == 0 && time.nanos == 0) {
        duration(findings, &idle);
    }
    for name in ["time", "interval"] {
        duration(findings, &tcp.at("tcpKeepalive").at(name));
    }
}

fn client_tls(findings: &mut Findings, tls: &Node<'_>, judged: Judged<'_>) {
    if !tls.is_set() {
        return;
    }
    let has = |name: &str| !tls.at(name).text().is_empty();
    let mode = tls.at("mode").choice(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]);
    if tls.at("insecureSkipVerify").flag() {
        // With MUTUAL, what is named may be for the client's certificate alone.
        let names: &[&str] = match mode {
            "SIMPLE" => &["caCertificates", "subjectAltNames", "credentialName"],
            "MUTUAL" => &["caCertificates", "subjectAltNames"],
            _ => &[],
        };
        for name in names {
            let at = tls.at(name);
            if has(name) || !at.is_empty() {
                findings.error(&at, format!("cannot specify {name} if insecureSkipVerify is set to true"));
            }
        }
    }
    let credential = tls.at("credentialName");
    server_tls::config_map_of_own_namespace(findings, &credential, judged);
    if (mode == "SIMPLE" || mode == "MUTUAL") && has("credentialName") {
        let files = ["clientCertificate", "caCertificates", "privateKey", "caCrl"];
        let files: Vec<&str> = files.into_iter().filter(|name| has(name)).collect();
        if !files.is_empty() {
            let message = format!("cannot specify {} if credentialName is set", files.join(", "));
            findings.error(&credential, message);
        }
    } else if mode == "MUTUAL" {
        for (name, what) in [("clientCertificate", "client certificate"), ("privateKey", "private key")] {
            if !has(name) {
                findings.error(&tls.at(name), format!("{what} required for MUTUAL tls, or a credentialName"));
            }
        }
    }
}
