//! The services of one route configuration: those of the egress listener that have the port, by host.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::{Resolution, Service, ServicePort};
use model::Host;
use scope::EgressListener;

/// A service as one route configuration sees it.
#[derive(Clone, Debug)]
pub(super) struct ListedService {
    /// The service.
    pub service: Arc<Service>,
    /// Its ports that count: the one of the listener, or all.
    pub ports: Vec<ServicePort>,
    /// Names of other services that stand for it (ExternalName).
    pub aliases: Vec<Host>,
}

impl ListedService {
    /// Whether it only stands for another service.
    pub(super) fn is_alias(&self) -> bool {
        self.service.resolution == Resolution::Alias
    }

    /// Ports on which HTTP is spoken, or may be.
    pub(super) fn http_ports(&self) -> impl Iterator<Item = &ServicePort> {
        self.ports.iter().filter(|port| port.protocol.is_http() || port.protocol.is_unsupported())
    }
}

/// The services of a listener that have that port (0: any), by host.
pub(super) fn listed(listener: &EgressListener, port: u32) -> BTreeMap<Host, ListedService> {
    let mut services = BTreeMap::new();
    for service in &listener.services {
        let ports: Vec<ServicePort> =
            if port == 0 { service.ports.clone() } else { service.port(port).into_iter().cloned().collect() };
        if port != 0 && ports.is_empty() {
            continue;
        }
        let listed = ListedService { service: Arc::clone(service), ports, aliases: Vec::new() };
        services.insert(service.host.clone(), listed);
    }
    for (alias, concrete) in aliases(listener) {
        if let Some(listed) = services.get_mut(&concrete) {
            listed.aliases.push(alias);
        }
    }
    services
}

/// Every ExternalName service of the listener with the service it finally stands for.
pub(crate) fn aliases(listener: &EgressListener) -> BTreeMap<Host, Host> {
    let direct: BTreeMap<&Host, &Host> = listener
        .services
        .iter()
        .filter(|service| service.resolution == Resolution::Alias)
        .filter_map(|service| Some((&service.host, service.kubernetes.external_name.as_ref()?)))
        .collect();
    let concrete = |alias: &Host| {
        let mut at = alias;
        // A chain is at most as long as there are links; a longer walk goes in circles.
        for _ in 0..=direct.len() {
            match direct.get(at) {
                Some(next) => at = next,
                None => return Some(at.clone()),
            }
        }
        None
    };
    direct.keys().filter_map(|alias| Some(((*alias).clone(), concrete(alias)?))).collect()
}
