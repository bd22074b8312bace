//! Real stock Envoys, the oldest and the newest supported, accept everything that the recorded proxies would get in
//! the stock dialect: Envoy itself validates a bootstrap that holds the proxy's resources. `ACCEPTANCE=NAME*` picks
//! scenarios.

use std::path::{Path, PathBuf};

use anyhow::Result;
use testkit::envoy::{NEWEST, OLDEST, binary, static_bootstrap, validate};
use testkit::generate::{generate_as, mesh_of};
use testkit::parity::{Scenario, shared_dir};

/// A stock Envoy is known by what it was built with.
const STOCK: &str = "envoy.filters.http.router";

/// Scenarios whose proxies are no Envoys that a stock binary could be.
const OTHERS: &[&str] = &["grpc-proxyless", "waypoint"];

#[test]
fn stock_envoys_accept_what_recorded_proxies_would_get() {
    let Some(shared) = shared_dir() else {
        assert!(std::env::var_os("CI").is_none(), "the recordings (shared/parity) are absent");
        eprintln!("SKIPPED: no folder shared/parity beside the repository, so nothing was validated");
        return;
    };
    let binaries: Vec<(&str, PathBuf)> =
        [OLDEST, NEWEST].into_iter().filter_map(|version| Some((version, binary(version).ok()?))).collect();
    if binaries.len() < 2 {
        assert!(std::env::var_os("CI").is_none(), "`make tools` installs the stock Envoys");
        eprintln!("SKIPPED: no stock Envoys; `make tools` installs them");
        return;
    }
    let folder = testkit::workspace().join("target/acceptance");
    let files = bootstraps(&shared, &folder).expect("a bootstrap for every recorded proxy");
    assert!(!files.is_empty());
    let jobs: Vec<(&str, &Path, &Path)> = files
        .iter()
        .flat_map(|file| binaries.iter().map(move |(version, binary)| (*version, &**binary, &**file)))
        .collect();
    let refused = refusals(&jobs);
    assert!(
        refused.is_empty(),
        "{} of {} configurations are refused:\n{}",
        refused.len(),
        jobs.len(),
        refused.join("\n")
    );
}

/// A bootstrap for every proxy.
fn bootstraps(shared: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let wanted = std::env::var("ACCEPTANCE").unwrap_or_else(|_| "*".to_owned());
    let is_wanted = |name: &str| match wanted.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == wanted,
    };
    let mut files = Vec::new();
    for name in Scenario::names(shared)? {
        if OTHERS.contains(&name.as_str()) || !is_wanted(&name) {
            continue;
        }
        let scenario = Scenario::load(shared, &name)?;
        let mesh = mesh_of(&scenario.objects)?;
        for proxy in &scenario.proxies {
            let resources = generate_as(&mesh, &proxy.node, &[STOCK.to_owned()])?;
            let file = folder.join(format!("{name}.{}.json", proxy.name));
            let bootstrap = static_bootstrap(&proxy.node, &resources);
            std::fs::write(&file, bootstrap.to_string())?;
            files.push(file);
        }
    }
    Ok(files)
}

/// What Envoy says to those that it refuses, with version and proxy, sorted.
fn refusals(jobs: &[(&str, &Path, &Path)]) -> Vec<String> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let share = jobs.len().div_ceil(workers).max(1);
    let refused_of = |jobs: &[(&str, &Path, &Path)]| -> Vec<String> {
        let refused = jobs.iter().filter_map(|(version, binary, file)| {
            let error = validate(binary, file).err()?;
            let proxy = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Some(format!("{proxy} {version}\n{}", said(&error.to_string())))
        });
        refused.collect()
    };
    let mut refused: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = jobs.chunks(share).map(|jobs| scope.spawn(|| refused_of(jobs))).collect();
        let died = |_| vec!["a thread of this test panicked".to_owned()];
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(died)).collect()
    });
    refused.sort();
    refused
}

/// The first line that says why, and the last, which stands behind a dump of the message at fault.
fn said(text: &str) -> String {
    let critical = text.lines().find(|line| line.contains("[critical]"));
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    [critical, last].into_iter().flatten().collect::<Vec<_>>().join("\n")
}
