//! Building and advancing the mesh. `build` is the oracle; `advance` rebuilds the indexes that changed kinds feed,
//! keeps the others, and says which questions have another answer (invariant I1: both give the same mesh).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Change, Changeset, ConfigKey, ConfigStore, Kind};
use gateway_api::Derived;
use model::{Host, Issue, Namespace};

use crate::derived;
use crate::destination_rule::DestinationRuleIndex;
use crate::discovery::Discovery;
use crate::endpoints::EndpointIndex;
use crate::networks::NetworkIndex;
use crate::policy::PeerAuthenticationIndex;
use crate::virtual_service::VirtualServiceIndex;
use crate::{Base, KeySets, MentionedKeys, MeshSettings, Question, Service, kubernetes, service_entry};

/// The questions with another answer than before, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirty(BTreeSet<u64>);

impl Dirty {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Marks a question.
    pub fn mark(&mut self, question: &Question) {
        self.0.insert(question.id());
    }

    /// The marked questions' ids.
    pub fn ids(&self) -> &BTreeSet<u64> {
        &self.0
    }
}

/// All services, by age.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceIndex {
    /// By age; a ServiceEntry yields one service per host and address, Services of several clusters one per host.
    all: Vec<Arc<Service>>,
    /// What each cluster declares, by age; empty without remote clusters, as `all` says it then.
    declared: Vec<Arc<Service>>,
    /// One per host and namespace: Kubernetes beats ServiceEntry, else the oldest.
    by_host: BTreeMap<Host, BTreeMap<Namespace, Arc<Service>>>,
}

impl ServiceIndex {
    fn build(store: &ConfigStore, settings: &MeshSettings) -> Self {
        let mut all: Vec<Arc<Service>> = store
            .services()
            .iter()
            .map(|object| kubernetes::service(object, store, settings))
            .chain(
                store
                    .service_entries()
                    .iter()
                    .flat_map(|object| service_entry::services(object, store, settings)),
            )
            .map(Arc::new)
            .collect();
        let mut declared = Vec::new();
        for remote in store.remotes() {
            let services = remote.services().iter();
            declared.extend(services.map(|object| Arc::new(kubernetes::service(object, remote, settings))));
        }
        if !declared.is_empty() {
            let merged = merge(&all, &declared);
            declared.append(&mut all);
            all = merged;
            sort_by_age(&mut declared);
        }
        sort_by_age(&mut all);
        let mut by_host: BTreeMap<Host, BTreeMap<Namespace, Arc<Service>>> = BTreeMap::new();
        for service in &all {
            let of_host = by_host.entry(service.host.clone()).or_default();
            match of_host.get(&service.namespace) {
                Some(known) if known.is_kubernetes() || !service.is_kubernetes() => {}
                _ => {
                    of_host.insert(service.namespace.clone(), Arc::clone(service));
                }
            }
        }
        Self { all, declared, by_host }
    }

    /// Every service as one cluster declares it, by age: where several declare a host, once for each of them.
    pub(crate) fn declared(&self) -> &[Arc<Service>] {
        if self.declared.is_empty() { &self.all } else { &self.declared }
    }

    /// The same, one by one.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Service> {
        self.declared().iter().map(AsRef::as_ref)
    }

    /// Every service, by age.
    pub(crate) fn all(&self) -> &[Arc<Service>] {
        &self.all
    }

    /// One service per namespace that declares `host`.
    pub(crate) fn by_host(&self, host: &Host) -> impl Iterator<Item = &Arc<Service>> {
        self.by_host.get(host).into_iter().flat_map(BTreeMap::values)
    }

    /// Those that `namespace` may see: private, exported, public; each by age.
    pub(crate) fn visible_to(&self, namespace: &Namespace) -> Vec<Arc<Service>> {
        let class = |service: &Service| match &service.export_to {
            crate::ExportTo::Public => 2,
            export if service.namespace == *namespace && export.is_private(namespace) => 0,
            _ => 1,
        };
        let mut found: Vec<_> =
            self.all.iter().filter(|service| service.export_to.visible_to(namespace)).cloned().collect();
        found.sort_by_key(|service| class(service));
        found
    }
}

