//! The endpoints of one service from the objects that stand for its workloads: EndpointSlices and WorkloadEntries for
//! Kubernetes Services, inline endpoints and selected workloads for ServiceEntries (spec 2.1, 5.3, 8; rows E20 to
//! E22, K11 to K13, S12).
//!
//! All objects that declare the same host in one namespace share the endpoints, so that a ServiceEntry adds to a
//! Kubernetes Service of its host, and a Service of one cluster to that of another (row K14).

use std::collections::{BTreeMap, BTreeSet};

use config::{ConfigKey, ConfigStore, Kind, Object, k8s};
use model::Protocol;
use proto::istio::networking::ServiceEntry;

use crate::workload_instance::{WorkloadInstance, is_over, pod_endpoint};
use crate::{Endpoint, EndpointAddress, EndpointSet, Health, MeshSettings, Registry, Resolution, Service};
use crate::{ServicePort, TargetPort};

/// The label of a slice that some other cluster's import made.
const MULTI_CLUSTER_SERVICE: &str = "multicluster.kubernetes.io/service-name";

/// What endpoints are made from, and the slices of each Service by namespace and name.
pub(crate) struct Sources<'s> {
    pub(crate) store: &'s ConfigStore,
    settings: &'s MeshSettings,
    slices: BTreeMap<&'s str, BTreeMap<&'s str, Vec<&'s Object<k8s::EndpointSlice>>>>,
    /// The same of remote clusters.
    remotes: Vec<Self>,
}

impl<'s> Sources<'s> {
    /// The objects of a store.
    pub(crate) fn new(store: &'s ConfigStore, settings: &'s MeshSettings) -> Self {
        let mut slices: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
        for slice in store.endpoint_slices() {
            let labels = &slice.meta.labels;
            let Some(service) = k8s::EndpointSlice::service_name(labels) else { continue };
            if labels.value(MULTI_CLUSTER_SERVICE).is_none() {
                let of_namespace = slices.entry(&*slice.meta.namespace).or_default();
                of_namespace.entry(service).or_default().push(&**slice);
            }
        }
        let remotes = store.remotes().map(|remote| Self::new(remote, settings)).collect();
        Self { store, settings, slices, remotes }
    }

    /// What the cluster holds that a key is of; none if it holds nothing.
    pub(crate) fn of_key(&self, key: &ConfigKey) -> Option<&Self> {
        match &key.cluster {
            None => Some(self),
            id => self.remotes.iter().find(|remote| remote.store.cluster() == id.as_ref()),
        }
    }

    /// What the cluster holds that declares a service.
    fn behind(&self, service: &Service) -> Option<&Self> {
        let all = std::iter::once(self).chain(&self.remotes);
        all.into_iter().find(|sources| self.settings.cluster_of(sources.store) == service.cluster)
    }

    /// The names of Services of a namespace with their slices.
    pub(crate) fn slices_in(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s str, &[&'s Object<k8s::EndpointSlice>])> {
        let slices = self.slices.get(namespace).into_iter().flatten();
        slices.map(|(service, slices)| (*service, slices.as_slice()))
    }

    fn slices_of(&self, service: &Service) -> &[&'s Object<k8s::EndpointSlice>] {
        let slices = self.slices.get(&*service.namespace);
        slices.and_then(|slices| slices.get(service.name.as_str())).map_or(&[], Vec::as_slice)
    }
}

/// All endpoints of the services that declare one host in one namespace.
pub(crate) fn of<'s>(services: impl IntoIterator<Item = &'s Service>, sources: &Sources<'_>) -> EndpointSet {
    let Sources { store, settings, .. } = *sources;
    let mut entries = Vec::new();
    let mut kubernetes = Vec::new();
    let mut ports = BTreeSet::new();
    for service in services {
        match service.registry {
            Registry::Kubernetes => kubernetes.push(service),
            // An entry with several addresses is as many services, each with all endpoints: their weights add up.
            Registry::External => {
                let mut of_service = Vec::new();
                from_entry(service, store, settings, &mut of_service);
                // Such a service has one endpoint per port, whatever other entries for its host say.
                let is_single = service.resolution == Resolution::DnsRoundRobin;
                of_service.retain(|endpoint: &Endpoint| ports.insert(endpoint.service_port) || !is_single);
                entries.append(&mut of_service);
            }
        }
    }
    // Endpoints of several clusters stand in the order of the clusters.
    kubernetes.sort_by(|a, b| a.cluster.cmp(&b.cluster));
    for service in kubernetes {
        from_kubernetes(service, sources, &mut entries);
    }
    EndpointSet::new(entries)
}

