//! A part of a pod laid over a pod, as Kubernetes' strategic merge patch does it: maps member by member, lists with a
//! merge key item by item, other lists whole; null removes. (Kubernetes documentation, "Strategic merge patch".)

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Where in a pod a value stands, as far as merging depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Pod,
    Meta,
    Spec,
    Container,
    Other,
}

/// How a list is merged.
enum Lists {
    /// Items with the same value of this member are one item.
    By(&'static str),
    /// A set of scalars.
    Set,
    /// The patch takes its place.
    Whole,
}

impl Place {
    fn below(self, member: &str) -> Self {
        match (self, member) {
            (Self::Pod, "metadata") => Self::Meta,
            (Self::Pod, "spec") => Self::Spec,
            (Self::Spec, "containers" | "initContainers" | "ephemeralContainers") => Self::Container,
            _ => Self::Other,
        }
    }

    fn lists(self, member: &str) -> Lists {
        match (self, member) {
            (
                Self::Spec,
                "containers"
                | "initContainers"
                | "ephemeralContainers"
                | "volumes"
                | "imagePullSecrets"
                | "resourceClaims"
                | "schedulingGates",
            )
            | (Self::Container, "env") => Lists::By("name"),
            (Self::Spec, "hostAliases") => Lists::By("ip"),
            (Self::Spec, "topologySpreadConstraints") => Lists::By("topologyKey"),
            (Self::Container, "ports") => Lists::By("containerPort"),
            (Self::Container, "volumeMounts") => Lists::By("mountPath"),
            (Self::Container, "volumeDevices") => Lists::By("devicePath"),
            (Self::Meta, "ownerReferences") => Lists::By("uid"),
            (Self::Meta, "finalizers") => Lists::Set,
            _ => Lists::Whole,
        }
    }
}

/// Lays a patch over a pod.
pub(crate) fn merge(pod: &mut Value, patch: Value) -> Result<(), String> {
    match (pod.as_object_mut(), patch) {
        (_, Value::Null) => Ok(()),
        (Some(pod), Value::Object(patch)) => merge_members(pod, patch, Place::Pod),
        _ => Err("it must be a mapping with the members of a Pod".to_owned()),
    }
}

fn merge_members(
    under: &mut Map<String, Value>,
    mut over: Map<String, Value>,
    place: Place,
) -> Result<(), String> {
    match over.remove("$patch").as_ref().and_then(Value::as_str) {
        Some("replace") => {
            let mut fresh = Value::Object(over);
            drop_directives(&mut fresh);
            if let Value::Object(fresh) = fresh {
                *under = fresh;
            }
            return Ok(());
        }
        Some("delete") => {
            under.clear();
            return Ok(());
        }
        _ => {}
    }
    if let Some(Value::Array(kept)) = over.remove("$retainKeys") {
        under.retain(|name, _| kept.iter().any(|key| key == name));
    }
    for (name, value) in over {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(under)), Value::Array(gone)) = (under.get_mut(list), value) {
                under.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if name.starts_with("$setElementOrder/") {
            continue;
        }
        match (under.get_mut(&name), value) {
            (_, Value::Null) => {
                under.remove(&name);
            }
            (Some(Value::Object(under)), Value::Object(over)) => {
                merge_members(under, over, place.below(&name))?;
            }
            (Some(Value::Array(under)), Value::Array(over)) => merge_list(under, over, place, &name)?,
            (_, mut value) => {
                drop_directives(&mut value);
                under.insert(name, value);
            }
        }
    }
    Ok(())
}

fn merge_list(under: &mut Vec<Value>, over: Vec<Value>, place: Place, member: &str) -> Result<(), String> {
    match place.lists(member) {
        Lists::Whole => {
            let mut over = Value::Array(over);
            drop_directives(&mut over);
            if let Value::Array(over) = over {
                *under = over;
            }
            Ok(())
        }
        Lists::Set => {
            for item in over {
                if !under.contains(&item) {
                    under.push(item);
                }
            }
            Ok(())
        }
        Lists::By(key) => merge_items(under, over, key, place.below(member), member),
    }
}

fn merge_items(
    under: &mut Vec<Value>,
    over: Vec<Value>,
    key: &str,
    place: Place,
    member: &str,
) -> Result<(), String> {
    let identity = |item: &Value| item.get(key).map(Value::to_string);
    let replaces = |item: &Value| directive(item) == Some("replace") && item.get(key).is_none();
    if over.iter().any(replaces) {
        under.clear();
    }
    let gone: BTreeSet<String> =
        over.iter().filter(|item| directive(item) == Some("delete")).filter_map(identity).collect();
    under.retain(|item| identity(item).is_none_or(|identity| !gone.contains(&identity)));
    // Of several items that are the same, the first is the one that is patched.
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (index, item) in under.iter().enumerate() {
        if let Some(identity) = identity(item) {
            known.entry(identity).or_insert(index);
        }
    }
    let mut patched: Vec<Value> = Vec::new();
    let mut places: Vec<Option<usize>> = Vec::new();
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for mut item in over.into_iter().filter(|item| !replaces(item) && directive(item) != Some("delete")) {
        if !item.is_object() {
            return Err(format!("the items of {member} must be mappings"));
        }
        let Some(identity) = identity(&item) else {
            return Err(format!("an item of {member} has no {key}"));
        };
        if let Some(Value::Object(earlier)) = done.get(&identity).and_then(|index| patched.get_mut(*index)) {
            if let Value::Object(item) = item {
                merge_members(earlier, item, place)?;
            }
            continue;
        }
        let found = known.get(&identity).copied();
        done.insert(identity, patched.len());
        places.push(found);
        match (found.and_then(|index| under.get(index)).cloned(), item) {
            (Some(Value::Object(mut earlier)), Value::Object(item)) => {
                merge_members(&mut earlier, item, place)?;
                patched.push(Value::Object(earlier));
            }
            (_, fresh) => {
                item = fresh;
                drop_directives(&mut item);
                patched.push(item);
            }
        }
    }
    *under = interleave(std::mem::take(under), patched, &places);
    Ok(())
}

/// The patched items in the order of the patch; those that the patch does not name stand before the first patched
/// item that followed them, and else at the end.
fn interleave(under: Vec<Value>, patched: Vec<Value>, places: &[Option<usize>]) -> Vec<Value> {
    let mut others =
        under.into_iter().enumerate().filter(|(index, _)| !places.contains(&Some(*index))).peekable();
    let mut all = Vec::new();
    for (item, place) in patched.into_iter().zip(places) {
        while let Some((_, other)) = others.next_if(|(index, _)| place.is_some_and(|place| *index < place)) {
            all.push(other);
        }
        all.push(item);
    }
    all.extend(others.map(|(_, other)| other));
    all
}

fn directive(item: &Value) -> Option<&str> {
    item.get("$patch").and_then(Value::as_str)
}

/// What is new comes without directives and without nulls.
fn drop_directives(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, value| !value.is_null() && !name.starts_with('$'));
            members.values_mut().for_each(drop_directives);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_directives),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
