//! The soak, short and small: what it finds is asserted, but for the level of memory, which needs a longer run
//! (`cargo xtask soak`).

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::soak::{Plan, run};

#[test]
fn a_while_of_changes_reconnects_and_careless_clients_leaves_nothing_behind() -> Result<()> {
    let below = std::env::temp_dir().join(format!("trierarch-soak-test-{}", std::process::id()));
    std::fs::create_dir_all(&below)?;
    let plan = Plan {
        binary: tests::binary::binary()?,
        below: below.clone(),
        over_api: false,
        lasting: Duration::from_secs(20),
        services: 20,
        endpoints: 3,
        proxies: 20,
        rate: 10.0,
        seed: 1,
        patience: Some(Duration::from_secs(8)),
        sample_every: Duration::from_secs(2),
        tell_every: Duration::from_secs(10),
        most_growth: None,
    };
    let outcome = run(&plan, &mut |line| println!("{line}"))?;
    println!("{outcome}");
    ensure!(outcome.failures.is_empty(), "{outcome}");
    ensure!(outcome.compared > 100 && outcome.seen_by_all > 0 && outcome.came[1] > 0, "{outcome}");
    ensure!(outcome.rejected > 0.0 && outcome.unread > 0.0, "{outcome}");
    std::fs::remove_dir_all(below)?;
    Ok(())
}
