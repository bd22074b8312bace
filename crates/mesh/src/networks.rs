//! Gateways between networks (spec 2.5): those of MeshNetworks, by address or by Service, and the Services that a
//! label makes gateways of a network, and likewise Gateways of the Gateway API. Load assignments know only those with IP addresses; clusters that resolve names
//! take host names, too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use config::{ConfigStore, Object, gateway_api, k8s};
use model::Fingerprint;
use proto::istio::mesh::Network;
use proto::istio::mesh::network::istio_network_gateway::Gw;
use proto::istio::mesh::network::network_endpoints::Ne;

use crate::mesh::ServiceIndex;
use crate::topology::{NETWORK, sorted};
use crate::{MeshSettings, Question, Reader, Service};

const GATEWAY_PORT: &str = "networking.istio.io/gatewayPort";
const LISTENER_MODE: &str = "gateway.istio.io/listener-protocol";
const DEFAULT_PORT: u32 = 15443;
const TUNNEL_PORT: u32 = 15008;
const TUNNEL_PROTOCOL: &str = "HBONE";
/// An annotation of Services of type NodePort: JSON labels of the nodes by whose external addresses they are reached.
const NODE_SELECTOR: &str = "traffic.istio.io/nodeSelector";

/// One way into a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkGateway {
    /// Its IP or host name.
    pub address: String,
    /// Its port for mutual TLS that is routed by server name; 0 for one that takes tunnels alone.
    pub port: u32,
    /// The network behind it.
    pub network: String,
    /// The cluster that declares it; empty if MeshNetworks states its address.
    pub cluster: String,
}

impl NetworkGateway {
    /// Its IP, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }
}

/// Ways into networks: once with those alone that have IPs, once with all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NetworkIndex {
    with_ip: Arc<NetworkGateways>,
    all: Arc<NetworkGateways>,
}

/// All ways into all networks.
#[derive(Clone, Debug, Default)]
pub struct NetworkGateways {
    /// By address and port.
    all: Vec<NetworkGateway>,
    /// A multiple of every number of gateways that a weight may have to be divided by.
    scale: u32,
    fingerprint: Fingerprint,
}

impl NetworkIndex {
    pub(crate) fn build(store: &ConfigStore, settings: &MeshSettings, services: &ServiceIndex) -> Self {
        let mut all = Vec::new();
        for (name, network) in sorted(&settings.networks.networks) {
            for gateway in &network.gateways {
                match &gateway.gw {
                    Some(Gw::Address(address)) => all.extend(at(address, gateway.port, name, "")),
                    Some(Gw::RegistryServiceName(host)) => {
                        let is_meant = |service: &&Service| {
                            *service.host == **host
                                && names_gateway(service)
                                && is_of(network, &service.cluster)
                        };
                        for service in services.each().filter(|service| is_meant(service)) {
                            all.extend(of_service(service, gateway.port, name, settings, store));
                        }
                    }
                    None => {}
                }
            }
        }
        for service in services.each().filter(|service| service.is_kubernetes()) {
            let Some(network) = service.labels.value(NETWORK).filter(|network| !network.is_empty()) else {
                continue;
            };
            let stated = service.labels.value(GATEWAY_PORT).and_then(|port| port.parse().ok());
            let port = stated.unwrap_or(DEFAULT_PORT);
            if service.port(port).is_some() {
                all.extend(of_service(service, port, network, settings, store));
            } else if service.port(TUNNEL_PORT).is_some() {
                all.extend(of_service(service, 0, network, settings, store));
            }
        }
        for gateway in store.kubernetes_gateways() {
            all.extend(of_gateway(gateway, settings));
        }
        let with_ip = all.iter().filter(|gateway| gateway.ip().is_some()).cloned().collect();
        Self { with_ip: NetworkGateways::new(with_ip).into(), all: NetworkGateways::new(all).into() }
    }
}

impl NetworkGateways {
    fn new(mut all: Vec<NetworkGateway>) -> Self {
        all.sort();
        all.dedup();
        let mut counts: BTreeMap<(&str, Option<&str>), u32> = BTreeMap::new();
        for gateway in &all {
            *counts.entry((&gateway.network, None)).or_default() += 1;
            *counts.entry((&gateway.network, Some(&gateway.cluster))).or_default() += 1;
        }
        let scale = counts.values().fold(1, |scale, count| least_common_multiple(scale, *count));
        let fingerprint = Fingerprint::of_hash(&all);
        Self { all, scale, fingerprint }
    }

    /// Whether there is none: then all networks reach each other.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What every weight is multiplied by.
    pub fn scale(&self) -> u32 {
        self.scale.max(1)
    }

