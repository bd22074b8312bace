//! `make example NAME=canary`: one example on the real control plane and stock Envoys; prints what it measured
//! beside what its README promises. The exit code is 0 only if every check passed.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tests::examples::{EXAMPLES, Suite};
use tests::report;

#[derive(Parser)]
#[command(about = "Runs an example and measures what it promises")]
struct Arguments {
    /// The folder below examples/; all of them when none is named.
    name: Vec<String>,
    /// Which of the installed Envoys to run.
    #[arg(long, default_value = testkit::envoy::NEWEST)]
    envoy: String,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut names: Vec<&str> = arguments.name.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = EXAMPLES.iter().map(|(name, _)| *name).collect();
    }
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("this program lies in no target folder")?;
    let folder = target.join("tmp").join(format!("example-{}", std::process::id()));
    let suite = Suite::start(&names, &folder)?;
    let mut passed = true;
    for name in names {
        passed &= report::checks(name, &suite.measure(name, &arguments.envoy)?);
    }
    drop(suite);
    if passed {
        std::fs::remove_dir_all(&folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    report::line(&format!("Configuration and logs: {}", folder.display()));
    Ok(ExitCode::FAILURE)
}
