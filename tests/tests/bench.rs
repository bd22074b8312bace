//! The benchmarks, run small on the real process: what they count is what a user cares about, so it is asserted; what
//! they time is not.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests may end a test")]

use tests::bench::{Bench, Figures, cases};

fn bench(name: &str) -> Bench {
    let below = std::env::temp_dir().join(format!("trierarch-bench-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&below).expect("a folder");
    Bench {
        runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        binary: tests::binary::binary().expect("the control plane"),
        below,
        over_api: false,
        target: None,
        kubeconfig: None,
        n_changes: 2,
        scale: 0.04,
    }
}

fn run(case: &str) -> Vec<Figures> {
    let bench = bench(case);
    let figures = cases::run(&bench, case).unwrap_or_else(|error| panic!("{case}: {error:#}"));
    let _ = std::fs::remove_dir_all(&bench.below);
    figures
}

#[test]
fn an_endpoint_change_reaches_every_proxy_and_moves_nothing_else() {
    let figures = &run("B1")[0];
    assert_eq!(figures.get("messages_beside_n"), Some(0.0), "{}", figures.line());
    assert_eq!(figures.get("ended_n"), Some(0.0), "{}", figures.line());
}

#[test]
fn a_route_change_sends_neither_clusters_nor_listeners() {
    let figures = &run("B2")[0];
    assert_eq!(figures.get("messages_beside_n"), Some(0.0), "{}", figures.line());
}

#[test]
fn a_scoped_change_writes_to_its_own_namespace_alone() {
    for figures in run("B3") {
        assert_eq!(figures.get("messages_beside_n"), Some(0.0), "{}", figures.line());
    }
}

#[test]
fn proxies_come_back_to_a_control_plane_that_was_killed() {
    for figures in run("B6") {
        assert_eq!(figures.get("refused_n"), Some(0.0), "{}", figures.line());
    }
}

#[test]
fn the_benchmark_of_the_authority_is_issued_all_that_it_asks_for() {
    let all = run("ca");
    assert_eq!(all.len(), 2);
    for figures in all {
        assert_eq!(figures.get("issued_n"), Some(400.0), "{}", figures.line());
    }
}
