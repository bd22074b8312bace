//! The examples, each measured on the real control plane and stock Envoys: `examples/<name>/` is copied to a place of
//! its own, its pods become small HTTP servers or Envoys, and the promises of its README become checks.

mod backend;
mod balance;
mod checks;
mod faults;
mod gateways;
mod identity;
mod place;
mod pods;
mod routing;
mod running;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::control_plane::{self, ControlPlane};
use testkit::secure::TokenIssuer;
use testkit::wait;

use crate::report::Check;
pub use checks::TICK;
use place::Place;
pub use running::Running;

/// How long a process may take to be ready on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(40);

/// Measures what one example promises.
pub type Measure = fn(&Running) -> Result<Vec<Check>>;

/// The name of each example's folder, and what measures it.
pub const EXAMPLES: &[(&str, Measure)] = &[
    ("canary", routing::canary),
    ("circuit-breaking", faults::circuit_breaking),
    ("header-routing", routing::header_routing),
    ("mirror", routing::mirror),
    ("one-way-route", routing::one_way_route),
    ("random", balance::random),
    ("round-robin", balance::round_robin),
    ("session-affinity", balance::session_affinity),
    ("timeout", faults::timeout),
    ("fault-abort", faults::fault_abort),
    ("delay", faults::delay),
    ("retries", faults::retries),
    ("delegate", routing::delegate),
    ("blue-green", routing::blue_green),
    ("service-entry-registry-only", gateways::registry_only),
    ("ingress", gateways::ingress),
    ("egress-gateway", gateways::egress_gateway),
    ("mutual-tls", identity::mutual_tls),
];

/// One control plane that serves several examples.
pub struct Suite {
    _place: Place,
    folder: PathBuf,
    control_plane: control_plane::Running,
    /// The control plane's port for those who prove who they are, and who signs their tokens.
    secure: SocketAddr,
    issuer: TokenIssuer,
}

impl Suite {
    /// Copies the examples into a folder, which is emptied first, and starts the control plane on them.
    pub fn start(names: &[&str], folder: &Path) -> Result<Self> {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let place = Place::claim()?;
        let config = folder.join("config");
        let source = testkit::workspace().join("examples");
        place.copy(&source.join("mesh.yaml"), &config)?;
        for name in names {
            let mut files = Vec::new();
            for entry in std::fs::read_dir(source.join(name)).with_context(|| format!("no example {name}"))? {
                files.push(entry?.path());
            }
            for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "yaml")) {
                place.copy(file, &config.join(name))?;
            }
        }
        let issuer = TokenIssuer::new("https://issuer.example")?;
        let secure = wait::free_address(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
        let mut setting = ControlPlane::below(folder, &crate::binary::binary()?)?;
        setting.secure = Some(secure);
        setting.flags = vec!["--caRootFolder".to_owned(), folder.join("ca").display().to_string()];
        setting.environment = vec![("JWT_RULE".to_owned(), issuer.rule())];
        let mut control_plane = setting.start()?;
        control_plane.wait_ready(START_LIMIT)?;
        let suite = Self { _place: place, folder: folder.to_path_buf(), control_plane, secure, issuer };
        wait::until("the root certificate", START_LIMIT, || Ok(suite.roots().is_file().then_some(())))?;
        Ok(suite)
    }

    /// The control plane's roots.
    fn roots(&self) -> PathBuf {
        self.folder.join("ca/ca-cert.pem")
    }

    /// Starts an example's pods, measures its promises, and asks every Envoy whether it took all it was sent.
    pub fn measure(&self, name: &str, envoy: &str) -> Result<Vec<Check>> {
        let (_, measure) = EXAMPLES
            .iter()
            .find(|(other, _)| *other == name)
            .with_context(|| format!("{name} is none of the examples"))?;
        let running = Running::start(self, name, envoy).with_context(|| format!("starting {name}"))?;
        let mut checks = measure(&running).with_context(|| format!("measuring {name}"))?;
        for (pod, admin) in running.admins() {
            checks.push(checks::equal(&format!("updates that {pod} refused"), &admin.n_rejected()?, &0));
        }
        Ok(checks)
    }
}
