//! Resources that are made together, with the questions that were asked for them, and how they come into a snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh::Reads;
use model::Findings;
use translate::{Context, Resource};
use xds::{ResourceType, SnapshotBuilder};

/// Resources that are made together.
#[derive(Clone, Default)]
pub(crate) struct Group {
    pub(crate) resources: Arc<[Resource]>,
    pub(crate) reads: Reads,
    /// What came up while their inputs were gathered, and what was found in rendering them. Kept, as it is asked for
    /// after each change, and there are many more resources than findings.
    findings: Findings,
}

impl Group {
    /// Resources that were just made, with what was asked and what came up for them.
    pub(crate) fn made(resources: Vec<Resource>, ctx: &Context<'_>) -> Self {
        let mut findings = ctx.findings.take();
        findings.issues.extend(resources.iter().flat_map(|resource| resource.piece.issues.iter().cloned()));
        Self { resources: resources.into(), reads: ctx.reader.take_reads(), findings }
    }

    /// The same, in the memory of another of the same content as far as that goes: what is made for the proxies of one
    /// namespace hardly differs from what is made for those of another.
    pub(crate) fn like(mut self, other: &Arc<Self>) -> Arc<Self> {
        let is_same = |(a, b): (&Resource, &Resource)| a.name == b.name && Arc::ptr_eq(&a.piece, &b.piece);
        let all_same = self.resources.len() == other.resources.len()
            && self.resources.iter().zip(&*other.resources).all(is_same);
        if !all_same {
            return Arc::new(self);
        }
        if self.reads == other.reads && self.findings == other.findings {
            return Arc::clone(other);
        }
        self.resources = Arc::clone(&other.resources);
        Arc::new(self)
    }

    /// The same, with the names in the memory of another group as far as they are there.
    pub(crate) fn named_as(mut self, other: &Self) -> Self {
        let known: BTreeSet<&Arc<str>> = other.resources.iter().map(|resource| &resource.name).collect();
        for resource in Arc::make_mut(&mut self.resources) {
            if let Some(name) = known.get(&resource.name) {
                resource.name = Arc::clone(name);
            }
        }
        self
    }

    /// Whether the same was found for both.
    pub(crate) fn found_as(&self, other: &Self) -> bool {
        self.findings == other.findings
    }

    /// Adds what the user should know about them, and what is counted.
    pub(crate) fn add_findings(&self, all: &mut Findings) {
        all.add(&self.findings);
    }
}

/// A resource as sessions have it. Its fingerprint is known, so its bytes are not looked at.
pub(crate) fn to_xds(resource: &Resource) -> xds::Resource {
    let piece = &resource.piece;
    xds::Resource::with_fingerprint(Arc::clone(&resource.name), piece.bytes.clone(), piece.fingerprint)
}

/// Puts a whole type in place, but what Envoy would refuse; what is unchanged keeps its place in memory.
pub(crate) fn replace(builder: &mut SnapshotBuilder, kind: ResourceType, resources: &[Resource]) {
    let sent = || resources.iter().filter(|resource| !resource.piece.is_refused);
    let names: BTreeSet<&str> = sent().map(|resource| &*resource.name).collect();
    let gone: Vec<Arc<str>> = builder
        .resources(kind)
        .iter()
        .map(|resource| Arc::clone(resource.name()))
        .filter(|name| !names.contains(&**name))
        .collect();
    for name in gone {
        builder.remove(kind, &name);
    }
    for resource in sent() {
        let known = builder.resources(kind).resource(&resource.name);
        if known.is_none_or(|known| known.fingerprint() != resource.piece.fingerprint) {
            builder.insert(kind, to_xds(resource));
        }
    }
}
