//! All services of a scope, one per host name: those that listeners admit, and the destinations that their
//! VirtualServices pull in (spec 5.2, rows S06, S07, S15).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh::{Reader, Service, VirtualService};
use model::{Host, Namespace};
use proto::istio::networking::Destination;

use crate::EgressListener;
use crate::egress::trimmed;

/// Services by host, in the order in which hosts came up.
#[derive(Default)]
pub(crate) struct Collected {
    services: Vec<Arc<Service>>,
    places: BTreeMap<Host, usize>,
}

impl Collected {
    /// Adds a service. One of Kubernetes replaces a ServiceEntry; otherwise the first one of a host stays, and takes
    /// over the ports of a later one that is the same service seen through another listener.
    pub(crate) fn add(&mut self, service: &Arc<Service>) {
        let Some(existing) = self.places.get(&service.host).and_then(|place| self.services.get_mut(*place))
        else {
            self.places.insert(service.host.clone(), self.services.len());
            self.services.push(Arc::clone(service));
            return;
        };
        if service.is_kubernetes() && !existing.is_kubernetes() {
            *existing = Arc::clone(service);
        } else if existing.ports != service.ports && one_service(existing, service) {
            let more: Vec<_> =
                service.ports.iter().filter(|port| existing.port(port.number).is_none()).cloned().collect();
            if !more.is_empty() {
                let mut merged = Service::clone(existing);
                merged.ports.extend(more);
                *existing = Arc::new(merged.sealed());
            }
        }
    }

    /// Adds what the VirtualServices of a listener send traffic to, seen from `client`.
    pub(crate) fn add_destinations(
        &mut self,
        listener: &EgressListener,
        client: &Namespace,
        reader: &Reader<'_>,
    ) {
        for vs in &listener.virtual_services {
            for (host, ports) in destinations(vs, client) {
                let Some(service) = best(&reader.services_of_host(&host), client) else { continue };
                let trimmed = match listener.required_port() {
                    Some(port) => trimmed(&service, |p| p.number == port),
                    // Zero stands for a destination without a port, which may be any.
                    None if ports.contains(&0) => Some(service),
                    None => trimmed(&service, |p| ports.contains(&p.number)),
                };
                if let Some(service) = trimmed {
                    self.add(&service);
                }
            }
        }
    }

    /// The services, and where each host's is.
    pub(crate) fn finish(self) -> (Vec<Arc<Service>>, BTreeMap<Host, Arc<Service>>) {
        let by_host = self.services.iter().map(|service| (service.host.clone(), Arc::clone(service)));
        let by_host = by_host.collect();
        (self.services, by_host)
    }
}

/// Whether two are parts of one service, told apart by their ports alone.
fn one_service(a: &Service, b: &Service) -> bool {
    a.namespace == b.namespace
        && a.registry == b.registry
        && a.resolution == b.resolution
        && a.labels == b.labels
        && a.selector == b.selector
        && a.export_to == b.export_to
}

/// The client namespace's own service of a host, else the best one it may see: of Kubernetes, else the oldest.
fn best(candidates: &[Arc<Service>], client: &Namespace) -> Option<Arc<Service>> {
    candidates
        .iter()
        .find(|service| service.namespace == *client)
        .or_else(|| {
            candidates
                .iter()
                .filter(|service| service.export_to.visible_to(client))
                .min_by_key(|service| (!service.is_kubernetes(), service.creation))
        })
        .cloned()
}

/// The hosts and ports that a VirtualService names, less HTTP routes that are for other namespaces only.
pub(crate) fn destinations(vs: &VirtualService, client: &Namespace) -> BTreeMap<Host, BTreeSet<u32>> {
    let mut found: BTreeMap<Host, BTreeSet<u32>> = BTreeMap::new();
    let mut add = |destination: Option<&Destination>| {
        if let Some(destination) = destination {
            let port = destination.port.as_ref().map_or(0, |port| port.number);
            found.entry(Host::from(destination.host.as_str())).or_default().insert(port);
        }
    };
    for route in &vs.spec.http {
        let mut restricted =
            route.r#match.iter().map(|m| &*m.source_namespace).filter(|n| !n.is_empty()).peekable();
        if restricted.peek().is_some() && !restricted.any(|namespace| *namespace == **client) {
            continue;
        }
        let mirrors = route.mirrors.iter().map(|mirror| mirror.destination.as_ref());
        let targets = route.route.iter().map(|target| target.destination.as_ref());
        targets.chain([route.mirror.as_ref()]).chain(mirrors).for_each(&mut add);
    }
    let tcp = vs.spec.tcp.iter().flat_map(|route| &route.route);
    let tls = vs.spec.tls.iter().flat_map(|route| &route.route);
    tcp.chain(tls).for_each(|target| add(target.destination.as_ref()));
    found
}
