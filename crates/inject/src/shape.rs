//! What must hold of a pod before and after templates had their say: members that we and the API server read are of
//! their types. And the form in which pods are compared: zero values that Kubernetes leaves out are left out.

use serde_json::{Map, Value};

use crate::pod::CONTAINERS;

/// What Kubernetes allows; ours come on top of the user's.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Checks the types of what is read; the error names the member.
pub(crate) fn check(pod: &Value) -> Result<(), String> {
    let Some(members) = pod.as_object() else { return Err("it is not a mapping".to_owned()) };
    if let Some(meta) = members.get("metadata").filter(|meta| !meta.is_null()) {
        let meta = meta.as_object().ok_or("metadata must be a mapping")?;
        for member in ["labels", "annotations"] {
            strings(meta.get(member), &format!("metadata.{member}"))?;
        }
        let annotations = meta.get("annotations").and_then(Value::as_object).into_iter().flatten();
        let size: usize =
            annotations.map(|(name, value)| name.len() + value.as_str().unwrap_or_default().len()).sum();
        if size > MAX_ANNOTATIONS {
            return Err(format!(
                "metadata.annotations has {size} bytes, more than the {MAX_ANNOTATIONS} allowed"
            ));
        }
        for member in ["name", "generateName", "namespace"] {
            text(meta.get(member), &format!("metadata.{member}"))?;
        }
        items(meta.get("ownerReferences"), "metadata.ownerReferences", |_, _| Ok(()))?;
    }
    let Some(spec) = members.get("spec").filter(|spec| !spec.is_null()) else { return Ok(()) };
    let spec = spec.as_object().ok_or("spec must be a mapping")?;
    for list in CONTAINERS {
        items(spec.get(list), &format!("spec.{list}"), check_container)?;
    }
    for list in ["volumes", "imagePullSecrets"] {
        items(spec.get(list), &format!("spec.{list}"), |item, path| {
            text(item.get("name"), &format!("{path}.name"))
        })?;
    }
    for member in ["securityContext", "dnsConfig"] {
        mapping(spec.get(member), &format!("spec.{member}"))?;
    }
    Ok(())
}

/// Checks one container.
pub(crate) fn check_container(container: &Value, path: &str) -> Result<(), String> {
    if !container.is_object() {
        return Err(format!("{path} must be a mapping"));
    }
    for member in ["name", "image", "imagePullPolicy", "restartPolicy", "workingDir"] {
        text(container.get(member), &format!("{path}.{member}"))?;
    }
    for member in ["args", "command"] {
        list(container.get(member), &format!("{path}.{member}"), |item, path| text(Some(item), path))?;
    }
    items(container.get("env"), &format!("{path}.env"), |variable, path| {
        text(variable.get("name"), &format!("{path}.name"))?;
        text(variable.get("value"), &format!("{path}.value"))
    })?;
    items(container.get("ports"), &format!("{path}.ports"), |port, path| {
        text(port.get("name"), &format!("{path}.name"))?;
        text(port.get("protocol"), &format!("{path}.protocol"))?;
        match port.get("containerPort") {
            None | Some(Value::Null | Value::Number(_)) => Ok(()),
            Some(other) => Err(mistyped(&format!("{path}.containerPort"), "a number", other)),
        }
    })?;
    items(container.get("volumeMounts"), &format!("{path}.volumeMounts"), |mount, path| {
        text(mount.get("name"), &format!("{path}.name"))?;
        text(mount.get("mountPath"), &format!("{path}.mountPath"))
    })?;
    for member in
        ["resources", "securityContext", "lifecycle", "readinessProbe", "livenessProbe", "startupProbe"]
    {
        mapping(container.get(member), &format!("{path}.{member}"))?;
    }
    Ok(())
}

fn mistyped(path: &str, wanted: &str, value: &Value) -> String {
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    format!("{path} must be {wanted}, not {is}")
}

fn text(value: Option<&Value>, path: &str) -> Result<(), String> {
    match value {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(other) => Err(mistyped(path, "a string", other)),
    }
}

fn mapping(value: Option<&Value>, path: &str) -> Result<(), String> {
    match value {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(other) => Err(mistyped(path, "a mapping", other)),
    }
}

fn strings(value: Option<&Value>, path: &str) -> Result<(), String> {
    mapping(value, path)?;
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members.into_iter().try_for_each(|(name, value)| text(Some(value), &format!("{path}[{name}]")))
}

fn list(
    value: Option<&Value>,
    path: &str,
    check: fn(&Value, &str) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(all)) => {
            all.iter().enumerate().try_for_each(|(index, item)| check(item, &format!("{path}[{index}]")))
        }
        Some(other) => Err(mistyped(path, "a list", other)),
    }
}

fn items(
    value: Option<&Value>,
    path: &str,
    check: fn(&Value, &str) -> Result<(), String>,
) -> Result<(), String> {
    list(value, path, |item, path| mapping(Some(item).filter(|item| !item.is_null()), path))?;
    if value.and_then(Value::as_array).is_some_and(|all| all.iter().any(Value::is_null)) {
        return Err(format!("{path} must not hold null"));
    }
    list(value, path, check)
}

/// Leaves out what Kubernetes leaves out when it writes a pod: nulls, empty lists and maps, zeros and empty strings of
/// members that mean the same without them.
pub(crate) fn drop_zeros(pod: &mut Value) {
    drop_nulls(pod);
    if let Some(meta) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|name, value| match name.as_str() {
            "labels" | "annotations" | "ownerReferences" | "finalizers" => !is_zero(value),
            _ => true,
        });
    }
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    spec.retain(|name, value| name == "containers" || !(is_zero_list(value) || is_plain_zero(value)));
    for name in CONTAINERS {
        for container in spec.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten() {
            drop_zeros_of_container(container);
        }
    }
}

/// The same for a container.
pub(crate) fn drop_zeros_of_container(container: &mut Value) {
    drop_nulls(container);
    let Some(members) = container.as_object_mut() else { return };
    members.retain(|name, value| name == "name" || !(is_zero_list(value) || is_plain_zero(value)));
    for list in ["env", "ports", "volumeMounts"] {
        for item in members.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            drop_plain(item.as_object_mut(), |name| {
                !matches!(name, "name" | "mountPath" | "containerPort") || list == "ports" && name == "name"
            });
        }
    }
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        let probe = members.get_mut(probe).and_then(Value::as_object_mut);
        drop_plain(probe, |name| name != "terminationGracePeriodSeconds");
    }
    if let Some(resources) = members.get_mut("resources").and_then(Value::as_object_mut) {
        resources.retain(|_, value| !is_zero(value));
    }
}

fn drop_plain(members: Option<&mut Map<String, Value>>, may_go: impl Fn(&str) -> bool) {
    if let Some(members) = members {
        members.retain(|name, value| !(may_go(name) && is_plain_zero(value)));
    }
}

fn is_plain_zero(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn is_zero_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn is_zero(value: &Value) -> bool {
    is_zero_list(value) || value.as_object().is_some_and(Map::is_empty)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
