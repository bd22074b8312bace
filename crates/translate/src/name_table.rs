//! The DNS name table (NDS; platform specification 2.3, traffic specification section 8): names of services and of
//! pods behind headless ones, with the addresses that the agent's DNS proxy answers.
//!
//! Every egress listener adds its services: one of Kubernetes replaces what is known of its host, the addresses of
//! ServiceEntries add up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mesh::{Endpoint, EndpointAddress, EndpointSet, Health, Registry, Resolution, Service, UNSPECIFIED_V4};
use proto::nds::{NameTable, name_table::NameInfo};
use scope::{IpFamilies, ProxyType};

use crate::{Context, Input, Rendered, Resource};

/// The services that the table is made of.
#[derive(Hash)]
struct NameTableInput {
    services: Vec<(Arc<Service>, Option<EndpointSet>)>,
    ip_families: IpFamilies,
    dual_stack: bool,
    /// Whether automatically allocated addresses are answered.
    captures_dns: bool,
    network: String,
    cluster: String,
}

/// The table for a proxy that captures DNS.
pub fn generate(ctx: &Context<'_>) -> Option<Resource> {
    let class = ctx.class();
    if class.proxy_type != ProxyType::Sidecar {
        return None;
    }
    let listed = ctx.scope.egress.iter().flat_map(|listener| &listener.services);
    let services = listed
        .map(|service| {
            let endpoints =
                is_headless(service).then(|| ctx.reader.endpoints(&service.host, &service.namespace));
            (Arc::clone(service), endpoints)
        })
        .collect();
    let input = NameTableInput {
        services,
        ip_families: class.ip_families,
        dual_stack: ctx.settings().features.dual_stack,
        captures_dns: class.metadata.dns_capture,
        network: class.network.clone(),
        cluster: class.metadata.cluster_id.clone(),
    };
    Some(ctx.resource("", &input))
}

fn is_headless(service: &Service) -> bool {
    service.resolution == Resolution::Passthrough && !service.ports.is_empty()
}

impl Input for NameTableInput {
    type Output = NameTable;

    const TAG: &'static str = "NameTableInput";

    fn render(&self) -> Rendered<NameTable> {
        let mut table = BTreeMap::new();
        for (service, endpoints) in &self.services {
            self.add(service, endpoints.as_ref(), &mut table);
        }
        NameTable { table: table.into_iter().collect() }.into()
    }
}

impl NameTableInput {
    fn add(
        &self,
        service: &Service,
        endpoints: Option<&EndpointSet>,
        table: &mut BTreeMap<String, NameInfo>,
    ) {
        let mut ips = Vec::new();
        for address in self.addresses(service) {
            match endpoints {
                Some(endpoints) if address == UNSPECIFIED_V4 => {
                    ips.extend(self.behind(service, endpoints, table));
                    break;
                }
                None if address == UNSPECIFIED_V4 => break,
                _ if address.parse::<IpAddr>().is_err() => {}
                _ => ips.push(address.to_owned()),
            }
        }
        if ips.is_empty() {
            return;
        }
        if service.is_kubernetes() {
            table.insert(service.host.to_string(), info(service, ips, service.name.clone()));
            return;
        }
        let external = NameInfo { registry: registry(service).to_owned(), ..NameInfo::default() };
        let known = table.entry(service.host.to_string()).or_insert(external);
        if known.registry == registry(service) {
            known.ips.extend(ips);
        }
    }

    /// The addresses that the proxy may use: what was allocated, if it answers DNS itself, else what was stated; of
    /// a Kubernetes Service those of the proxy's families.
    fn addresses<'s>(&self, service: &'s Service) -> Vec<&'s str> {
        let automatic = self.captures_dns && !service.has_address() && !service.auto_addresses.is_empty();
        let own = service.addresses_for(&self.cluster);
        let all = if automatic { &service.auto_addresses } else { own };
        let all = all.iter().map(String::as_str);
        if !automatic && !service.is_kubernetes() {
            return all.take(1).collect();
        }
        let is_v6 = |address: &str| address.contains(':');
        let families = self.ip_families;
        let usable: Vec<&str> = all.filter(|a| if is_v6(a) { families.v6 } else { families.v4 }).collect();
        let first_is_v6 = usable.first().is_some_and(|first| is_v6(first));
        usable.into_iter().filter(|a| self.dual_stack || is_v6(a) == first_is_v6).collect()
    }

    /// The addresses behind a headless Service, and the names of its pods on the way.
    fn behind(
        &self,
        service: &Service,
        endpoints: &EndpointSet,
        table: &mut BTreeMap<String, NameInfo>,
    ) -> Vec<String> {
        let port = service.ports.first().map(|port| port.name.as_str());
        let mut ips = Vec::new();
        let mut pods: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
        for endpoint in endpoints.endpoints.iter().filter(|e| Some(e.port_name.as_str()) == port) {
            let EndpointAddress::Ip(ip, _) = &endpoint.address else { continue };
            let all = || std::iter::once(ip).chain(&endpoint.additional_addresses);
            let is_ready = endpoint.health == Health::Healthy || service.kubernetes.publish_not_ready;
            if !is_ready || !self.is_in_network(endpoint) {
                continue;
            }
            let is_in_cluster = self.cluster.is_empty() || self.cluster == endpoint.cluster;
            if !endpoint.subdomain.is_empty() {
                let name = format!("{}.{}", endpoint.hostname, endpoint.subdomain);
                pods.entry((is_in_cluster, name)).or_default().extend(all().cloned());
            }
            if is_in_cluster {
                ips.extend(all().cloned());
            }
        }
        let domain = service.host.split_once('.').map(|(_, domain)| domain);
        // A pod of the proxy's own cluster comes after, and replaces, one of another cluster.
        for ((_, name), addresses) in pods {
            let Some(domain) = domain else { continue };
            table.insert(format!("{name}.{domain}"), info(service, addresses, name));
        }
        ips
    }

    fn is_in_network(&self, endpoint: &Endpoint) -> bool {
        self.network.is_empty() || endpoint.network.is_empty() || self.network == endpoint.network
    }
}

fn registry(service: &Service) -> &'static str {
    match service.registry {
        Registry::Kubernetes => "Kubernetes",
        Registry::External => "External",
    }
}

fn info(service: &Service, ips: Vec<String>, shortname: String) -> NameInfo {
    NameInfo {
        ips,
        registry: registry(service).to_owned(),
        shortname,
        namespace: service.namespace.to_string(),
        ..NameInfo::default()
    }
}
