//! What classes share that call alike: the scope, the clusters and routes of calls, endpoints, the name table. All
//! workloads of a namespace have this in common as long as no rule about calls tells them apart, so its cost and its
//! memory are paid once for them and not once for each.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh::{Dirty, Mesh, Reader, Reads};
use model::Findings;
use scope::{Difference, ProxyClass, ProxyScope};
use translate::{Context, Resource};
use xds::{ResourceType, Snapshot};

use crate::assemble::endpoint_names;
use crate::cache::Cache;
use crate::group::{Group, replace, to_xds};
use crate::readers::{Maker, Named, Readers};
use crate::report::Report;

/// Short names of the types whose resources are made one by one.
pub(crate) const ENDPOINT: &str = "eds";
pub(crate) const ROUTE: &str = "rds";

/// What classes that call alike have in common. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbound {
    pub(crate) id: u64,
    /// What the classes agree in.
    pub(crate) key: Arc<ProxyClass>,
    pub(crate) scope: Arc<ProxyScope>,
    scope_reads: Arc<Reads>,
    clusters: Arc<Group>,
    name_table: Arc<Group>,
    /// Load assignments that the clusters name, and route configurations that some class asked for.
    named: imbl::OrdMap<Named, Arc<Group>>,
    /// Clusters of calls, endpoints, routes, name table.
    pub(crate) snapshot: Arc<Snapshot>,
    /// What came up for all of these, gathered when somebody asks.
    findings: OnceCell<Arc<Findings>>,
}

/// What a change may leave as it was.
pub(crate) enum Stale<'a> {
    /// Everything is made again.
    All,
    /// Groups that asked one of these questions, and of the named resources only these.
    Asked(&'a Dirty, &'a BTreeSet<Named>),
}

impl Stale<'_> {
    pub(crate) fn meets(&self, reads: &Reads) -> bool {
        match self {
            Self::All => true,
            Self::Asked(dirty, _) => reads.meets(dirty.ids()),
        }
    }
}

impl Outbound {
    /// Builds it from nothing; what it has in common with `neighbour` is kept once.
    pub(crate) fn build(
        id: u64,
        key: Arc<ProxyClass>,
        neighbour: Option<&Outbound>,
        mesh: &Mesh,
        cache: &Cache,
        readers: &mut Readers,
        report: &mut Report,
    ) -> Self {
        let reader = Reader::new(mesh);
        let scope = Arc::new(ProxyScope::build(Arc::clone(&key), &reader));
        let mut made = Self {
            id,
            key,
            scope,
            scope_reads: Arc::new(reader.take_reads()),
            clusters: Arc::default(),
            name_table: Arc::default(),
            named: imbl::OrdMap::new(),
            snapshot: Arc::default(),
            findings: OnceCell::new(),
        };
        if let Some(neighbour) = neighbour {
            made.settle_beside(neighbour);
        }
        report.n_scopes += 1;
        readers.maker_read(Maker::Outbound(id), &made.scope_reads);
        made.refresh(&reader, cache, &Stale::All, false, readers, report);
        made
    }

    /// Begins from what a neighbour has, all of which is about to be made again. Routes are told apart by namespace,
    /// and which of them are wanted is not known yet.
    fn settle_beside(&mut self, neighbour: &Outbound) {
        self.clusters = Arc::clone(&neighbour.clusters);
        self.named = neighbour.named.clone();
        let routes: Vec<Named> = self.routes().cloned().collect();
        let mut builder = neighbour.snapshot.to_builder();
        for key in routes {
            self.named.remove(&key);
            builder.remove(ResourceType::Route, &key.1);
        }
        self.snapshot = Arc::new(builder.build());
    }

