//! Names: labels, hosts with and without wildcards, addresses, namespaces that something is exported to.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};

/// Whether this is a label of a host name: at most 63 letters, digits and inner hyphens; capitals are allowed.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && bytes.iter().copied().all(inner)
        && ends.into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

pub(crate) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// A host name without wildcards; a trailing dot is allowed.
pub(crate) fn fqdn(name: &str) -> Result<(), String> {
    length(name)?;
    labels(name)
}

/// A host name whose first label may be `*`, or begin with it.
pub(crate) fn wildcard_domain(name: &str) -> Result<(), String> {
    length(name)?;
    let (first, rest) = match name.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    let after = first.strip_prefix("*-").or_else(|| first.strip_prefix('*')).unwrap_or(first);
    if first != "*" && !is_label(after) {
        return Err(format!("domain name {} is invalid (label {})", quoted(name), quoted(first)));
    }
    rest.map_or(Ok(()), labels)
}

/// Whether the first label is a wildcard and more.
pub(crate) fn is_partial_wildcard(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    first.len() > 1 && first.starts_with('*')
}

fn length(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("an empty domain name is not allowed".to_owned()),
        1..=255 => Ok(()),
        long => Err(format!("domain name {} has {long} characters, at most 255 are allowed", quoted(name))),
    }
}

fn labels(name: &str) -> Result<(), String> {
    let name_without_dot = name.strip_suffix('.').unwrap_or(name);
    for label in name_without_dot.split('.') {
        if !is_label(label) {
            return Err(format!("domain name {} is invalid (label {})", quoted(name), quoted(label)));
        }
    }
    let last = name_without_dot.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("domain name {} is invalid (its last label is a number)", quoted(name)));
    }
    Ok(())
}

/// `namespace/host`, as gateways and sidecars name hosts; gateways may leave the namespace out.
pub(crate) fn namespaced_host(findings: &mut Findings, at: &Node<'_>, is_gateway: bool) {
    let text = at.text();
    let host = match text.split_once('/') {
        None if is_gateway => text,
        None => {
            findings.error(at, format!("host {} must be of the form namespace/dnsName", quoted(text)));
            return;
        }
        Some((namespace, host)) => {
            if namespace.is_empty() || host.is_empty() {
                findings.error(at, format!("neither namespace nor dnsName of {} may be empty", quoted(text)));
                return;
            }
            let special = matches!(namespace, "*" | ".") || (namespace == "~" && !is_gateway);
            if !special && !is_label(namespace) {
                findings.error(at, format!("namespace {} is invalid", quoted(namespace)));
            }
            host
        }
    };
    if is_gateway && is_ip(host) {
        return;
    }
    if host != "*" && !host.contains('.') {
        findings.error(at, format!("short names (non FQDN) are not allowed: {}", quoted(host)));
    }
    if is_gateway && is_partial_wildcard(host) {
        findings.error(at, format!("partial wildcard {} is not allowed", quoted(host)));
    } else {
        findings.require(at, wildcard_domain(host));
    }
}

/// Labels and their values, as Kubernetes allows them.
pub(crate) fn label_map(findings: &mut Findings, map: &Node<'_>) {
    for (key, value) in map.entries() {
        if !is_qualified(key) {
            findings.error(&value, format!("invalid tag key: {}", quoted(key)));
        }
        let text = value.text();
        if !text.is_empty() && !is_tag(text) {
            findings.error(&value, format!("invalid tag value: {}", quoted(text)));
        }
    }
}

/// The key of a label, with or without a prefix.
fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => fqdn(prefix).is_ok() && is_tag(name),
        None => is_tag(key),
    }
}

fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && ends.into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

/// Of these names in lower case, one that covers all that `name` stands for: itself, or one with a leading wildcard.
/// Looks up what could cover it instead of comparing with all, since lists may be long.
pub(crate) fn covering<'a>(hosts: &'a BTreeSet<String>, name: &str) -> Option<&'a String> {
    let name = name.to_ascii_lowercase();
    hosts.get(&name).or_else(|| wider(hosts, &name))
}

/// The same without the name itself, which is in lower case.
pub(crate) fn wider<'a>(hosts: &'a BTreeSet<String>, name: &str) -> Option<&'a String> {
    let tail = name.strip_prefix('*').unwrap_or(name);
    let ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    ends.filter_map(|at| hosts.get(&format!("*{}", &tail[at..]))).find(|host| *host != name)
}

/// Who may see an object.
pub(crate) fn export_to(findings: &mut Findings, spec: &Node<'_>, namespace: &str, is_service_entry: bool) {
    let list = spec.at("exportTo");
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let text = item.text();
        let meant = if text == "." { namespace } else { text };
        if !seen.insert(meant) {
            findings.error(&item, format!("duplicate entry {} in exportTo", quoted(text)));
            continue;
        }
        match meant {
            "*" => {}
            "~" if is_service_entry => {}
            meant if is_label(meant) => {}
            _ => {
                findings
                    .error(&item, format!("{} is no namespace, nor one of \".\" and \"*\"", quoted(text)));
            }
        }
    }
    let alone = |mark| seen.contains(mark) && list.len() > 1;
    if alone("*") {
        findings.error(&list, "cannot have both public (*) and other values in exportTo");
    }
    if alone("~") {
        findings.error(&list, "cannot export to no one (~) and to someone");
    }
}