    /// The ways into a network for endpoints of a cluster: those that the cluster declares, else all. Those that take
    /// tunnels alone are for nobody here.
    pub fn of(&self, network: &str, cluster: &str) -> Vec<&NetworkGateway> {
        let all = || self.all.iter().filter(move |gateway| gateway.network == network);
        let own: Vec<_> = all().filter(|gateway| gateway.cluster == cluster).collect();
        let mut found = if own.is_empty() { all().collect() } else { own };
        found.retain(|gateway| gateway.port != 0);
        found
    }
}

impl PartialEq for NetworkGateways {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for NetworkGateways {}

impl std::hash::Hash for NetworkGateways {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// Whether MeshNetworks may make a Service a gateway: one that a label makes such is nothing else.
fn names_gateway(service: &Service) -> bool {
    service.is_kubernetes() && service.labels.value(NETWORK).is_none_or(str::is_empty)
}

fn at(address: &str, port: u32, network: &str, cluster: &str) -> Option<NetworkGateway> {
    let stated = !address.is_empty();
    stated.then(|| NetworkGateway {
        address: address.to_owned(),
        port,
        network: network.to_owned(),
        cluster: cluster.to_owned(),
    })
}

/// Whether MeshNetworks says that a network has the endpoints of a cluster, whose Services it may then name.
fn is_of(network: &Network, cluster: &str) -> bool {
    network
        .endpoints
        .iter()
        .any(|endpoints| matches!(&endpoints.ne, Some(Ne::FromRegistry(registry)) if registry == cluster))
}

fn of_service(
    service: &Service,
    port: u32,
    network: &str,
    settings: &MeshSettings,
    store: &ConfigStore,
) -> Vec<NetworkGateway> {
    let cluster = &service.cluster;
    // The nodes of other clusters are not known here.
    let is_own = *cluster == settings.features.cluster_id;
    let stated = &service.kubernetes.external_addresses;
    let selector = service.annotations.get(NODE_SELECTOR).filter(|_| service.is_node_port());
    let node_port = selector.and_then(|_| service.port(port)?.node_port);
    let by_nodes = selector.filter(|_| is_own && stated.is_empty()).map(|selector| of_nodes(selector, store));
    let addresses = stated.iter().chain(by_nodes.iter().flatten());
    addresses.filter_map(|address| at(address, node_port.unwrap_or(port), network, cluster)).collect()
}

/// The external addresses of nodes with these labels; of all nodes if the text is no labels.
fn of_nodes(selector: &str, store: &ConfigStore) -> Vec<String> {
    let selector = k8s::labels_of_json(selector);
    let nodes = store.nodes().iter().filter(|node| node.meta.labels.selected_by(&selector));
    let address = |node: &Arc<Object<k8s::Node>>| {
        let mut all = node.spec.addresses.iter();
        let external = all.find(|a| a.address_type == "ExternalIP" && !a.address.is_empty());
        external.map(|external| external.address.clone())
    };
    nodes.filter_map(address).collect()
}

/// The listeners of a Gateway of the Gateway API that pass mutual TLS on or end tunnels, at the addresses it asks for.
fn of_gateway(gateway: &Object<gateway_api::Gateway>, settings: &MeshSettings) -> Vec<NetworkGateway> {
    let labels = &gateway.meta.labels;
    let Some(network) = labels.value(NETWORK).filter(|network| !network.is_empty()) else {
        return Vec::new();
    };
    let expected = labels.value(GATEWAY_PORT).map_or(DEFAULT_PORT.to_string(), str::to_owned);
    let passes_on = |listener: &&gateway_api::Listener| {
        if listener.protocol == TUNNEL_PROTOCOL {
            return true;
        }
        listener.tls.as_ref().is_some_and(|tls| {
            tls.options.get(LISTENER_MODE).is_some_and(|mode| mode == "auto-passthrough")
                || listener.port.to_string() == expected
        })
    };
    let cluster = &settings.features.cluster_id;
    let addresses = || {
        let known = |address: &&gateway_api::GatewayAddress| {
            matches!(address.address_type.as_str(), "IPAddress" | "Hostname")
        };
        gateway.spec.addresses.iter().filter(known)
    };
    let listeners = gateway.spec.listeners.iter().filter(passes_on);
    listeners
        .flat_map(|listener| addresses().filter_map(|a| at(&a.value, listener.port, network, cluster)))
        .collect()
}

fn least_common_multiple(a: u32, b: u32) -> u32 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}

impl Reader<'_> {
    /// The gateways between networks that have IPs; `names` adds those with host names.
    pub fn network_gateways(&self, names: bool) -> Arc<NetworkGateways> {
        self.note(&Question::NetworkGateways);
        let index = self.mesh().network_gateways();
        Arc::clone(if names { &index.all } else { &index.with_ip })
    }
}
