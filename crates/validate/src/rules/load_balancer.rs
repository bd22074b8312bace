//! Rules for load balancing: hashes, slow start, localities.

use std::collections::BTreeSet;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::values::duration;

/// The first table that Maglev cannot have.
const MAX_TABLE: u64 = 5_000_011;

/// Labels of places, which failover between regions goes by too.
const TOPOLOGY: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/// `loadBalancer` of a traffic policy.
pub(super) fn check(findings: &mut Findings, policy: &Node<'_>) {
    let settings = policy.at("loadBalancer");
    if !settings.is_set() {
        return;
    }
    check_hash(findings, &settings.at("consistentHash"));
    check_locality(findings, &settings.at("localityLbSetting"), policy.has("outlierDetection"));
    duration(findings, &settings.at("warmupDurationSecs"));
    let warmup = settings.at("warmup");
    if warmup.is_set() {
        let time = warmup.at("duration");
        if time.is_set() {
            duration(findings, &time);
        } else {
            findings.error(&time, "a warmup needs a duration");
        }
        let least = warmup.at("minimumPercent");
        if !(0.0..=100.0).contains(&least.number().unwrap_or_default()) {
            findings.error(&least, "minimumPercent must be between 0 and 100");
        }
        let aggression = warmup.at("aggression");
        if aggression.number().is_some_and(|value| value < 1.0) {
            findings.error(&aggression, "aggression must be at least 1");
        }
    }
}

fn check_hash(findings: &mut Findings, hash: &Node<'_>) {
    let cookie = hash.at("httpCookie");
    if cookie.is_set() && cookie.at("name").text().is_empty() {
        findings.error(&cookie.at("name"), "name required for httpCookie");
    }
    let mut names = BTreeSet::new();
    for attribute in cookie.at("attributes").items() {
        let name = attribute.at("name");
        if name.text().is_empty() {
            findings.error(&name, "name required for an attribute of httpCookie");
        } else if !names.insert(name.text()) {
            findings.error(&name, format!("duplicate attribute {} of httpCookie", quoted(name.text())));
        }
    }
    let ring = hash.at("minimumRingSize");
    if ring.integer() != 0 {
        findings.warn(&ring, "minimumRingSize of consistentHash is deprecated, use ringHash instead");
        if hash.has("ringHash") || hash.has("maglev") {
            findings.error(&ring, "only one of minimumRingSize, maglev and ringHash can be specified");
        }
    }
    let maglev = hash.at("maglev");
    let table = maglev.at("tableSize");
    let size = table.number().unwrap_or_default() as u64;
    if maglev.is_set() && (size == 0 || size >= MAX_TABLE || !is_prime(size)) {
        findings
            .error(&table, format!("tableSize must be a prime number less than {MAX_TABLE}, and not {size}"));
    }
}

fn is_prime(number: u64) -> bool {
    // One counts as prime, as Envoy counts.
    number >= 1 && (2..=number.isqrt()).all(|factor| !number.is_multiple_of(factor))
}

fn check_locality(findings: &mut Findings, setting: &Node<'_>, has_outlier: bool) {
    let (distribute, failover) = (setting.at("distribute"), setting.at("failover"));
    if !distribute.is_empty() && !failover.is_empty() {
        findings.error(setting, "can not simultaneously specify distribute and failover");
        return;
    }
    for label in setting.at("failoverPriority").items() {
        if !failover.is_empty() && TOPOLOGY.contains(&label.text()) {
            let message =
                format!("failover cannot be set together with {} in failoverPriority", label.text());
            findings.error(&label, message);
        }
    }
    let mut from: Vec<&str> = Vec::new();
    for item in distribute.items() {
        locality(findings, &item.at("from"), item.at("from").text(), &mut from);
        let mut to: Vec<&str> = Vec::new();
        let mut total = 0_i64;
        for (name, weight) in item.at("to").entries() {
            locality(findings, &weight, name, &mut to);
            let weight_number = weight.integer();
            if !(1..=100).contains(&weight_number) {
                findings.error(&weight, format!("locality weight {weight_number} must be in range [1, 100]"));
            }
            total = total.saturating_add(weight_number);
        }
        if total != 100 {
            findings.error(&item.at("to"), format!("total locality weight {total} must be 100"));
        }
    }
    for item in failover.items() {
        let (from, to) = (item.at("from"), item.at("to"));
        if from.text() == to.text() {
            let text = quoted(from.text());
            findings.error(&item, format!("failover from and to must be different regions, both are {text}"));
        }
        for region in [from, to] {
            if region.text().contains(['/', '*']) {
                let text = quoted(region.text());
                findings.error(
                    &region,
                    format!("failover takes a region only, without zone or *, and not {text}"),
                );
            }
        }
    }
    if !has_outlier && (!failover.is_empty() || !setting.at("failoverPriority").is_empty()) {
        findings.warn(setting, "outlierDetection is not set, so failover between localities has no effect");
    }
}

/// `region/zone/subzone`, of which the end may be left out or a `*`, and which none of the earlier ones overlaps.
fn locality<'a>(findings: &mut Findings, at: &Node<'_>, name: &'a str, earlier: &mut Vec<&'a str>) {
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
        findings.error(at, format!("locality {} must be region/zone/subzone, each not empty", quoted(name)));
        return;
    }
    if name.trim_end_matches('*').contains('*')
        || parts.iter().any(|part| part.len() > 1 && part.contains('*'))
    {
        findings.error(at, format!("locality {}: a wildcard is allowed at the end only", quoted(name)));
        return;
    }
    let whole = |name: &'a str| name.strip_suffix('*').unwrap_or(name).trim_end_matches('/');
    let inside = |outer: &str, inner: &str| {
        outer.is_empty()
            || inner == outer
            || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    let overlap = earlier
        .iter()
        .take(1000)
        .find(|other| inside(whole(other), whole(name)) || inside(whole(name), whole(other)));
    if let Some(other) = overlap {
        findings.error(at, format!("locality {} overlaps with {}", quoted(name), quoted(other)));
    }
    earlier.push(name);
}
