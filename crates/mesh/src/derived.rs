//! Objects of the Gateway API and Ingresses stand for objects of Istio's API (crate `gateway-api`). These join the
//! others before any index is built, so that nothing above knows the difference. What a user wrote under the same name
//! goes first.

use std::sync::Arc;

use config::{Change, Changeset, ConfigKey, ConfigStore};
use gateway_api::{Derived, Settings};

use crate::MeshSettings;

/// What the objects of a store stand for.
pub(crate) fn of(seen: &ConfigStore, settings: &MeshSettings) -> Derived {
    let settings = Settings {
        mesh: &settings.config,
        domain: &settings.domain,
        ingress_namespace: &settings.features.ingress_namespace,
        alpha: settings.features.alpha_gateway_api,
    };
    gateway_api::derive(seen, settings)
}

/// The objects of a store and what they stand for.
pub(crate) fn all(seen: &ConfigStore, derived: &Derived) -> ConfigStore {
    let mut all = seen.clone();
    let more = derived.objects().filter(|(key, _)| seen.get(key).is_none()).map(|(_, object)| object.clone());
    all.apply(more.collect());
    all
}

/// What is to be done to bring all objects up to date. `changes` are those of the objects that are seen; it costs
/// nothing more as long as what they stand for is the same.
pub(crate) fn difference(
    changes: &[Change],
    old: &Arc<Derived>,
    new: &Arc<Derived>,
    seen: &ConfigStore,
) -> Changeset {
    let mut difference = Changeset::default();
    let mut settle = |key: &ConfigKey| match seen.get(key).or_else(|| new.get(key).cloned()) {
        Some(object) => difference.upsert(object),
        None => difference.delete(key.clone()),
    };
    for change in changes {
        settle(&change.key);
    }
    if !Arc::ptr_eq(old, new) {
        for (key, _) in old.objects().chain(new.objects()) {
            settle(key);
        }
    }
    difference
}
