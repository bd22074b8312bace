//! The state of one class of proxies: its scope, its resources with what each asked, its snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh::{Dirty, Mesh, Reader, Reads};
use scope::{ProxyClass, ProxyScope};
use translate::{Context, Resource};
use xds::{ResourceType, Snapshot};

use crate::assemble::{endpoint_names, extension_names, route_names};
use crate::cache::Cache;
use crate::readers::{Named, Readers};
use crate::report::Report;

/// Names a class within one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClassId(pub(crate) u64);

/// Resources that are made together, and what was asked for them.
#[derive(Clone, Default)]
struct Group {
    resources: Vec<Resource>,
    reads: Reads,
}

/// One class.
#[derive(Clone)]
pub(crate) struct Class {
    pub(crate) id: ClassId,
    pub(crate) proxies: Arc<ProxyClass>,
    pub(crate) scope: Arc<ProxyScope>,
    scope_reads: Reads,
    clusters: Group,
    listeners: Group,
    name_table: Group,
    named: BTreeMap<Named, Group>,
    pub(crate) snapshot: Arc<Snapshot>,
}

/// Short names of the types whose resources are made one by one.
const ENDPOINT: &str = "eds";
const ROUTE: &str = "rds";
const EXTENSION: &str = "ecds";

impl Class {
    /// Builds a class from nothing.
    pub(crate) fn build(
        id: ClassId,
        class: Arc<ProxyClass>,
        mesh: &Mesh,
        cache: &Cache,
        readers: &mut Readers,
        report: &mut Report,
    ) -> Self {
        let reader = Reader::new(mesh);
        let scope = Arc::new(ProxyScope::build(Arc::clone(&class), &reader));
        let mut made = Self {
            id,
            proxies: class,
            scope,
            scope_reads: reader.take_reads(),
            clusters: Group::default(),
            listeners: Group::default(),
            name_table: Group::default(),
            named: BTreeMap::new(),
            snapshot: Arc::default(),
        };
        report.n_scopes += 1;
        readers.class_read(id, &made.scope_reads);
        made.refresh(&reader, cache, &|_| true, &BTreeSet::new(), readers, report);
        made
    }

    /// The class after a change: what asked a question that has another answer now is made again, the rest stays.
    pub(crate) fn advanced(
        &self,
        mesh: &Mesh,
        cache: &Cache,
        dirty: &Dirty,
        named: &BTreeSet<Named>,
        readers: &mut Readers,
        report: &mut Report,
    ) -> Self {
        let reader = Reader::new(mesh);
        let mut next = self.clone();
        if self.scope_reads.meets(dirty.ids()) {
            let scope = ProxyScope::build(Arc::clone(&self.proxies), &reader);
            next.scope_reads = reader.take_reads();
            report.n_scopes += 1;
            readers.class_read(self.id, &next.scope_reads);
            if scope != *self.scope {
                next.scope = Arc::new(scope);
                next.refresh(&reader, cache, &|_| true, &BTreeSet::new(), readers, report);
                return next;
            }
        }
        next.refresh(&reader, cache, &|reads| reads.meets(dirty.ids()), named, readers, report);
        next
    }

