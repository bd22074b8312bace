//! A while of random changes in a real API server: `cargo xtask churn` runs longer. Answers "Done when" of what a
//! control plane in a cluster must do: what is derived does not depend on how it came about.

use anyhow::{Result, ensure};
use testkit::cluster::binaries;
use tests::binary::binary;
use tests::churn::{Plan, Round, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_random_changes_of_all_kinds_the_state_is_that_of_a_fresh_process() -> Result<()> {
    let Some(binaries) = binaries() else { return Ok(()) };
    // Each run of the same code does the same; `cargo xtask churn` takes other seeds.
    let plan =
        Plan { seed: 1, n_rounds: 2, round: Round::Operations(700), outage: Some(std::time::Duration::ZERO) };
    let summary = run(&binaries, &binary()?, &plan).await?;
    println!("{summary}");
    ensure!(summary.kinds.len() > 35, "only {:?} were written", summary.kinds);
    ensure!(summary.compared.iter().all(|n| *n > 100), "{summary}");
    ensure!(summary.done.get("namespace deletions").is_some_and(|n| *n > 0), "{summary}");
    Ok(())
}
