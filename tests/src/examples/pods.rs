//! From the YAML of one example to what must run: a pod whose container is `istio-proxy` is an Envoy, any other an
//! HTTP server; and the door, which is where a check knocks.

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
    pub(super) address: SocketAddr,
    pub(super) is_proxy: bool,
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
        for egress in sidecar {
            door = Some(SocketAddr::new(ip(&egress["bind"])?, port(&egress["port"]["number"])?));
        }
        let gateway = || pods.iter().find(|pod| pod.is_proxy).map(|pod| pod.address);
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
        let mut node = Node::new(kind, self.address.ip(), &self.name, &self.namespace, &labels);
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
    let container = &object["spec"]["containers"][0];
    let address =
        SocketAddr::new(ip(&object["status"]["podIP"])?, port(&container["ports"][0]["containerPort"])?);
    Ok(Pod {
        name: text(&object["metadata"]["name"]),
        namespace: text(&object["metadata"]["namespace"]),
        labels,
        address,
        is_proxy: container["name"] == "istio-proxy",
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