    /// Makes again the groups whose reads `stale` picks and the `named` resources, then the snapshot. With an empty
    /// `named` every named resource is asked about by its reads.
    fn refresh(
        &mut self,
        reader: &Reader<'_>,
        cache: &Cache,
        stale: &dyn Fn(&Reads) -> bool,
        named: &BTreeSet<Named>,
        readers: &mut Readers,
        report: &mut Report,
    ) {
        let scope = Arc::clone(&self.scope);
        let ctx = Context { reader, scope: &scope, cache };
        let old_snapshot = Arc::clone(&self.snapshot);
        let mut builder = old_snapshot.to_builder();
        if stale(&self.clusters.reads) || old_snapshot.resources(ResourceType::Cluster).is_empty() {
            report.select("cds");
            self.clusters =
                Group { resources: translate::cluster::generate(&ctx), reads: reader.take_reads() };
            readers.class_read(self.id, &self.clusters.reads);
            replace(&mut builder, ResourceType::Cluster, &self.clusters.resources);
        }
        if stale(&self.listeners.reads) || old_snapshot.resources(ResourceType::Listener).is_empty() {
            report.select("lds");
            self.listeners =
                Group { resources: translate::listener::generate(&ctx), reads: reader.take_reads() };
            readers.class_read(self.id, &self.listeners.reads);
            replace(&mut builder, ResourceType::Listener, &self.listeners.resources);
        }
        if stale(&self.name_table.reads) || old_snapshot.resources(ResourceType::NameTable).is_empty() {
            report.select("nds");
            let table = translate::name_table::generate(&ctx);
            self.name_table = Group { resources: table.into_iter().collect(), reads: reader.take_reads() };
            readers.class_read(self.id, &self.name_table.reads);
            replace(&mut builder, ResourceType::NameTable, &self.name_table.resources);
        }
        let wanted = self.wanted();
        let everything = named.is_empty();
        let gone: Vec<Named> = self.named.keys().filter(|key| !wanted.contains(*key)).cloned().collect();
        for key in gone {
            self.named.remove(&key);
            builder.remove(resource_type(key.0), &key.1);
        }
        for key in wanted {
            let keep = self
                .named
                .get(&key)
                .is_some_and(|group| !((everything || named.contains(&key)) && stale(&group.reads)));
            if keep {
                continue;
            }
            report.select(key.0);
            let made = match key.0 {
                ENDPOINT => translate::endpoint::generate(&ctx, &key.1),
                ROUTE => translate::route::generate(&ctx, &key.1),
                _ => translate::extension::generate(&ctx, &key.1),
            };
            let group = Group { resources: made.into_iter().collect(), reads: reader.take_reads() };
            readers.resource_read(key.0, &key.1, &group.reads);
            match group.resources.first().filter(|resource| !resource.piece.is_refused) {
                Some(resource) => builder.insert(resource_type(key.0), to_xds(resource)),
                None => builder.remove(resource_type(key.0), &key.1),
            };
            self.named.insert(key, group);
        }
        self.snapshot = Arc::new(builder.build());
    }

    /// Every resource that a cluster or listener names: the snapshot is closed under reference.
    fn wanted(&self) -> BTreeSet<Named> {
        let of = |kind: &'static str, names: BTreeSet<String>| {
            names.into_iter().map(move |name| (kind, Arc::<str>::from(name)))
        };
        of(ENDPOINT, endpoint_names(&self.clusters.resources))
            .chain(of(ROUTE, route_names(&self.listeners.resources)))
            .chain(of(EXTENSION, extension_names(&self.listeners.resources)))
            .collect()
    }

    /// Everything the user should know about what was built.
    pub(crate) fn issues(&self) -> BTreeSet<model::Issue> {
        let groups =
            [&self.clusters, &self.listeners, &self.name_table].into_iter().chain(self.named.values());
        let of_resources = groups.flat_map(|g| &g.resources).flat_map(|r| r.piece.issues.iter());
        of_resources.chain(&self.scope.envoy_patches.issues).cloned().collect()
    }
}

fn resource_type(kind: &str) -> ResourceType {
    match kind {
        ENDPOINT => ResourceType::Endpoint,
        ROUTE => ResourceType::Route,
        _ => ResourceType::ExtensionConfig,
    }
}

fn to_xds(resource: &Resource) -> xds::Resource {
    xds::Resource::new(Arc::clone(&resource.name), resource.piece.bytes.clone())
}

/// Puts a whole type in place, but what Envoy would refuse; what is unchanged keeps its place in memory.
fn replace(builder: &mut xds::SnapshotBuilder, kind: ResourceType, resources: &[Resource]) {
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
