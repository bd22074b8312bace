//! Every process of the demo, so that all can be ended at once from anywhere. After closing, nothing starts. Each proxy
//! is an Envoy that `trierarch agent` runs with a certificate of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::envoy::Admin;
use testkit::process::Process;
use testkit::secure::TokenIssuer;
use testkit::{agent, http, wait};

use crate::{layout, report};

const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(10);

/// The processes. The lock is held while one starts, so that closing misses none.
#[derive(Default)]
pub(crate) struct Household {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    closed: bool,
    control_plane: Option<Process>,
    agents: Vec<Process>,
}

/// What the story needs to know of the running mesh.
pub(crate) struct Mesh {
    /// The control plane's debug pages.
    pub(crate) monitoring: SocketAddr,
    /// Each proxy's name, as debug pages know it, and its admin pages.
    pub(crate) proxies: Vec<(String, Admin)>,
}

impl Household {
    /// Ends every process and lets none start again.
    pub(crate) fn close(&self) {
        let mut members = self.lock();
        members.closed = true;
        // An agent ends its Envoy only when it is asked to end.
        for agent in members.agents.drain(..) {
            let _ = agent.terminate(END_LIMIT);
        }
        members.control_plane = None;
    }

    /// Starts the control plane, then the Envoys, and waits until all are ready.
    pub(crate) fn start_all(
        &self,
        control_plane: &Path,
        envoy: &Path,
        config: &Path,
        folder: &Path,
    ) -> Result<Mesh> {
        let ports = free_addresses()?;
        let [secure, http, monitoring] = ports;
        let issuer = TokenIssuer::new("https://issuer.example")?;
        let authority = folder.join("ca");
        self.start_control_plane(control_plane, config, folder, &authority, &issuer, ports)?;
        let started = Instant::now();
        let ready = || Ok(http::get(http, "/ready").send()?.status == 200);
        self.wait("the control plane ready", ready)?;
        let root = authority.join("ca-cert.pem");
        self.wait("the root certificate", || Ok(root.is_file()))?;
        report::line(&format!("Control plane ready after {} ms.", started.elapsed().as_millis()));

        let started = Instant::now();
        let mut proxies = Vec::new();
        for node in layout::nodes() {
            let setting = agent::Setting {
                trierarch: control_plane,
                envoy,
                node: &node,
                discovery: secure,
                roots: &root,
                token: &issuer.token(&node.namespace, &node.service_account),
                folder: &folder.join(node.proxy_id()),
            };
            let mut command = setting.command()?;
            let log = folder.join(format!("{}.log", node.proxy_id()));
            let mut members = self.open()?;
            members.agents.push(Process::start(&node.proxy_id(), &mut command, &log)?);
            proxies.push((node.proxy_id(), Admin::new(layout::admin(&node))));
        }
        for node in layout::nodes() {
            let ready = SocketAddr::new(node.address, agent::READY_PORT);
            let name = format!("{} ready", node.proxy_id());
            self.wait(&name, || Ok(http::get(ready, "/healthz/ready").send()?.status == 200))?;
        }
        report::line(&format!("{} Envoys ready after {} ms.", proxies.len(), started.elapsed().as_millis()));
        Ok(Mesh { monitoring, proxies })
    }

    fn start_control_plane(
        &self,
        binary: &Path,
        config: &Path,
        folder: &Path,
        authority: &Path,
        issuer: &TokenIssuer,
        [secure, http, monitoring]: [SocketAddr; 3],
    ) -> Result<()> {
        let mut command = Command::new(binary);
        command.arg("discovery").arg("--configDir").arg(config).arg("--caRootFolder").arg(authority);
        command.arg("--secureGRPCAddr").arg(secure.to_string());
        command.arg("--httpAddr").arg(http.to_string());
        command.arg("--monitoringAddr").arg(monitoring.to_string());
        // No plain text, no webhooks.
        command.args(["--grpcAddr", "", "--httpsAddr", ""]);
        command.env("JWT_RULE", issuer.rule());
        let process = Process::start("control plane", &mut command, &folder.join("control-plane.log"))
            .with_context(|| format!("{} (`make demo` builds it)", binary.display()));
        self.open()?.control_plane = Some(process?);
        Ok(())
    }

    /// Waits for something to hold, but gives up at once when a process has ended.
    fn wait(&self, what: &str, holds: impl Fn() -> io::Result<bool>) -> Result<()> {
        let ended = wait::until(what, START_LIMIT, || {
            if let Err(error) = self.lock().check_running() {
                return Ok(Some(Err(error)));
            }
            Ok(holds()?.then_some(Ok(())))
        })?;
        Ok(ended?)
    }

    fn open(&self) -> Result<MutexGuard<'_, Members>> {
        let members = self.lock();
        if members.closed {
            bail!("the demo is ending");
        }
        Ok(members)
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // A thread that panicked left at worst one process more or less in the list.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn check_running(&mut self) -> io::Result<()> {
        for process in self.control_plane.iter_mut().chain(&mut self.agents) {
            process.check_running()?;
        }
        Ok(())
    }
}

/// Three ports that are free together.
fn free_addresses() -> io::Result<[SocketAddr; 3]> {
    let listen = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [listen()?, listen()?, listen()?];
    let [a, b, c] = &listeners;
    Ok([a.local_addr()?, b.local_addr()?, c.local_addr()?])
}
