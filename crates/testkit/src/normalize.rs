//! The normalisation that the corpus' README allows before comparing: lists that are sets get sorted, one field of
//! ECDS is masked. Everything else counts.

use serde_json::Value;

/// Lists whose order means nothing, by field name.
const UNORDERED: &[&str] = &[
    "virtualHosts",
    "domains",
    "queryParameters",
    "ips",
    "matchSubjectAltNames",
    "matchTypedSubjectAltNames",
];

/// Sorts what is unordered and masks what differs every time.
pub fn normalize(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let is_load_assignment = map.contains_key("clusterName") || map.contains_key("endpoints");
            if map.get("key").and_then(Value::as_str) == Some("ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION") {
                map.insert("value".to_owned(), Value::String("*".to_owned()));
            }
            if let Some(masked) = map.get_mut("ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION") {
                *masked = Value::String("*".to_owned());
            }
            for (key, child) in map.iter_mut() {
                normalize(child);
                let unordered = UNORDERED.contains(&key.as_str())
                    || key == "lbEndpoints"
                    || (is_load_assignment && key == "endpoints");
                if let (true, Value::Array(list)) = (unordered, child) {
                    list.sort_by_cached_key(Value::to_string);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(normalize),
        _ => {}
    }
}
