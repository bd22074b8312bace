//! Everything one class of proxies should have at one moment. Immutable; the next one shares what did not change.
//! That every resource named by another one is present is the duty of who builds it.

use std::array;

use model::Fingerprint;

use crate::{Resource, ResourceSet, ResourceType};

const N_TYPES: usize = ResourceType::ALL.len();

/// All resources of a class of proxies, by type and name.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    sets: [ResourceSet; N_TYPES],
}

impl Snapshot {
    /// A builder that starts from this snapshot.
    pub fn to_builder(&self) -> SnapshotBuilder {
        SnapshotBuilder { snapshot: self.clone() }
    }

    /// The resources of one type.
    pub fn resources(&self, resource_type: ResourceType) -> &ResourceSet {
        &self.sets[resource_type.index()]
    }

    /// The version of all types together: equal content has equal versions.
    pub fn version(&self) -> String {
        Fingerprint::of_hash(&array::from_fn::<u128, N_TYPES, _>(|index| self.sets[index].sum())).short()
    }
}

/// Builds a [`Snapshot`].
#[derive(Clone, Debug, Default)]
pub struct SnapshotBuilder {
    snapshot: Snapshot,
}

impl SnapshotBuilder {
    /// Adds or replaces a resource.
    pub fn insert(&mut self, resource_type: ResourceType, resource: Resource) -> &mut Self {
        self.snapshot.sets[resource_type.index()].insert(resource);
        self
    }

    /// Removes a resource, if it is there.
    pub fn remove(&mut self, resource_type: ResourceType, name: &str) -> &mut Self {
        self.snapshot.sets[resource_type.index()].remove(name);
        self
    }

    /// Takes a whole type from another snapshot, with which it is shared.
    pub fn share(&mut self, resource_type: ResourceType, with: &Snapshot) -> &mut Self {
        self.snapshot.sets[resource_type.index()] = with.resources(resource_type).clone();
        self
    }

    /// Removes all resources of a type.
    pub fn clear(&mut self, resource_type: ResourceType) -> &mut Self {
        self.snapshot.sets[resource_type.index()] = ResourceSet::default();
        self
    }

    /// The resources of one type as they stand.
    pub fn resources(&self, resource_type: ResourceType) -> &ResourceSet {
        self.snapshot.resources(resource_type)
    }

    /// The snapshot.
    pub fn build(self) -> Snapshot {
        self.snapshot
    }
}
