//! Whether a route takes a request, and what it does with it.

use regex::Regex;
use serde_json::Value;

use super::{Call, list, text};

/// Whether every part of a route's match fits.
pub(super) fn fits(wanted: &Value, call: &Call) -> bool {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let sensitive = wanted["caseSensitive"] != false;
    let cased = |text: &str| if sensitive { text.to_owned() } else { text.to_ascii_lowercase() };
    let path_cased = cased(path);
    let path_fits = if let Some(prefix) = wanted["prefix"].as_str() {
        path_cased.starts_with(&cased(prefix))
    } else if let Some(exact) = wanted["path"].as_str() {
        path_cased == cased(exact)
    } else if let Some(prefix) = wanted["pathSeparatedPrefix"].as_str() {
        let rest = path_cased.strip_prefix(&cased(prefix)).map(str::to_owned);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    } else {
        matches(text(&wanted["safeRegex"]["regex"]), path)
    };
    let headers = list(&wanted["headers"]).iter().all(|matcher| header(matcher, call));
    let parameters = list(&wanted["queryParameters"]).iter().all(|matcher| parameter(matcher, query));
    // Whether a claim of a token is present is not for a simulated request to say.
    path_fits && headers && parameters && list(&wanted["dynamicMetadata"]).is_empty()
}

fn header(matcher: &Value, call: &Call) -> bool {
    let value = match text(&matcher["name"]) {
        ":method" => Some(call.method.clone()),
        ":authority" => call.host.clone(),
        ":path" => Some(call.path.clone()),
        ":scheme" => Some(if call.sni.is_some() { "https" } else { "http" }.to_owned()),
        name => call.headers.get(name).cloned(),
    };
    let missing_is_empty = matcher["treatMissingHeaderAsEmpty"] == true;
    let value = value.or_else(|| missing_is_empty.then(String::new));
    let inverted = matcher["invertMatch"] == true;
    if let Some(present) = matcher["presentMatch"].as_bool() {
        return (value.is_some() == present) != inverted;
    }
    // A missing header fits no match of a value, not even an inverted one.
    let Some(value) = value else { return false };
    string(&matcher["stringMatch"], &value) != inverted
}

fn parameter(matcher: &Value, query: &str) -> bool {
    let name = text(&matcher["name"]);
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.find(|(other, _)| *other == name).map(|(_, value)| value);
    match (value, matcher["presentMatch"].as_bool()) {
        (value, Some(present)) => value.is_some() == present,
        (Some(value), None) => matcher["stringMatch"].is_null() || string(&matcher["stringMatch"], value),
        (None, None) => false,
    }
}

fn string(matcher: &Value, value: &str) -> bool {
    let lower = matcher["ignoreCase"] == true;
    let cased = |text: &str| if lower { text.to_ascii_lowercase() } else { text.to_owned() };
    let (value_cased, wanted) = (cased(value), |key: &str| matcher[key].as_str().map(cased));
    if let Some(exact) = wanted("exact") {
        return value_cased == exact;
    }
    if let Some(prefix) = wanted("prefix") {
        return value_cased.starts_with(&prefix);
    }
    if let Some(suffix) = wanted("suffix") {
        return value_cased.ends_with(&suffix);
    }
    if let Some(contains) = wanted("contains") {
        return value_cased.contains(&contains);
    }
    matches(text(&matcher["safeRegex"]["regex"]), value)
}

/// Envoy's regular expressions match the whole value.
fn matches(pattern: &str, value: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(value))
}

/// What a route does, in a few words.
pub(super) fn outcome(route: &Value) -> String {
    let direct = &route["directResponse"];
    if direct.is_object() {
        return format!("status {}", direct["status"]);
    }
    if route["redirect"].is_object() {
        let status = match text(&route["redirect"]["responseCode"]) {
            "FOUND" => 302,
            "SEE_OTHER" => 303,
            "TEMPORARY_REDIRECT" => 307,
            "PERMANENT_REDIRECT" => 308,
            _ => 301,
        };
        return format!("redirect {status}");
    }
    target(&route["route"])
}

/// A cluster, or the weighted ones, as routes and TCP proxies name them alike.
pub(super) fn target(action: &Value) -> String {
    if let Some(cluster) = action["cluster"].as_str() {
        return cluster.to_owned();
    }
    let weighted = list(&action["weightedClusters"]["clusters"]).iter();
    let parts: Vec<String> = weighted
        .map(|part| format!("{} {}", part["weight"].as_u64().unwrap_or(0), text(&part["name"])))
        .collect();
    parts.join(", ")
}
