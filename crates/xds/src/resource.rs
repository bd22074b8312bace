//! A resource is a name and the bytes of its `Any`; a set of them is a persistent map, so that the next snapshot and
//! every session's memory of what it sent share all that did not change.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use model::{Fingerprint, Fingerprinter};
use proto::envoy;
use std::hash::Hash;

use crate::ResourceType;

/// One resource, ready to be sent. Printed without its bytes, which may hold a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    name: Arc<str>,
    fingerprint: Fingerprint,
    body: Bytes,
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("name", &self.name)
            .field("n_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Resource {
    /// A resource of that name; `body` is an encoded `google.protobuf.Any`.
    pub fn new(name: impl Into<Arc<str>>, body: Bytes) -> Self {
        let fingerprint = Fingerprint::of(&body);
        Self { name: name.into(), fingerprint, body }
    }

    /// A resource of that name which holds nothing, for the types in which that means something.
    pub(crate) fn empty(resource_type: ResourceType, name: &Arc<str>) -> Option<Self> {
        let body = match resource_type {
            ResourceType::Endpoint => proto::pack::encoded_any(&envoy::endpoint::ClusterLoadAssignment {
                cluster_name: name.to_string(),
                ..Default::default()
            }),
            ResourceType::Route => proto::pack::encoded_any(&envoy::route::RouteConfiguration {
                name: name.to_string(),
                ..Default::default()
            }),
            _ => return None,
        };
        Some(Self::new(Arc::clone(name), body))
    }

    /// The same where the fingerprint of `body` is known already.
    pub fn with_fingerprint(name: impl Into<Arc<str>>, body: Bytes, fingerprint: Fingerprint) -> Self {
        Self { name: name.into(), fingerprint, body }
    }

    /// The name by which clients subscribe.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The encoded `google.protobuf.Any`.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What the version is made of.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// A property of the content alone, so it is the same on every replica.
    pub fn version(&self) -> String {
        self.fingerprint.short()
    }
}

/// The resources of one type, by name; cheap to clone and to compare with an ancestor.
#[derive(Clone, Debug, Default)]
pub struct ResourceSet {
    resources: OrdMap<Arc<str>, Resource>,
    /// The sum of what [`digest`] gives for each resource: it can follow a change without looking at the rest.
    sum: u128,
}

impl ResourceSet {
    /// The resource of that name.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// The version of all together.
    pub fn version(&self) -> String {
        Fingerprint(self.sum).short()
    }

    /// Whether both hold the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.sum == other.sum && self.len() == other.len()
    }

    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    /// Adds or replaces; a resource of the same content leaves the set as it is.
    pub(crate) fn insert(&mut self, resource: Resource) {
        if let Some(old) = self.resources.get(resource.name()) {
            if old.fingerprint == resource.fingerprint {
                return;
            }
            self.sum = self.sum.wrapping_sub(digest(old));
        }
        self.sum = self.sum.wrapping_add(digest(&resource));
        self.resources.insert(resource.name.clone(), resource);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(old) = self.resources.remove(name) {
            self.sum = self.sum.wrapping_sub(digest(&old));
        }
    }

    /// What is new or changed in `newer`, and the names of what is gone, both by name. Costs what differs, not what
    /// the sets hold, as long as one descends from the other.
    pub(crate) fn changes<'a>(&'a self, newer: &'a Self) -> Changes<'a> {
        let mut changes = Changes::default();
        if self.is_same(newer) {
            return changes;
        }
        for item in self.resources.diff(&newer.resources) {
            match item {
                DiffItem::Add(_, resource) => changes.changed.push(resource),
                DiffItem::Update { old: (_, old), new: (_, new) } if old.fingerprint != new.fingerprint => {
                    changes.changed.push(new);
                }
                DiffItem::Update { .. } => {}
                DiffItem::Remove(name, _) => changes.removed.push(name),
            }
        }
        changes
    }
}

#[derive(Default)]
pub(crate) struct Changes<'a> {
    pub(crate) changed: Vec<&'a Resource>,
    pub(crate) removed: Vec<&'a Arc<str>>,
}

fn digest(resource: &Resource) -> u128 {
    let mut hasher = Fingerprinter::default();
    resource.name.hash(&mut hasher);
    resource.fingerprint.hash(&mut hasher);
    hasher.fingerprint().0
}
