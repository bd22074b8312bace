//! Rules for the TLS settings of servers, of Gateways and of ingress listeners of Sidecars: where certificates come
//! from, by mode, and ciphers.

use std::collections::BTreeSet;

use crate::cursor::Node;
use crate::finding::Findings;
use crate::rules::Judged;

/// The modes, by number.
pub(crate) const MODES: [&str; 6] =
    ["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"];

const VERSIONS: [&str; 5] = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"];

/// The names of ciphers that Envoy's library knows for TLS up to 1.2.
const CIPHERS: [&str; 20] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "PSK-AES128-CBC-SHA",
    "PSK-AES256-CBC-SHA",
    "DES-CBC3-SHA",
];

pub(crate) fn check(findings: &mut Findings, tls: &Node<'_>, judged: Judged<'_>) {
    if !tls.is_set() {
        return;
    }
    ciphers(findings, tls);
    let mode = tls.at("mode").choice(&MODES);
    let has = |name: &str| !tls.at(name).is_empty() || !tls.at(name).text().is_empty();
    let credential = has("credentialName") || has("credentialNames");
    if mode == "ISTIO_MUTUAL" {
        for name in [
            "serverCertificate",
            "privateKey",
            "caCertificates",
            "credentialName",
            "credentialNames",
            "tlsCertificates",
            "caCertCredentialName",
        ] {
            if has(name) {
                findings.error(&tls.at(name), format!("ISTIO_MUTUAL TLS cannot have an associated {name}"));
            }
        }
        return;
    }
    let ca = has("caCertificates") || has("caCertCredentialName");
    if mode == "PASSTHROUGH" || mode == "AUTO_PASSTHROUGH" {
        let files =
            ["caCrl", "serverCertificate", "privateKey", "tlsCertificates"].iter().any(|name| has(name));
        if files || ca || credential {
            findings.warn(tls, format!("{mode} mode does not use certificates, they will be ignored"));
        }
    }
    let files = has("serverCertificate") || has("privateKey");
    let sources = [files, has("credentialName"), has("credentialNames"), has("tlsCertificates")];
    if sources.into_iter().filter(|source| *source).count() > 1 && MODES[1..3].contains(&mode) {
        let message = "only one of serverCertificate with privateKey, credentialName, credentialNames and \
                       tlsCertificates can be set";
        findings.error(tls, message);
    }
    let certificates = tls.at("tlsCertificates");
    if certificates.len() > 2 {
        findings.warn(&certificates, "more than two tlsCertificates: only an RSA and an ECDSA one are used");
    }
    for certificate in certificates.items() {
        for name in ["serverCertificate", "privateKey"] {
            if certificate.at(name).text().is_empty() {
                findings.error(&certificate.at(name), format!("{mode} TLS requires a {name}"));
            }
        }
    }
    let is_mutual = mode == "MUTUAL" || mode == "OPTIONAL_MUTUAL";
    if !credential && (mode == "SIMPLE" || is_mutual) {
        if certificates.is_empty() {
            for (name, what) in [("serverCertificate", "server certificate"), ("privateKey", "private key")] {
                if !has(name) {
                    findings
                        .error(&tls.at(name), format!("{mode} TLS requires a {what}, or a credentialName"));
                }
            }
        }
        if is_mutual && !ca {
            let message =
                format!("{mode} TLS requires a client CA bundle in caCertificates, or a credentialName");
            findings.error(&tls.at("caCertificates"), message);
        }
    }
    if has("caCrl") {
        if credential {
            findings.error(
                &tls.at("caCrl"),
                "a CRL is not supported with credentialName: put it in the credential",
            );
        }
        if mode == "SIMPLE" {
            findings.error(&tls.at("caCrl"), "a CRL is not supported with SIMPLE TLS");
        }
    }
    for name in [tls.at("credentialName")].into_iter().chain(tls.at("credentialNames").items()) {
        config_map_of_own_namespace(findings, &name, judged);
    }
}

/// `configmap://namespace/name` must be of the object's own namespace.
pub(crate) fn config_map_of_own_namespace(findings: &mut Findings, at: &Node<'_>, judged: Judged<'_>) {
    let Some(rest) = at.text().strip_prefix("configmap://") else { return };
    let namespace = rest.split('/').next().unwrap_or_default();
    if rest.contains('/') && namespace != judged.namespace {
        let own = judged.namespace;
        findings.error(
            at,
            format!("a ConfigMap as credential must be of the own namespace {own}, not {namespace}"),
        );
    }
}

fn ciphers(findings: &mut Findings, tls: &Node<'_>) {
    let suites = tls.at("cipherSuites");
    let least = tls.at("minProtocolVersion").choice(&VERSIONS);
    if matches!(least, "TLSV1_0" | "TLSV1_1") && suites.is_empty() {
        let message =
            "TLS versions below TLSV1_2 require setting compatible cipherSuites, as those by default are not";
        findings.warn(&tls.at("minProtocolVersion"), message);
    }
    let (mut valid, mut invalid, mut twice) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for suite in suites.items() {
        let name = suite.text();
        let known =
            name.split(['[', ']', '|']).filter(|name| !name.is_empty()).all(|name| CIPHERS.contains(&name));
        if !known || name.is_empty() {
            invalid.insert(name);
        } else if !valid.insert(name) {
            twice.insert(name);
        }
    }
    let listed = |names: BTreeSet<&str>| names.into_iter().take(20).collect::<Vec<_>>().join(" ");
    if !invalid.is_empty() {
        findings.warn(&suites, format!("ignoring invalid cipher suites: [{}]", listed(invalid)));
    }
    if !twice.is_empty() {
        findings.warn(&suites, format!("ignoring duplicate cipher suites: [{}]", listed(twice)));
    }
}
