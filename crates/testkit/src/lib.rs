//! Helpers for tests: scenarios, generation for one proxy, comparison; and for real traffic a stock Envoy as a
//! child process, small HTTP servers and clients, and bounds for what chance may do.

pub mod ads;
pub mod ads_stream;
pub mod agent;
pub mod cluster;
pub mod control_plane;
pub mod diff;
pub mod envoy;
pub mod generate;
pub mod http;
pub mod http_server;
mod normalize;
pub mod parity;
pub mod process;
pub mod secure;
pub mod simulator;
pub mod statistics;
pub mod tls_client;
pub mod told;
pub mod wait;

use std::path::PathBuf;

/// The root of the workspace under test. Cargo names the package anew at every run, which matters when several
/// checkouts share one target folder and so one binary.
pub fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = PathBuf::from(package);
    package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(&package).to_path_buf()
}
