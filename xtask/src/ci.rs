//! `cargo xtask ci`: the steps of CI in order, cheapest failure first. The first step that fails ends the run.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};

/// Arguments to `cargo`, one row per step.
const STEPS: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &["xtask", "tidy"],
    &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    // All of them, whatever fails: one broken test must not hide the next.
    &["test", "--workspace", "--locked", "--no-fail-fast"],
];

#[expect(clippy::print_stdout, reason = "the steps are the output of this command")]
pub(crate) fn command(root: &Path, list: bool) -> Result<ExitCode> {
    for step in STEPS {
        println!("cargo {}", step.join(" "));
        if list {
            continue;
        }
        let started = Instant::now();
        let status = Command::new("cargo")
            .args(*step)
            .current_dir(root)
            .status()
            .with_context(|| format!("starting cargo {}", step[0]))?;
        println!("  {status} after {:.1} s", started.elapsed().as_secs_f64());
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
