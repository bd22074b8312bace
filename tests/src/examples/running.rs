//! A running example: its servers and Envoys, and how a check asks them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use testkit::envoy::{self, Admin, Bootstrap, Envoy, Protocol};
use testkit::http::{self, Response};
use testkit::http_server::Received;

use super::backend::Backend;
use super::pods::Household;
use super::{START_LIMIT, Suite};

const ADMIN_PORT: u16 = 15000;

/// Processes and servers of one example. Dropping it ends them.
pub struct Running {
    /// The copy of the example that the control plane watches.
    pub(super) config: PathBuf,
    door: SocketAddr,
    backends: BTreeMap<String, Backend>,
    envoys: BTreeMap<String, (Envoy, PathBuf)>,
}

impl Running {
    /// Starts every pod and waits until the Envoys are ready.
    pub(super) fn start(suite: &Suite, name: &str, version: &str) -> Result<Self> {
        let binary = envoy::binary(version)?;
        let config = suite.folder.join("config").join(name);
        let Household { pods, door } = Household::read(&config)?;
        let mut running = Self { config, door, backends: BTreeMap::new(), envoys: BTreeMap::new() };
        for pod in &pods {
            if pod.is_proxy {
                let admin = SocketAddr::new(pod.address.ip(), ADMIN_PORT);
                let discovery = suite.control_plane.addresses().grpc;
                let bootstrap = Bootstrap { node: pod.node(), discovery, admin, protocol: Protocol::Delta };
                let mut envoy = Envoy::start(&binary, &bootstrap, &suite.folder)?;
                let log = envoy.process().log().to_path_buf();
                running.envoys.insert(pod.name.clone(), (envoy, log));
            } else {
                let version = pod.labels.get("version").map_or("", String::as_str);
                running.backends.insert(pod.name.clone(), Backend::start(pod.address, &pod.name, version)?);
            }
        }
        for (envoy, _) in running.envoys.values_mut() {
            envoy.wait_ready(START_LIMIT)?;
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

    /// What a pod's application received so far.
    pub(super) fn received(&self, pod: &str) -> Vec<Received> {
        self.backends.get(pod).map(Backend::received).unwrap_or_default()
    }

    /// The admin pages of the Envoys, by pod.
    pub(super) fn admins(&self) -> impl Iterator<Item = (&str, Admin)> {
        self.envoys.iter().map(|(pod, (envoy, _))| (pod.as_str(), envoy.admin()))
    }

    /// The admin pages of a pod's Envoy.
    pub(super) fn admin(&self, pod: &str) -> Result<Admin> {
        Ok(self.envoys.get(pod).with_context(|| format!("{pod} is no Envoy"))?.0.admin())
    }

    /// What a pod's Envoy wrote, its access log among it.
    pub(super) fn log(&self, pod: &str) -> Result<String> {
        let (_, log) = self.envoys.get(pod).with_context(|| format!("{pod} is no Envoy"))?;
        Ok(String::from_utf8_lossy(&std::fs::read(log)?).into_owned())
    }
}

/// The version that answered, or the status of a failure.
pub(super) fn version(response: &Response) -> String {
    match (response.status, response.header("x-version")) {
        (200, Some(version)) => version.to_owned(),
        (status, _) => status.to_string(),
    }
}
