//! Values of fields: ports, protocols, durations, percentages, addresses, names and values of headers.

use proto::wkt::Duration;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::names::{is_ip, is_label};

pub(crate) fn port(findings: &mut Findings, at: &Node<'_>) {
    let number = at.integer();
    if !(1..=65535).contains(&number) {
        findings.error(at, format!("port number {number} must be in the range 1..65535"));
    }
}

/// The `port` of a destination or of a policy: an object with a number.
pub(crate) fn port_selector(findings: &mut Findings, at: &Node<'_>) {
    if at.is_set() {
        port(findings, &at.at("number"));
    }
}

/// What is known of a protocol by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Tls,
    Tcp,
    Udp,
    Unknown,
}

impl Protocol {
    pub(crate) fn parse(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "http" | "http2" | "grpc" | "grpc-web" | "http_proxy" => Self::Http,
            "https" | "tls" => Self::Tls,
            "tcp" | "mongo" | "redis" | "mysql" | "hbone" | "double-hbone" => Self::Tcp,
            "udp" => Self::Udp,
            _ => Self::Unknown,
        }
    }

    /// Whether it is HTTP in the clear.
    pub(crate) fn is_http(self) -> bool {
        self == Self::Http
    }

    pub(crate) fn is_tls(self) -> bool {
        self == Self::Tls
    }
}

/// A protocol that is known, or none.
pub(crate) fn protocol(findings: &mut Findings, at: &Node<'_>) {
    let name = at.text();
    if !name.is_empty() && Protocol::parse(name) == Protocol::Unknown {
        findings.error(at, format!("unsupported protocol: {}", quoted(name)));
    }
}

pub(crate) fn port_name(findings: &mut Findings, at: &Node<'_>, name: &str) {
    if !is_label(name) {
        findings.error(at, format!("invalid port name: {}", quoted(name)));
    }
}

/// At least a millisecond, and whole milliseconds; nothing if absent.
pub(crate) fn duration(findings: &mut Findings, at: &Node<'_>) {
    if !at.is_set() {
        return;
    }
    let Some(duration) = Duration::parse(at.text()) else {
        findings.error(at, format!("{} is no duration such as 10s", quoted(at.text())));
        return;
    };
    if duration.seconds < 0 || (duration.seconds == 0 && duration.nanos < 1_000_000) {
        findings.error(at, format!("duration {} must be at least 1ms", at.text()));
    } else if duration.nanos % 1_000_000 != 0 {
        findings.error(at, format!("duration {} must be of whole milliseconds", at.text()));
    }
}

/// A whole number of percent.
pub(crate) fn percent(findings: &mut Findings, at: &Node<'_>) {
    let value = at.integer();
    if !(0..=100).contains(&value) {
        findings.error(at, format!("percentage {value} is not in range 0..100"));
    }
}

/// `value` of a Percent: nothing, or from 0.0001 to 100.
pub(crate) fn percentage(findings: &mut Findings, at: &Node<'_>) {
    let value = at.at("value").number().unwrap_or_default();
    if at.is_set() && value != 0.0 && !(0.0001..=100.0).contains(&value) {
        findings.error(at, format!("percentage {value} is neither 0.0, nor in range [0.0001, 100.0]"));
    }
}

pub(crate) fn not_negative(findings: &mut Findings, parent: &Node<'_>, names: &[&str]) {
    for name in names {
        let at = parent.at(name);
        if at.integer() < 0 {
            findings.error(&at, format!("{name} must be non-negative"));
        }
    }
}

pub(crate) fn ip(findings: &mut Findings, at: &Node<'_>, address: &str) {
    if !is_ip(address) {
        findings.error(at, format!("{} is not a valid IP", quoted(address)));
    }
}

/// An address or a CIDR block.
pub(crate) fn subnet(findings: &mut Findings, at: &Node<'_>) {
    let text = at.text();
    let Some((address, bits)) = text.split_once('/') else {
        ip(findings, at, text);
        return;
    };
    let longest = if address.contains(':') { 128 } else { 32 };
    let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_ip(address) || !is_number || bits.parse::<u32>().map_or(true, |bits| bits > longest) {
        findings.error(at, format!("{} is not a valid CIDR block", quoted(text)));
    }
}

/// What begins the address of a unix socket.
pub(crate) const UNIX: &str = "unix://";

/// The path of a unix socket, behind `unix://`.
pub(crate) fn unix_path(findings: &mut Findings, at: &Node<'_>, path: &str) {
    if path.is_empty() {
        findings.error(at, "the unix address must not be empty");
    } else if !path.starts_with('@') && (!path.starts_with('/') || path.ends_with('/')) {
        findings.error(at, format!("{} is not an absolute path to a file", quoted(path)));
    }
}

/// A name of a header that is matched; pseudo headers are.
pub(crate) fn header_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("header name cannot be empty".to_owned());
    }
    let rest = name.strip_prefix(':').unwrap_or(name);
    if rest.is_empty()
        || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return Err(format!("header name {} is not a valid header name", quoted(name)));
    }
    Ok(())
}

/// A header name without pseudo headers.
pub(crate) fn strict_header_name(name: &str) -> Result<(), String> {
    if name.starts_with(':') {
        return Err(format!("header name {} is not a valid header name", quoted(name)));
    }
    header_name(name)
}

/// The value of a header that is added: no control characters, and `%` only around a variable or doubled.
pub(crate) fn header_value(value: &str) -> Result<(), String> {
    if value.chars().any(|c| (c < ' ' && c != '\t') || c == '\u{7f}') {
        return Err(format!("header value {} holds a control character", quoted(value)));
    }
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('%') {
        rest = match after.strip_prefix('%') {
            Some(after) => after,
            None => after_variable(after).ok_or_else(|| {
                format!(
                    "header value {} has a % without a variable NAME%; write %% for itself",
                    quoted(value)
                )
            })?,
        };
    }
    Ok(())
}

/// What follows `NAME%`, `NAME(…)%` or `NAME(…):10%`.
fn after_variable(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if rest.len() == text.len() {
        return None;
    }
    let rest = match rest.strip_prefix('(') {
        Some(inside) => inside.split_once(')')?.1,
        None => rest,
    };
    let rest = match rest.strip_prefix(':') {
        Some(length) => length.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    rest.strip_prefix('%')
}

/// A regular expression as RE2 has them, of bounded length.
pub(crate) fn regex(pattern: &str, what: &str) -> Result<(), String> {
    if pattern.len() > 1024 {
        return Err(format!("{what}: regex is too large, max length allowed is 1024"));
    }
    proto::regexp::check(pattern)
        .map(|_| ())
        .map_err(|error| format!("{what}: {error} in {}; regexes are of RE2's syntax", quoted(pattern)))
}
