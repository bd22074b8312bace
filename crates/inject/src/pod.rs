//! Looking into and changing a pod that is JSON: what is not there, or is of another type, is as good as absent.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The container of the proxy, and those that prepare its network.
pub(crate) const PROXY: &str = "istio-proxy";
pub(crate) const INIT: &str = "istio-init";
pub(crate) const VALIDATION: &str = "istio-validation";
pub(crate) const CORE_DUMP: &str = "enable-core-dump";

/// Deeper documents are refused: no pod comes near, and everything downstream recurses.
const MAX_DEPTH: usize = 64;

/// Whether a document nests deeper than any pod would.
pub(crate) fn is_too_deep(value: &Value) -> bool {
    fn deeper(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(items) => left == 0 || items.iter().any(|item| deeper(item, left - 1)),
            Value::Object(members) => left == 0 || members.values().any(|item| deeper(item, left - 1)),
            _ => false,
        }
    }
    deeper(value, MAX_DEPTH)
}

/// Labels or annotations.
pub(crate) fn strings(pod: &Value, member: &str) -> BTreeMap<String, String> {
    let members = pod.pointer("/metadata").and_then(|meta| meta.get(member)).and_then(Value::as_object);
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    members.into_iter().flatten().filter_map(text).collect()
}

pub(crate) fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

pub(crate) fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.get("metadata")?.get("labels")?.get(name)?.as_str()
}

/// A text member of the metadata; empty if absent.
pub(crate) fn meta<'a>(pod: &'a Value, member: &str) -> &'a str {
    pod.get("metadata").and_then(|meta| meta.get(member)).and_then(Value::as_str).unwrap_or_default()
}

fn member<'a>(value: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    if !value.get(name).is_some_and(Value::is_object) {
        let inner = object(value);
        inner.insert(name.to_owned(), json!({}));
    }
    match object(value).get_mut(name) {
        Some(inner) => object(inner),
        // It was put there just now.
        None => unreachable_object(),
    }
}

#[expect(clippy::unreachable, reason = "the member was inserted on the line before")]
fn unreachable_object() -> &'static mut Map<String, Value> {
    unreachable!("a member that was inserted is there")
}

/// A value as an object, which it becomes if it is none.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(members) => members,
        _ => unreachable_object(),
    }
}

/// The annotations or labels, made if there are none.
pub(crate) fn strings_mut<'a>(pod: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    member(pod, "metadata");
    match pod.get_mut("metadata") {
        Some(meta) => member(meta, name),
        None => unreachable_object(),
    }
}

pub(crate) fn annotate(pod: &mut Value, name: &str, value: impl Into<String>) {
    strings_mut(pod, "annotations").insert(name.to_owned(), Value::String(value.into()));
}

/// A list of the spec; empty if absent.
pub(crate) fn list<'a>(pod: &'a Value, name: &str) -> &'a [Value] {
    pod.get("spec").and_then(|spec| spec.get(name)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A list of the spec, if it is there.
pub(crate) fn list_mut<'a>(pod: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    pod.get_mut("spec")?.get_mut(name)?.as_array_mut()
}

/// A list of the spec, made if there is none.
pub(crate) fn list_made<'a>(pod: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    let spec = member(pod, "spec");
    let list = spec.entry(name.to_owned()).or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    list.as_array_mut()
}

pub(crate) fn name_of(container: &Value) -> &str {
    container.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The container of a name in one of the lists.
pub(crate) fn container<'a>(pod: &'a Value, list_name: &str, name: &str) -> Option<&'a Value> {
    list(pod, list_name).iter().find(|container| name_of(container) == name)
}

/// The proxy: in `containers`, or else in `initContainers`.
pub(crate) fn proxy(pod: &Value) -> Option<&Value> {
    container(pod, "containers", PROXY).or_else(|| container(pod, "initContainers", PROXY))
}

/// The proxy, to change it.
pub(crate) fn proxy_mut(pod: &mut Value) -> Option<&mut Value> {
    let list_name =
        if container(pod, "containers", PROXY).is_some() { "containers" } else { "initContainers" };
    list_mut(pod, list_name)?.iter_mut().find(|container| name_of(container) == PROXY)
}

/// Adds a variable to a container.
pub(crate) fn add_variable(container: &mut Value, name: &str, value: &str) {
    let env = object(container).entry("env").or_insert_with(|| json!([]));
    if let Some(env) = env.as_array_mut() {
        env.push(json!({"name": name, "value": value}));
    }
}

/// Every list of containers that start and stop with the pod.
pub(crate) const CONTAINERS: [&str; 2] = ["initContainers", "containers"];
