//! The state of one class of proxies: what it has of its own (listeners, the clusters of what it serves, extensions),
//! and the snapshot, put together of that and of what it shares with classes that call alike.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use mesh::{Mesh, Reader, Reads};
use model::{Findings, Issue};
use scope::ProxyClass;
use translate::Context;
use translate::secret::Withheld;
use xds::{ResourceType, Snapshot};

use crate::assemble::{endpoint_names, extension_names, route_names, secret_names};
use crate::cache::Cache;
use crate::group::{Group, replace, to_xds};
use crate::outbound::{Outbound, Stale};
use crate::readers::{Maker, Readers};
use crate::report::Report;

/// One class. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Class {
    pub(crate) id: u64,
    pub(crate) proxies: Arc<ProxyClass>,
    /// The [`Outbound`] that it shares.
    pub(crate) outbound: u64,
    /// Clusters that are not of calls, and endpoints that these name.
    clusters: Arc<Group>,
    endpoints: Arc<Group>,
    listeners: Arc<Group>,
    extensions: Arc<Group>,
    /// What it may have of the secrets that clusters and listeners name, and why it has not the others.
    secrets: Arc<Group>,
    withheld: Arc<[Issue]>,
    /// Route configurations that the listeners name.
    pub(crate) routes: Arc<BTreeSet<Arc<str>>>,
    /// What the snapshot was put together from.
    shared: Arc<Snapshot>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// What came up for what it has of its own, gathered when somebody asks.
    findings: OnceCell<Arc<Findings>>,
}

impl Class {
    /// Builds a class from nothing but what it shares; what it has in common with `neighbour` is kept once.
    #[expect(clippy::too_many_arguments, reason = "one state of the engine, whose parts are borrowed apart")]
    pub(crate) fn build(
        id: u64,
        proxies: Arc<ProxyClass>,
        neighbour: Option<&Self>,
        outbound: &mut Outbound,
        mesh: &Mesh,
        cache: &Cache,
        readers: &mut Readers,
        report: &mut Report,
    ) -> Self {
        let mut made = Self {
            id,
            proxies,
            outbound: outbound.id,
            clusters: Arc::default(),
            endpoints: Arc::default(),
            listeners: Arc::default(),
            extensions: Arc::default(),
            secrets: Arc::default(),
            withheld: Arc::default(),
            routes: Arc::default(),
            shared: Arc::default(),
            snapshot: Arc::default(),
            findings: OnceCell::new(),
        };
        if let Some(neighbour) = neighbour {
            // All of it is about to be made again; where that comes to the same it stays in its place.
            made.listeners = Arc::clone(&neighbour.listeners);
            let mut builder = made.snapshot.to_builder();
            builder.share(ResourceType::Listener, &neighbour.snapshot);
            made.snapshot = Arc::new(builder.build());
        }
        made.refresh(outbound, mesh, cache, &Stale::All, readers, report);
        made
    }

    /// The class after a change, in itself or in what it shares.
    pub(crate) fn advanced(
        &self,
        outbound: &mut Outbound,
        mesh: &Mesh,
        cache: &Cache,
        stale: &Stale<'_>,
        readers: &mut Readers,
        report: &mut Report,
    ) -> Self {
        let mut next = self.clone();
        next.refresh(outbound, mesh, cache, stale, readers, report);
        next
    }

    fn refresh(
        &mut self,
        outbound: &mut Outbound,
        mesh: &Mesh,
        cache: &Cache,
        stale: &Stale<'_>,
        readers: &mut Readers,
        report: &mut Report,
    ) {
        let maker = Maker::Class(self.id);
        let reader = Reader::new(mesh);
        let scope = outbound.scope.with_class(Arc::clone(&self.proxies));
        let findings = RefCell::default();
        let ctx = Context { reader: &reader, scope: &scope, cache, findings: &findings };
        let makes_clusters = stale.meets(&self.clusters.reads);
        if makes_clusters {
            report.select("cds");
            let resources = translate::cluster::own(&ctx);
            self.clusters = Arc::new(Group::made(resources, &ctx));
            readers.maker_read(maker, &self.clusters.reads);
        }
        let makes_endpoints = makes_clusters || stale.meets(&self.endpoints.reads);
        if makes_endpoints {
            let made = endpoint_names(&self.clusters.resources);
            let resources =
                made.iter().filter_map(|name| translate::endpoint::generate(&ctx, name)).collect();
            self.endpoints = Arc::new(Group::made(resources, &ctx));
            readers.maker_read(maker, &self.endpoints.reads);
        }
        let makes_listeners = stale.meets(&self.listeners.reads);
        if makes_listeners {
            report.select("lds");
            let resources = translate::listener::generate(&ctx);
            self.listeners = Arc::new(Group::made(resources, &ctx).named_as(&self.listeners));
            readers.maker_read(maker, &self.listeners.reads);
            let names = route_names(&self.listeners.resources).into_iter().map(Arc::from).collect();
            if *self.routes != names {
                self.routes = Arc::new(names);
            }
        }
        let extensions_moved = makes_listeners || stale.meets(&self.extensions.reads);
        if extensions_moved {
            let names = extension_names(&self.listeners.resources);
            for _ in &names {
                report.select("ecds");
            }
            let resources =
                names.iter().filter_map(|name| translate::extension::generate(&ctx, name)).collect();
            self.extensions = Arc::new(Group::made(resources, &ctx));
            readers.maker_read(maker, &self.extensions.reads);
        }
        outbound.want_routes(&self.routes, mesh, cache, readers, report);
        let calls_moved = makes_clusters || {
            let kind = ResourceType::Cluster;
            !self.shared.resources(kind).is_same(outbound.snapshot.resources(kind))
        };
        let secrets_moved = calls_moved || makes_listeners || stale.meets(&self.secrets.reads);
        if secrets_moved {
            self.make_secrets(outbound, &ctx, report);
            readers.maker_read(maker, &self.secrets.reads);
        }
        if makes_endpoints || makes_listeners || extensions_moved || secrets_moved {
            self.findings = OnceCell::new();
        }
        let moved = makes_listeners || extensions_moved;
        self.assemble(&outbound.snapshot, makes_endpoints, moved);
        if secrets_moved {
            let mut builder = self.snapshot.to_builder();
            replace(&mut builder, ResourceType::Secret, &self.secrets.resources);
            self.snapshot = Arc::new(builder.build());
        }
    }

