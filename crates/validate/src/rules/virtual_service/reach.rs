//! Which rules of a VirtualService are never reached: behind one without conditions, with the conditions of an earlier
//! one, or with a prefix that an earlier one covers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cursor::Node;
use crate::finding::Findings;

/// Conditions beyond this many are not compared with each other.
const MAX_COMPARED: usize = 400;

pub(super) fn check(findings: &mut Findings, spec: &Node<'_>) {
    for protocol in ["http", "tcp", "tls"] {
        check_list(findings, &spec.at(protocol), protocol == "http");
    }
}

/// A condition on a prefix of paths, and whose it is.
struct PathCondition<'a> {
    rule: String,
    number: String,
    at: Node<'a>,
    prefix: &'a str,
}

fn check_list(findings: &mut Findings, rules: &Node<'_>, is_http: bool) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut catch_all = false;
    let mut prefixes: Vec<PathCondition<'_>> = Vec::new();
    for (index, rule) in rules.items().into_iter().enumerate() {
        let rule_name = named(&rule, index);
        let conditions = rule.at("match").items();
        if conditions.is_empty() {
            if catch_all {
                unused(findings, &rule, &rule_name, "only the last rule can have no matches");
            }
            catch_all = true;
            continue;
        }
        if catch_all {
            unused(findings, &rule, &rule_name, "route without matches defined before");
            continue;
        }
        let mut n_duplicates = 0;
        for (number, condition) in conditions.iter().enumerate() {
            let content = without_name(condition).to_string();
            let number = named(condition, number);
            if let Some(earlier) = seen.get(&content) {
                n_duplicates += 1;
                ineffective(findings, condition, &rule_name, &number, earlier);
                continue;
            }
            seen.insert(content, rule_name.clone());
            let prefix = condition.at("uri").at("prefix").text();
            if is_http && !prefix.is_empty() && prefixes.len() < MAX_COMPARED {
                prefixes.push(PathCondition {
                    rule: rule_name.clone(),
                    number,
                    at: condition.clone(),
                    prefix,
                });
            }
        }
        if n_duplicates == conditions.len() {
            unused(findings, &rule, &rule_name, "all matches used by prior rules");
        }
    }
    for (index, first) in prefixes.iter().enumerate() {
        for later in &prefixes[index + 1..] {
            if later.prefix != first.prefix && later.prefix.starts_with(first.prefix) && covered(first, later)
            {
                let number = format!("{} of prefix {}", later.number, later.prefix);
                let by = format!("{} of prefix {} on {}", first.number, first.prefix, first.rule);
                ineffective(findings, &later.at, &later.rule, &number, &by);
            }
        }
    }
}

fn unused(findings: &mut Findings, at: &Node<'_>, rule: &str, reason: &str) {
    findings.warn_as("IST0130", at, format!("virtualService rule {rule} not used ({reason})"));
}

fn ineffective(findings: &mut Findings, at: &Node<'_>, rule: &str, number: &str, by: &str) {
    let message = format!(
        "virtualService rule {rule} match {number} is not used (duplicate/overlapping match in rule {by})"
    );
    findings.warn_as("IST0131", at, message);
}

fn named(at: &Node<'_>, index: usize) -> String {
    match at.at("name").text() {
        "" => format!("#{index}"),
        name => format!("{name:?}"),
    }
}

fn without_name(condition: &Node<'_>) -> Value {
    let mut content = condition.value().cloned().unwrap_or_default();
    if let Value::Object(members) = &mut content {
        members.remove("name");
    }
    content
}

/// Whether whatever the later condition asks for beyond its prefix, the first one asks for no more.
fn covered(first: &PathCondition<'_>, later: &PathCondition<'_>) -> bool {
    let (first, later) = (&first.at, &later.at);
    let is_wider = |wide: &str, narrow: &str| wide == narrow || wide.starts_with(narrow);
    first.at("port").integer() == later.at("port").integer()
        && is_wider(&method(first), &method(later))
        && is_wider(&text(&first.at("authority")), &text(&later.at("authority")))
        && ["headers", "queryParams", "withoutHeaders"].into_iter().all(|list| {
            let (first, later) = (first.at(list).entries(), later.at(list).entries());
            let later: BTreeMap<&str, String> =
                later.iter().map(|(name, value)| (*name, text(value))).collect();
            first.len() == later.len()
                && first
                    .iter()
                    .all(|(name, value)| later.get(name).is_some_and(|later| is_wider(&text(value), later)))
        })
}

fn method(condition: &Node<'_>) -> String {
    match text(&condition.at("method")) {
        none if none.is_empty() => "exact:GET".to_owned(),
        method => method,
    }
}

/// A StringMatch as text; regexes are not compared.
fn text(at: &Node<'_>) -> String {
    match (at.at("exact").text(), at.at("prefix").text()) {
        ("", "") => String::new(),
        ("", prefix) => format!("prefix:{prefix}"),
        (exact, _) => format!("exact:{exact}"),
    }
}
