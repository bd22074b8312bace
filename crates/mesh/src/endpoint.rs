//! Endpoints: one workload instance behind one service port (spec 2.1, 2.2, 5.3, 8).

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Fingerprint, Labels, Locality, Namespace};

/// Where an endpoint is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointAddress {
    /// An IP address and port.
    Ip(String, u32),
    /// A host name and port (DNS services only).
    Host(String, u32),
    /// A Unix domain socket.
    Pipe(String),
    /// None: a placeholder for a workload reached through its network's gateway.
    Network(u32),
}

impl Default for EndpointAddress {
    fn default() -> Self {
        Self::Network(0)
    }
}

/// Health as the source states it (spec 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// ServiceEntry and WorkloadEntry endpoints: nothing is said.
    #[default]
    Unknown,
    /// Ready.
    Healthy,
    /// Not ready.
    Unhealthy,
    /// Terminating but serving, for persistent sessions.
    Draining,
    /// Terminating.
    Terminating,
}

/// One endpoint of a service port.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Where it is reached.
    pub address: EndpointAddress,
    /// Further addresses of the same workload (dual stack).
    pub additional_addresses: Vec<String>,
    /// The service port's name.
    pub port_name: String,
    /// The service port's number when the source is a ServiceEntry, 0 otherwise (DNS clusters match by number).
    pub service_port: u32,
    /// Labels of the workload, topology labels included.
    pub labels: Labels,
    /// Its namespace; empty where no workload is known.
    pub namespace: Namespace,
    /// `spiffe://…` or empty.
    pub service_account: String,
    /// The network it is in; empty is the default network.
    pub network: String,
    /// Where it runs.
    pub locality: Locality,
    /// The same as its source wrote it. Endpoints are grouped by this text, so that `r/z` and `r/z/` are two groups.
    pub locality_label: String,
    /// The cluster that declared it.
    pub cluster: String,
    /// Load-balancing weight, 0 when none was given.
    pub weight: u32,
    /// `istio`, `disabled`, or empty: how it takes connections.
    pub tls_mode: String,
    /// Health.
    pub health: Health,
    /// Name of the workload (Deployment, WorkloadEntry, …).
    pub workload_name: String,
    /// The Kubernetes node.
    pub node_name: String,
    /// The pod's host name, for headless DNS names.
    pub hostname: String,
    /// The pod's subdomain.
    pub subdomain: String,
}

impl Endpoint {
    /// Whether the workload says that it can be reached through an HTTP tunnel.
    pub fn is_tunnelled(&self) -> bool {
        let kinds = self.labels.value("networking.istio.io/tunnel").unwrap_or_default();
        kinds.split(',').any(|kind| kind == "http")
    }
}

/// All endpoints of one service, with their fingerprint.
#[derive(Clone, Debug, Default)]
pub struct EndpointSet {
    /// In the order of the sources: ServiceEntries, slices by name, then entries that the Service selects.
    pub endpoints: Arc<[Endpoint]>,
    /// Service accounts of all of them, sorted, without duplicates.
    pub service_accounts: Arc<[String]>,
    /// Names of the ports behind which every endpoint can be reached through a tunnel (HBONE), sorted.
    pub tunnelled_ports: Arc<[String]>,
    /// How many say that they are not ready.
    pub n_unready: usize,
    /// Over the endpoints.
    pub fingerprint: Fingerprint,
}

impl EndpointSet {
    /// The set of these endpoints.
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        let fingerprint = Fingerprint::of_hash(&endpoints);
        let mut accounts: Vec<String> = endpoints
            .iter()
            .filter(|e| !e.service_account.is_empty())
            .map(|e| e.service_account.clone())
            .collect();
        accounts.sort();
        accounts.dedup();
        let mut tunnelled: BTreeMap<&str, bool> = BTreeMap::new();
        for endpoint in &endpoints {
            *tunnelled.entry(&endpoint.port_name).or_insert(true) &= endpoint.is_tunnelled();
        }
        let tunnelled =
            tunnelled.into_iter().filter(|(_, all)| *all).map(|(port, _)| port.to_owned()).collect();
        let n_unready = endpoints.iter().filter(|endpoint| endpoint.health == Health::Unhealthy).count();
        Self {
            n_unready,
            endpoints: endpoints.into(),
            service_accounts: accounts.into(),
            tunnelled_ports: tunnelled,
            fingerprint,
        }
    }
}

impl std::hash::Hash for EndpointSet {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl PartialEq for EndpointSet {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for EndpointSet {}
