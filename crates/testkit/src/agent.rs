//! `trierarch agent` with a stock Envoy for one workload, at an address of its own, so that many run on one machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::envoy::{Admin, Node, NodeKind};
use crate::process::Process;
use crate::{http, wait};

/// Envoy's administration, readiness through the proxy, and the agent's own pages, all at the workload's address.
pub const ADMIN_PORT: u16 = 15000;
pub const READY_PORT: u16 = 15021;
pub const STATUS_PORT: u16 = 15020;

const END_LIMIT: Duration = Duration::from_secs(10);

/// What an agent is started with.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The program.
    pub trierarch: &'a Path,
    /// The Envoy that it runs.
    pub envoy: &'a Path,
    /// Who the workload is.
    pub node: &'a Node,
    /// The control plane's secure port.
    pub discovery: SocketAddr,
    /// File with the control plane's roots.
    pub roots: &'a Path,
    /// What proves who the workload is.
    pub token: &'a str,
    /// For its files and its log.
    pub folder: &'a Path,
}

/// A running agent. Dropping it ends it, and with it its Envoy.
pub struct Agent {
    process: Option<Process>,
    address: std::net::IpAddr,
}

impl Setting<'_> {
    /// Writes the token and makes the command.
    pub fn command(&self) -> io::Result<Command> {
        let Self { node, folder, .. } = self;
        std::fs::create_dir_all(folder)?;
        let token = folder.join("token");
        std::fs::write(&token, self.token)?;
        let at = |port| SocketAddr::new(node.address, port).to_string();
        let mut command = Command::new(self.trierarch);
        command.arg("agent").arg(match node.kind {
            NodeKind::Sidecar => "sidecar",
            NodeKind::Router => "router",
        });
        command.args(["--discoveryAddress", &self.discovery.to_string()]).arg("--rootCert").arg(self.roots);
        command.args(["--discoverySan", "istiod.istio-system.svc"]).arg("--tokenPath").arg(&token);
        command.args(["--podName", &node.name, "--podNamespace", &node.namespace]);
        command.args(["--serviceAccount", &node.service_account, "--ip", &node.address.to_string()]);
        command.args(["--adminAddress", &at(ADMIN_PORT), "--readyAddress", &at(READY_PORT)]);
        command.args(["--statusAddress", &at(STATUS_PORT)]);
        command.arg("--statsAddress").arg(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string());
        command.args(["--concurrency", "1", "--terminationDrainDuration", "0s"]);
        for (key, value) in &node.labels {
            command.arg("--label").arg(format!("{key}={value}"));
        }
        for (key, value) in &node.metadata {
            command.arg("--meta").arg(format!("{key}={}", value.as_str().unwrap_or_default()));
        }
        command.arg("--binaryPath").arg(self.envoy).arg("--configPath").arg(folder.join("proxy"));
        command.arg("--secretsPath").arg(folder.join("secrets"));
        Ok(command)
    }

    /// Starts it; it is not ready yet.
    pub fn start(&self) -> io::Result<Agent> {
        let mut command = self.command()?;
        let log = self.folder.join("agent.log");
        let process = Process::start(&self.node.proxy_id(), &mut command, &log)?;
        Ok(Agent { process: Some(process), address: self.node.address })
    }
}

impl Agent {
    /// The admin pages of its Envoy.
    pub fn admin(&self) -> Admin {
        Admin::new(SocketAddr::new(self.address, ADMIN_PORT))
    }

    /// Waits until Envoy takes traffic, but gives up at once when the agent has ended.
    pub fn wait_ready(&mut self, limit: Duration) -> io::Result<()> {
        let ready = SocketAddr::new(self.address, READY_PORT);
        let Some(process) = &mut self.process else { return Ok(()) };
        let what = format!("{} ready", process.name());
        wait::until(&what, limit, || match process.check_running() {
            Err(error) => Ok(Some(Err(error))),
            Ok(()) => Ok((http::get(ready, "/healthz/ready").send()?.status == 200).then_some(Ok(()))),
        })?
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // An agent that is killed could not end its Envoy.
        if let Some(process) = self.process.take() {
            let _ = process.terminate(END_LIMIT);
        }
    }
}
