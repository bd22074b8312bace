//! Rules for headers that a route or one of its destinations changes.

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::values::header_value;

/// `headers`: what is set, added and removed in requests and responses.
pub(super) fn check(findings: &mut Findings, headers: &Node<'_>) {
    for direction in ["request", "response"] {
        let operations = headers.at(direction);
        for operation in ["set", "add"] {
            for (name, value) in operations.at(operation).entries() {
                // The authority may be written, by either of its names.
                if direction == "response" || !is_authority(name) {
                    changeable(findings, &value, name);
                }
                findings.require(&value, header_value(value.text()));
            }
        }
        for name in operations.at("remove").items() {
            changeable(findings, &name, name.text());
        }
    }
}

fn changeable(findings: &mut Findings, at: &Node<'_>, name: &str) {
    if name.is_empty() {
        findings.error(at, "header name cannot be empty");
    } else if name.eq_ignore_ascii_case("host") {
        findings.error(at, format!("invalid header {}: cannot set the Host header", quoted(name)));
    } else if name.starts_with(':') {
        findings.error(at, format!("invalid header {}: a header cannot have a \":\" prefix", quoted(name)));
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

/// The authority of a request is written once at most, a rewrite included.
pub(super) fn check_authority(findings: &mut Findings, route: &Node<'_>) {
    let rewrite = route.at("rewrite").at("authority");
    let mut current = rewrite.text();
    let request = route.at("headers").at("request");
    for operation in ["set", "add"] {
        for (name, value) in request.at(operation).entries() {
            if !is_authority(name) {
                continue;
            }
            if !current.is_empty() {
                let message = format!(
                    "the authority header cannot be set multiple times: have {}, attempting to set {}",
                    quoted(current),
                    quoted(value.text())
                );
                findings.error(&value, message);
                return;
            }
            current = value.text();
        }
    }
}
