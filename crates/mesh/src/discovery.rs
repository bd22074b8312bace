//! `discoverySelectors`: objects of namespaces that no selector chooses are as if they were not there (spec 5.1).
//! Objects of the cluster, namespaces and the mesh configuration itself are always seen.

use std::collections::BTreeSet;

use config::{Change, Changeset, ConfigKey, ConfigStore, Kind};
use model::{Labels, Namespace};
use proto::istio::mesh::LabelSelector;

use crate::{Mesh, MeshSettings};

impl Mesh {
    /// The names of the namespaces there are and that `discoverySelectors` choose.
    pub fn selected_namespaces(&self) -> Vec<String> {
        let discovery = Discovery::of(self.settings(), self.store());
        let names = self.store().namespaces().iter().map(|object| object.meta.name.clone());
        let is_chosen = |name: &String| {
            discovery.namespaces.as_ref().is_none_or(|names| names.contains(&Namespace::from(name.as_str())))
        };
        names.map(|name| name.to_string()).filter(is_chosen).collect()
    }
}

/// Which namespaces are seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Discovery {
    /// `None` for all.
    namespaces: Option<BTreeSet<Namespace>>,
}

impl Discovery {
    /// What the mesh configuration selects of the namespaces there are.
    pub(crate) fn of(settings: &MeshSettings, store: &ConfigStore) -> Self {
        let selectors = &settings.config.discovery_selectors;
        if selectors.is_empty() {
            return Self::default();
        }
        let selected = store
            .namespaces()
            .iter()
            .filter(|object| {
                selectors.iter().any(|selector| selects(selector, &object.meta.labels, &object.meta.name))
            })
            .map(|object| Namespace::new(object.meta.name.clone()))
            .collect();
        Self { namespaces: Some(selected) }
    }

    /// Whether an object of that key is seen.
    fn sees(&self, key: &ConfigKey) -> bool {
        key.namespace.is_empty()
            || matches!(key.kind, Kind::Namespace | Kind::ConfigMap)
            || self.namespaces.as_ref().is_none_or(|names| names.contains(&key.namespace))
    }

    /// The objects that are seen.
    pub(crate) fn visible(&self, all: &ConfigStore) -> ConfigStore {
        if self.namespaces.is_none() {
            return all.clone();
        }
        all.iter().filter(|object| self.sees(&object.key())).collect()
    }

    /// What is seen after changes to all objects, and what changed of it. `before` is how it was seen until now.
    pub(crate) fn advance(
        &self,
        before: &Self,
        seen: &ConfigStore,
        all: &ConfigStore,
        changes: &[Change],
    ) -> (ConfigStore, Vec<Change>) {
        if self == before {
            if self.namespaces.is_none() {
                return (all.clone(), changes.to_vec());
            }
            let mut next = seen.clone();
            let mut visible = Changeset::default();
            for change in changes.iter().filter(|change| self.sees(&change.key)) {
                put(&mut visible, change.key.clone(), change.new.clone());
            }
            let changed = next.apply(visible);
            return (next, changed);
        }
        let target = self.visible(all);
        let mut difference = Changeset::default();
        for object in seen.iter().filter(|object| target.get(&object.key()).is_none()) {
            difference.delete(object.key());
        }
        target.iter().for_each(|object| difference.upsert(object));
        let mut next = seen.clone();
        let changed = next.apply(difference);
        (next, changed)
    }
}

fn put(changes: &mut Changeset, key: ConfigKey, new: Option<config::AnyObject>) {
    match new {
        Some(object) => changes.upsert(object),
        None => changes.delete(key),
    }
}

/// Kubernetes' reading of a selector. The label that holds a namespace's own name need not be written on it.
fn selects(selector: &LabelSelector, labels: &Labels, name: &str) -> bool {
    let value =
        |key: &str| labels.value(key).or_else(|| (key == "kubernetes.io/metadata.name").then_some(name));
    selector.match_labels.iter().all(|(key, wanted)| value(key) == Some(wanted))
        && selector.match_expressions.iter().all(|expression| {
            let found = value(&expression.key);
            let listed = found.is_some_and(|found| expression.values.iter().any(|v| v == found));
            match expression.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}
