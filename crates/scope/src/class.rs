//! A class is every property of a proxy that can change its configuration. Replicas of a Deployment share it, so
//! work falls from proxies to classes. Labels count only when some selector or translation mentions their key; own
//! addresses count only where they show in the configuration.

use std::net::IpAddr;

use mesh::{MentionedKeys, OwnService, Reader, Resolution};
use model::{Labels, Locality, Namespace};

use serde_json::Value;

use crate::{Dialect, InterceptionMode, NodeMetadata, Proxy, ProxyType, SecretAccess};

/// Which IP families a proxy has, and which comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpFamilies {
    /// Has an IPv4 address.
    pub v4: bool,
    /// Has an IPv6 address.
    pub v6: bool,
    /// Its first address is an IPv6 one.
    pub v6_first: bool,
}

impl IpFamilies {
    /// The families of these addresses.
    pub fn of(addresses: &[IpAddr]) -> Self {
        Self {
            v4: addresses.iter().any(IpAddr::is_ipv4),
            v6: addresses.iter().any(IpAddr::is_ipv6),
            v6_first: addresses.first().is_some_and(IpAddr::is_ipv6),
        }
    }

    /// IPv6 alone.
    pub fn only_v6(self) -> bool {
        self.v6 && !self.v4
    }

    /// Both.
    pub fn dual(self) -> bool {
        self.v4 && self.v6
    }

    /// `0.0.0.0`, or `::` for a proxy that has IPv6 alone.
    pub fn wildcard(self) -> &'static str {
        if self.only_v6() { "::" } else { "0.0.0.0" }
    }

    /// `127.0.0.1`, or `::1` for a proxy that has IPv6 alone.
    pub fn localhost(self) -> &'static str {
        if self.only_v6() { "::1" } else { "127.0.0.1" }
    }
}

/// What can change a proxy's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProxyClass {
    /// Sidecar, router, …
    pub proxy_type: ProxyType,
    /// Which Envoy builds it must suit.
    pub dialect: Dialect,
    /// The namespace whose configuration it gets.
    pub namespace: Namespace,
    /// `ns.svc.cluster.local`.
    pub dns_domain: String,
    /// `node.cluster`; tracing calls the service so.
    pub node_cluster: String,
    /// Labels of the workload whose keys matter.
    pub labels: Labels,
    /// The network it is in.
    pub network: String,
    /// Where it runs.
    pub locality: Locality,
    /// The Kubernetes node it says it runs on.
    pub node_name: String,
    /// The network that nearness is measured from: what it says, else that of its pod.
    pub topology_network: String,
    /// Families of its addresses.
    pub ip_families: IpFamilies,
    /// Its addresses, the first first; empty where no translation shows them.
    pub ip_addresses: Vec<IpAddr>,
    /// Everything it says of itself that translation reads.
    pub metadata: NodeMetadata,
    /// Services that its workload is behind, with the ports of the workload.
    pub own_services: Vec<OwnService>,
    /// Which Secrets it may have.
    pub secret_access: SecretAccess,
}

impl ProxyClass {
    /// The class of a proxy, given the mesh.
    pub fn of(proxy: &Proxy, reader: &Reader<'_>) -> Self {
        let metadata = &proxy.metadata;
        let cluster = metadata.cluster_id.as_str();
        let pod = reader.workload(cluster, &proxy.pod_name, &proxy.namespace);
        let labels = labels(proxy, reader);
        let labelled = mesh::labelled_locality(&labels);
        let locality = match &pod {
            Some(pod) if !pod.locality.is_empty() => pod.locality.clone(),
            _ if !labelled.is_empty() => labelled,
            _ => proxy.locality.clone(),
        };
        let node_name = match metadata.node_name.as_str() {
            "" => mesh::labelled_node(&labels).to_owned(),
            stated => stated.to_owned(),
        };
        let topology_network = match (proxy.network.as_str(), &pod) {
            ("", Some(pod)) => pod.network.clone(),
            (stated, _) => stated.to_owned(),
        };
        let ports: Option<Vec<_>> = metadata.pod_ports.as_ref().map(|ports| {
            ports.iter().map(|p| (p.name.clone(), p.protocol.clone(), p.container_port)).collect()
        });
        let own_services = if proxy.proxy_type == ProxyType::Ztunnel {
            Vec::new()
        } else {
            reader.own_services(mesh::StatedWorkload {
                pod: &proxy.pod_name,
                namespace: &proxy.config_namespace,
                addresses: &proxy.ip_addresses,
                labels: &proxy.labels,
                ports: ports.as_deref(),
                cluster,
            })
        };
        let keys = reader.mentioned_keys();
        Self {
            proxy_type: proxy.proxy_type,
            dialect: proxy.dialect,
            namespace: proxy.config_namespace.clone(),
            dns_domain: proxy.dns_domain.clone(),
            node_cluster: proxy.cluster.clone(),
            labels: Labels::new(labels.iter().filter(|(k, _)| matters(k, keys)).map(owned).collect()),
            network: proxy.network.clone(),
            locality,
            node_name: if keys.node { node_name } else { String::new() },
            topology_network,
            ip_families: IpFamilies::of(&proxy.ip_addresses),
            ip_addresses: if addresses_matter(proxy, &labels, &own_services, reader) {
                proxy.ip_addresses.clone()
            } else {
                Vec::new()
            },
            metadata: metadata_of_class(metadata, keys),
            own_services,
            secret_access: proxy.secret_access.clone(),
        }
    }

