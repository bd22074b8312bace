//! The real process: its command line, what it makes of bad input, and real clients in front of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod accounts;
mod analyze;
mod bad_input;
mod bookinfo;
mod client;
mod command_line;
mod credentials;
mod envoys;
mod gateway_secrets;
mod hostile_reviews;
mod inject;
mod machines;
mod oidc;
mod rotation;
mod secure;
mod signers;
mod tls;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::control_plane::ControlPlane;

/// Generous: the machine may be busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_trierarch"))
}

/// A folder that goes with the test if it passes; what a failed one left can be looked at.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trierarch-{}-{test}", std::process::id()));
        std::fs::create_dir_all(path.join("config")).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file of configuration as an editor does: whole, under its name.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let beside = self.0.join("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, self.0.join("config").join(name)).unwrap();
    }

    pub(crate) fn control_plane(&self) -> ControlPlane {
        ControlPlane::below(&self.0, binary()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
