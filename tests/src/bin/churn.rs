//! `cargo xtask churn`: random changes of objects of all kinds in a real API server, with the real process over it.
//! Ends with 0 if, after each round of a minute, what the process derived was what a fresh one derives.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use tests::churn::{Plan, Round, run};

#[derive(Parser)]
#[command(
    name = "cargo xtask churn",
    about = "Change objects of all kinds at random, and compare with a fresh process"
)]
struct Arguments {
    /// How many minutes; after each, what is derived is compared with what a fresh process derives.
    #[arg(long, default_value_t = 1)]
    minutes: usize,
    /// What repeats the operations of an earlier run; random when it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Keeps the API server away for so many seconds after each round but the last.
    #[arg(long, value_name = "SECONDS")]
    outage: Option<u64>,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the summary is the output of this command")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = arguments.seed.unwrap_or(u64::from(clock.subsec_nanos()) ^ clock.as_secs());
    let plan = Plan {
        seed,
        n_rounds: arguments.minutes.max(1),
        round: Round::Lasting(Duration::from_mins(1)),
        outage: arguments.outage.map(Duration::from_secs),
    };
    println!("seed {seed}");
    let binaries =
        testkit::cluster::binaries().context("no Kubernetes to run on; `make tools-kubernetes` builds it")?;
    let summary = run(&binaries, &tests::binary::binary()?, &plan).await?;
    println!("seed {seed}: {summary}");
    Ok(())
}
