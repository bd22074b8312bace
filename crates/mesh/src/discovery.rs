//! `discoverySelectors`: objects of namespaces that no selector chooses are as if they were not there (spec 5.1).
//! Objects of the cluster, namespaces and the mesh configuration itself are always seen. The namespaces of a remote
//! cluster are chosen by the labels they have there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Change, Changeset, ConfigKey, ConfigStore, Kind};
use model::{Labels, Namespace};
use proto::istio::mesh::LabelSelector;

use crate::{Mesh, MeshSettings};

impl Mesh {
    /// The names of the namespaces there are and that `discoverySelectors` choose.
    pub fn selected_namespaces(&self) -> Vec<String> {
        let discovery = Discovery::of(self.settings(), self.store());
        let names = self.store().namespaces().iter().map(|object| object.meta.name.clone());
        let is_chosen = |name: &String| discovery.chooses(None, &Namespace::from(name.as_str()));
        names.map(|name| name.to_string()).filter(is_chosen).collect()
    }
}

/// Which namespaces are seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Discovery {
    /// By remote cluster, `None` being our own; `None` for all of all.
    namespaces: Option<BTreeMap<Option<Arc<str>>, BTreeSet<Namespace>>>,
}

impl Discovery {
    /// What the mesh configuration selects of the namespaces there are.
    pub(crate) fn of(settings: &MeshSettings, store: &ConfigStore) -> Self {
        let selectors = &settings.config.discovery_selectors;
        if selectors.is_empty() {
            return Self::default();
        }
        let selected = |store: &ConfigStore| {
            let namespaces = store.namespaces().iter().filter(|object| {
                selectors.iter().any(|selector| selects(selector, &object.meta.labels, &object.meta.name))
            });
            let names = namespaces.map(|object| Namespace::new(object.meta.name.clone())).collect();
            (store.cluster().cloned(), names)
        };
        Self { namespaces: Some(std::iter::once(store).chain(store.remotes()).map(selected).collect()) }
    }

    /// Whether a namespace of a cluster is seen.
    fn chooses(&self, cluster: Option<&Arc<str>>, namespace: &Namespace) -> bool {
        let Some(all) = &self.namespaces else { return true };
        all.get(&cluster.cloned()).is_some_and(|names| names.contains(namespace))
    }

    /// Whether an object of that key is seen.
    fn sees(&self, key: &ConfigKey) -> bool {
        key.namespace.is_empty()
            || matches!(key.kind, Kind::Namespace | Kind::ConfigMap)
            || self.chooses(key.cluster.as_ref(), &key.namespace)
    }

    /// The objects that are seen.
    pub(crate) fn visible(&self, all: &ConfigStore) -> ConfigStore {
        if self.namespaces.is_none() {
            return all.clone();
        }
        let mut visible = Changeset::default();
        for key in keys(all).filter(|key| self.sees(key)) {
            let object = all.get(&key);
            visible.set(key, object);
        }
        let mut store = ConfigStore::default();
        store.apply(visible);
        store
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
                visible.set(change.key.clone(), change.new.clone());
            }
            let changed = next.apply(visible);
            return (next, changed);
        }
        let target = self.visible(all);
        let mut difference = Changeset::default();
        for key in keys(seen).chain(keys(&target)) {
            let object = target.get(&key);
            difference.set(key, object);
        }
        let mut next = seen.clone();
        let changed = next.apply(difference);
        (next, changed)
    }
}

/// The keys of all objects, those of remote clusters among them.
fn keys(store: &ConfigStore) -> impl Iterator<Item = ConfigKey> {
    std::iter::once(store).chain(store.remotes()).flat_map(|of_cluster| {
        of_cluster.iter().map(|object| ConfigKey { cluster: of_cluster.cluster().cloned(), ..object.key() })
    })
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
