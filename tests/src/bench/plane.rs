//! The control plane under measurement: our own, started and ended here, or another by its address and process id.
//! What it costs is read from `/proc`, from outside.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use testkit::control_plane::Addresses;
use testkit::http;
use testkit::process::Process;

use super::world::World;

/// Linux counts processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
/// The pause between two questions for readiness: far less than what is measured.
const PAUSE: Duration = Duration::from_millis(2);

/// A control plane.
pub struct Plane {
    target: String,
    pid: u32,
    own: Option<Own>,
}

struct Own {
    binary: PathBuf,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    levels: &'static str,
    addresses: Addresses,
    secure: Option<SocketAddr>,
    log: PathBuf,
    process: Option<Process>,
}

/// What a start took.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// When the process was executed.
    pub at: Instant,
    /// From then until `/ready` said 200.
    pub ready: Duration,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor seconds in user mode.
    pub user: f64,
    /// Processor seconds in the kernel.
    pub system: f64,
}

impl Usage {
    /// Both together.
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// What was used since then.
    pub fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }
}

impl Plane {
    /// Our own, not started yet. `below` takes its log.
    pub fn own(binary: &Path, world: &World, below: &Path) -> Result<Self> {
        let addresses = Addresses::free()?;
        let own = Own {
            binary: binary.to_path_buf(),
            flags: world.flags(),
            environment: Vec::new(),
            levels: "default:warn",
            addresses,
            secure: None,
            log: below.join("control-plane.log"),
            process: None,
        };
        Ok(Self { target: format!("http://{}", addresses.grpc), pid: 0, own: Some(own) })
    }

    /// One that runs already.
    pub fn standing(target: &str, pid: u32) -> Self {
        let target = if target.contains("://") { target.to_owned() } else { format!("http://{target}") };
        Self { target, pid, own: None }
    }

    /// Lets our own serve over TLS there, with these variables in its environment.
    #[must_use]
    pub fn secured(mut self, address: SocketAddr, environment: Vec<(String, String)>) -> Self {
        if let Some(own) = &mut self.own {
            own.secure = Some(address);
            own.environment = environment;
        }
        self
    }

    /// Gives our own these variables in its environment and these flags, and lets it log nothing but errors.
    #[must_use]
    pub fn quiet(mut self, environment: Vec<(String, String)>, flags: Vec<String>) -> Self {
        if let Some(own) = &mut self.own {
            own.levels = "default:error";
            own.environment = environment;
            own.flags.extend(flags);
        }
        self
    }

    /// Where our own listens.
    pub fn addresses(&self) -> Result<Addresses> {
        self.own.as_ref().map(|own| own.addresses).context("of another control plane only ADS is known")
    }

    /// Our own runs, and nothing in it has panicked.
    pub fn check(&mut self) -> Result<()> {
        let Some(own) = &mut self.own else { return Ok(()) };
        let process = own.process.as_mut().context("it was not started")?;
        process.check_running()?;
        let log = process.log_end(usize::MAX);
        match log.lines().find(|line| line.contains("panicked")) {
            Some(line) => bail!("a panic: {line}"),
            None => Ok(()),
        }
    }

    /// Where it serves ADS.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Starts our own and waits until it is ready, for `limit` at most. One that stands already is left alone.
    pub fn start(&mut self, limit: Duration) -> Result<Started> {
        let Some(own) = &mut self.own else {
            return Ok(Started { at: Instant::now(), ready: Duration::ZERO });
        };
        let Addresses { grpc, http, monitoring } = own.addresses;
        let mut command = Command::new(&own.binary);
        command.arg("discovery").args(&own.flags).envs(own.environment.iter().cloned());
        let secure = own.secure.map(|address| address.to_string()).unwrap_or_default();
        command.args(["--grpcAddr", &grpc.to_string(), "--httpAddr", &http.to_string()]);
        command.args([
            "--monitoringAddr",
            &monitoring.to_string(),
            "--secureGRPCAddr",
            &secure,
            "--httpsAddr",
            "",
        ]);
        command.args(["--log_output_level", own.levels]);
        let at = Instant::now();
        let process = own.process.insert(Process::start("control plane", &mut command, &own.log)?);
        self.pid = process.id();
        loop {
            if http::get(http, "/ready").send().is_ok_and(|answer| answer.status == 200) {
                return Ok(Started { at, ready: at.elapsed() });
            }
            process.check_running()?;
            if at.elapsed() > limit {
                bail!("not ready after {limit:?}; end of its log:\n{}", process.log_end(20));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends our own at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(own) = &mut self.own {
            own.process = None;
        }
    }

    /// Processor time so far.
    pub fn usage(&self) -> Result<Usage> {
        let file = format!("/proc/{}/stat", self.pid);
        let stat = fs::read_to_string(&file).with_context(|| file)?;
        // The name of the program stands in brackets and may hold anything; fields count from behind it.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let seconds = |index: usize| {
            fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default()
                / TICKS_PER_SECOND
        };
        Ok(Usage { user: seconds(11), system: seconds(12) })
    }

    /// Memory that is held now, in MiB.
    pub fn rss(&self) -> Result<f64> {
        self.memory("VmRSS:")
    }

    /// The most memory that was ever held, in MiB.
    pub fn peak_rss(&self) -> Result<f64> {
        self.memory("VmHWM:")
    }

    /// Files and sockets that are open now.
    pub fn files(&self) -> Result<f64> {
        let folder = format!("/proc/{}/fd", self.pid);
        Ok(fs::read_dir(&folder).with_context(|| folder)?.count() as f64)
    }

    /// Threads that run now.
    pub fn threads(&self) -> Result<f64> {
        Ok(self.memory("Threads:")? * 1024.0)
    }

    fn memory(&self, label: &str) -> Result<f64> {
        let file = format!("/proc/{}/status", self.pid);
        let status = fs::read_to_string(&file).with_context(|| file)?;
        let line = status.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_default();
        let kib: f64 = line.split_whitespace().next().unwrap_or_default().parse().unwrap_or_default();
        Ok(kib / 1024.0)
    }
}
