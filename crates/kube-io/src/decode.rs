//! One raw object becomes what the catalog holds of it: the object, or why it is none, under a key that is known even
//! then. What the mesh never reads is dropped before anything is kept.

use std::sync::Arc;

use config::{AnyObject, ConfigKey, Kind, Rejection};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::place::Place;
use crate::prune;

/// Holds the record of a lock; such ConfigMaps change every few seconds and configure nothing.
const LOCK: &str = "control-plane.alpha.kubernetes.io/leader";
/// Which control planes read an object.
const REVISION: &str = "istio.io/rev";

/// What an object is to us.
#[derive(Clone, Debug)]
pub(crate) enum Decoded {
    /// In force.
    Object(AnyObject),
    /// Broken; the last good version stays.
    Rejected(Rejection),
    /// None of ours: of another revision, or without meaning for the mesh. As good as deleted.
    Passed,
}

/// An object with its key.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) key: ConfigKey,
    pub(crate) decoded: Decoded,
}

/// The metadata that every stored object has, however broken the rest is.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Head {
    pub(crate) metadata: HeadMetadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HeadMetadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) resource_version: String,
}

impl Head {
    pub(crate) fn read(raw: &RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    pub(crate) fn key(&self, kind: Kind) -> ConfigKey {
        ConfigKey::new(kind, self.metadata.namespace.as_str(), self.metadata.name.as_str())
    }
}

/// Decodes one object of a kind, as a control plane of that revision sees it. `source` is where it says that it comes
/// from.
pub(crate) fn decode(kind: Kind, place: &Place, revision: &str, source: &str, raw: &RawValue) -> Item {
    let mut value: Value = match prune::read(kind, raw.get()) {
        Ok(value) => value,
        // Nested too deeply for any reader; or not JSON, which no API server sends.
        Err(error) => {
            let (key, source): (_, Arc<str>) = (Head::read(raw).key(kind), source.into());
            let rejection =
                Rejection { key: Some(key.clone()), source, path: String::new(), reason: error.to_string() };
            return Item { key, decoded: Decoded::Rejected(rejection) };
        }
    };
    if let Some(document) = value.as_object_mut() {
        // Items of a list state neither, and a kind may be served in a version that is read as another.
        document.insert("apiVersion".to_owned(), Value::String(place.api_version()));
        document.insert("kind".to_owned(), Value::String(place.name_of_kind.clone()));
    }
    let text = |member: &str| value["metadata"][member].as_str().unwrap_or_default();
    let key = ConfigKey::new(kind, text("namespace"), text("name"));
    let decoded = match config::parse(value, source) {
        Ok(Some(object)) if is_ours(&object, revision) => Decoded::Object(object),
        Ok(_) => Decoded::Passed,
        Err(rejection) => Decoded::Rejected(Rejection { key: Some(key.clone()), ..rejection }),
    };
    Item { key, decoded }
}

fn is_ours(object: &AnyObject, revision: &str) -> bool {
    let meta = object.meta();
    if object.kind() == Kind::ConfigMap {
        return meta.annotation(LOCK).is_none();
    }
    let group = object.kind().group();
    let has_revision = group.ends_with("istio.io") || group.starts_with("gateway.networking.");
    let own = if revision.is_empty() { "default" } else { revision };
    !has_revision || meta.label(REVISION).is_none_or(|stated| stated.is_empty() || stated == own)
}
