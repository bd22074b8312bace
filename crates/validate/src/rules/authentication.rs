//! Rules for PeerAuthentications and RequestAuthentications.

use serde_json::Value;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::policy::{attachment, selector};
use crate::values::{duration, strict_header_name};

pub(super) fn check_peer(findings: &mut Findings, spec: &Node<'_>) {
    let ports = spec.at("portLevelMtls");
    if !ports.is_empty() && spec.at("selector").at("matchLabels").is_empty() {
        findings.error(
            &ports,
            "a peer authentication of a mesh or namespace cannot have portLevelMtls: it needs a selector",
        );
    }
    if ports.is_set() && ports.is_empty() {
        findings.error(&ports, "portLevelMtls, if defined, must have at least one element");
    }
    for (number, mode) in ports.entries() {
        if !matches!(number.parse(), Ok(1..=65535_i64)) {
            findings.error(&mode, format!("port {} must be in range 1..65535", quoted(number)));
        }
    }
    selector(findings, &spec.at("selector"), "matchLabels");
}

pub(super) fn check_request(findings: &mut Findings, spec: &Node<'_>) {
    attachment(findings, spec);
    for rule in spec.at("jwtRules").items() {
        let (issuer, uri, keys) = (rule.at("issuer"), rule.at("jwksUri"), rule.at("jwks"));
        if issuer.text().is_empty() && uri.text().is_empty() {
            findings.error(&issuer, "issuer or jwksUri must be set");
        }
        not_empty(findings, &rule.at("audiences"), "audience");
        check_uri(findings, &uri);
        if !keys.text().is_empty() {
            findings.require(&keys, key_set(keys.text()));
        }
        for header in rule.at("fromHeaders").items() {
            if header.at("name").text().is_empty() {
                findings.error(&header.at("name"), "location header name must be non-empty string");
            }
        }
        not_empty(findings, &rule.at("fromParams"), "location query");
        not_empty(findings, &rule.at("fromCookies"), "cookie name");
        for output in rule.at("outputClaimToHeaders").items() {
            let (header, claim) = (output.at("header"), output.at("claim"));
            if header.text().is_empty() || claim.text().is_empty() {
                findings
                    .error(&output, "outputClaimToHeaders header and claim value must be non-empty string");
            } else {
                findings.require(&header, strict_header_name(header.text()));
            }
        }
        duration(findings, &rule.at("timeout"));
    }
}

fn not_empty(findings: &mut Findings, list: &Node<'_>, what: &str) {
    for item in list.items().into_iter().filter(|item| item.text().is_empty()) {
        findings.error(&item, format!("{what} must be non-empty string"));
    }
}

fn check_uri(findings: &mut Findings, at: &Node<'_>) {
    let uri = at.text();
    if uri.is_empty() {
        return;
    }
    let Some((scheme, rest)) = uri.split_once("://") else {
        findings.error(at, format!("jwksUri {} is no URI with http or https", quoted(uri)));
        return;
    };
    if scheme != "http" && scheme != "https" {
        findings.error(at, format!("URI scheme {} is not supported, use http or https", quoted(scheme)));
        return;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let after_host = host_and_port.rsplit(']').next().unwrap_or_default();
    let port_is_good = after_host.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok());
    if host_and_port.is_empty() || !port_is_good || uri.chars().any(|c| c.is_control() || c == ' ') {
        findings.error(at, format!("jwksUri {} is not a valid URI", quoted(uri)));
    }
}

/// A set of keys, or one key.
fn key_set(text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("jwks parse error: failed to unmarshal JWK set: {error}"))?;
    let one = std::slice::from_ref(&value);
    let keys = match value.get("keys") {
        Some(Value::Array(keys)) => keys.as_slice(),
        Some(_) => return Err("jwks parse error: keys is no list".to_owned()),
        None => one,
    };
    for key in keys {
        let kind = key.get("kty").and_then(Value::as_str).unwrap_or_default();
        let needed: &[&str] = match kind {
            "RSA" => &["n", "e"],
            "EC" => &["crv", "x", "y"],
            "OKP" => &["crv", "x"],
            "oct" => &["k"],
            other => return Err(format!("jwks parse error: a key has the unknown kty {}", quoted(other))),
        };
        if let Some(missing) = needed.iter().find(|name| key.get(name).and_then(Value::as_str).is_none()) {
            return Err(format!("jwks parse error: a key of kty {kind} has no {missing}"));
        }
    }
    Ok(())
}
