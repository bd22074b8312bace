//! A running example: its servers and Envoys, and how a check asks them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::agent::{self, ADMIN_PORT, Agent};
use testkit::envoy::{self, Admin, Bootstrap, Envoy, Protocol};
use testkit::http::{self, Response};
use testkit::http_server::Received;

use super::backend::Backend;
use super::pods::{Household, Pod};
use super::{START_LIMIT, Suite};

/// A pod's proxy.
enum Proxy {
    /// An Envoy that speaks with the control plane itself.
    Alone(Envoy),
    /// One that `trierarch agent` runs.
    Kept(Agent),
}

impl Proxy {
    fn admin(&self) -> Admin {
        match self {
            Self::Alone(envoy) => envoy.admin(),
            Self::Kept(agent) => agent.admin(),
        }
    }

    fn wait_ready(&mut self) -> std::io::Result<()> {
        match self {
            Self::Alone(envoy) => envoy.wait_ready(START_LIMIT),
            Self::Kept(agent) => agent.wait_ready(START_LIMIT),
        }
    }
}

/// Processes and servers of one example. Dropping it ends them.
pub struct Running {
    /// The copy of the example that the control plane watches.
    pub(super) config: PathBuf,
    door: SocketAddr,
    backends: BTreeMap<String, Backend>,
    /// With their logs.
    proxies: BTreeMap<String, (Proxy, PathBuf)>,
    /// Where each pod is.
    addresses: BTreeMap<String, IpAddr>,
}

impl Running {
    /// Starts every pod and waits until the Envoys are ready.
    pub(super) fn start(suite: &Suite, name: &str, version: &str) -> Result<Self> {
        let binary = envoy::binary(version)?;
        let config = suite.folder.join("config").join(name);
        let Household { pods, door } = Household::read(&config)?;
        let mut running = Self {
            config,
            door,
            backends: BTreeMap::new(),
            proxies: BTreeMap::new(),
            addresses: pods.iter().map(|pod| (pod.name.clone(), pod.address)).collect(),
        };
        for pod in &pods {
            if let Some(port) = pod.application {
                let version = pod.labels.get("version").map_or("", String::as_str);
                let address = SocketAddr::new(pod.address, port);
                running.backends.insert(pod.name.clone(), Backend::start(address, &pod.name, version)?);
            }
            if pod.has_proxy {
                running.proxies.insert(pod.name.clone(), start(suite, pod, &binary)?);
            }
        }
        for (proxy, _) in running.proxies.values_mut() {
            proxy.wait_ready()?;
        }
        Ok(running)
    }

    /// A GET through the door.
    pub(super) fn ask(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        let mut request = http::get(self.door, path).header("host", host);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().with_context(|| format!("asking {host}{path} at {}", self.door))
    }

    /// How often each version answered so many requests; what is no 200 counts under its status.
    pub(super) fn versions(
        &self,
        n: u32,
        host: &str,
        headers: &[(&str, &str)],
    ) -> Result<BTreeMap<String, u32>> {
        let mut counts = BTreeMap::new();
        for _ in 0..n {
            *counts.entry(version(&self.ask(host, "/", headers)?)).or_default() += 1;
        }
        Ok(counts)
    }

    /// Where a pod listens.
    pub(super) fn at(&self, pod: &str, port: u16) -> Result<SocketAddr> {
        let address = self.addresses.get(pod).with_context(|| format!("no pod {pod}"))?;
        Ok(SocketAddr::new(*address, port))
    }

    /// What a pod's application received so far.
    pub(super) fn received(&self, pod: &str) -> Vec<Received> {
        self.backends.get(pod).map(Backend::received).unwrap_or_default()
    }

    /// The admin pages of the Envoys, by pod.
    pub(super) fn admins(&self) -> impl Iterator<Item = (&str, Admin)> {
        self.proxies.iter().map(|(pod, (proxy, _))| (pod.as_str(), proxy.admin()))
    }

    /// The admin pages of a pod's Envoy.
    pub(super) fn admin(&self, pod: &str) -> Result<Admin> {
        Ok(self.proxies.get(pod).with_context(|| format!("{pod} is no Envoy"))?.0.admin())
    }

    /// What a pod's Envoy wrote, its access log among it.
    pub(super) fn log(&self, pod: &str) -> Result<String> {
        let (_, log) = self.proxies.get(pod).with_context(|| format!("{pod} is no Envoy"))?;
        Ok(String::from_utf8_lossy(&std::fs::read(log)?).into_owned())
    }
}

fn start(suite: &Suite, pod: &Pod, envoy: &Path) -> Result<(Proxy, PathBuf)> {
    let node = pod.node();
    if pod.account.is_empty() {
        let admin = SocketAddr::new(pod.address, ADMIN_PORT);
        let discovery = suite.control_plane.addresses().grpc;
        let bootstrap = Bootstrap { node, discovery, admin, protocol: Protocol::Delta };
        let mut envoy = Envoy::start(envoy, &bootstrap, &suite.folder)?;
        let log = envoy.process().log().to_path_buf();
        return Ok((Proxy::Alone(envoy), log));
    }
    let folder = suite.folder.join(node.proxy_id());
    let setting = agent::Setting {
        trierarch: &crate::binary::binary()?,
        envoy,
        node: &node,
        discovery: suite.secure,
        roots: &suite.roots(),
        token: &suite.issuer.token(&pod.namespace, &pod.account),
        folder: &folder,
    };
    Ok((Proxy::Kept(setting.start()?), folder.join("agent.log")))
}

/// The version that answered, or the status of a failure.
pub(super) fn version(response: &Response) -> String {
    match (response.status, response.header("x-version")) {
        (200, Some(version)) => version.to_owned(),
        (status, _) => status.to_string(),
    }
}
