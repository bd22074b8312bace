//! Generates what the crate includes: Istio's API messages, the extension messages that `envoy-types` lacks, and the
//! descriptor set of them all. Each module writes its own files to `OUT_DIR`.
// A build that cannot go on stops here, there is nobody to hand an error to; and cargo reads standard output.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod descriptors;
mod istio;
mod order;
mod supplement;

use std::path::PathBuf;

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names the output folder"));
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=../../proto");

    let roots = descriptors::Roots::find(&manifest);
    istio::build(&roots, &out);
    supplement::build(&roots);
    order::build(&descriptors::build(&roots, &out), &out);
}
