//! Pod: what a workload is, where it runs, which ports it names (K08-K10, K13).

use serde::Deserialize;

use super::{Condition, is_true, tcp};

/// A Pod. Labels, annotations and owners are in its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Document")]
pub struct Pod {
    /// Service account; `default` unless stated.
    pub service_account_name: String,
    /// Node it was put on; empty before.
    pub node_name: String,
    /// Addresses, the primary one first; empty before it has any.
    pub pod_ips: Vec<String>,
    /// Host name, if stated.
    pub hostname: Option<String>,
    /// Subdomain, if stated.
    pub subdomain: Option<String>,
    /// Whether it shares the network of its node.
    pub host_network: bool,
    /// Containers in order, native sidecars (init containers that are always restarted) after the others.
    pub containers: Vec<Container>,
    /// Phase.
    pub phase: PodPhase,
    /// Whether the condition `Ready` is true.
    pub ready: bool,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Ports it states.
    pub ports: Vec<ContainerPort>,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    /// Name; may be empty.
    #[serde(default)]
    pub name: String,
    /// Number.
    pub container_port: u32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
}

/// Phase of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum PodPhase {
    /// Not yet running.
    Pending,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Not known, or not stated.
    #[default]
    #[serde(other)]
    Unknown,
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
    service_account_name: String,
    node_name: String,
    hostname: String,
    subdomain: String,
    host_network: bool,
    containers: Vec<Container>,
    init_containers: Vec<InitContainer>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InitContainer {
    name: String,
    ports: Vec<ContainerPort>,
    restart_policy: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: PodPhase,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

impl From<Document> for Pod {
    fn from(Document { spec, status }: Document) -> Self {
        let native_sidecars = spec
            .init_containers
            .into_iter()
            .filter(|container| container.restart_policy == "Always")
            .map(|container| Container { name: container.name, ports: container.ports });
        let mut pod_ips: Vec<String> =
            status.pod_ips.into_iter().map(|pod_ip| pod_ip.ip).filter(|ip| !ip.is_empty()).collect();
        if pod_ips.is_empty() && !status.pod_ip.is_empty() {
            pod_ips.push(status.pod_ip);
        }
        let service_account_name = match spec.service_account_name.as_str() {
            "" => "default".to_owned(),
            _ => spec.service_account_name,
        };
        Self {
            service_account_name,
            node_name: spec.node_name,
            pod_ips,
            hostname: Some(spec.hostname).filter(|name| !name.is_empty()),
            subdomain: Some(spec.subdomain).filter(|name| !name.is_empty()),
            host_network: spec.host_network,
            containers: spec.containers.into_iter().chain(native_sidecars).collect(),
            phase: status.phase,
            ready: is_true(&status.conditions, "Ready"),
        }
    }
}
