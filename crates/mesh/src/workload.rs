//! A proxy's own workload: where its pod runs, and which services it is behind (spec section 8 "Proxy's services",
//! rows K13 and S16).
//!
//! ServiceEntries with an endpoint at the proxy's address count beside the first of these that knows the workload: a
//! WorkloadEntry with its address, its pod by name, the services of selector-less slices at its address, and what the
//! proxy says of itself.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use config::{ConfigStore, Kind, Object, k8s};
use model::{Labels, Locality, Namespace, Protocol};
use proto::istio::networking::WorkloadEntry;

use crate::workload_endpoints::{entry_port, target_port};
use crate::workload_instance::WorkloadInstance;
use crate::{EndpointAddress, Question, Reader, Registry, Resolution, Service, ServicePort, TargetPort};

/// A service that the proxy's workload is behind, at one of its ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnService {
    /// The service.
    pub service: Arc<Service>,
    /// The service port.
    pub port: ServicePort,
    /// The workload's port.
    pub target_port: u32,
}

/// What the mesh knows of a proxy's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkloadFacts {
    /// From the pod's labels or its node.
    pub locality: Locality,
    /// The pod's labels.
    pub labels: Labels,
    /// The node it runs on.
    pub node_name: String,
    /// The network that its labels, the system namespace or MeshNetworks put it in.
    pub network: String,
}

/// What a proxy says of its workload.
#[derive(Clone, Copy, Debug)]
pub struct StatedWorkload<'a> {
    /// The name of its pod.
    pub pod: &'a str,
    /// The namespace of its configuration.
    pub namespace: &'a Namespace,
    /// Its addresses, the first first.
    pub addresses: &'a [IpAddr],
    /// Its labels.
    pub labels: &'a Labels,
    /// Names, protocols and numbers of the pod's ports; `None` if it does not say.
    pub ports: Option<&'a [(String, String, u32)]>,
    /// The cluster it is in; empty for our own.
    pub cluster: &'a str,
}

