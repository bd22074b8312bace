//! Every process of the demo, so that all can be ended at once from anywhere. After closing, nothing starts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::envoy::{Admin, Bootstrap, Envoy, Protocol};
use testkit::process::Process;
use testkit::{http, wait};

use crate::{layout, report};

const START_LIMIT: Duration = Duration::from_secs(30);
/// Istio's own filters, which stock Envoys do not have, are turned off.
const ENVIRONMENT: &[(&str, &str)] =
    &[("PILOT_ENABLE_METADATA_EXCHANGE", "false"), ("PILOT_ENABLE_ALPN_FILTER", "false")];

/// The processes. The lock is held while one starts, so that closing misses none.
#[derive(Default)]
pub(crate) struct Household {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    closed: bool,
    control_plane: Option<Process>,
    envoys: Vec<Envoy>,
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
        members.envoys.clear();
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
        let [grpc, http, monitoring] = free_addresses()?;
        self.start_control_plane(control_plane, config, folder, [grpc, http, monitoring])?;
        let started = Instant::now();
        let ready = || Ok(http::get(http, "/ready").send()?.status == 200);
        self.wait("the control plane ready", ready)?;
        report::line(&format!("Control plane ready after {} ms.", started.elapsed().as_millis()));

        let started = Instant::now();
        let mut proxies = Vec::new();
        for node in layout::nodes() {
            let name = node.proxy_id();
            let admin = layout::admin(&node);
            let bootstrap = Bootstrap { node, discovery: grpc, admin, protocol: Protocol::Delta };
            let mut members = self.open()?;
            members.envoys.push(Envoy::start(envoy, &bootstrap, folder)?);
            proxies.push((name, Admin::new(admin)));
        }
        for (name, admin) in &proxies {
            self.wait(&format!("{name} ready"), || admin.is_ready())?;
        }
        report::line(&format!("{} Envoys ready after {} ms.", proxies.len(), started.elapsed().as_millis()));
        Ok(Mesh { monitoring, proxies })
    }

    fn start_control_plane(
        &self,
        binary: &Path,
        config: &Path,
        folder: &Path,
        [grpc, http, monitoring]: [SocketAddr; 3],
    ) -> Result<()> {
        let mut command = Command::new(binary);
        command.arg("discovery").arg("--configDir").arg(config);
        command.arg("--grpcAddr").arg(grpc.to_string());
        command.arg("--httpAddr").arg(http.to_string());
        command.arg("--monitoringAddr").arg(monitoring.to_string());
        // Plain text only: no certificates, no webhooks.
        command.args(["--secureGRPCAddr", "", "--httpsAddr", ""]);
        command.envs(ENVIRONMENT.iter().copied());
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
        for process in self.control_plane.iter_mut().chain(self.envoys.iter_mut().map(Envoy::process)) {
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
