//! The real `trierarch` process over a folder of configuration or an API server, on free loopback ports: started, asked,
//! stopped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::{http, wait};

/// Everything that a start needs; a second start with the same value takes the same ports.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    pub binary: PathBuf,
    /// What `--configDir` names; empty where there is no folder.
    pub config: PathBuf,
    pub log: PathBuf,
    /// More flags of `discovery`.
    pub flags: Vec<String>,
    /// Variables of its environment beside those of the test.
    pub environment: Vec<(String, String)>,
    pub addresses: Addresses,
    /// Where it listens for ADS over TLS; not at all unless set.
    pub secure: Option<SocketAddr>,
    /// Where it listens for webhooks over TLS; in plain text beside `/ready` unless set.
    pub webhooks: Option<SocketAddr>,
}

/// Where a control plane listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub monitoring: SocketAddr,
}

/// A started control plane. Dropping it ends it.
pub struct Running {
    process: Process,
    addresses: Addresses,
}

impl Addresses {
    /// Three ports that are free together.
    pub fn free() -> io::Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let [grpc, http, monitoring] = [listen()?, listen()?, listen()?];
        Ok(Self { grpc: grpc.local_addr()?, http: http.local_addr()?, monitoring: monitoring.local_addr()? })
    }
}

impl ControlPlane {
    /// A control plane with free ports over `config` below a folder, which also receives the log.
    pub fn below(folder: &Path, binary: &Path) -> io::Result<Self> {
        Ok(Self {
            binary: binary.to_path_buf(),
            config: folder.join("config"),
            log: folder.join("control-plane.log"),
            flags: Vec::new(),
            environment: Vec::new(),
            addresses: Addresses::free()?,
            secure: None,
            webhooks: None,
        })
    }

    /// A control plane over the API server that a kubeconfig tells of; its log goes to a file of that name.
    pub fn over(kubeconfig: &Path, binary: &Path, log: &Path) -> io::Result<Self> {
        Ok(Self {
            binary: binary.to_path_buf(),
            config: PathBuf::new(),
            log: log.to_path_buf(),
            flags: vec!["--kubeconfig".to_owned(), kubeconfig.display().to_string()],
            environment: Vec::new(),
            addresses: Addresses::free()?,
            secure: None,
            webhooks: None,
        })
    }

    /// Starts the process; it is not ready yet.
    pub fn start(&self) -> io::Result<Running> {
        let Addresses { grpc, http, monitoring } = self.addresses;
        let mut command = Command::new(&self.binary);
        command.arg("discovery").envs(self.environment.iter().cloned());
        if !self.config.as_os_str().is_empty() {
            command.arg("--configDir").arg(&self.config);
        }
        command.arg("--grpcAddr").arg(grpc.to_string());
        command.arg("--httpAddr").arg(http.to_string());
        command.arg("--monitoringAddr").arg(monitoring.to_string());
        let secure = self.secure.map(|address| address.to_string()).unwrap_or_default();
        let webhooks = self.webhooks.map(|address| address.to_string()).unwrap_or_default();
        command
            .args(["--secureGRPCAddr", secure.as_str(), "--httpsAddr", webhooks.as_str()])
            .args(&self.flags);
        let process = Process::start("control plane", &mut command, &self.log)?;
        Ok(Running { process, addresses: self.addresses })
    }
}

impl Running {
    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The process, for its id and log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The status of `/ready`.
    pub fn readiness(&self) -> io::Result<u16> {
        Ok(http::get(self.addresses.http, "/ready").send()?.status)
    }

    /// Waits for readiness, but gives up at once when the process has ended.
    pub fn wait_ready(&mut self, limit: Duration) -> io::Result<()> {
        wait::until("the control plane ready", limit, || match self.process.check_running() {
            Err(error) => Ok(Some(Err(error))),
            Ok(()) => Ok((self.readiness()? == 200).then_some(Ok(()))),
        })?
    }

    /// A page under `/debug`, as JSON.
    pub fn debug(&self, page: &str) -> io::Result<Value> {
        http::get(self.addresses.monitoring, &format!("/debug/{page}")).send()?.json()
    }

    /// The samples of the metrics whose line begins so, added up; 0 where there is none.
    pub fn metric(&self, beginning: &str) -> io::Result<f64> {
        let page = http::get(self.addresses.monitoring, "/metrics").send()?.text();
        let lines = page.lines().filter(|line| line.starts_with(beginning));
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        self.process.log_end(usize::MAX)
    }

    /// Asks for a graceful stop and waits for it.
    pub fn stop(self, limit: Duration) -> io::Result<ExitStatus> {
        self.process.terminate(limit)
    }
}