    fn make_secrets(&mut self, outbound: &Outbound, ctx: &Context<'_>, report: &mut Report) {
        let named = [outbound.cluster_resources(), &self.clusters.resources, &self.listeners.resources];
        let (mut resources, mut withheld) = (Vec::new(), Vec::new());
        for name in secret_names(&self.proxies, &named) {
            report.select("sds");
            match translate::secret::generate(ctx, &name) {
                Ok(secret) => resources.push(secret),
                Err(Withheld(reason)) => withheld.push(Issue {
                    object: format!("gateway in {}", self.proxies.namespace),
                    path: "credentialName".to_owned(),
                    message: format!("{name} is not sent: {reason}"),
                }),
            }
        }
        report.n_secrets += resources.len();
        report.n_withheld += withheld.len();
        self.secrets = Arc::new(Group::made(resources, ctx));
        self.withheld = withheld.into();
    }

    /// Puts the snapshot together. Sets that cannot have moved stay as they are.
    fn assemble(&mut self, shared: &Arc<Snapshot>, calls_moved: bool, listeners_moved: bool) {
        let mut builder = self.snapshot.to_builder();
        let before = Arc::clone(&self.shared);
        let has_moved = |kind: ResourceType| !before.resources(kind).is_same(shared.resources(kind));
        builder.share(ResourceType::NameTable, shared);
        for (kind, own) in [
            (ResourceType::Cluster, &self.clusters.resources),
            (ResourceType::Endpoint, &self.endpoints.resources),
        ] {
            if !calls_moved && !has_moved(kind) {
                continue;
            }
            builder.share(kind, shared);
            for resource in own.iter() {
                let is_known = shared.resources(kind).resource(&resource.name).is_some();
                if !is_known && !resource.piece.is_refused {
                    builder.insert(kind, to_xds(resource));
                }
            }
        }
        if listeners_moved || has_moved(ResourceType::Route) {
            builder.share(ResourceType::Route, shared);
            let routes = shared.resources(ResourceType::Route);
            let unwanted = routes.iter().map(xds::Resource::name).filter(|name| !self.routes.contains(*name));
            for name in unwanted {
                builder.remove(ResourceType::Route, name);
            }
        }
        if listeners_moved {
            replace(&mut builder, ResourceType::Listener, &self.listeners.resources);
            replace(&mut builder, ResourceType::ExtensionConfig, &self.extensions.resources);
        }
        self.shared = Arc::clone(shared);
        self.snapshot = Arc::new(builder.build());
    }

    /// Whether what it shares has moved since it was put together.
    pub(crate) fn is_behind(&self, outbound: &Outbound) -> bool {
        !Arc::ptr_eq(&self.shared, &outbound.snapshot)
    }

    /// What the user should know about what it has of its own, and what is counted.
    pub(crate) fn findings(&self) -> Arc<Findings> {
        Arc::clone(self.findings.get_or_init(|| {
            let mut all = Findings::default();
            for group in [&self.clusters, &self.endpoints, &self.listeners, &self.extensions, &self.secrets] {
                group.add_findings(&mut all);
            }
            all.issues.extend(self.withheld.iter().cloned());
            Arc::new(all)
        }))
    }

    /// What it asked.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &Reads> {
        [&self.clusters, &self.endpoints, &self.listeners, &self.extensions, &self.secrets]
            .into_iter()
            .map(|group| &group.reads)
    }
}
