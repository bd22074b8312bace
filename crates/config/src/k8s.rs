//! Kinds of Kubernetes itself, cut down to what the mesh reads, with the defaults of the API server applied.
//! Answers K01-K16 of the traffic specification as far as input goes.

mod cluster;
mod data;
mod endpoint_slice;
mod ingress;
mod pod;
mod service;

pub use cluster::{Namespace, Node, NodeAddress, ServiceAccount, labels_of_json};
pub use data::{ConfigMap, Secret, decode_base64};
pub use endpoint_slice::{
    AddressType, Endpoint, EndpointConditions, EndpointPort, EndpointSlice, ObjectReference,
};
pub use ingress::{
    Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressServicePort, IngressTls, PathType,
};
pub use pod::{Container, ContainerPort, Pod, PodPhase};
pub use service::{IntOrString, LoadBalancerIngress, Service, ServicePort, ServiceType};

use serde::Deserialize;

/// The transport that ports have when they state none.
fn tcp() -> String {
    "TCP".to_owned()
}

/// A condition in a status.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// Whether the condition of that type is `True`.
fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.kind == kind && condition.status == "True")
}