impl Reader<'_> {
    /// The objects of the cluster of that ID, an empty one being our own; none if nothing is known of it. The caller
    /// must have noted a question that covers what it looks at.
    pub(crate) fn store_of(&self, cluster: &str) -> Option<&ConfigStore> {
        let own = &self.mesh().settings().features.cluster_id;
        let is_own = cluster.is_empty() || *cluster == **own;
        if is_own { Some(self.store()) } else { self.store().remote(cluster) }
    }

    /// What the mesh knows of the pod of that name in that cluster.
    pub fn workload(&self, cluster: &str, pod: &str, namespace: &Namespace) -> Option<WorkloadFacts> {
        self.note(&Question::KindIn(Kind::Pod, namespace.clone()));
        self.note(&Question::Kind(Kind::Node));
        self.note(&Question::Kind(Kind::Namespace));
        let settings = self.settings();
        let store = self.store_of(cluster)?;
        let found = store.pods().get(namespace, pod)?;
        Some(WorkloadFacts {
            locality: Locality::parse(&crate::topology::pod_locality(found, store)),
            labels: found.meta.labels.clone(),
            node_name: found.spec.node_name.clone(),
            network: crate::topology::network(
                found.spec.pod_ips.first().map_or("", String::as_str),
                &found.meta.labels,
                store,
                settings,
            ),
        })
    }

    /// The services that the proxy's workload is behind, by age of the service, then by host.
    pub fn own_services(&self, workload: StatedWorkload<'_>) -> Vec<OwnService> {
        self.note(&Question::Services);
        let mut own = self.own_service_entries(workload);
        own.extend(self.own_kubernetes_services(workload));
        own.sort_by(|a, b| (a.service.creation, &a.service.host).cmp(&(b.service.creation, &b.service.host)));
        own
    }

    fn own_service_entries(&self, workload: StatedWorkload<'_>) -> Vec<OwnService> {
        let mut own = Vec::new();
        let services = self.mesh().all_services().iter();
        for service in services.filter(|s| s.namespace == *workload.namespace && !s.is_kubernetes()) {
            let set = self.endpoints(&service.host, &service.namespace);
            for endpoint in set.endpoints.iter() {
                let EndpointAddress::Ip(ip, target_port) = &endpoint.address else { continue };
                if !ip.parse().is_ok_and(|ip: IpAddr| workload.addresses.contains(&ip)) {
                    continue;
                }
                // Endpoints of a Kubernetes Service of the same host have no service port number.
                if let Some(port) = service.port(endpoint.service_port) {
                    let (service, target_port) = (Arc::clone(service), *target_port);
                    own.push(OwnService { service, port: port.clone(), target_port });
                }
            }
        }
        own
    }

    fn own_kubernetes_services(&self, workload: StatedWorkload<'_>) -> Vec<OwnService> {
        self.note(&Question::KindIn(Kind::WorkloadEntry, workload.namespace.clone()));
        self.note(&Question::KindIn(Kind::Pod, workload.namespace.clone()));
        let Some(store) = self.store_of(workload.cluster) else { return Vec::new() };
        if let Some(instance) = self.own_workload_entry(workload, store) {
            let balanced = |service: &Service| service.resolution == Resolution::ClientSideLb;
            return self.selecting(store, workload.namespace, instance.labels(), balanced, |port| {
                entry_port(&instance, port).filter(|_| port.protocol != Protocol::Udp)
            });
        }
        if let Some(pod) = store.pods().get(workload.namespace, workload.pod) {
            let own = self.selecting(
                store,
                workload.namespace,
                &pod.meta.labels,
                |_| true,
                |port| target_port(port, &pod.spec),
            );
            return if own.is_empty() { self.by_slices(workload, store) } else { own };
        }
        if workload.labels.is_empty() {
            return Vec::new();
        }
        // One port that the proxy's own account does not explain makes all of the account useless.
        let is_explained = |port: &ServicePort| stated_port(port, workload).is_some();
        let own = self.selecting(
            store,
            workload.namespace,
            workload.labels,
            |_| true,
            |port| Some(stated_port(port, workload).unwrap_or_default()),
        );
        if own.iter().all(|own| is_explained(&own.port)) { own } else { Vec::new() }
    }

    /// The WorkloadEntry with the proxy's first address; of several the one with the proxy's name, else the first.
    fn own_workload_entry(
        &self,
        workload: StatedWorkload<'_>,
        store: &ConfigStore,
    ) -> Option<WorkloadInstance> {
        let first = workload.addresses.get(..1)?;
        let entries = store.workload_entries().in_namespace(workload.namespace);
        let is_at = |entry: &Object<WorkloadEntry>| {
            entry.spec.address.parse().is_ok_and(|address: IpAddr| first.contains(&address))
        };
        let mut found: Vec<_> = entries
            .filter(|entry| is_at(entry))
            .filter_map(|entry| {
                let instance = WorkloadInstance::of_entry(entry, store, self.settings())?;
                instance.has_address(first).then_some((*entry.meta.name != *workload.pod, instance))
            })
            .collect();
        found.sort_by_key(|(is_other, _)| *is_other);
        found.into_iter().next().map(|(_, instance)| instance)
    }

    /// Every port of the Kubernetes Services of a cluster whose selectors choose the labels; several ports of one service
    /// with the same target and protocol count once.
    fn selecting(
        &self,
        store: &ConfigStore,
        namespace: &Namespace,
        labels: &Labels,
        admits: impl Fn(&Service) -> bool,
        target: impl Fn(&ServicePort) -> Option<u32>,
    ) -> Vec<OwnService> {
        let mut own = Vec::new();
        for service in self.declared_in(store).filter(|s| s.namespace == *namespace) {
            if !labels.selected_by_service(&service.selector) || !admits(service) {
                continue;
            }
            let mut seen = BTreeSet::new();
            for port in &service.ports {
                let Some(target_port) = target(port) else { continue };
                if seen.insert((target_port, port.protocol)) {
                    own.push(OwnService { service: Arc::clone(service), port: port.clone(), target_port });
                }
            }
        }
        own
    }

    /// The Services that a cluster declares.
    fn declared_in(&self, store: &ConfigStore) -> impl Iterator<Item = &Arc<Service>> {
        let cluster = self.mesh().settings().cluster_of(store).to_owned();
        let all = self.mesh().services().declared().iter();
        all.filter(move |service| service.registry == Registry::Kubernetes && service.cluster == cluster)
    }

    /// Services without a selector whose slices hold the proxy's first address.
    fn by_slices(&self, workload: StatedWorkload<'_>, store: &ConfigStore) -> Vec<OwnService> {
        self.note(&Question::KindIn(Kind::EndpointSlice, workload.namespace.clone()));
        let holds = |slice: &Object<k8s::EndpointSlice>| {
            let mut addresses = slice.spec.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
            addresses.any(|a| a.parse().is_ok_and(|a: IpAddr| workload.addresses.first() == Some(&a)))
        };
        let mut own = Vec::new();
        for slice in store.endpoint_slices().in_namespace(workload.namespace) {
            let name = k8s::EndpointSlice::service_name(&slice.meta.labels);
            let service = self
                .declared_in(store)
                .filter(|s| s.namespace == *workload.namespace)
                .find(|s| Some(s.name.as_str()) == name);
            let Some(service) = service.filter(|_| holds(slice)) else { continue };
            for slice_port in &slice.spec.ports {
                let port = service.ports.iter().find(|port| port.name == slice_port.name);
                if let (Some(port), Some(target_port)) = (port, slice_port.port) {
                    own.push(OwnService { service: Arc::clone(service), port: port.clone(), target_port });
                }
            }
        }
        own
    }
}

/// The workload's port as the proxy states it: a number is itself, a name is looked up in the ports it tells of, and
/// is no port at all if it tells of none.
fn stated_port(port: &ServicePort, workload: StatedWorkload<'_>) -> Option<u32> {
    match (&port.target, workload.ports) {
        (TargetPort::Number(number), _) => Some(*number),
        (TargetPort::Name(name), Some(ports)) if !ports.is_empty() => {
            let is_udp = port.protocol == Protocol::Udp;
            let named = ports.iter().find(|(stated, protocol, _)| {
                stated == name && protocol.eq_ignore_ascii_case("UDP") == is_udp
            });
            named.map(|(_, _, number)| *number)
        }
        (TargetPort::Name(_), _) => Some(0),
    }
}
