//! Compares pods by meaning: containers, volumes and variables by name, quantities by value, JSON and YAML inside
//! strings by value.

use std::collections::BTreeMap;

use serde_json::Value;

/// What differs between the pod wanted and ours, as one line each.
pub(crate) fn differences(wanted: &Value, ours: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", wanted, ours, &mut found);
    for list in ["containers", "initContainers"] {
        let (wanted, ours) = (names(&wanted["spec"][list]), names(&ours["spec"][list]));
        if wanted != ours {
            found.push(format!("spec.{list}: order {wanted:?}, ours {ours:?}"));
        }
    }
    found
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

fn compare(path: &str, wanted: &Value, ours: &Value, found: &mut Vec<String>) {
    match (wanted, ours) {
        (Value::Object(wanted), Value::Object(ours)) => {
            let all: std::collections::BTreeSet<&String> = wanted.keys().chain(ours.keys()).collect();
            for name in all {
                let of =
                    |members: &serde_json::Map<String, Value>| members.get(name).cloned().unwrap_or_default();
                compare(&format!("{path}.{name}"), &of(wanted), &of(ours), found);
            }
        }
        (Value::Array(wanted), Value::Array(ours)) => compare_lists(path, wanted, ours, found),
        (Value::String(left), Value::String(right)) if same_text(path, left, right) => {}
        (wanted, ours) if wanted == ours => {}
        (wanted, ours) => found.push(format!("{path}: wanted {wanted}, ours {ours}")),
    }
}

fn compare_lists(path: &str, wanted: &[Value], ours: &[Value], found: &mut Vec<String>) {
    let keyed = ["containers", "initContainers", "volumes", "env", "volumeMounts"];
    let member = path.rsplit('.').next().unwrap_or_default();
    if !keyed.contains(&member) {
        if wanted.len() != ours.len() {
            found.push(format!("{path}: wanted {}, ours {}", Value::from(wanted), Value::from(ours)));
            return;
        }
        for (index, (wanted, ours)) in wanted.iter().zip(ours).enumerate() {
            compare(&format!("{path}[{index}]"), wanted, ours, found);
        }
        return;
    }
    let key = if member == "volumeMounts" { "mountPath" } else { "name" };
    let by_name = |list: &[Value]| -> BTreeMap<String, Value> {
        list.iter().map(|item| (item[key].as_str().unwrap_or_default().to_owned(), item.clone())).collect()
    };
    if member == "env" {
        let order = |list: &[Value]| -> Vec<String> {
            list.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect()
        };
        if order(wanted) != order(ours) {
            found.push(format!("{path}: order {:?}, ours {:?}", order(wanted), order(ours)));
        }
    }
    let (wanted, ours) = (by_name(wanted), by_name(ours));
    for (name, item) in &wanted {
        match ours.get(name) {
            Some(ours) => compare(&format!("{path}[{name}]"), item, ours, found),
            None => found.push(format!("{path}[{name}]: missing")),
        }
    }
    for name in ours.keys().filter(|name| !wanted.contains_key(*name)) {
        found.push(format!("{path}[{name}]: not wanted"));
    }
}

fn same_text(path: &str, left: &str, right: &str) -> bool {
    let json =
        |text: &str| serde_json::from_str::<Value>(text).ok().filter(|v| v.is_object() || v.is_array());
    let is_quantity = path.contains(".resources.");
    left == right
        || matches!((json(left), json(right)), (Some(left), Some(right)) if left == right)
        || is_quantity && quantity(left).is_some() && quantity(left) == quantity(right)
}

/// A quantity in thousandths.
fn quantity(text: &str) -> Option<u128> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let scale = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "Ki" => 1024 * 1000,
        "Mi" => 1024 * 1024 * 1000,
        "Gi" => 1024 * 1024 * 1024 * 1000,
        _ => return None,
    };
    Some(digits.parse::<u128>().ok()? * scale)
}
