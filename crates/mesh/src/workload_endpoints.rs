//! The endpoints of one service from the objects that stand for its workloads.

use config::{ConfigStore, Object, k8s};
use model::{Labels, Locality, SpiffeId};

use crate::{Endpoint, EndpointAddress, EndpointSet, Health, MeshSettings, Service, TargetPort};

/// All endpoints of `service`.
pub(crate) fn of(service: &Service, store: &ConfigStore, settings: &MeshSettings) -> EndpointSet {
    let mut endpoints = Vec::new();
    if service.is_kubernetes() {
        let slices: Vec<_> = store
            .endpoint_slices()
            .in_namespace(&service.namespace)
            .filter(|slice| {
                k8s::EndpointSlice::service_name(&slice.meta.labels) == Some(service.name.as_str())
            })
            .collect();
        for slice in &slices {
            from_slice(service, slice, store, settings, &mut endpoints);
        }
        if slices.is_empty() && !service.selector.is_empty() {
            from_selected_pods(service, store, settings, &mut endpoints);
        }
    }
    EndpointSet::new(endpoints)
}

fn from_slice(
    service: &Service,
    slice: &Object<k8s::EndpointSlice>,
    store: &ConfigStore,
    settings: &MeshSettings,
    out: &mut Vec<Endpoint>,
) {
    if slice.spec.address_type == k8s::AddressType::Fqdn {
        return;
    }
    for endpoint in &slice.spec.endpoints {
        let ready = endpoint.conditions.ready.unwrap_or(true);
        for address in &endpoint.addresses {
            let pod = endpoint
                .target_ref
                .as_ref()
                .filter(|target| target.kind == "Pod")
                .and_then(|target| store.pods().get(&service.namespace, &target.name));
            for port in &slice.spec.ports {
                let Some(number) = port.port else { continue };
                let mut made = of_pod(pod.map(AsRef::as_ref), service, store, settings);
                made.address = EndpointAddress::Ip(address.clone(), number);
                made.port_name.clone_from(&port.name);
                made.health = if ready { Health::Healthy } else { Health::Unhealthy };
                out.push(made);
            }
        }
    }
}

/// Where a Service has a selector and no EndpointSlice is given, its endpoints are the Pods that it selects.
fn from_selected_pods(
    service: &Service,
    store: &ConfigStore,
    settings: &MeshSettings,
    out: &mut Vec<Endpoint>,
) {
    let selected = store
        .pods()
        .in_namespace(&service.namespace)
        .filter(|pod| pod.meta.labels.selected_by_service(&service.selector) && !pod.meta.deleting);
    for pod in selected {
        for address in &pod.spec.pod_ips {
            for port in &service.ports {
                let Some(number) = target_port(&port.target, &pod.spec) else { continue };
                let mut made = of_pod(Some(pod), service, store, settings);
                made.address = EndpointAddress::Ip(address.clone(), number);
                made.port_name.clone_from(&port.name);
                let ready = pod.spec.ready || service.kubernetes.publish_not_ready;
                made.health = if ready { Health::Healthy } else { Health::Unhealthy };
                out.push(made);
            }
        }
    }
}

/// A target port's number at a pod; a named one is looked up in its containers (row K13).
pub(crate) fn target_port(target: &TargetPort, pod: &k8s::Pod) -> Option<u32> {
    match target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => pod
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .find(|port| port.name == *name)
            .map(|port| port.container_port),
    }
}

/// An endpoint with everything that comes from its pod; address, port and health are still to be filled in.
fn of_pod(
    pod: Option<&Object<k8s::Pod>>,
    service: &Service,
    store: &ConfigStore,
    settings: &MeshSettings,
) -> Endpoint {
    let mut endpoint = Endpoint {
        address: EndpointAddress::Network(0),
        additional_addresses: Vec::new(),
        port_name: String::new(),
        service_port: 0,
        labels: Labels::default(),
        namespace: service.namespace.clone(),
        service_account: String::new(),
        network: String::new(),
        locality: Locality::default(),
        cluster: settings.features.cluster_id.clone(),
        weight: 0,
        tls_mode: "disabled".to_owned(),
        health: Health::Healthy,
        workload_name: String::new(),
        node_name: String::new(),
        hostname: String::new(),
        subdomain: String::new(),
    };
    if let Some(pod) = pod {
        let account = &pod.spec.service_account_name;
        endpoint.labels = pod.meta.labels.clone();
        endpoint.service_account =
            SpiffeId::of(settings.trust_domain(), &pod.meta.namespace, account).to_string();
        endpoint.locality = locality(pod, store);
        endpoint.tls_mode = pod.meta.label("security.istio.io/tlsMode").unwrap_or("disabled").to_owned();
        endpoint.workload_name = pod.meta.name.to_string();
        endpoint.node_name.clone_from(&pod.spec.node_name);
        endpoint.hostname = pod.spec.hostname.clone().unwrap_or_default();
        endpoint.subdomain = pod.spec.subdomain.clone().unwrap_or_default();
    }
    endpoint
}

/// Row K08: the pod's label, else its node's topology labels.
pub(crate) fn locality(pod: &Object<k8s::Pod>, store: &ConfigStore) -> Locality {
    let label = pod.meta.label("topology.istio.io/locality").or_else(|| pod.meta.label("istio-locality"));
    if let Some(label) = label.filter(|label| !label.is_empty()) {
        return Locality::parse_label(label);
    }
    let Some(node) = store.nodes().get("", &pod.spec.node_name) else { return Locality::default() };
    let first =
        |keys: [&str; 2]| keys.iter().find_map(|key| node.meta.label(key)).unwrap_or_default().to_owned();
    Locality {
        region: first(["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"]),
        zone: first(["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"]),
        subzone: first(["topology.istio.io/subzone", "topology.istio.io/subzone"]),
    }
}
