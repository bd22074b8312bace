//! Every object and mesh document of the recorded scenarios is read. The recordings lie outside of the repository: in
//! `shared` beside it, or where `TRIERARCH_SHARED` says.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of a test, which must say that it skips"
)]

use std::fs;
use std::path::{Path, PathBuf};

use config::{Kind, mesh_config, parse, yaml};

fn scenarios() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("TRIERARCH_SHARED").map_or(beside, PathBuf::from);
    let scenarios = shared.join("parity/scenarios");
    if scenarios.is_dir() {
        return Some(scenarios);
    }
    assert!(std::env::var_os("CI").is_none(), "no recordings in {}", scenarios.display());
    println!("SKIPPED: no recordings in {}; set TRIERARCH_SHARED", scenarios.display());
    None
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = listing.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_recorded_object_and_mesh_document_is_read() {
    let Some(scenarios) = scenarios() else { return };
    let mut complaints = Vec::new();
    let mut kinds = std::collections::BTreeSet::new();
    for scenario in entries(&scenarios) {
        for file in entries(&scenario.join("config")) {
            let source = file.display().to_string();
            let text = fs::read_to_string(&file).expect("a file");
            match yaml::documents(&text) {
                Err(error) => complaints.push(format!("{source}: {error}")),
                Ok(documents) => {
                    for document in documents.into_iter().filter(|document| !document.is_null()) {
                        match parse(document, &source) {
                            Ok(Some(object)) => _ = kinds.insert(object.kind()),
                            Ok(None) => complaints.push(format!("{source}: an object is ignored")),
                            Err(rejection) => complaints.push(rejection.to_string()),
                        }
                    }
                }
            }
        }
        if let Ok(text) = fs::read_to_string(scenario.join("mesh.yaml")) {
            complaints.extend(
                mesh_config::parse_mesh(&text)
                    .err()
                    .map(|rejection| format!("{}: {rejection}", scenario.display())),
            );
        }
        if let Ok(text) = fs::read_to_string(scenario.join("meshNetworks.yaml")) {
            complaints.extend(
                mesh_config::parse_networks(&text)
                    .err()
                    .map(|rejection| format!("{}: {rejection}", scenario.display())),
            );
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(kinds.contains(&Kind::VirtualService) && kinds.len() > 25, "{kinds:?}");
}
