//! Annotations whose value must make sense: one that does not fails the injection, so that nobody finds out in
//! production what a typo opened (platform specification, 6.6).

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::Value;

use crate::pod;

type Check = fn(&str) -> Result<(), String>;

const CHECKS: &[(&str, Check)] = &[
    ("istio.io/reroute-virtual-interfaces", interfaces),
    ("prometheus.istio.io/merge-metrics", flag),
    ("proxy.istio.io/config", proxy_config),
    ("readiness.status.sidecar.istio.io/failureThreshold", count),
    ("readiness.status.sidecar.istio.io/initialDelaySeconds", count),
    ("readiness.status.sidecar.istio.io/periodSeconds", count),
    ("sidecar.istio.io/interceptionMode", interception_mode),
    ("sidecar.istio.io/proxyCPU", quantity),
    ("sidecar.istio.io/proxyCPULimit", quantity),
    ("sidecar.istio.io/proxyMemory", quantity),
    ("sidecar.istio.io/proxyMemoryLimit", quantity),
    ("status.sidecar.istio.io/port", |value| {
        port(value).map_err(|e| format!("excludeInboundPorts invalid: {e}"))
    }),
    ("traffic.sidecar.istio.io/excludeInboundPorts", |value| ports("excludeInboundPorts", value)),
    ("traffic.sidecar.istio.io/excludeInterfaces", interfaces),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", |value| ranges("excludeIPRanges", value)),
    ("traffic.sidecar.istio.io/excludeOutboundPorts", |value| ports("excludeOutboundPorts", value)),
    ("traffic.sidecar.istio.io/includeInboundPorts", |value| {
        if value == "*" { Ok(()) } else { ports("includeInboundPorts", value) }
    }),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", |value| {
        if value == "*" { Ok(()) } else { ranges("includeIPRanges", value) }
    }),
    ("traffic.sidecar.istio.io/kubevirtInterfaces", interfaces),
];

/// Checks all annotations of a pod; the error lists what is wrong, in the words that users of istiod know.
pub(crate) fn check(pod: &Value) -> Result<(), String> {
    let wrong: Vec<String> = CHECKS
        .iter()
        .filter_map(|(name, check)| {
            let value = pod::annotation(pod, name)?;
            let error = check(value).err()?;
            Some(format!("invalid value '{value}' for annotation '{name}': {error}"))
        })
        .collect();
    let wrong: Vec<String> = wrong.into_iter().chain(unprintable(pod)).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let mut message = format!("{} error{} occurred:", wrong.len(), if wrong.len() == 1 { "" } else { "s" });
    for wrong in wrong {
        // Writing to a string cannot fail.
        let _ = write!(message, "\n\t* {wrong}");
    }
    Err(message + "\n\n")
}

/// Annotations of ours that are one line. Templates often write them without quotes, and a line break in one would be
/// YAML that the template did not say.
fn unprintable(pod: &Value) -> Vec<String> {
    const FAMILIES: [&str; 5] = [
        "sidecar.istio.io/",
        "traffic.sidecar.istio.io/",
        "status.sidecar.istio.io/",
        "readiness.status.sidecar.istio.io/",
        "inject.istio.io/",
    ];
    const DOCUMENTS: [&str; 3] =
        ["sidecar.istio.io/userVolume", "sidecar.istio.io/userVolumeMount", "sidecar.istio.io/status"];
    let all = pod::strings(pod, "annotations");
    let ours = all.iter().filter(|(name, _)| {
        FAMILIES.iter().any(|family| name.starts_with(family)) && !DOCUMENTS.contains(&name.as_str())
    });
    let known = |name: &str| CHECKS.iter().any(|(known, check)| *known == name && check("\n").is_err());
    ours.filter(|(name, value)| value.contains(char::is_control) && !known(name))
        .map(|(name, value)| {
            format!("invalid value {value:?} for annotation '{name}': value contains control characters")
        })
        .collect()
}

fn interception_mode(mode: &str) -> Result<(), String> {
    match mode {
        "REDIRECT" | "TPROXY" | "NONE" => Ok(()),
        _ => Err(format!("interceptionMode invalid, use REDIRECT,TPROXY,NONE: {mode}")),
    }
}

/// A number as Go parses it; the error in Go's words.
fn number(text: &str, bits: u32) -> Result<u64, String> {
    let failed = |reason: &str| format!("strconv.ParseUint: parsing {text:?}: {reason}");
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    let number: Option<u64> = text.parse().ok();
    number.filter(|number| *number < 1 << bits).ok_or_else(|| failed("value out of range"))
}

fn count(text: &str) -> Result<(), String> {
    number(text, 32).map(drop)
}

fn port(text: &str) -> Result<(), String> {
    number(text.trim(), 16).map(drop).map_err(|error| format!("failed parsing port '{text}': {error}"))
}

fn ports(parameter: &str, list: &str) -> Result<(), String> {
    let list = list.trim();
    for one in list.split(',').filter(|_| !list.is_empty()) {
        port(one).map_err(|error| format!("{parameter} invalid: failed parsing port '{one}': {error}"))?;
    }
    Ok(())
}

fn ranges(parameter: &str, list: &str) -> Result<(), String> {
    for range in list.split(',').filter(|_| !list.is_empty()) {
        if !is_range(range) {
            return Err(format!(
                "{parameter} invalid: failed parsing cidr '{range}': not an address with a prefix length"
            ));
        }
    }
    Ok(())
}

fn is_range(range: &str) -> bool {
    let Some((address, length)) = range.rsplit_once('/') else { return false };
    let plain = !length.is_empty()
        && length.bytes().all(|byte| byte.is_ascii_digit())
        && (length == "0" || !length.starts_with('0'));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    plain && length.parse::<u8>().is_ok_and(|length| length <= most)
}

fn flag(text: &str) -> Result<(), String> {
    parse_flag(text).map(drop).ok_or_else(|| format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))
}

/// A flag in one of the words that Go takes.
pub(crate) fn parse_flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn interfaces(list: &str) -> Result<(), String> {
    for name in list.split(',').map(str::trim).filter(|_| !list.is_empty()) {
        if name.is_empty() {
            return Err("empty interface name".to_owned());
        }
        if name.len() > 15 {
            return Err(format!("interface name {name:?} too long (max 15 chars)"));
        }
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.bytes().all(usual) {
            return Err(format!("interface name {name:?} has characters that no interface has"));
        }
    }
    Ok(())
}

/// A quantity of Kubernetes: a decimal number with a suffix of powers of ten, of 1024, or an exponent.
fn quantity(text: &str) -> Result<(), String> {
    const SUFFIXES: [&str; 16] =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let failed = || {
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            .to_owned()
    };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end =
        unsigned.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(unsigned.len());
    let (digits, suffix) = unsigned.split_at(end);
    let exponent = suffix.strip_prefix(['e', 'E']).map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    let scaled = SUFFIXES.contains(&suffix)
        || exponent
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.matches('.').count() <= 1 && digits.bytes().any(|byte| byte.is_ascii_digit());
    if number && scaled { Ok(()) } else { Err(failed()) }
}

fn proxy_config(document: &str) -> Result<(), String> {
    if crate::config::brackets(document) > crate::config::MAX_BRACKETS {
        return Err("it nests too deeply".to_owned());
    }
    ::config::mesh_config::apply_proxy_config(&crate::proxy_config::defaults(), document)
        .map(drop)
        .map_err(|rejection| format!("failed to convert to apply proxy config: {}", rejection.reason))
}
