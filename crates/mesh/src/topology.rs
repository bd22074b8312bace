//! Where a workload is: its locality (row K08), its network (spec 2.5), and the labels that tell both to
//! `failoverPriority` and the network view (spec section 8).

use std::collections::BTreeMap;
use std::net::IpAddr;

use config::{ConfigStore, Object, k8s};
use ipnet::IpNet;
use model::{Labels, Locality};
use proto::istio::mesh::network::network_endpoints::Ne;

use crate::MeshSettings;

/// The label that names a network, on workloads, Services and the system namespace.
pub(crate) const NETWORK: &str = "topology.istio.io/network";
const LOCALITY: [&str; 2] = ["topology.istio.io/locality", "istio-locality"];
const CLUSTER: &str = "topology.istio.io/cluster";
const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const SUBZONE: &str = "topology.istio.io/subzone";
const HOST_NAME: &str = "kubernetes.io/hostname";

/// The locality that labels state outright, as `region/zone/subzone`; empty when they state none.
pub(crate) fn stated_locality(labels: &Labels) -> String {
    let stated = LOCALITY.iter().find_map(|key| labels.value(key)).unwrap_or_default();
    if stated.contains('/') { stated.to_owned() } else { stated.replace('.', "/") }
}

/// The locality that labels tell: those of the topology part by part, else the one that states it as a whole.
pub fn labelled_locality(labels: &Labels) -> Locality {
    let part = |key: &str| labels.value(key).unwrap_or_default().to_owned();
    let parts = Locality { region: part(REGION), zone: part(ZONE), subzone: part(SUBZONE) };
    if parts.is_empty() { Locality::parse(&stated_locality(labels)) } else { parts }
}

/// The locality of a pod as text: stated by its labels, else by those of its node.
pub(crate) fn pod_locality(pod: &Object<k8s::Pod>, store: &ConfigStore) -> String {
    let stated = stated_locality(&pod.meta.labels);
    if !stated.is_empty() {
        return stated;
    }
    let Some(node) = store.nodes().get("", &pod.spec.node_name) else { return String::new() };
    let first = |keys: &[&str]| keys.iter().find_map(|key| node.meta.label(key)).unwrap_or_default();
    let region = first(&[REGION, "failure-domain.beta.kubernetes.io/region"]);
    let zone = first(&[ZONE, "failure-domain.beta.kubernetes.io/zone"]);
    let subzone = first(&[SUBZONE]);
    if region.is_empty() && zone.is_empty() && subzone.is_empty() {
        return String::new();
    }
    format!("{region}/{zone}/{subzone}")
}

/// The network of a workload: its label, else that of the system namespace, else what MeshNetworks says of the
/// registry and of the address.
pub(crate) fn network(
    address: &str,
    labels: &Labels,
    store: &ConfigStore,
    settings: &MeshSettings,
) -> String {
    if let Some(stated) = labels.value(NETWORK).filter(|network| !network.is_empty()) {
        return stated.to_owned();
    }
    let system = store.namespaces().get("", &settings.root_namespace());
    if let Some(stated) = system.and_then(|ns| ns.meta.label(NETWORK)).filter(|n| !n.is_empty()) {
        return stated.to_owned();
    }
    let address: Option<IpAddr> = address.parse().ok();
    let mut by_address: Option<(u8, &str)> = None;
    for (name, network) in sorted(&settings.networks.networks) {
        for endpoints in network.endpoints.iter().filter_map(|endpoints| endpoints.ne.as_ref()) {
            match endpoints {
                Ne::FromRegistry(registry) if *registry == *settings.cluster_of(store) => {
                    return name.to_owned();
                }
                Ne::FromRegistry(_) => {}
                Ne::FromCidr(cidr) => {
                    let Ok(cidr) = cidr.parse::<IpNet>() else { continue };
                    let holds = address.is_some_and(|address| cidr.contains(&address));
                    if holds && by_address.is_none_or(|(length, _)| cidr.prefix_len() > length) {
                        by_address = Some((cidr.prefix_len(), name));
                    }
                }
            }
        }
    }
    by_address.map(|(_, name)| name.to_owned()).unwrap_or_default()
}

/// The entries of a map of the configuration in the order of names.
pub(crate) fn sorted<'a, T>(
    map: impl IntoIterator<Item = (&'a String, &'a T)>,
) -> impl Iterator<Item = (&'a str, &'a T)>
where
    T: 'a,
{
    let mut entries: Vec<_> = map.into_iter().map(|(name, value)| (name.as_str(), value)).collect();
    entries.sort_by_key(|(name, _)| *name);
    entries.into_iter()
}

/// The name of the node that labels tell.
pub fn labelled_node(labels: &Labels) -> &str {
    labels.value(HOST_NAME).unwrap_or_default()
}

/// Whether a selector can choose a workload with some labels of its own, whatever the topology adds to them.
pub(crate) fn may_select<'l>(
    selector: &BTreeMap<String, String>,
    own: impl Fn(&str) -> Option<&'l str>,
) -> bool {
    let added = [REGION, ZONE, SUBZONE, CLUSTER, HOST_NAME, NETWORK];
    !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| own(key) == Some(value.as_str()) || added.contains(&key.as_str()))
}

/// Labels with those of the topology: cluster, locality, node and network, as far as they are known.
pub fn with_topology(
    labels: &Labels,
    cluster: &str,
    locality: &Locality,
    node: &str,
    network: &str,
) -> Labels {
    let topology = [
        (REGION, locality.region.as_str()),
        (ZONE, &locality.zone),
        (SUBZONE, &locality.subzone),
        (CLUSTER, cluster),
        (HOST_NAME, node),
        (NETWORK, network),
    ];
    let mut map = (**labels).clone();
    for (key, value) in topology.into_iter().filter(|(_, value)| !value.is_empty()) {
        map.insert(key.to_owned(), value.to_owned());
    }
    Labels::new(map)
}
