//! The endpoints behind every service: EndpointSlices, or the selected Pods where a Service has none; ServiceEntry
//! endpoints and selected WorkloadEntries and Pods (spec 2.1, 5.3, 8).
//!
//! What the clusters hold is looked at cluster by cluster. A change does again what it can concern: a slice its service, a pod the services of its namespace that name or
//! select it, a node its pods, any other object the services of its namespace.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use config::{AnyObject, Change, ConfigStore, Kind, Object, k8s};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use model::{Host, Labels, Namespace};

use crate::mesh::{Dirty, ServiceIndex};
use crate::workload_endpoints::{self, Sources};
use crate::{EndpointSet, MeshSettings, Question, Service};

type Key = (Host, Namespace);

/// Endpoints by service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EndpointIndex {
    sets: OrdMap<Key, EndpointSet>,
}

impl EndpointIndex {
    /// The kinds that feed it.
    pub(crate) const FED_BY: &'static [Kind] = workload_endpoints::KINDS;

    /// The endpoints of every service.
    pub(crate) fn build(store: &ConfigStore, settings: &MeshSettings, services: &ServiceIndex) -> Self {
        let sources = Sources::new(store, settings);
        let declared = by_host(services, |_| true);
        let sets =
            declared.into_iter().map(|(key, declared)| (key, workload_endpoints::of(declared, &sources)));
        Self { sets: sets.collect() }
    }

    /// The index after some changes: only services that these can concern are done again.
    pub(crate) fn advance(
        &self,
        store: &ConfigStore,
        settings: &MeshSettings,
        services: &ServiceIndex,
        changes: &[Change],
    ) -> Self {
        let root = settings.root_namespace();
        if changes.iter().any(|change| change.key.kind == Kind::Namespace && *change.key.name == *root) {
            return Self::build(store, settings, services);
        }
        let sources = Sources::new(store, settings);
        let concerned = Concerned::of(changes, &sources);
        let keys: BTreeSet<Key> =
            services.each().filter(|service| concerned.concerns(service)).map(key).collect();
        let mut sets = self.sets.clone();
        if concerned.declarations {
            let declared: BTreeSet<Key> = services.each().map(key).collect();
            sets = sets.into_iter().filter(|(key, _)| declared.contains(key)).collect();
        }
        for (key, declared) in by_host(services, |service| keys.contains(&key(service))) {
            let set = workload_endpoints::of(declared, &sources);
            if sets.get(&key) != Some(&set) {
                sets.insert(key, set);
            }
        }
        Self { sets }
    }

    /// The endpoints of one service; none for an unknown one.
    pub(crate) fn get(&self, host: &Host, namespace: &Namespace) -> EndpointSet {
        self.sets.get(&(host.clone(), namespace.clone())).cloned().unwrap_or_default()
    }

    /// How many endpoints say that they are not ready.
    pub(crate) fn n_unready(&self) -> usize {
        self.sets.values().map(|set| set.n_unready).sum()
    }

    /// Marks the questions about endpoints that have another answer than in `old`.
    pub(crate) fn mark_changes_since(&self, old: &Self, dirty: &mut Dirty) {
        let empty = EndpointSet::default();
        for difference in old.sets.diff(&self.sets) {
            let (key, before, after) = match difference {
                DiffItem::Add(key, after) => (key, &empty, after),
                DiffItem::Remove(key, before) => (key, before, &empty),
                DiffItem::Update { old: (key, before), new: (_, after) } => (key, before, after),
            };
            if before != after {
                dirty.mark(&Question::Endpoints(key.0.clone(), key.1.clone()));
            }
            if before.service_accounts != after.service_accounts {
                dirty.mark(&Question::ServiceAccounts(key.0.clone(), key.1.clone()));
            }
        }
    }
}

fn key(service: &Service) -> Key {
    (service.host.clone(), service.namespace.clone())
}

/// The services that declare one host in one namespace, by age.
fn by_host(services: &ServiceIndex, admits: impl Fn(&Service) -> bool) -> BTreeMap<Key, Vec<&Service>> {
    let mut declared: BTreeMap<_, Vec<&Service>> = BTreeMap::new();
    for service in services.each().filter(|service| admits(service)) {
        declared.entry(key(service)).or_default().push(service);
    }
    declared
}

/// Which services a set of changes can concern.
#[derive(Default)]
struct Concerned {
    /// Services may have come or gone.
    declarations: bool,
    namespaces: BTreeSet<Namespace>,
    kubernetes_services: BTreeSet<(Namespace, String)>,
    /// Labels of pods that came, went or changed.
    pods: BTreeMap<Namespace, Vec<Labels>>,
}

impl Concerned {
    fn of(changes: &[Change], sources: &Sources<'_>) -> Self {
        let mut concerned = Self::default();
        for change in changes {
            let namespace = change.key.namespace.clone();
            let states = || change.old.iter().chain(&change.new);
            match change.key.kind {
                Kind::EndpointSlice => {
                    for object in states() {
                        let name = k8s::EndpointSlice::service_name(&object.meta().labels);
                        concerned
                            .kubernetes_services
                            .insert((namespace.clone(), name.unwrap_or_default().into()));
                    }
                }
                Kind::Pod => {
                    for object in states() {
                        if let AnyObject::Pod(pod) = object {
                            concerned.add_pod(pod, sources.of_key(&change.key));
                        }
                    }
                }
                Kind::Node => {
                    let sources = sources.of_key(&change.key);
                    let pods = sources.into_iter().flat_map(|sources| sources.store.pods());
                    pods.filter(|pod| *pod.spec.node_name == *change.key.name)
                        .for_each(|pod| concerned.add_pod(pod, sources));
                }
                Kind::Service | Kind::ServiceEntry => {
                    concerned.declarations = true;
                    concerned.namespaces.insert(namespace);
                }
                Kind::WorkloadEntry => {
                    concerned.namespaces.insert(namespace);
                }
                _ => {}
            }
        }
        concerned
    }

    /// A pod concerns services whose slices name it or its address, and those that could select it. `sources` are those
    /// of its cluster; none if nothing is left of that.
    fn add_pod(&mut self, pod: &Object<k8s::Pod>, sources: Option<&Sources<'_>>) {
        let namespace = &pod.meta.namespace;
        for (service, slices) in sources.into_iter().flat_map(|sources| sources.slices_in(namespace)) {
            if slices.iter().any(|slice| mentions(slice, pod)) {
                self.kubernetes_services.insert((namespace.clone(), service.to_owned()));
            }
        }
        self.pods.entry(namespace.clone()).or_default().push(pod.meta.labels.clone());
    }

    fn concerns(&self, service: &Service) -> bool {
        if self.namespaces.contains(&service.namespace) {
            return true;
        }
        let pods = self.pods.get(&service.namespace);
        if !service.is_kubernetes() {
            return pods.is_some() && !service.selector.is_empty();
        }
        pods.is_some_and(|pods| pods.iter().any(|labels| labels.selected_by_service(&service.selector)))
            || self.kubernetes_services.contains(&(service.namespace.clone(), service.name.clone()))
    }
}

fn mentions(slice: &Object<k8s::EndpointSlice>, pod: &Object<k8s::Pod>) -> bool {
    slice.spec.endpoints.iter().any(|endpoint| {
        let by_name = endpoint.target_ref.as_ref().is_some_and(|target| *target.name == *pod.meta.name);
        by_name || endpoint.addresses.iter().any(|address| pod.spec.pod_ips.contains(address))
    })
}
