//! What is to change ([`Changeset`]) and what did change ([`Change`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{AnyObject, ConfigKey, Kind};

/// A set of objects to put in place or to delete, at most one word per key: the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changeset {
    entries: BTreeMap<ConfigKey, Option<AnyObject>>,
}

impl Changeset {
    /// Puts an object in place.
    pub fn upsert(&mut self, object: AnyObject) {
        self.entries.insert(object.key(), Some(object));
    }

    /// Deletes an object.
    pub fn delete(&mut self, key: ConfigKey) {
        self.entries.insert(key, None);
    }

    /// Puts an object in place under a key, which may be of a remote cluster, or deletes what is there.
    pub fn set(&mut self, key: ConfigKey, object: Option<AnyObject>) {
        self.entries.insert(key, object);
    }

    /// The same changes to the objects of a remote cluster.
    #[must_use]
    pub fn in_cluster(self, id: &Arc<str>) -> Self {
        let entries = self.entries.into_iter().map(|(key, object)| (key.in_cluster(id), object));
        Self { entries: entries.collect() }
    }

    /// Adds what came later; it wins.
    pub fn merge(&mut self, later: Changeset) {
        self.entries.extend(later.entries);
    }

    /// Whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many objects are concerned.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether only endpoints move, which need no wait before they are pushed. An empty set is not that.
    pub fn is_endpoint_only(&self) -> bool {
        !self.is_empty() && self.entries.keys().all(|key| matches!(key.kind, Kind::EndpointSlice | Kind::Pod))
    }

    /// Each key with its new object, or none for a deletion, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigKey, Option<&AnyObject>)> {
        self.entries.iter().map(|(key, object)| (key, object.as_ref()))
    }
}

impl IntoIterator for Changeset {
    type Item = (ConfigKey, Option<AnyObject>);
    type IntoIter = std::collections::btree_map::IntoIter<ConfigKey, Option<AnyObject>>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl FromIterator<AnyObject> for Changeset {
    fn from_iter<I: IntoIterator<Item = AnyObject>>(objects: I) -> Self {
        Self { entries: objects.into_iter().map(|object| (object.key(), Some(object))).collect() }
    }
}

/// One object that did change: `old` and `new` differ in content, and one of them is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The object.
    pub key: ConfigKey,
    /// What it was; none if it is new.
    pub old: Option<AnyObject>,
    /// What it is; none if it is gone.
    pub new: Option<AnyObject>,
}
