//! `bench CASE…`: measures our control plane, or another by `--target`, and prints for each case a line of JSON and a
//! line for people. Started by `cargo xtask bench`, which builds what it needs.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use tests::bench::{Bench, cases};

/// A thousand streams make many small allocations on all threads, which is to cost little beside what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a control plane from outside.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// Cases: startup, B1, B2, B3, B6, B7, B8, B9 (or ca), B11, B12, B15, B16, or all.
    #[arg(required = true)]
    cases: Vec<String>,
    /// Keep the mesh in an API server of its own; without this in a folder. `startup` always does.
    #[arg(long)]
    api: bool,
    /// Measure a control plane that runs already, at host:port in plain text; needs --pid and --kubeconfig.
    #[arg(long, requires = "pid", requires = "kubeconfig")]
    target: Option<String>,
    /// The process of --target.
    #[arg(long)]
    pid: Option<u32>,
    /// The API server that --target reads; it has Istio's definitions and nothing of the mesh yet.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Changes in each case.
    #[arg(long, default_value_t = 20)]
    changes: usize,
    /// Multiplies the sizes of meshes and swarms.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Our control plane; beside this program by default.
    #[arg(long)]
    binary: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let binary = match arguments.binary {
        Some(binary) => binary,
        None => tests::binary::binary()?,
    };
    let below = std::env::temp_dir().join(format!("trierarch-bench-{}", std::process::id()));
    std::fs::create_dir_all(&below).with_context(|| below.display().to_string())?;
    let mut bench = Bench {
        runtime: tokio::runtime::Runtime::new()?,
        binary,
        below: below.clone(),
        over_api: arguments.api,
        target: arguments.target.zip(arguments.pid),
        kubeconfig: arguments.kubeconfig,
        n_changes: arguments.changes.max(1),
        scale: arguments.scale,
    };
    let names: Vec<String> = if arguments.cases.iter().any(|name| name == "all") {
        cases::NAMES.iter().map(|name| (*name).to_owned()).collect()
    } else {
        arguments.cases
    };
    let mut output = std::io::stdout();
    for name in names {
        bench.over_api = arguments.api || name == "startup";
        for figures in cases::run(&bench, &name).with_context(|| format!("case {name}"))? {
            writeln!(output, "{}\n{}", figures.json(), figures.line())?;
        }
    }
    // What a failed run left can be looked at.
    let _ = std::fs::remove_dir_all(below);
    Ok(())
}
