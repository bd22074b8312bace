//! A resource is a name and the bytes of its `Any`; a set of them is a persistent map, so that the next snapshot and
//! every session's memory of what it sent share all that did not change.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use model::{Fingerprint, Fingerprinter};
use proto::body::Body;
use proto::envoy;
use std::hash::Hash;

use crate::ResourceType;

/// One resource, ready to be sent. Printed without its bytes, which may hold a private key. Cheap to clone, and no
/// larger than a pointer, as each class of proxies has sets of thousands of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource(Arc<Content>);

#[derive(PartialEq, Eq)]
struct Content {
    name: Arc<str>,
    fingerprint: Fingerprint,
    body: Body,
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("name", self.name())
            .field("n_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

impl Resource {
    /// A resource of that name; `body` is an encoded `google.protobuf.Any`.
    pub fn new(name: impl Into<Arc<str>>, body: Bytes) -> Self {
        let fingerprint = Fingerprint::of(&body);
        Self::with_fingerprint(name, body, fingerprint)
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
    pub fn with_fingerprint(
        name: impl Into<Arc<str>>,
        body: impl Into<Body>,
        fingerprint: Fingerprint,
    ) -> Self {
        Self(Arc::new(Content { name: name.into(), fingerprint, body: body.into() }))
    }

    /// The name by which clients subscribe.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The encoded `google.protobuf.Any`.
    pub fn body(&self) -> &Body {
        &self.0.body
    }

    /// What the version is made of.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Whether this is its version.
    pub fn has_version(&self, version: &str) -> bool {
        self.0.fingerprint.is_short(version)
    }

    /// How many bytes every version has.
    pub const VERSION_LEN: usize = 16;

    /// A property of the content alone, so it is the same on every replica.
    pub fn version(&self) -> String {
        self.0.fingerprint.short()
    }
}

/// The resources of one type, by name; cheap to clone and to compare with an ancestor.
#[derive(Clone, Debug, Default)]
pub struct ResourceSet {
    resources: OrdMap<Arc<str>, Resource>,
    /// The sum of what [`digest`] gives for each resource: it can follow a change without looking at the rest.
    sum: u128,
    names: Shared,
}

/// The names of a set, once somebody has asked for all of them. Sets of the same names have it in common as far as one
/// comes from the other.
type Shared = Arc<OnceLock<Arc<BTreeSet<Arc<str>>>>>;

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

    /// What is there under each of these names, which ascend. Goes through the set once where that is less than looking
    /// each of them up.
    pub(crate) fn of_names<'a>(
        &'a self,
        names: &'a BTreeSet<Arc<str>>,
    ) -> impl Iterator<Item = (&'a Arc<str>, Option<&'a Resource>)> {
        let is_much = names.len() >= self.len() / 8;
        let mut all = self.resources.values().peekable();
        names.iter().map(move |name| {
            if !is_much {
                return (name, self.resource(name));
            }
            while all.next_if(|resource| resource.name() < name).is_some() {}
            (name, all.next_if(|resource| resource.name() == name))
        })
    }

    /// The names of all, in memory that is shared with who asked before.
    pub(crate) fn names(&self) -> Arc<BTreeSet<Arc<str>>> {
        Arc::clone(self.names.get_or_init(|| Arc::new(self.resources.keys().cloned().collect())))
    }

    /// Whether these are the names of all.
    pub(crate) fn is_named(&self, names: &BTreeSet<Arc<str>>) -> bool {
        self.len() == names.len() && self.resources.keys().eq(names)
    }

    /// A name came or went.
    fn renamed(&mut self) {
        match Arc::get_mut(&mut self.names) {
            Some(own) => drop(own.take()),
            None => self.names = Arc::default(),
        }
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
            if old.fingerprint() == resource.fingerprint() {
                return;
            }
            self.sum = self.sum.wrapping_sub(digest(old));
        } else {
            self.renamed();
        }
        self.sum = self.sum.wrapping_add(digest(&resource));
        self.resources.insert(Arc::clone(resource.name()), resource);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(old) = self.resources.remove(name) {
            self.sum = self.sum.wrapping_sub(digest(&old));
            self.renamed();
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
                DiffItem::Update { old: (_, old), new: (_, new) }
                    if old.fingerprint() != new.fingerprint() =>
                {
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
    resource.name().hash(&mut hasher);
    resource.fingerprint().hash(&mut hasher);
    hasher.fingerprint().0
}
