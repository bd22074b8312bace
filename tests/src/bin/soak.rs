//! `cargo xtask soak`: our real process for a long while under changes of everything, proxies that come and go and
//! clients that do not do their part. Ends with 0 if nothing was left over, nobody missed anything, memory kept its
//! level and a fresh process serves the same.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use tests::soak::{Outcome, Plan, run};

#[derive(Parser)]
#[command(
    name = "cargo xtask soak",
    about = "Run the control plane for a long while under changes, reconnects and clients that do not do their part"
)]
struct Arguments {
    /// How many minutes everything changes.
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Keep the mesh in an API server of its own; without this in a folder.
    #[arg(long)]
    api: bool,
    /// Services of the mesh, of five endpoints each.
    #[arg(long, default_value_t = 200)]
    services: usize,
    /// Healthy proxies; beside them a quarter as many come and go, and a quarter do not do their part.
    #[arg(long, default_value_t = 80)]
    proxies: usize,
    /// Changes in a second.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// What repeats the changes of an earlier run; random when it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Percent by which memory may grow in the second half: the median slope between all pairs of samples there, over
    /// its length, in percent of its median.
    #[arg(long, default_value_t = 3.0)]
    growth: f64,
    /// What is printed at the end; progress goes to standard error.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

fn main() -> ExitCode {
    match soak(&Arguments::parse()) {
        Ok(outcome) if outcome.failures.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak(arguments: &Arguments) -> Result<Outcome> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = arguments.seed.unwrap_or(u64::from(clock.subsec_nanos()) ^ clock.as_secs());
    let below = std::env::temp_dir().join(format!("trierarch-soak-{}", std::process::id()));
    std::fs::create_dir_all(&below).with_context(|| below.display().to_string())?;
    let plan = Plan {
        binary: tests::binary::binary()?,
        below: below.clone(),
        over_api: arguments.api,
        lasting: Duration::try_from_secs_f64(arguments.minutes * 60.0).context("--minutes")?,
        services: arguments.services.max(3),
        endpoints: 5,
        proxies: arguments.proxies.max(1),
        rate: arguments.rate,
        seed,
        patience: None,
        sample_every: Duration::from_secs(5),
        tell_every: Duration::from_secs(30),
        most_growth: Some(arguments.growth),
    };
    let mut progress = |line: String| {
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    progress(format!("seed {seed}, files and logs in {}", below.display()));
    let outcome = run(&plan, &mut progress)?;
    let mut output = std::io::stdout();
    match arguments.output {
        Output::Text => write!(output, "{outcome}")?,
        Output::Json => writeln!(output, "{}", serde_json::to_string(&outcome)?)?,
    }
    if outcome.failures.is_empty() {
        // What a failed run left can be looked at.
        let _ = std::fs::remove_dir_all(below);
    }
    Ok(outcome)
}
