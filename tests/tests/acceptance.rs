//! Real stock Envoys, the oldest and the newest supported, accept everything that the recorded proxies would get in
//! the stock dialect: Envoy itself validates a bootstrap that holds the proxy's resources. `ACCEPTANCE=NAME*` picks
//! scenarios.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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
    std::fs::create_dir_all(&folder).expect("a folder for bootstraps");
    let files = bootstraps(&shared, &folder);
    assert!(!files.is_empty());
    let jobs: Vec<(&str, &Path, &Path)> = files
        .iter()
        .flat_map(|file| binaries.iter().map(move |(version, binary)| (*version, &**binary, &**file)))
        .collect();
    let refused = refusals(&jobs);
    let count = refused.len();
    let text: String = refused.into_iter().map(|(what, why)| format!("{what}\n{why}\n")).collect();
    assert!(count == 0, "{count} of {} configurations are refused:\n{text}", jobs.len());
}

/// A bootstrap for every proxy.
fn bootstraps(shared: &Path, folder: &Path) -> Vec<PathBuf> {
    let wanted = std::env::var("ACCEPTANCE").unwrap_or_else(|_| "*".to_owned());
    let is_wanted = |name: &str| match wanted.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == wanted,
    };
    let mut files = Vec::new();
    for name in Scenario::names(shared).expect("the scenarios") {
        if OTHERS.contains(&name.as_str()) || !is_wanted(&name) {
            continue;
        }
        let scenario = Scenario::load(shared, &name).expect("a scenario");
        let mesh = mesh_of(&scenario.objects).expect("a mesh");
        for proxy in &scenario.proxies {
            let resources =
                generate_as(&mesh, &proxy.node, &[STOCK.to_owned()]).expect("resources of a proxy");
            let file = folder.join(format!("{name}.{}.json", proxy.name));
            let bootstrap = static_bootstrap(&proxy.node, &resources);
            std::fs::write(&file, bootstrap.to_string()).expect("a bootstrap");
            files.push(file);
        }
    }
    files
}

/// What Envoy says to those that it refuses, by version and proxy.
fn refusals(jobs: &[(&str, &Path, &Path)]) -> BTreeMap<String, String> {
    let refused = Mutex::new(BTreeMap::new());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((version, binary, file)) =
                    jobs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    if let Err(error) = validate(binary, file) {
                        let proxy = file.file_stem().unwrap_or_default().to_string_lossy();
                        let what = format!("{proxy} {version}");
                        refused.lock().expect("no panic").insert(what, said(&error.to_string()));
                    }
                }
            });
        }
    });
    refused.into_inner().expect("no panic")
}

/// The first line that says why, and the last, which stands behind a dump of the message at fault.
fn said(text: &str) -> String {
    let critical = text.lines().find(|line| line.contains("[critical]"));
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    [critical, last].into_iter().flatten().collect::<Vec<_>>().join("\n")
}
