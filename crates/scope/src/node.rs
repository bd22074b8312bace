//! What a proxy says of itself: Envoy's node becomes a `Proxy`.
//!
//! The node id is `type~ip~pod.namespace~domain`; `INSTANCE_IPS` replaces the address in it, and at least one
//! address must be valid (platform specification, 2.2). Everything else is optional, and a value of an unexpected
//! form counts as absent: a proxy is turned away for its id alone.

mod dialect;
mod metadata;
#[cfg(test)]
mod tests;

pub use dialect::Dialect;
pub use metadata::{InterceptionMode, NodeMetadata, PodPort, TlsFiles};

use std::fmt;
use std::net::IpAddr;

use model::{Labels, Locality, Namespace};
use proto::envoy;
use proto::envoy::google::{ListValue, Struct, value::Kind};
use serde_json::Value;

use crate::SecretAccess;

/// The fields of Envoy's node that count, as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `type~ip~pod.namespace~domain`.
    pub id: String,
    /// The service cluster, for instance `reviews.default`.
    pub cluster: String,
    /// The metadata, an object.
    pub metadata: Value,
    /// Where the proxy says it runs.
    pub locality: Locality,
    /// Names of the extensions built into the proxy.
    pub extensions: Vec<String>,
    /// Name of the program.
    pub user_agent: String,
}

impl From<&envoy::core::Node> for Node {
    fn from(node: &envoy::core::Node) -> Self {
        let locality = node.locality.as_ref().map(|locality| Locality {
            region: locality.region.clone(),
            zone: locality.zone.clone(),
            subzone: locality.sub_zone.clone(),
        });
        Self {
            id: node.id.clone(),
            cluster: node.cluster.clone(),
            metadata: node.metadata.as_ref().map(object).unwrap_or_default(),
            locality: locality.unwrap_or_default(),
            extensions: node.extensions.iter().map(|extension| extension.name.clone()).collect(),
            user_agent: node.user_agent_name.clone(),
        }
    }
}

/// What a proxy is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyType {
    /// Beside one workload.
    #[default]
    Sidecar,
    /// A gateway at the edge of the mesh.
    Router,
    /// A gateway of a namespace or service in ambient mode.
    Waypoint,
    /// The layer 4 proxy of a node.
    Ztunnel,
    /// The other gateway implementation that speaks this API.
    Agentgateway,
}

impl ProxyType {
    /// As written in a node id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Router => "router",
            Self::Waypoint => "waypoint",
            Self::Ztunnel => "ztunnel",
            Self::Agentgateway => "agentgateway",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Sidecar, Self::Router, Self::Waypoint, Self::Ztunnel, Self::Agentgateway]
            .into_iter()
            .find(|proxy_type| proxy_type.as_str() == text)
    }
}

impl fmt::Display for ProxyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `pod.namespace`, the third part of the node id.
    pub id: String,
    /// Sidecar, router, …
    pub proxy_type: ProxyType,
    /// Its addresses, the preferred one first; never empty.
    pub ip_addresses: Vec<IpAddr>,
    /// The pod; the whole id where it names no namespace.
    pub pod_name: String,
    /// The namespace of the pod as its id has it.
    pub namespace: Namespace,
    /// `namespace.svc.cluster.local`.
    pub dns_domain: String,
    /// The namespace whose configuration it gets.
    pub config_namespace: Namespace,
    /// `node.cluster`.
    pub cluster: String,
    /// What the injector and the agent wrote down.
    pub metadata: NodeMetadata,
    /// Labels of the workload.
    pub labels: Labels,
    /// The network it is in, empty for the mesh's own.
    pub network: String,
    /// Where it says it runs. What the registry knows of its node goes first.
    pub locality: Locality,
    /// Major, minor, patch; `None` counts as the newest.
    pub istio_version: Option<(u32, u32, u32)>,
    /// Which filters it has.
    pub dialect: Dialect,
    /// Which Secrets it may have: nothing a node says, so none until somebody has found out.
    pub secret_access: SecretAccess,
}

/// Why a proxy is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeError {
    /// The id has not four parts.
    Malformed(String),
    /// The first part of the id is no type of proxy.
    UnknownType(String),
    /// Neither the id nor `INSTANCE_IPS` holds an address.
    NoAddress(String),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(id) => {
                write!(f, "node id {id:?} is not of the form type~ip~pod.namespace~domain")
            }
            Self::UnknownType(id) => write!(f, "node id {id:?} begins with an unknown type of proxy"),
            Self::NoAddress(id) => write!(f, "node {id:?} has no valid address in its id or metadata"),
        }
    }
}

impl std::error::Error for NodeError {}

impl Proxy {
    /// Reads a node.
    pub fn parse(node: &Node) -> Result<Self, NodeError> {
        let mut parts = node.id.split('~');
        let (Some(proxy_type), Some(ip), Some(id), Some(domain), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NodeError::Malformed(node.id.clone()));
        };
        let proxy_type =
            ProxyType::parse(proxy_type).ok_or_else(|| NodeError::UnknownType(node.id.clone()))?;
        let metadata = NodeMetadata::parse(&node.metadata);
        let mut ip_addresses = metadata.instance_ips.clone();
        if ip_addresses.is_empty() {
            ip_addresses.extend(ip.parse::<IpAddr>().ok());
        }
        if ip_addresses.is_empty() {
            return Err(NodeError::NoAddress(node.id.clone()));
        }
        let (pod_name, namespace) = id.rsplit_once('.').unwrap_or((id, ""));
        let config_namespace = match metadata.namespace.as_str() {
            "" => domain.split('.').next().unwrap_or_default(),
            namespace => namespace,
        };
        let labels = metadata.labels.clone();
        let locality = match labels.value("istio-locality") {
            Some(label) if !label.is_empty() => Locality::parse_label(label),
            _ => node.locality.clone(),
        };
        Ok(Self {
            id: id.to_owned(),
            proxy_type,
            ip_addresses,
            pod_name: pod_name.to_owned(),
            namespace: namespace.into(),
            dns_domain: domain.to_owned(),
            config_namespace: config_namespace.into(),
            cluster: node.cluster.clone(),
            network: metadata.network.clone(),
            istio_version: version(&metadata.istio_version),
            dialect: Dialect::of(&node.extensions, &metadata),
            labels,
            locality,
            metadata,
            secret_access: SecretAccess::default(),
        })
    }

    /// Whether it is gRPC itself, without a proxy.
    pub fn is_proxyless(&self) -> bool {
        self.metadata.generator == "grpc"
    }
}

/// `1.30.0`, `1.30-alpha.5`, `1.30.0-dev`: leading numbers, a missing patch counts as zero.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    let major = numbers.next()??;
    let minor = numbers.next()??;
    Some((major, minor, numbers.next().flatten().unwrap_or(0)))
}

fn object(fields: &Struct) -> Value {
    Value::Object(fields.fields.iter().map(|(key, value)| (key.clone(), json(value))).collect())
}

/// A protobuf value as JSON; whole numbers stay whole.
fn json(value: &envoy::google::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => match *number as i64 {
            whole if number.fract() == 0.0 => whole.into(),
            _ => (*number).into(),
        },
        Some(Kind::StringValue(text)) => text.as_str().into(),
        Some(Kind::BoolValue(flag)) => (*flag).into(),
        Some(Kind::StructValue(fields)) => object(fields),
        Some(Kind::ListValue(ListValue { values })) => Value::Array(values.iter().map(json).collect()),
    }
}