fn from_kubernetes(service: &Service, sources: &Sources<'_>, out: &mut Vec<Endpoint>) {
    let Some(sources) = sources.behind(service).filter(|_| service.resolution != Resolution::Alias) else {
        return;
    };
    let Sources { store, settings, .. } = *sources;
    let slices = sources.slices_of(service);
    let mut seen = BTreeSet::new();
    for slice in slices {
        from_slice(service, slice, store, settings, &mut seen, out);
    }
    if slices.is_empty() && !service.selector.is_empty() {
        from_selected_pods(service, store, settings, out);
    }
    let selects_entries = settings.features.kubernetes_select_workload_entries
        && service.resolution == Resolution::ClientSideLb
        && !service.selector.is_empty();
    if selects_entries {
        from_selected_entries(service, store, settings, out);
    }
}

fn from_slice(
    service: &Service,
    slice: &Object<k8s::EndpointSlice>,
    store: &ConfigStore,
    settings: &MeshSettings,
    seen: &mut BTreeSet<(String, String)>,
    out: &mut Vec<Endpoint>,
) {
    if slice.spec.address_type == k8s::AddressType::Fqdn {
        return;
    }
    for endpoint in &slice.spec.endpoints {
        let health = health(service, endpoint.conditions, settings);
        for address in &endpoint.addresses {
            // A named pod that is not known yet will come, and its endpoint with it.
            let Ok(pod) = pod_behind(endpoint, address, service, store) else { continue };
            let known =
                pod.map(|pod| pod_endpoint(pod, address, store, settings)).unwrap_or_else(|| Endpoint {
                    cluster: settings.cluster_of(store).to_owned(),
                    tls_mode: "disabled".to_owned(),
                    network: crate::topology::network(address, &model::Labels::default(), store, settings),
                    ..Endpoint::default()
                });
            let mut addresses = vec![address.clone()];
            if let Some(pod) =
                pod.filter(|_| endpoint.target_ref.is_some() && has_both_families(service, settings))
                && pod.spec.pod_ips.len() > 1
            {
                // The slice of the other family would only repeat the pod.
                if slice.spec.address_type == k8s::AddressType::Ipv6 {
                    continue;
                }
                addresses.clone_from(&pod.spec.pod_ips);
            }
            let (address, more) = (addresses.remove(0), addresses);
            for port in &slice.spec.ports {
                let Some(number) = port.port else { continue };
                if seen.insert((address.clone(), port.name.clone())) {
                    let mut made = known.clone();
                    made.address = EndpointAddress::Ip(address.clone(), number);
                    made.additional_addresses.clone_from(&more);
                    made.port_name.clone_from(&port.name);
                    made.health = health;
                    out.push(made);
                }
            }
        }
    }
}

/// Whether endpoints of a service have addresses of both families.
fn has_both_families(service: &Service, settings: &MeshSettings) -> bool {
    settings.features.dual_stack && service.addresses.len() > 1
}

/// The pod of the service's namespace that a slice names, else the one with that address. `Err` if the pod named is
/// unknown.
fn pod_behind<'s>(
    endpoint: &k8s::Endpoint,
    address: &str,
    service: &'s Service,
    store: &'s ConfigStore,
) -> Result<Option<&'s Object<k8s::Pod>>, ()> {
    match endpoint.target_ref.as_ref().filter(|target| target.kind == "Pod") {
        Some(target) => {
            let namespace = &*service.namespace;
            let is_near = target.namespace.is_empty() || target.namespace == *namespace;
            let pod = store.pods().get(namespace, &target.name).filter(|_| is_near);
            pod.map(|pod| Some(&**pod)).ok_or(())
        }
        None => {
            let mut pods = store.pods().in_namespace(&service.namespace);
            let has_address = |pod: &Object<k8s::Pod>| pod.spec.pod_ips.iter().any(|ip| ip == address);
            Ok(pods.find(|pod| has_address(pod) && !is_over(pod)).map(|pod| &**pod))
        }
    }
}

/// Spec 2.3.
fn health(service: &Service, conditions: k8s::EndpointConditions, settings: &MeshSettings) -> Health {
    if conditions.ready.unwrap_or(true) {
        return Health::Healthy;
    }
    let terminating = conditions.terminating.unwrap_or(true);
    if terminating && conditions.serving.unwrap_or(true) && service.has_persistent_session(&settings.features)
    {
        Health::Draining
    } else if terminating {
        Health::Terminating
    } else {
        Health::Unhealthy
    }
}

