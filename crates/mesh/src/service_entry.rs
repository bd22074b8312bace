//! ServiceEntry to services: one per host and address (spec 5.3, rows S10 to S14).

use std::collections::BTreeMap;

use config::{ConfigStore, Object};
use model::{Host, Protocol};
use proto::istio;

use crate::{
    ExportTo, KubernetesAttributes, MeshSettings, Registry, Resolution, Service, ServicePort, TargetPort,
    UNSPECIFIED_V4,
};
use istio::networking::service_entry::{Location, Resolution as EntryResolution};

const AUTO_ALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";

/// The services of one entry, host by host and address by address in declared order.
pub(crate) fn services(
    object: &Object<istio::networking::ServiceEntry>,
    store: &ConfigStore,
    settings: &MeshSettings,
) -> Vec<Service> {
    let entry = &object.spec;
    let addresses: Vec<String> = entry.addresses.iter().filter_map(|a| address(a)).collect();
    let addresses = if addresses.is_empty() { vec![UNSPECIFIED_V4.to_owned()] } else { addresses };
    let ports: Vec<ServicePort> =
        entry.ports.iter().filter(|port| (1..=65_535).contains(&port.number)).map(port).collect();
    let mut services = Vec::new();
    for host in &entry.hosts {
        let host = Host::from(host.to_lowercase());
        for address in &addresses {
            let auto_addresses =
                if may_allocate(object, &host) { auto_addresses(object, &host) } else { Vec::new() };
            services.push(
                Service {
                    name: host.to_string(),
                    object_name: object.meta.name.to_string(),
                    host: host.clone(),
                    namespace: object.meta.namespace.clone(),
                    registry: Registry::External,
                    cluster: settings.cluster_of(store).to_owned(),
                    creation: object.meta.creation,
                    ports: ports.clone(),
                    resolution: resolution(entry),
                    external: entry.location() == Location::MeshExternal,
                    addresses: vec![address.clone()],
                    addresses_elsewhere: BTreeMap::new(),
                    auto_addresses,
                    export_to: ExportTo::of(
                        entry.export_to.iter().map(String::as_str),
                        &object.meta.namespace,
                        &settings.config.default_service_export_to,
                        true,
                    ),
                    labels: object.meta.labels.clone(),
                    annotations: object
                        .meta
                        .annotations
                        .iter()
                        .map(|(k, v)| (k.clone(), v.clone()))
                        .collect(),
                    selector: entry
                        .workload_selector
                        .as_ref()
                        .map(|selector| selector.labels.clone())
                        .unwrap_or_default(),
                    subject_alt_names: entry.subject_alt_names.clone(),
                    traffic_distribution: crate::kubernetes::traffic_distribution(None, &object.meta, store),
                    kubernetes: KubernetesAttributes::default(),
                    fingerprint: Default::default(),
                }
                .sealed(),
            );
        }
    }
    services
}

fn resolution(entry: &istio::networking::ServiceEntry) -> Resolution {
    match entry.resolution() {
        EntryResolution::None => Resolution::Passthrough,
        EntryResolution::Static => Resolution::ClientSideLb,
        EntryResolution::Dns => Resolution::Dns,
        EntryResolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        EntryResolution::DynamicDns => Resolution::DynamicDns,
    }
}

fn port(port: &istio::networking::ServicePort) -> ServicePort {
    let stated = port.target_port != 0;
    ServicePort {
        name: port.name.clone(),
        number: port.number,
        protocol: Protocol::by_name(&port.protocol),
        target: TargetPort::Number(if stated { port.target_port } else { port.number }),
        target_stated: stated,
        node_port: None,
    }
}

/// An IP stays, `/32` (or `/128`) becomes its IP, other CIDRs stay; what is neither is dropped.
fn address(text: &str) -> Option<String> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Some(text.to_owned());
    }
    let net: ipnet::IpNet = text.parse().ok()?;
    Some(if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { text.to_owned() })
}

/// Whether addresses that were allocated count (row S14): none is stated, the entry did not opt out, and its host can
/// have one.
pub(crate) fn may_allocate(object: &Object<istio::networking::ServiceEntry>, host: &Host) -> bool {
    let entry = &object.spec;
    let opted_out = object.meta.label(AUTO_ALLOCATE).is_some_and(|value| value.eq_ignore_ascii_case("false"));
    entry.addresses.is_empty()
        && !opted_out
        && entry.resolution() != EntryResolution::None
        && (!host.is_wildcard() || entry.resolution() == EntryResolution::DynamicDns)
}

/// Addresses that the allocator wrote into the status for that host (or for no host in particular).
fn auto_addresses(object: &Object<istio::networking::ServiceEntry>, host: &Host) -> Vec<String> {
    let list = object.status.as_ref().and_then(|status| status.get("addresses")).and_then(|a| a.as_array());
    list.into_iter()
        .flatten()
        .filter(|item| item.get("host").and_then(|h| h.as_str()).is_none_or(|h| h.eq_ignore_ascii_case(host)))
        .filter_map(|item| item.get("value").and_then(|v| v.as_str()).map(str::to_owned))
        .collect()
}