    /// What of the class shows in its scope, in the clusters and routes of its calls and in endpoints. Classes that
    /// agree in this share these: what a workload serves, and labels that no rule about calls mentions, are left out.
    pub fn outbound(&self, reader: &Reader<'_>) -> Self {
        if self.proxy_type != ProxyType::Sidecar {
            return self.clone();
        }
        let keys = reader.mentioned_keys();
        let mut proxy_config = self.metadata.proxy_config.clone();
        if let Some(members) = proxy_config.as_object_mut() {
            members.retain(|name, _| name == PROXY_HEADERS);
        }
        Self {
            node_cluster: String::new(),
            labels: Labels::new(
                self.labels.iter().filter(|(key, _)| keys.outbound.contains(*key)).map(owned).collect(),
            ),
            ip_addresses: Vec::new(),
            own_services: Vec::new(),
            // Secrets are no part of what is shared.
            secret_access: SecretAccess::default(),
            metadata: NodeMetadata {
                workload_name: String::new(),
                service_account: String::new(),
                proxy_config,
                ..self.metadata.clone()
            },
            ..self.clone()
        }
    }

    /// Whether it is a gateway.
    pub fn is_router(&self) -> bool {
        self.proxy_type == ProxyType::Router
    }
}

/// The labels of the workload: what the registry knows goes before what the proxy says, save what it was told to add.
fn labels(proxy: &Proxy, reader: &Reader<'_>) -> Labels {
    let cluster = proxy.metadata.cluster_id.as_str();
    let known =
        reader.workload_labels(cluster, &proxy.pod_name, &proxy.config_namespace, &proxy.ip_addresses);
    let Some(known) = known else {
        return proxy.labels.clone();
    };
    let mut labels = (*proxy.metadata.static_labels).clone();
    labels.extend((*known).clone());
    Labels::new(labels)
}

/// The only part of its own settings that shows in what a proxy calls.
const PROXY_HEADERS: &str = "proxyHeaders";

/// Labels that every pod, or every rollout, has a value of its own for. They count only when mentioned.
const OF_ONE_POD: &[&str] = &[
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

fn matters(label: &str, keys: &MentionedKeys) -> bool {
    !OF_ONE_POD.contains(&label) || keys.labels.contains(label)
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// Own addresses show in the configuration of a workload that listens at them, and of one that is itself an endpoint
/// of a service whose endpoints each get a listener.
fn addresses_matter(
    proxy: &Proxy,
    labels: &Labels,
    own_services: &[OwnService],
    reader: &Reader<'_>,
) -> bool {
    proxy.metadata.interception_mode == InterceptionMode::None
        || own_services.iter().any(|own| own.service.resolution == Resolution::Passthrough)
        || (proxy.proxy_type == ProxyType::Sidecar
            && reader
                .sidecar(&proxy.config_namespace, labels)
                .is_some_and(|sidecar| !sidecar.spec.ingress.is_empty()))
}

/// Metadata less what only this one pod has, and what `ProxyClass` holds in better form.
fn metadata_of_class(metadata: &NodeMetadata, keys: &MentionedKeys) -> NodeMetadata {
    NodeMetadata {
        labels: Labels::default(),
        static_labels: Labels::default(),
        annotations: Labels::default(),
        instance_ips: Vec::new(),
        name: String::new(),
        node_name: String::new(),
        owner: String::new(),
        pod_ports: None,
        app_containers: Vec::new(),
        workload_entry: String::new(),
        raw: metadata.raw.iter().filter(|(key, _)| keys.metadata.contains(*key)).map(cloned).collect(),
        ..metadata.clone()
    }
}

fn cloned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}
