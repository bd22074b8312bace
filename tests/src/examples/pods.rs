//! From the YAML of one example to what must run: a container `istio-proxy` is an Envoy, any other an HTTP server; a
//! pod with a service account proves by it who it is, so its Envoy runs under `trierarch agent`. And the door, which is
//! where a check knocks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::envoy::{Node, NodeKind};

/// One pod of an example.
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) address: IpAddr,
    /// Its application's port.
    pub(super) application: Option<u16>,
    pub(super) has_proxy: bool,
    /// Where the proxy alone listens.
    proxy_port: Option<u16>,
    /// Its service account; may be empty.
    pub(super) account: String,
}

/// What an example's files ask to be run.
pub(super) struct Household {
    pub(super) pods: Vec<Pod>,
    /// The outbound address of the client's sidecar, or the gateway's where there is no client.
    pub(super) door: SocketAddr,
}

impl Household {
    /// Reads every file of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut objects = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let text = std::fs::read_to_string(entry?.path())?;
            objects.extend(config::yaml::documents(&text).map_err(|error| anyhow::anyhow!("{error}"))?);
        }
        let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
        let pods = of_kind("Pod").map(pod).collect::<Result<Vec<_>>>()?;
        let sidecar = of_kind("Sidecar").map(|sidecar| &sidecar["spec"]["egress"][0]);
        let mut door = None;
        for egress in sidecar.filter(|egress| egress["bind"].is_string()) {
            door = Some(SocketAddr::new(ip(&egress["bind"])?, port(&egress["port"]["number"])?));
        }
        let gateway = || {
            let pod = pods.iter().find(|pod| pod.has_proxy)?;
            Some(SocketAddr::new(pod.address, pod.proxy_port?))
        };
        let door = door.or_else(gateway).context("neither a Sidecar nor a gateway")?;
        Ok(Self { pods, door })
    }
}

impl Pod {
    /// The proxy's node, as the sidecar agent would describe it.
    pub(super) fn node(&self) -> Node {
        let kind = if self.labels.contains_key("istio") { NodeKind::Router } else { NodeKind::Sidecar };
        let labels: Vec<(&str, &str)> =
            self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut node = Node::new(kind, self.address, &self.name, &self.namespace, &labels);
        node.service_account.clone_from(&self.account);
        if kind == NodeKind::Sidecar {
            node.metadata.insert("INTERCEPTION_MODE".to_owned(), json!("NONE"));
        }
        node
    }
}

fn pod(object: &Value) -> Result<Pod> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = object["metadata"]["labels"].as_object();
    let labels = labels.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect();
    let containers = object["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let port_of = |is_proxy: bool| {
        let container = containers.iter().find(|container| (container["name"] == "istio-proxy") == is_proxy);
        container.map(|container| port(&container["ports"][0]["containerPort"]).ok())
    };
    let (application, proxy) = (port_of(false), port_of(true));
    let name = text(&object["metadata"]["name"]);
    if application == Some(None) {
        anyhow::bail!("the application of {name} has no port");
    }
    Ok(Pod {
        name,
        namespace: text(&object["metadata"]["namespace"]),
        labels,
        address: ip(&object["status"]["podIP"])?,
        application: application.flatten(),
        has_proxy: proxy.is_some(),
        proxy_port: proxy.flatten(),
        account: text(&object["spec"]["serviceAccountName"]),
    })
}

fn ip(value: &Value) -> Result<IpAddr> {
    let text = value.as_str().context("an address is missing")?;
    text.parse().with_context(|| format!("{text} is no address"))
}

fn port(value: &Value) -> Result<u16> {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number.with_context(|| format!("{value} is no port"))
}
