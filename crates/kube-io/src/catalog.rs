//! What the API server holds as far as it is known, kind by kind, and what follows: the objects in force and all
//! there is to complain of. Knows no network and no time.

use std::collections::{BTreeMap, BTreeSet};

use config::{AnyObject, Changeset, ConfigKey, Kind, Rejection, SourceEvent};

use crate::decode::{Decoded, Item};

/// The state behind an API server.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    objects: BTreeMap<ConfigKey, AnyObject>,
    rejections: BTreeMap<ConfigKey, Rejection>,
    faults: BTreeMap<String, String>,
    changes: Changeset,
    told: (Vec<Rejection>, Vec<String>),
}

impl Catalog {
    /// Takes a whole list of a kind in: what is not in it is gone.
    pub(crate) fn replace(&mut self, kind: Kind, items: Vec<Item>) {
        let listed: BTreeSet<ConfigKey> = items.iter().map(|item| item.key.clone()).collect();
        let first = ConfigKey::new(kind, "", "");
        let known = self.objects.range(first.clone()..).map(|(key, _)| key);
        let rejected = self.rejections.range(first..).map(|(key, _)| key);
        let gone: BTreeSet<ConfigKey> = known
            .take_while(|key| key.kind == kind)
            .chain(rejected.take_while(|key| key.kind == kind))
            .filter(|key| !listed.contains(*key))
            .cloned()
            .collect();
        for key in gone {
            self.remove(key);
        }
        for item in items {
            self.put(item);
        }
    }

    /// Takes one object in.
    pub(crate) fn put(&mut self, Item { key, decoded }: Item) {
        match decoded {
            Decoded::Object(object) => {
                self.rejections.remove(&key);
                if self.objects.get(&key) != Some(&object) {
                    self.objects.insert(key, object.clone());
                    self.changes.upsert(object);
                }
            }
            Decoded::Rejected(rejection) => {
                self.rejections.insert(key, rejection);
            }
            Decoded::Passed => self.remove(key),
        }
    }

    /// Takes an object out.
    pub(crate) fn remove(&mut self, key: ConfigKey) {
        self.rejections.remove(&key);
        if self.objects.remove(&key).is_some() {
            self.changes.delete(key);
        }
    }

    /// Notes what is amiss with a collection, or that nothing is any more.
    pub(crate) fn fault(&mut self, collection: &str, message: Option<String>) {
        match message {
            Some(message) => self.faults.insert(collection.to_owned(), message),
            None => self.faults.remove(collection),
        };
    }

    /// What is amiss now.
    pub(crate) fn faults(&self) -> impl Iterator<Item = String> {
        self.faults.iter().map(|(collection, message)| {
            format!("{collection} cannot be watched, its objects stay as they were: {message}")
        })
    }

    /// What happened since the last call; `None` if nothing did.
    pub(crate) fn event(&mut self, is_first: bool) -> Option<SourceEvent> {
        let changes = std::mem::take(&mut self.changes);
        let rejections: Vec<Rejection> = self.rejections.values().cloned().collect();
        let warnings: Vec<String> = self.faults().collect();
        if !is_first && changes.is_empty() && rejections == self.told.0 && warnings == self.told.1 {
            return None;
        }
        self.told = (rejections.clone(), warnings.clone());
        Some(SourceEvent { changes, rejections, warnings })
    }
}
