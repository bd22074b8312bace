//! The Envoy process: where the pinned binaries are, how one is started with a bootstrap, how one is stopped.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Admin, Bootstrap};
use crate::process::Process;
use crate::{wait, workspace};

/// The oldest and the newest Envoy that `make tools` installs.
pub const OLDEST: &str = "1.37.0";
pub const NEWEST: &str = "1.40.0";

/// The stock binary of a version: in `$TRIERARCH_TOOLS` or in `.tools` of the workspace.
pub fn binary(version: &str) -> io::Result<PathBuf> {
    let tools = std::env::var_os("TRIERARCH_TOOLS").map_or_else(|| workspace().join(".tools"), PathBuf::from);
    let path = tools.join(format!("envoy-{version}")).join("envoy");
    if path.is_file() {
        return path.canonicalize();
    }
    let message = format!("{} is missing; `make tools` installs it", path.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

/// A running Envoy. Dropping it ends it.
pub struct Envoy {
    process: Process,
    admin: Admin,
}

impl Envoy {
    /// Starts a binary with a bootstrap. The folder receives the bootstrap and the log, named after the node.
    pub fn start(binary: &Path, bootstrap: &Bootstrap, folder: &Path) -> io::Result<Self> {
        let name = bootstrap.node.proxy_id();
        let file = write_bootstrap(bootstrap, folder)?;
        let mut command = Command::new(binary);
        command.arg("--config-path").arg(file);
        // Several Envoys on one machine would else fight over one shared-memory region.
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        // Access logs are there when a test looks.
        command.args(["--file-flush-interval-msec", "50"]);
        let process = Process::start(&name, &mut command, &folder.join(format!("{name}.log")))?;
        Ok(Self { process, admin: Admin::new(bootstrap.admin) })
    }

    /// Lets Envoy check a bootstrap without running it; the error is what Envoy says.
    pub fn validate(binary: &Path, bootstrap: &Bootstrap, folder: &Path) -> io::Result<()> {
        validate(binary, &write_bootstrap(bootstrap, folder)?)
    }

    /// The admin pages.
    pub fn admin(&self) -> Admin {
        self.admin
    }

    /// The process, for its id and log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits until Envoy has its first clusters and listeners and has warmed them.
    pub fn wait_ready(&mut self, limit: Duration) -> io::Result<()> {
        let what = format!("{} ready", self.process.name());
        let mut ended = None;
        let waited = wait::until(&what, limit, || {
            if let Err(error) = self.process.check_running() {
                ended = Some(error);
                return Ok(Some(()));
            }
            Ok(self.admin.is_ready()?.then_some(()))
        });
        match ended {
            Some(error) => Err(error),
            None => waited,
        }
    }
}

/// Lets Envoy check a bootstrap file without running it; the error is what Envoy says.
pub fn validate(binary: &Path, file: &Path) -> io::Result<()> {
    let mut command = Command::new(binary);
    command.args(["--mode", "validate", "--concurrency", "1", "--log-level", "warning", "--config-path"]);
    // Envoy opens the files of access logs even now; relative ones are to lie beside the bootstrap.
    let file = file.canonicalize()?;
    if let Some(folder) = file.parent() {
        command.current_dir(folder);
    }
    let output = command.arg(&file).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn write_bootstrap(bootstrap: &Bootstrap, folder: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}.json", bootstrap.node.proxy_id()));
    std::fs::write(&file, serde_json::to_vec_pretty(&bootstrap.to_json())?)?;
    Ok(file)
}