/// Where a Service has a selector and no EndpointSlice is given, its endpoints are the Pods that it selects.
fn from_selected_pods(
    service: &Service,
    store: &ConfigStore,
    settings: &MeshSettings,
    out: &mut Vec<Endpoint>,
) {
    let selected = store.pods().in_namespace(&service.namespace).filter(|pod| {
        pod.meta.labels.selected_by_service(&service.selector) && !pod.meta.deleting && !is_over(pod)
    });
    for pod in selected {
        for address in &pod.spec.pod_ips {
            let known = pod_endpoint(pod, address, store, settings);
            for port in &service.ports {
                let Some(number) = target_port(port, &pod.spec) else { continue };
                let mut made = known.clone();
                made.address = EndpointAddress::Ip(address.clone(), number);
                made.port_name.clone_from(&port.name);
                let ready = pod.spec.ready || service.kubernetes.publish_not_ready;
                made.health = if ready { Health::Healthy } else { Health::Unhealthy };
                out.push(made);
            }
        }
    }
}

/// Row E22: WorkloadEntries that a Service selects.
fn from_selected_entries(
    service: &Service,
    store: &ConfigStore,
    settings: &MeshSettings,
    out: &mut Vec<Endpoint>,
) {
    let (namespace, selector) = (&service.namespace, &service.selector);
    for instance in WorkloadInstance::selected_entries(namespace, selector, store, settings) {
        if instance.dns_only {
            continue;
        }
        for port in &service.ports {
            if let Some(number) = entry_port(&instance, port) {
                out.push(instance.at(&port.name, 0, number));
            }
        }
    }
}

/// The port of a WorkloadEntry behind a Service port: what the entry says of the port's name, else the numbered
/// target; a named target must be stated by the entry.
pub(crate) fn entry_port(instance: &WorkloadInstance, port: &ServicePort) -> Option<u32> {
    match &port.target {
        TargetPort::Number(number) => Some(instance.named_port(&port.name).unwrap_or(*number)),
        TargetPort::Name(name) => instance.named_port(name),
    }
}

/// A target port's number at a pod; a named one is looked up in its containers (row K13).
pub(crate) fn target_port(port: &ServicePort, pod: &k8s::Pod) -> Option<u32> {
    let is_udp = port.protocol == Protocol::Udp;
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => pod
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .find(|port| port.name == *name && (port.protocol == "UDP") == is_udp)
            .map(|port| port.container_port),
    }
}

fn from_entry(service: &Service, store: &ConfigStore, settings: &MeshSettings, out: &mut Vec<Endpoint>) {
    let Some(object) = store.service_entries().get(&service.namespace, &service.object_name) else { return };
    let by_name = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    let instances = instances(object, by_name, store, settings);
    for port in &service.ports {
        let TargetPort::Number(target) = port.target else { continue };
        if object.spec.workload_selector.is_none() && object.spec.endpoints.is_empty() && by_name {
            out.push(Endpoint {
                address: EndpointAddress::Host(service.host.to_string(), target),
                port_name: port.name.clone(),
                service_port: port.number,
                cluster: settings.features.cluster_id.clone(),
                tls_mode: "disabled".to_owned(),
                namespace: service.namespace.clone(),
                workload_name: service.object_name.clone(),
                ..Endpoint::default()
            });
        }
        for instance in &instances {
            let number = instance.named_port(&port.name).unwrap_or(target);
            out.push(instance.at(&port.name, port.number, number));
        }
    }
}

/// The workloads of an entry: those that its selector chooses, else those that it states.
fn instances(
    object: &Object<ServiceEntry>,
    by_name: bool,
    store: &ConfigStore,
    settings: &MeshSettings,
) -> Vec<WorkloadInstance> {
    let Some(selector) = &object.spec.workload_selector else {
        let stated = object.spec.endpoints.iter().enumerate();
        return stated
            .map(|(index, entry)| WorkloadInstance::inline(entry, &object.meta, index, settings))
            .collect();
    };
    let namespace = &object.meta.namespace;
    let mut found = Vec::new();
    // It selects workloads of every cluster.
    for store in std::iter::once(store).chain(store.remotes()) {
        found.extend(WorkloadInstance::selected_entries(namespace, &selector.labels, store, settings));
        if settings.features.service_entry_select_pods {
            found.extend(WorkloadInstance::selected_pods(namespace, &selector.labels, store, settings));
        }
    }
    found.retain(|instance| by_name || !instance.dns_only);
    found
}

/// The kinds that the endpoints of a service are made of.
pub(crate) const KINDS: &[Kind] = &[
    Kind::EndpointSlice,
    Kind::Pod,
    Kind::Node,
    Kind::Service,
    Kind::ServiceEntry,
    Kind::WorkloadEntry,
    Kind::Namespace,
];
