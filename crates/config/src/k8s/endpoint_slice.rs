//! EndpointSlice: addresses behind a Service and their readiness (K11, K12).

use serde::Deserialize;

use super::tcp;

/// The label that names the Service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// What the addresses are.
    pub address_type: AddressType,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Ports; every endpoint has all of them.
    pub ports: Vec<EndpointPort>,
}

impl EndpointSlice {
    /// The name of the Service that a slice of these labels belongs to.
    pub fn service_name(labels: &model::Labels) -> Option<&str> {
        labels.value(SERVICE_NAME)
    }
}

/// What the addresses of a slice are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum AddressType {
    /// IPv4 addresses.
    #[default]
    #[serde(rename = "IPv4")]
    Ipv4,
    /// IPv6 addresses.
    #[serde(rename = "IPv6")]
    Ipv6,
    /// DNS names.
    #[serde(rename = "FQDN")]
    Fqdn,
}

/// An endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Addresses, all of the same thing; consumers use the first.
    pub addresses: Vec<String>,
    /// Readiness.
    pub conditions: EndpointConditions,
    /// Host name, of pods of a StatefulSet.
    pub hostname: Option<String>,
    /// Node.
    pub node_name: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// What the endpoint is, a pod mostly.
    pub target_ref: Option<ObjectReference>,
}

/// Readiness of an endpoint. Not stated means unknown, which readers take for the good case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Ready for traffic.
    pub ready: Option<bool>,
    /// Able to serve, terminating or not.
    pub serving: Option<bool>,
    /// On its way out.
    pub terminating: Option<bool>,
}

/// A port of a slice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPort {
    /// Name; that of the Service's port.
    #[serde(default)]
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Number; none means every port.
    pub port: Option<u32>,
    /// Application protocol.
    pub app_protocol: Option<String>,
}

/// A reference to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct ObjectReference {
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}
