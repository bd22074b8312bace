//! Service: addresses, ports, selector, and the settings that shape endpoints (K01-K07).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::tcp;

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Document")]
pub struct Service {
    /// Type.
    pub service_type: ServiceType,
    /// Cluster addresses, the primary one first; empty if it has none, `["None"]` if it is headless.
    pub cluster_ips: Vec<String>,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Labels of the pods behind it; empty selects none.
    pub selector: BTreeMap<String, String>,
    /// The name an ExternalName service stands for.
    pub external_name: Option<String>,
    /// Addresses outside of the cluster that nodes accept.
    pub external_ips: Vec<String>,
    /// Whether endpoints count before they are ready.
    pub publish_not_ready_addresses: bool,
    /// `internalTrafficPolicy: Local`: only endpoints of the same node.
    pub internal_traffic_local: bool,
    /// `PreferSameZone`, `PreferClose`, `PreferSameNode`.
    pub traffic_distribution: Option<String>,
    /// Address families, the primary one first: `IPv4`, `IPv6`.
    pub ip_families: Vec<String>,
    /// `SingleStack`, `PreferDualStack`, `RequireDualStack`.
    pub ip_family_policy: Option<String>,
    /// The address that was asked for.
    pub load_balancer_ip: Option<String>,
    /// The addresses the load balancer got.
    pub load_balancer_ingress: Vec<LoadBalancerIngress>,
}

impl Service {
    /// `clusterIP: None`.
    pub fn is_headless(&self) -> bool {
        self.cluster_ips.first().is_some_and(|ip| ip == "None")
    }
}

/// Type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum ServiceType {
    /// An address inside of the cluster, or headless.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// A port on every node.
    NodePort,
    /// A load balancer outside of the cluster.
    LoadBalancer,
    /// Another name for a DNS name.
    ExternalName,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// Name; may be empty if it is the only port.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Application protocol.
    pub app_protocol: Option<String>,
    /// Number.
    pub port: u32,
    /// Number or name at the pod; the port's own number unless stated.
    pub target_port: IntOrString,
    /// Number at the nodes; zero if there is none.
    pub node_port: u32,
}

/// An address of a load balancer: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct LoadBalancerIngress {
    /// As an IP.
    pub ip: Option<String>,
    /// As a DNS name.
    pub hostname: Option<String>,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IntOrString {
    /// By number.
    Int(u32),
    /// By name.
    String(String),
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::String(name) => f.write_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = IntOrString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port number or the name of a port")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<IntOrString, E> {
                u32::try_from(number)
                    .map(IntOrString::Int)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<IntOrString, E> {
                u32::try_from(number)
                    .map(IntOrString::Int)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<IntOrString, E> {
                // Kubernetes keeps a number in quotes as a string, and then looks for a number in it all the same.
                Ok(name.parse().map_or_else(|_| IntOrString::String(name.to_owned()), IntOrString::Int))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "type")]
    service_type: ServiceType,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    ports: Vec<RawServicePort>,
    selector: BTreeMap<String, String>,
    external_name: Option<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<String>,
    publish_not_ready_addresses: bool,
    internal_traffic_policy: Option<String>,
    traffic_distribution: Option<String>,
    ip_families: Vec<String>,
    ip_family_policy: Option<String>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServicePort {
    #[serde(default)]
    name: String,
    #[serde(default = "tcp")]
    protocol: String,
    app_protocol: Option<String>,
    port: u32,
    target_port: Option<IntOrString>,
    #[serde(default)]
    node_port: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<LoadBalancerIngress>,
}

impl From<Document> for Service {
    fn from(Document { spec, status }: Document) -> Self {
        let mut cluster_ips = spec.cluster_ips;
        if cluster_ips.is_empty() && !spec.cluster_ip.is_empty() {
            cluster_ips.push(spec.cluster_ip);
        }
        Self {
            service_type: spec.service_type,
            cluster_ips,
            ports: spec.ports.into_iter().map(ServicePort::from).collect(),
            selector: spec.selector,
            external_name: spec.external_name.filter(|name| !name.is_empty()),
            external_ips: spec.external_ips,
            publish_not_ready_addresses: spec.publish_not_ready_addresses,
            internal_traffic_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            traffic_distribution: spec.traffic_distribution.filter(|distribution| !distribution.is_empty()),
            ip_families: spec.ip_families,
            ip_family_policy: spec.ip_family_policy,
            load_balancer_ip: spec.load_balancer_ip.filter(|ip| !ip.is_empty()),
            load_balancer_ingress: status.load_balancer.ingress,
        }
    }
}

impl From<RawServicePort> for ServicePort {
    fn from(port: RawServicePort) -> Self {
        // The API server takes a missing target, a zero and an empty name for the port's own number.
        let target_port = match port.target_port {
            None | Some(IntOrString::Int(0)) => IntOrString::Int(port.port),
            Some(IntOrString::String(name)) if name.is_empty() => IntOrString::Int(port.port),
            Some(target_port) => target_port,
        };
        Self {
            name: port.name,
            protocol: port.protocol,
            app_protocol: port.app_protocol.filter(|protocol| !protocol.is_empty()),
            port: port.port,
            target_port,
            node_port: port.node_port,
        }
    }
}
