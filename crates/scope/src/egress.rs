//! Egress listeners of a scope: which services and VirtualServices traffic of one port (or of all others) may use
//! (spec 5.2, rows S03, S04, S05, S07). The `hosts` of an entry admit by `namespace/dnsName`.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::{Service, VirtualService};
use model::{Host, Namespace, Protocol};
use proto::istio;

/// One egress listener: an entry of a Sidecar, or the one that stands for having no Sidecar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EgressListener {
    /// The Sidecar's entry; `None` for the default.
    pub config: Option<istio::networking::IstioEgressListener>,
    /// Services in scope order, trimmed to what the listener admits.
    pub services: Vec<Arc<Service>>,
    /// VirtualServices in precedence order: private, exported, public; each by age. For sidecars those bound to the
    /// mesh only.
    pub virtual_services: Vec<Arc<VirtualService>>,
}

impl EgressListener {
    /// The listener's port, when it was declared with one.
    pub fn port(&self) -> Option<&istio::networking::SidecarPort> {
        self.config.as_ref().and_then(|c| c.port.as_ref())
    }

    /// The address or socket it was declared with, else empty.
    pub fn bind(&self) -> &str {
        self.config.as_ref().map_or("", |c| &c.bind)
    }

    /// The port that services must expose to be admitted. A generic HTTP proxy and a socket admit every port.
    pub fn required_port(&self) -> Option<u32> {
        self.port()
            .filter(|port| port.number != 0 && Protocol::by_name(&port.protocol) != Protocol::HttpProxy)
            .map(|port| port.number)
    }

    /// What an entry (or, when `None`, everything) admits, as seen from `namespace`.
    pub(crate) fn resolve(
        config: Option<&istio::networking::IstioEgressListener>,
        namespace: &Namespace,
        services: &[Arc<Service>],
        virtual_services: &[Arc<VirtualService>],
    ) -> Self {
        let mut listener = Self { config: config.cloned(), ..Self::default() };
        let imports =
            config.map_or_else(Imports::everything, |config| Imports::parse(&config.hosts, namespace));
        let required = listener.required_port();
        let admitted: Vec<_> = services
            .iter()
            .filter(|service| imports.of(&service.namespace).any(|host| service.host.subset_of(host)))
            .filter_map(|service| match required {
                Some(port) => trimmed(service, |p| p.number == port),
                None => Some(Arc::clone(service)),
            })
            .collect();
        let owners = owners(&admitted, namespace);
        listener.services = admitted
            .into_iter()
            .filter(|service| owners.get(&service.host).is_some_and(|owner| owner.0 == service.namespace))
            .collect();
        listener.virtual_services = virtual_services
            .iter()
            .filter(|vs| imports.of(&vs.namespace).any(|host| is_imported(vs, host)))
            .cloned()
            .collect();
        listener
    }
}

/// Whether an imported host lets a VirtualService in: any overlap does, but for routes of the Gateway API, whose hosts
/// must be covered as those of services are.
fn is_imported(vs: &VirtualService, host: &Host) -> bool {
    let covered = vs.semantics.is_gateway_api();
    vs.hosts.iter().any(|of_vs| if covered { of_vs.subset_of(host) } else { of_vs.matches(host) })
}

/// The service with only those ports, the same one if it has no others, `None` if nothing remains.
pub(crate) fn trimmed(
    service: &Arc<Service>,
    keep: impl Fn(&mesh::ServicePort) -> bool,
) -> Option<Arc<Service>> {
    let ports: Vec<_> = service.ports.iter().filter(|port| keep(port)).cloned().collect();
    if ports.len() == service.ports.len() {
        return (!ports.is_empty()).then(|| Arc::clone(service));
    }
    (!ports.is_empty()).then(|| Arc::new(Service { ports, ..Service::clone(service) }.sealed()))
}

/// One namespace per host name: the client's own first, then Kubernetes over ServiceEntry, else the first seen.
fn owners(services: &[Arc<Service>], client: &Namespace) -> BTreeMap<Host, (Namespace, bool)> {
    let mut owners: BTreeMap<Host, (Namespace, bool)> = BTreeMap::new();
    for service in services {
        let candidate = (service.namespace.clone(), service.is_kubernetes());
        let takes = owners.get(&service.host).is_none_or(|(namespace, kubernetes)| {
            service.namespace == *client || (namespace != client && !kubernetes && candidate.1)
        });
        if takes {
            owners.insert(service.host.clone(), candidate);
        }
    }
    owners
}

/// The `hosts` of one entry.
struct Imports {
    by_namespace: BTreeMap<Namespace, Vec<Host>>,
    anywhere: Vec<Host>,
}

impl Imports {
    fn everything() -> Self {
        Self { by_namespace: BTreeMap::new(), anywhere: vec![Host::from("*")] }
    }

    /// Entries that are not `namespace/dnsName` are passed over. The namespace `~` is the name of none.
    fn parse(hosts: &[String], client: &Namespace) -> Self {
        let mut imports = Self { by_namespace: BTreeMap::new(), anywhere: Vec::new() };
        for (namespace, host) in hosts.iter().filter_map(|entry| entry.split_once('/')) {
            let host = Host::from(host.to_lowercase());
            match namespace {
                "*" => imports.anywhere.push(host),
                "." => imports.by_namespace.entry(client.clone()).or_default().push(host),
                name => imports.by_namespace.entry(Namespace::from(name)).or_default().push(host),
            }
        }
        imports
    }

    /// The host names that may be imported from a namespace.
    fn of<'a>(&'a self, namespace: &Namespace) -> impl Iterator<Item = &'a Host> {
        self.by_namespace.get(namespace).into_iter().flatten().chain(&self.anywhere)
    }
}