/// One service for each host that Services of several clusters have, after the first of them: our own cluster goes
/// first, then the others in the order of their IDs. ServiceEntries stay as they are.
fn merge(own: &[Arc<Service>], remote: &[Arc<Service>]) -> Vec<Arc<Service>> {
    let mut merged: Vec<Arc<Service>> = Vec::with_capacity(own.len() + remote.len());
    let mut places: BTreeMap<Host, usize> = BTreeMap::new();
    for service in own.iter().chain(remote) {
        if service.is_kubernetes() {
            if let Some(first) = places.get(&service.host).and_then(|place| merged.get_mut(*place)) {
                *first = Arc::new(Service::clone(first).merged_with(service));
                continue;
            }
            places.insert(service.host.clone(), merged.len());
        }
        merged.push(Arc::clone(service));
    }
    merged
}

fn sort_by_age(services: &mut [Arc<Service>]) {
    let key = |s: &Service| (s.creation, format!("{}.{}", s.name, s.namespace), s.cluster.clone());
    services.sort_by_cached_key(|service| key(service));
}

/// One consistent, immutable state of everything that was configured.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Every object, also of namespaces that are not looked at.
    all: ConfigStore,
    /// The objects of namespaces that are looked at.
    seen: ConfigStore,
    /// What objects of the Gateway API and Ingresses among them stand for.
    derived: Arc<Derived>,
    /// Both of these: the objects that everything else is made of.
    store: ConfigStore,
    discovery: Discovery,
    base: Arc<Base>,
    settings: Arc<MeshSettings>,
    settings_issues: Arc<[Issue]>,
    services: Arc<ServiceIndex>,
    endpoints: Arc<EndpointIndex>,
    virtual_services: Arc<VirtualServiceIndex>,
    destination_rules: Arc<DestinationRuleIndex>,
    peer_authentications: Arc<PeerAuthenticationIndex>,
    network_gateways: Arc<NetworkIndex>,
    mentioned_keys: Arc<MentionedKeys>,
    key_sets: Arc<KeySets>,
}

impl Mesh {
    /// Builds everything from nothing.
    pub fn build(all: ConfigStore, base: Arc<Base>) -> Self {
        let (settings, issues) = MeshSettings::resolve(&all, &base, None);
        let settings = Arc::new(settings);
        let discovery = Discovery::of(&settings, &all);
        let seen = discovery.visible(&all);
        let derived = Arc::new(derived::of(&seen, &settings));
        let store = derived::all(&seen, &derived);
        let services = Arc::new(ServiceIndex::build(&store, &settings));
        let endpoints = Arc::new(EndpointIndex::build(&store, &settings, &services));
        let virtual_services = Arc::new(VirtualServiceIndex::build(&store, &settings, None));
        let destination_rules = Arc::new(DestinationRuleIndex::build(&store, &settings, None));
        let peer_authentications = Arc::new(PeerAuthenticationIndex::build(&store, &settings));
        let network_gateways = Arc::new(NetworkIndex::build(&store, &settings, &services));
        let mentioned_keys = Arc::new(MentionedKeys::build(&store, &settings, services.each()));
        Self {
            all,
            seen,
            derived,
            store,
            discovery,
            base,
            settings,
            settings_issues: issues.into(),
            services,
            endpoints,
            virtual_services,
            destination_rules,
            peer_authentications,
            network_gateways,
            mentioned_keys,
            key_sets: Arc::default(),
        }
    }

    /// The mesh with these keys for tokens, and the questions that have another answer now.
    pub fn with_key_sets(&self, key_sets: KeySets) -> (Self, Dirty) {
        let mut dirty = Dirty::default();
        for source in self.key_sets.keys().chain(key_sets.keys()) {
            if self.key_sets.get(source) != key_sets.get(source) {
                dirty.mark(&Question::KeySet(source.clone()));
            }
        }
        (Self { key_sets: Arc::new(key_sets), ..self.clone() }, dirty)
    }