    /// It after a change: what asked a question that has another answer now is made again, the rest stays. Whether
    /// everything that looks at the scope has to be made again comes with it.
    pub(crate) fn advanced(
        &self,
        mesh: &Mesh,
        cache: &Cache,
        stale: &Stale<'_>,
        readers: &mut Readers,
        report: &mut Report,
    ) -> (Self, bool) {
        let reader = Reader::new(mesh);
        let mut next = self.clone();
        let mut all_routes = false;
        if stale.meets(&self.scope_reads) {
            let scope = ProxyScope::build(Arc::clone(&self.key), &reader);
            next.scope_reads = Arc::new(reader.take_reads());
            report.n_scopes += 1;
            readers.maker_read(Maker::Outbound(self.id), &next.scope_reads);
            let difference = scope.difference(&self.scope);
            if difference != Difference::None {
                next.scope = Arc::new(scope);
            }
            if difference == Difference::Any {
                next.refresh(&reader, cache, &Stale::All, false, readers, report);
                return (next, true);
            }
            all_routes = difference == Difference::HttpRoutes;
        }
        next.refresh(&reader, cache, stale, all_routes, readers, report);
        (next, false)
    }

    fn refresh(
        &mut self,
        reader: &Reader<'_>,
        cache: &Cache,
        stale: &Stale<'_>,
        all_routes: bool,
        readers: &mut Readers,
        report: &mut Report,
    ) {
        let scope = Arc::clone(&self.scope);
        let findings = RefCell::default();
        let ctx = Context { reader, scope: &scope, cache, findings: &findings };
        let mut builder = self.snapshot.to_builder();
        let mut is_new = BTreeSet::new();
        // What a new scope brings may be told of it, too.
        if matches!(stale, Stale::All) || all_routes {
            self.findings = OnceCell::new();
        }
        if stale.meets(&self.clusters.reads) {
            self.findings = OnceCell::new();
            report.select("cds");
            let resources = translate::cluster::outbound(&ctx);
            self.clusters = Group::made(resources, &ctx).like(&self.clusters);
            readers.maker_read(Maker::Outbound(self.id), &self.clusters.reads);
            replace(&mut builder, ResourceType::Cluster, &self.clusters.resources);
            let wanted = endpoint_names(&self.clusters.resources);
            let is_gone = |key: &Named| key.0 == ENDPOINT && !wanted.contains(&*key.1);
            let gone: Vec<Named> = self.named.keys().filter(|key| is_gone(key)).cloned().collect();
            for key in gone {
                self.named.remove(&key);
                builder.remove(ResourceType::Endpoint, &key.1);
            }
            for name in wanted {
                let key: Named = (ENDPOINT, name.into());
                if !self.named.contains_key(&key) {
                    self.make(key.clone(), &ctx, &mut builder, readers, report);
                    is_new.insert(key);
                }
            }
        }
        if stale.meets(&self.name_table.reads) {
            self.findings = OnceCell::new();
            report.select("nds");
            let resources: Vec<Resource> = translate::name_table::generate(&ctx).into_iter().collect();
            self.name_table = Arc::new(Group::made(resources, &ctx));
            readers.maker_read(Maker::Outbound(self.id), &self.name_table.reads);
            replace(&mut builder, ResourceType::NameTable, &self.name_table.resources);
        }
        let again: Vec<Named> = match stale {
            Stale::All => self.named.keys().filter(|key| !is_new.contains(*key)).cloned().collect(),
            Stale::Asked(_, named) => {
                let is_stale =
                    |key: &&Named| self.named.get(*key).is_some_and(|group| stale.meets(&group.reads));
                let mut again: BTreeSet<Named> = named.iter().filter(is_stale).cloned().collect();
                if all_routes {
                    again.extend(self.routes().cloned());
                }
                again.into_iter().collect()
            }
        };
        for key in again {
            self.make(key, &ctx, &mut builder, readers, report);
        }
        self.snapshot = Arc::new(builder.build());
    }

