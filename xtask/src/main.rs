//! Chores of the project, the same on every machine: `cargo xtask tidy` checks what compilers and lints
//! cannot see, `cargo xtask ci` is exactly what CI runs, `cargo xtask parity` compares with the real istiod.

mod ci;
mod metadata;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the project")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the house rules over the whole tree; one line per finding.
    Tidy,
    /// Run what CI runs: formatting, tidy, lints, tests.
    Ci {
        /// Only print the steps.
        #[arg(long)]
        list: bool,
    },
    /// Check our own golden cases.
    Golden {
        /// Write what is generated instead; read the difference before committing it.
        #[arg(long)]
        update: bool,
    },
    /// Change objects of all kinds at random in a real API server, and compare with a fresh process: `--minutes 10`.
    #[command(trailing_var_arg = true)]
    Churn {
        /// `--minutes N`, `--seed S`, `--outage SECONDS`.
        #[arg(allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the control plane for a long while under changes, reconnects and clients that do not do their part.
    #[command(trailing_var_arg = true)]
    Soak {
        /// Profile of what is run.
        #[arg(long, default_value = "release")]
        profile: String,
        /// `--minutes N`, `--api`, `-o json`; `cargo xtask soak -- --help` tells them all.
        #[arg(allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Load through two sidecars while their certificates rotate, as root: `--rate 2000 --seconds 120`.
    #[command(trailing_var_arg = true)]
    Rotation {
        /// `--rate N`, `--seconds N`, `--lifetime 20s` (renewed halfway), `--connections N`.
        #[arg(allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Compare what we generate with what the real istiod sent: `cargo xtask parity dr-* --diff`.
    #[command(trailing_var_arg = true)]
    Parity {
        /// Scenarios (a final `*` is a wildcard) and options of the comparison; `--raise` lifts the floors.
        #[arg(allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure the control plane: `cargo xtask bench B1 B6`, `cargo xtask bench all`.
    #[command(trailing_var_arg = true)]
    Bench {
        /// Profile of what is measured; published figures are those of `dist`, `release` builds faster.
        #[arg(long, default_value = "dist")]
        profile: String,
        /// Cases and options of the benchmarks; `cargo xtask bench -- --help` tells them.
        #[arg(allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> Result<ExitCode> {
    let root = root()?;
    match Arguments::parse().chore {
        Chore::Tidy => tidy::command(&root),
        Chore::Ci { list } => ci::command(&root, list),
        Chore::Golden { update } => golden(&root, update),
        Chore::Churn { arguments } => churn(&root, &arguments),
        Chore::Rotation { arguments } => rotation(&root, &arguments),
        Chore::Parity { arguments } => parity(&root, &arguments),
        Chore::Bench { profile, arguments } => built_as(&root, &profile, "bench", &arguments),
        Chore::Soak { profile, arguments } => built_as(&root, &profile, "soak", &arguments),
    }
}

fn golden(root: &Path, update: bool) -> Result<ExitCode> {
    let mut cargo = std::process::Command::new("cargo");
    cargo.args(["test", "--quiet", "--package", "tests", "--test", "golden"]).current_dir(root);
    if update {
        cargo.env("UPDATE_GOLDEN", "1");
    }
    let status = cargo.status().context("cargo cannot be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn churn(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let built = std::process::Command::new("cargo")
        .args(["build", "--quiet", "--package", "app"])
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    if !built.success() {
        return Ok(ExitCode::FAILURE);
    }
    run(root, "churn", arguments)
}

/// Built whole before, since the program starts others beside it.
fn rotation(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let built = std::process::Command::new("cargo")
        .args(["build", "--quiet", "--package", "app", "--package", "tests", "--bins"])
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    if !built.success() {
        return Ok(ExitCode::FAILURE);
    }
    run(root, "rotation", arguments)
}

fn parity(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    run(root, "parity", arguments)
}

/// Runs a program of the package `tests`.
fn run(root: &Path, program: &str, arguments: &[String]) -> Result<ExitCode> {
    let status = std::process::Command::new("cargo")
        .args(["run", "--quiet", "--package", "tests", "--bin", program, "--"])
        .args(arguments)
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a program of the package `tests` beside a control plane of that profile.
fn built_as(root: &Path, profile: &str, program: &str, arguments: &[String]) -> Result<ExitCode> {
    let cargo = |task: &[&str]| {
        let mut cargo = std::process::Command::new("cargo");
        cargo.args(task).args(["--locked", "--profile", profile]).current_dir(root);
        cargo
    };
    let built =
        cargo(&["build", "--quiet", "--package", "app"]).status().context("cargo cannot be started")?;
    if !built.success() {
        return Ok(ExitCode::FAILURE);
    }
    let status = cargo(&["run", "--quiet", "--package", "tests", "--bin", program])
        .arg("--")
        .args(arguments)
        .status()
        .context("cargo cannot be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The workspace root: the folder above this package. Cargo names the package anew at every run, which matters when
/// several checkouts share one target folder and so this binary.
fn root() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&package).parent().context("the xtask package lies in no workspace")?;
    Ok(root.to_path_buf())
}
