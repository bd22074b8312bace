//! CustomResourceDefinitions tell which of our kinds the API server has, in which version and under which plural.

use std::collections::BTreeMap;

use config::Kind;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::place::Place;

/// The definitions that concern us, by their own names.
#[derive(Debug, Default)]
pub(crate) struct Definitions(BTreeMap<String, (Kind, Place)>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    group: String,
    names: Names,
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    kind: String,
    plural: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Version {
    name: String,
    served: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    condition: String,
    status: String,
}

impl Definitions {
    /// Takes a definition in. One that is not established, or serves no version that we read, is as good as none.
    pub(crate) fn put(&mut self, name: &str, raw: &RawValue) {
        match serde_json::from_str::<Document>(raw.get()).ok().and_then(place_of) {
            Some(place) => self.0.insert(name.to_owned(), place),
            None => self.0.remove(name),
        };
    }

    /// Takes a definition out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Where each kind is served.
    pub(crate) fn places(&self) -> BTreeMap<Kind, Place> {
        self.0.values().cloned().collect()
    }
}

fn place_of(Document { spec, status }: Document) -> Option<(Kind, Place)> {
    let kind = Kind::from_group_kind(&spec.group, &spec.names.kind)?;
    let is_established = status.conditions.iter().any(|c| c.condition == "Established" && c.status == "True");
    let is_served = |version: &&&str| spec.versions.iter().any(|v| v.served && v.name == ***version);
    let version = kind.versions().iter().find(is_served)?;
    is_established.then(|| (kind, Place::of(kind, version, &spec.names.plural)))
}