    fn make(
        &mut self,
        key: Named,
        ctx: &Context<'_>,
        builder: &mut xds::SnapshotBuilder,
        readers: &mut Readers,
        report: &mut Report,
    ) {
        report.select(key.0);
        let (resource_type, made) = match key.0 {
            ENDPOINT => (ResourceType::Endpoint, translate::endpoint::generate(ctx, &key.1)),
            _ => (ResourceType::Route, translate::route::generate(ctx, &key.1)),
        };
        let group = Group::made(made.into_iter().collect(), ctx);
        // Gathered over all that is named, so kept where nothing else was found.
        if self.named.get(&key).is_none_or(|known| !known.found_as(&group)) {
            self.findings = OnceCell::new();
        }
        readers.resource_read(key.0, &key.1, &group.reads);
        match group.resources.first().filter(|resource| !resource.piece.is_refused) {
            Some(resource) => builder.insert(resource_type, to_xds(resource)),
            None => builder.remove(resource_type, &key.1),
        };
        match self.named.get(&key) {
            Some(known) => {
                let group = group.like(known);
                if !Arc::ptr_eq(&group, known) {
                    self.named.insert(key, group);
                }
            }
            None => {
                self.named.insert(key, Arc::new(group));
            }
        }
    }

    /// The clusters of calls.
    pub(crate) fn cluster_resources(&self) -> &[Resource] {
        &self.clusters.resources
    }

    /// Whether it made that resource.
    pub(crate) fn has(&self, key: &Named) -> bool {
        self.named.contains_key(key)
    }

    /// Makes those route configurations that nobody has asked for before.
    pub(crate) fn want_routes(
        &mut self,
        names: &BTreeSet<Arc<str>>,
        mesh: &Mesh,
        cache: &Cache,
        readers: &mut Readers,
        report: &mut Report,
    ) {
        let new = names.iter().map(|name| (ROUTE, Arc::clone(name)));
        let new: Vec<Named> = new.filter(|key| !self.named.contains_key(key)).collect();
        if new.is_empty() {
            return;
        }
        let reader = Reader::new(mesh);
        let scope = Arc::clone(&self.scope);
        let findings = RefCell::default();
        let ctx = Context { reader: &reader, scope: &scope, cache, findings: &findings };
        let mut builder = self.snapshot.to_builder();
        for key in new {
            self.make(key, &ctx, &mut builder, readers, report);
        }
        self.snapshot = Arc::new(builder.build());
    }

    /// The route configurations that it has.
    fn routes(&self) -> impl Iterator<Item = &Named> {
        let first: Named = (ROUTE, "".into());
        self.named.range(first..).map(|(key, _)| key).take_while(|key| key.0 == ROUTE)
    }

    /// Drops route configurations that none of its classes wants any more.
    pub(crate) fn keep_routes(&mut self, wanted: &BTreeMap<u64, BTreeSet<Arc<str>>>) {
        let wanted = wanted.get(&self.id);
        let is_gone = |key: &&Named| !wanted.is_some_and(|names| names.contains(&key.1));
        let gone: Vec<Named> = self.routes().filter(is_gone).cloned().collect();
        if gone.is_empty() {
            return;
        }
        let mut builder = self.snapshot.to_builder();
        for key in gone {
            self.named.remove(&key);
            builder.remove(ResourceType::Route, &key.1);
        }
        self.snapshot = Arc::new(builder.build());
        self.findings = OnceCell::new();
    }

    /// Everything the user should know about what was built, and what is counted of it.
    pub(crate) fn findings(&self) -> Arc<Findings> {
        Arc::clone(self.findings.get_or_init(|| {
            let mut all = Findings::default();
            for group in [&self.clusters, &self.name_table].into_iter().chain(self.named.values()) {
                group.add_findings(&mut all);
            }
            all.issues.extend(self.scope.envoy_patches.issues.iter().cloned());
            all.issues.extend(self.scope.gateway.iter().flat_map(|gateway| &gateway.issues).cloned());
            Arc::new(all)
        }))
    }

    /// What it asked as a whole.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &Reads> {
        [&*self.scope_reads, &self.clusters.reads, &self.name_table.reads].into_iter()
    }
}
