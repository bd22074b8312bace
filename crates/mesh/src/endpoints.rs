//! The endpoints behind every service: EndpointSlices, or the selected Pods where a Service has none; ServiceEntry
//! endpoints and selected WorkloadEntries and Pods (spec 2.1, 5.3, 8).
//!
//! Everything an endpoint is made of lives in the namespace of its service, but for nodes; so a change concerns the
//! services of its namespace, and a slice that of its own service alone.

use std::collections::{BTreeMap, BTreeSet};

use config::{Change, ConfigStore, Kind};
use model::{Host, Namespace};

use crate::mesh::{Dirty, ServiceIndex};
use crate::{EndpointSet, MeshSettings, Question, Service};

/// Endpoints by service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EndpointIndex {
    sets: BTreeMap<(Host, Namespace), EndpointSet>,
}

impl EndpointIndex {
    /// The kinds that feed it.
    pub(crate) const FED_BY: &'static [Kind] = crate::workload_endpoints::KINDS;

    /// The endpoints of every service.
    pub(crate) fn build(store: &ConfigStore, settings: &MeshSettings, services: &ServiceIndex) -> Self {
        let endpoints = |declared: Vec<&Service>| crate::workload_endpoints::of(declared, store, settings);
        Self {
            sets: by_host(services).into_iter().map(|(key, declared)| (key, endpoints(declared))).collect(),
        }
    }

    /// The index after some changes: only services that these can concern are done again.
    pub(crate) fn advance(
        &self,
        store: &ConfigStore,
        settings: &MeshSettings,
        services: &ServiceIndex,
        changes: &[Change],
    ) -> Self {
        let concerned = Concerned::of(changes);
        if concerned.everything {
            return Self::build(store, settings, services);
        }
        let set = |key: &(Host, Namespace), declared: Vec<&Service>| {
            let is_concerned = declared.iter().any(|service| concerned.concerns(service));
            let known = self.sets.get(key).filter(|_| !is_concerned).cloned();
            known.unwrap_or_else(|| crate::workload_endpoints::of(declared, store, settings))
        };
        let sets = by_host(services)
            .into_iter()
            .map(|(key, declared)| {
                let endpoints = set(&key, declared);
                (key, endpoints)
            })
            .collect();
        Self { sets }
    }

    /// The endpoints of one service; none for an unknown one.
    pub(crate) fn get(&self, host: &Host, namespace: &Namespace) -> EndpointSet {
        self.sets.get(&(host.clone(), namespace.clone())).cloned().unwrap_or_default()
    }

    /// Marks the questions about endpoints that have another answer than in `old`.
    pub(crate) fn mark_changes_since(&self, old: &Self, dirty: &mut Dirty) {
        let empty = EndpointSet::default();
        for key in self.sets.keys().chain(old.sets.keys()) {
            let (before, after) = (old.sets.get(key).unwrap_or(&empty), self.sets.get(key).unwrap_or(&empty));
            if before != after {
                dirty.mark(&Question::Endpoints(key.0.clone(), key.1.clone()));
            }
            if before.tunnelled_ports != after.tunnelled_ports {
                dirty.mark(&Question::Tunnels(key.0.clone(), key.1.clone()));
            }
            if before.service_accounts != after.service_accounts {
                dirty.mark(&Question::ServiceAccounts(key.0.clone(), key.1.clone()));
            }
        }
    }
}

/// The services that declare one host in one namespace, by age.
fn by_host(services: &ServiceIndex) -> BTreeMap<(Host, Namespace), Vec<&Service>> {
    let mut declared: BTreeMap<_, Vec<&Service>> = BTreeMap::new();
    for service in services.all() {
        declared.entry((service.host.clone(), service.namespace.clone())).or_default().push(service);
    }
    declared
}

/// Which services a set of changes can concern.
#[derive(Default)]
struct Concerned {
    everything: bool,
    namespaces: BTreeSet<Namespace>,
    kubernetes_services: BTreeSet<(Namespace, String)>,
}

impl Concerned {
    fn of(changes: &[Change]) -> Self {
        let mut concerned = Self::default();
        for change in changes {
            let namespace = change.key.namespace.clone();
            match change.key.kind {
                Kind::EndpointSlice => {
                    for object in change.old.iter().chain(&change.new) {
                        let name = config::k8s::EndpointSlice::service_name(&object.meta().labels);
                        concerned
                            .kubernetes_services
                            .insert((namespace.clone(), name.unwrap_or_default().into()));
                    }
                }
                Kind::Pod | Kind::Service | Kind::ServiceEntry | Kind::WorkloadEntry => {
                    concerned.namespaces.insert(namespace);
                }
                Kind::Node | Kind::Namespace => concerned.everything = true,
                _ => {}
            }
        }
        concerned
    }

    fn concerns(&self, service: &Service) -> bool {
        self.namespaces.contains(&service.namespace)
            || (self.kubernetes_services.contains(&(service.namespace.clone(), service.name.clone()))
                && service.is_kubernetes())
    }
}
