//! Statuses of Ingresses: the addresses of the Service of ingress, or, where the mesh names none, of the node that one
//! of its proxies runs on.

use std::net::IpAddr;

use config::ConfigStore;
use config::k8s::{PodPhase, ServiceType};

use super::{ObjectStatus, StatusBody};
use crate::ingress::{is_ours, selector};
use crate::lookup::{Lookup, Settings};

/// The status of every Ingress of ours.
pub(super) fn all(store: &ConfigStore, settings: Settings<'_>) -> Vec<ObjectStatus> {
    let lookup = Lookup::new(store, settings);
    let mut ours = store.ingresses().iter().filter(|object| is_ours(&lookup, object)).peekable();
    let mut addresses = if ours.peek().is_some() { addresses(store, settings) } else { Vec::new() };
    // Host names in order, then IPs, as they are told apart in the status.
    addresses.sort_by_key(|address| {
        let is_ip = address.parse::<IpAddr>().is_ok();
        (if is_ip { String::new() } else { address.clone() }, address.clone())
    });
    ours.map(|object| ObjectStatus {
        key: object.key(),
        generation: object.meta.generation,
        body: StatusBody::Ingress(addresses.clone()),
    })
    .collect()
}

fn addresses(store: &ConfigStore, settings: Settings<'_>) -> Vec<String> {
    let namespace = settings.ingress_namespace;
    let name = settings.mesh.ingress_service.as_str();
    if !name.is_empty() {
        let Some(service) = store.services().get(namespace, name) else { return Vec::new() };
        let service = &service.spec;
        if service.service_type == ServiceType::ExternalName {
            return service.external_name.iter().cloned().collect();
        }
        let stated = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let balanced = service.load_balancer_ingress.iter();
        let balanced = balanced.filter_map(|at| stated(&at.ip).or_else(|| stated(&at.hostname)));
        return balanced.chain(service.external_ips.iter().cloned()).collect();
    }
    let wanted = selector(settings.mesh);
    let pods = store
        .pods()
        .in_namespace(namespace)
        .filter(|pod| pod.spec.phase == PodPhase::Running && pod.meta.labels.selected_by(&wanted));
    let mut nodes = pods.filter_map(|pod| store.nodes().get("", &pod.spec.node_name));
    let Some(node) = nodes.next() else { return Vec::new() };
    let mut found: Vec<String> = Vec::new();
    for address in node.spec.addresses.iter().filter(|address| address.address_type == "ExternalIP") {
        if !address.address.is_empty() && !found.contains(&address.address) {
            found.push(address.address.clone());
        }
    }
    found
}