    /// The mesh after some changes, the questions that have another answer now, and the keys of the objects that
    /// did differ.
    pub fn advance(&self, changes: Changeset) -> (Self, Dirty, Vec<ConfigKey>) {
        let mut dirty = Dirty::default();
        let mut all = self.all.clone();
        let changes = all.apply(changes);
        let keys = changes.iter().map(|change| change.key.clone()).collect();
        let (settings, settings_issues) = if changes.iter().any(|c| c.key.kind == Kind::ConfigMap) {
            let (next, issues) = MeshSettings::resolve(&all, &self.base, Some(&self.settings));
            (kept(&self.settings, next), issues.into())
        } else {
            (Arc::clone(&self.settings), Arc::clone(&self.settings_issues))
        };
        let settings_changed = !Arc::ptr_eq(&settings, &self.settings);
        if settings_changed {
            dirty.mark(&Question::Settings);
        }
        let discovery = Discovery::of(&settings, &all);
        let (seen, changes) = discovery.advance(&self.discovery, &self.seen, &all, &changes);
        let derived = if settings_changed || changes.iter().any(|c| self.derived.is_concerned_by(c)) {
            Arc::new(derived::of(&seen, &settings))
        } else {
            Arc::clone(&self.derived)
        };
        let mut store = self.store.clone();
        let changes = store.apply(derived::difference(&changes, &self.derived, &derived, &seen));
        let kinds: BTreeSet<Kind> = changes.iter().map(|change| change.key.kind).collect();
        for change in &changes {
            dirty.mark(&Question::Kind(change.key.kind));
            dirty.mark(&Question::KindIn(change.key.kind, change.key.namespace.clone()));
            if matches!(change.key.kind, Kind::Secret | Kind::ConfigMap) {
                let ConfigKey { kind, namespace, name, .. } = change.key.clone();
                dirty.mark(&Question::Object(kind, namespace, name));
            }
        }
        let touched = |list: &[Kind]| settings_changed || list.iter().any(|kind| kinds.contains(kind));

        let services = if touched(&[Kind::Service, Kind::ServiceEntry, Kind::Namespace]) {
            kept(&self.services, ServiceIndex::build(&store, &settings))
        } else {
            Arc::clone(&self.services)
        };
        if !Arc::ptr_eq(&services, &self.services) {
            mark_services(&self.services, &services, &mut dirty);
        }
        let endpoints = if touched(EndpointIndex::FED_BY) || !Arc::ptr_eq(&services, &self.services) {
            Arc::new(self.advance_endpoints(
                &store,
                &settings,
                &services,
                &changes,
                settings_changed,
                &mut dirty,
            ))
        } else {
            Arc::clone(&self.endpoints)
        };
        let virtual_services = if touched(&[Kind::VirtualService]) {
            let next = kept(
                &self.virtual_services,
                VirtualServiceIndex::build(&store, &settings, Some(&self.virtual_services)),
            );
            if !Arc::ptr_eq(&next, &self.virtual_services) {
                dirty.mark(&Question::Kind(Kind::VirtualService));
            }
            next
        } else {
            Arc::clone(&self.virtual_services)
        };
        let destination_rules = if touched(&[Kind::DestinationRule]) {
            let known = &self.destination_rules;
            let next = kept(known, DestinationRuleIndex::build(&store, &settings, Some(known)));
            next.mark_changes_since(known, &mut dirty);
            next
        } else {
            Arc::clone(&self.destination_rules)
        };
        let peer_authentications = if touched(&[Kind::PeerAuthentication]) {
            let next = kept(&self.peer_authentications, PeerAuthenticationIndex::build(&store, &settings));
            if !Arc::ptr_eq(&next, &self.peer_authentications) {
                dirty.mark(&Question::Kind(Kind::PeerAuthentication));
            }
            next
        } else {
            Arc::clone(&self.peer_authentications)
        };
        let network_gateways =
            if touched(&[Kind::KubernetesGateway, Kind::Node]) || !Arc::ptr_eq(&services, &self.services) {
                kept(&self.network_gateways, NetworkIndex::build(&store, &settings, &services))
            } else {
                Arc::clone(&self.network_gateways)
            };
        if !Arc::ptr_eq(&network_gateways, &self.network_gateways) {
            dirty.mark(&Question::NetworkGateways);
        }
        let mentioned_keys = if touched(MentionedKeys::FED_BY) || !Arc::ptr_eq(&services, &self.services) {
            kept(&self.mentioned_keys, MentionedKeys::build(&store, &settings, services.each()))
        } else {
            Arc::clone(&self.mentioned_keys)
        };
        if !Arc::ptr_eq(&mentioned_keys, &self.mentioned_keys) {
            dirty.mark(&Question::MentionedKeys);
        }
        let next = Self {
            all,
            seen,
            derived,
            store,
            discovery,
            base: Arc::clone(&self.base),
            settings,
            settings_issues,
            services,
            endpoints,
            virtual_services,
            destination_rules,
            peer_authentications,
            network_gateways,
            mentioned_keys,
            key_sets: Arc::clone(&self.key_sets),
        };
        (next, dirty, keys)
    }

