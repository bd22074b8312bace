//! Services as the mesh sees them, whatever they came from: a Kubernetes Service or one host and address of a
//! ServiceEntry (spec sections 5.3 and 8). Services of one host in several clusters are one service with addresses for
//! each (row K14).

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use model::{Fingerprint, Host, Labels, Namespace, Protocol, Timestamp};

use crate::{ExportTo, Features};

/// The address of a service that has none.
pub const UNSPECIFIED_V4: &str = "0.0.0.0";

/// Where a service was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    External,
}

/// How endpoints of a service are found by the client (spec 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// The control plane knows the endpoints.
    ClientSideLb,
    /// The proxy resolves the endpoints' names, all addresses count.
    Dns,
    /// The proxy resolves, the first address of an answer counts.
    DnsRoundRobin,
    /// The proxy resolves the requested (wildcard) host name.
    DynamicDns,
    /// The connection's original destination.
    Passthrough,
    /// Another name of another service (ExternalName).
    Alias,
}

/// The port that the workload listens on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetPort {
    /// A number.
    Number(u32),
    /// The name of a container port.
    Name(String),
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePort {
    /// Its name; endpoints are matched to ports by name.
    pub name: String,
    /// The service port number.
    pub number: u32,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The port of the workload. A ServiceEntry port without `targetPort` has its own number here.
    pub target: TargetPort,
    /// Whether the target was stated (ServiceEntry `targetPort`), not defaulted.
    pub target_stated: bool,
    /// The node port, when there is one.
    pub node_port: Option<u32>,
}

/// Topology preference (`trafficDistribution`, spec 2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficDistribution {
    /// None.
    #[default]
    Any,
    /// `PreferSameZone` or `PreferClose`.
    PreferSameZone,
    /// `PreferSameNode`.
    PreferSameNode,
}

/// What only Kubernetes Services have.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesAttributes {
    /// ClusterIP is `None`.
    pub headless: bool,
    /// The name behind an ExternalName service.
    pub external_name: Option<Host>,
    /// `internalTrafficPolicy: Local`.
    pub node_local: bool,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// `spec.type`.
    pub service_type: String,
    /// LoadBalancer ingress addresses and `externalIPs`.
    pub external_addresses: Vec<String>,
}

/// One service. Its `Hash` and equality are those of its fingerprint.
#[derive(Clone, Debug)]
pub struct Service {
    /// Fully qualified for Kubernetes, as stated for a ServiceEntry (lower case).
    pub host: Host,
    /// The namespace of the declaring object.
    pub namespace: Namespace,
    /// The Kubernetes name; the host for a ServiceEntry.
    pub name: String,
    /// The name of the declaring object.
    pub object_name: String,
    /// Where it was declared.
    pub registry: Registry,
    /// The cluster that declares it, our own one first where several do.
    pub cluster: String,
    /// Age of the declaring object.
    pub creation: Timestamp,
    /// Ports in declared order.
    pub ports: Vec<ServicePort>,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// `MESH_EXTERNAL`.
    pub external: bool,
    /// Virtual addresses: ClusterIPs in order, or the one address (perhaps a CIDR) of a ServiceEntry. Never empty:
    /// a service without an address has [`UNSPECIFIED_V4`].
    pub addresses: Vec<String>,
    /// The virtual addresses that it has in further clusters, by cluster.
    pub addresses_elsewhere: BTreeMap<String, Vec<String>>,
    /// Automatically allocated addresses (ServiceEntry), for proxies with DNS capture.
    pub auto_addresses: Vec<String>,
    /// Who may see it.
    pub export_to: ExportTo,
    /// Labels of the declaring object.
    pub labels: Labels,
    /// Annotations of the declaring object that the mesh reads.
    pub annotations: BTreeMap<String, String>,
    /// Which workloads are behind it; empty selects nothing.
    pub selector: BTreeMap<String, String>,
    /// Subject names declared for it: ServiceEntry `subjectAltNames`, or the service account annotations.
    pub subject_alt_names: Vec<String>,
    /// Topology preference.
    pub traffic_distribution: TrafficDistribution,
    /// What only Kubernetes Services have; defaults otherwise.
    pub kubernetes: KubernetesAttributes,
    /// Over all of the above.
    pub fingerprint: Fingerprint,
}

impl Service {
    /// Computes the fingerprint; call it last when making a service.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.fingerprint = Fingerprint::of_hash(&(
            (&self.host, &self.namespace, &self.name, &self.object_name, self.registry, self.creation),
            (&self.cluster, &self.addresses_elsewhere),
            (
                &self.ports,
                self.resolution,
                self.external,
                &self.addresses,
                &self.auto_addresses,
                &self.export_to,
            ),
            (&self.labels, &self.annotations, &self.selector, &self.subject_alt_names),
            (self.traffic_distribution, &self.kubernetes),
        ));
        self
    }

    /// The port of that number.
    pub fn port(&self, number: u32) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// The virtual addresses for a proxy of that cluster: those that the service has there, else the first one it has.
    pub fn addresses_for(&self, cluster: &str) -> &[String] {
        if cluster.is_empty() || *cluster == self.cluster {
            return &self.addresses;
        }
        let elsewhere = self.addresses_elsewhere.get(cluster).map(Vec::as_slice);
        elsewhere.or_else(|| self.addresses.get(..1)).unwrap_or_default()
    }

    /// This service with what another cluster declares under its host: the addresses there and the accounts behind it.
    #[must_use]
    pub(crate) fn merged_with(mut self, other: &Self) -> Self {
        self.addresses_elsewhere.insert(other.cluster.clone(), other.addresses.clone());
        self.subject_alt_names.extend(other.subject_alt_names.iter().cloned());
        self.subject_alt_names.sort();
        self.subject_alt_names.dedup();
        self.sealed()
    }

    /// The first address, [`UNSPECIFIED_V4`] when it has none.
    pub fn default_address(&self) -> &str {
        self.addresses.first().map_or(UNSPECIFIED_V4, String::as_str)
    }

    /// Whether it has an address of its own (an IP or a CIDR).
    pub fn has_address(&self) -> bool {
        self.default_address() != UNSPECIFIED_V4
    }

    /// Whether sessions stick to their endpoints, by cookie or by header (spec 2.3).
    pub fn has_persistent_session(&self, features: &Features) -> bool {
        [&features.persistent_session_label, &features.persistent_session_header_label]
            .iter()
            .any(|label| self.labels.value(label).is_some_and(|value| !value.is_empty()))
    }

    /// Whether sessions stick to their endpoints by cookie; only then draining endpoints are told (row E08).
    pub fn has_session_cookie(&self, features: &Features) -> bool {
        self.labels.value(&features.persistent_session_label).is_some_and(|value| !value.is_empty())
    }

    /// Whether endpoints that are not ready are told, too (row E07).
    pub fn sends_unhealthy_endpoints(&self, features: &Features) -> bool {
        features.send_unhealthy_endpoints || self.traffic_distribution != TrafficDistribution::Any
    }

    /// Whether it is reached at ports of the nodes.
    pub fn is_node_port(&self) -> bool {
        self.kubernetes.service_type == "NodePort"
    }

    /// Whether it is a Kubernetes Service.
    pub fn is_kubernetes(&self) -> bool {
        self.registry == Registry::Kubernetes
    }
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Service {}

impl Hash for Service {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}
