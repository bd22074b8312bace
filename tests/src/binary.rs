//! Which control plane is measured: `$TRIERARCH_BINARY`, or the one that Cargo put beside the running test or program.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

/// The binary. Where there is none yet, because one package alone is tested, Cargo builds it.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TRIERARCH_BINARY") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    // A test lies in `<target>/<profile>/deps`, a program in `<target>/<profile>`.
    let beside = || own.ancestors().skip(1).take(2).map(|folder| folder.join("trierarch"));
    if let Some(path) = beside().find(|path| path.is_file()) {
        return Ok(path);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo).args(["build", "--package", "app"]).current_dir(testkit::workspace()).status()?;
    beside().find(|path| path.is_file()).context("no trierarch; `cargo build --package app` makes it")
}