    fn advance_endpoints(
        &self,
        store: &ConfigStore,
        settings: &MeshSettings,
        services: &ServiceIndex,
        changes: &[Change],
        settings_changed: bool,
        dirty: &mut Dirty,
    ) -> EndpointIndex {
        let next = if settings_changed {
            EndpointIndex::build(store, settings, services)
        } else {
            self.endpoints.advance(store, settings, services, changes)
        };
        next.mark_changes_since(&self.endpoints, dirty);
        next
    }

    /// What objects of the Gateway API and Ingresses stand for, and what was decided about them.
    pub fn derived(&self) -> &Derived {
        &self.derived
    }

    /// The objects that this mesh looks at, those that others stand for among them.
    pub fn store(&self) -> &ConfigStore {
        &self.store
    }

    /// What the process was started with.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// What is wrong with the mesh configuration that is in the store.
    pub fn settings_issues(&self) -> &[Issue] {
        &self.settings_issues
    }

    /// Routes of VirtualServices that were left out because of their delegates.
    pub fn virtual_service_issues(&self) -> &[Issue] {
        self.virtual_services.issues()
    }

    pub(crate) fn key_sets(&self) -> &KeySets {
        &self.key_sets
    }

    pub(crate) fn mentioned_keys(&self) -> &MentionedKeys {
        &self.mentioned_keys
    }

    pub(crate) fn settings(&self) -> &Arc<MeshSettings> {
        &self.settings
    }

    pub(crate) fn services(&self) -> &ServiceIndex {
        &self.services
    }

    pub(crate) fn endpoints(&self) -> &EndpointIndex {
        &self.endpoints
    }

    pub(crate) fn virtual_services(&self) -> &VirtualServiceIndex {
        &self.virtual_services
    }

    pub(crate) fn destination_rules(&self) -> &DestinationRuleIndex {
        &self.destination_rules
    }

    pub(crate) fn peer_authentications(&self) -> &PeerAuthenticationIndex {
        &self.peer_authentications
    }

    pub(crate) fn network_gateways(&self) -> &Arc<NetworkIndex> {
        &self.network_gateways
    }

    /// Every service, for debug pages and counters only; translation asks a [`crate::Reader`].
    pub fn all_services(&self) -> &[Arc<Service>] {
        self.services.all()
    }
}

/// The old index when the new one is equal, so that nothing downstream moves.
fn kept<T: PartialEq>(old: &Arc<T>, new: T) -> Arc<T> {
    if **old == new { Arc::clone(old) } else { Arc::new(new) }
}

fn mark_services(old: &ServiceIndex, new: &ServiceIndex, dirty: &mut Dirty) {
    dirty.mark(&Question::Services);
    let keys = |index: &ServiceIndex| -> BTreeMap<(Host, Namespace), Arc<Service>> {
        index
            .by_host
            .iter()
            .flat_map(|(host, of)| of.iter().map(|(ns, s)| ((host.clone(), ns.clone()), Arc::clone(s))))
            .collect()
    };
    let (old, new) = (keys(old), keys(new));
    for key in old.keys().chain(new.keys()) {
        if old.get(key) != new.get(key) {
            dirty.mark(&Question::Service(key.0.clone(), key.1.clone()));
        }
    }
}
