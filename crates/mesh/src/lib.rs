//! The immutable mesh: facts and indexes, answered by question.
//!
//! `Mesh::build` makes it from a configuration store; `Mesh::advance` makes the next one from a change set and says
//! which questions have another answer now. Above this crate facts are read only through a [`Reader`], whose methods
//! are questions and which notes every one of them, an answer of "none" included (rule 1: reads are recorded).
//!
//! Reading order: `service` and `endpoint` (the facts), `kubernetes` and `service_entry` (where they come from),
//! `reader` (the questions), `mesh` (building and advancing).

mod allocation;
mod attachment;
#[cfg(test)]
mod clusters_tests;
mod credential;
mod delegate;
mod derived;
mod destination_rule;
mod discovery;
mod endpoint;
mod endpoints;
mod envoy_filter;
mod export;
mod extension;
mod fact;
mod features;
mod gateway;
mod key_set;
mod kubernetes;
mod mentioned;
mod mesh;
mod networks;
mod policy;
mod reader;
mod references;
mod service;
mod service_entry;
mod settings;
mod sidecar;
mod telemetry;
mod topology;
mod virtual_service;
mod workload;
mod workload_endpoints;
mod workload_instance;
mod workload_labels;
mod workload_policy;

pub use allocation::{Allocation, Prefixes, allocate};
pub use destination_rule::{DestinationRuleIndex, MergedDestinationRule};
pub use endpoint::{Endpoint, EndpointAddress, EndpointSet, Health};
pub use export::ExportTo;
pub use extension::Extension;
pub use fact::Fact;
pub use features::{Compliance, Features};
pub use gateway::{BoundGateway, MadeGateway};
pub use gateway_api::status::{Condition, ObjectStatus, StatusBody};
pub use key_set::{KeySets, KeySource};
pub use mentioned::MentionedKeys;
pub use mesh::{Dirty, Mesh};
pub use networks::{NetworkGateway, NetworkGateways};
pub use policy::{MtlsMode, NamespaceMtls, WorkloadMtls};
pub use reader::{Question, Reader, Reads};
pub use service::{
    KubernetesAttributes, Registry, Resolution, Service, ServicePort, TargetPort, TrafficDistribution,
    UNSPECIFIED_V4,
};
pub use settings::{Base, MeshSettings};
pub use topology::{labelled_locality, labelled_node, with_topology};
pub use virtual_service::{RouteSemantics, VirtualService};
pub use workload::{OwnService, StatedWorkload, WorkloadFacts};
