//! Istio's API protos become messages (prost) that read and write the JSON of Kubernetes objects (pbjson). The
//! well-known types are ours, since their JSON must follow Go's older rules, not protobuf's.

use super::descriptors::{Roots, relative};
use prost_build::Config;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// The package of the well-known types, and where the crate has its own.
const WELL_KNOWN: (&str, &str) = (".google.protobuf", "crate::wkt");

/// Generates one file a package, with serde at its end, and `istio_modules.rs` that includes them all.
pub(crate) fn build(roots: &Roots, out: &Path) {
    let files = relative(&roots.ours).into_iter().filter(|file| file.starts_with("istio/"));
    let mut compiler = protox::Compiler::new([&roots.ours]).unwrap_or_else(|error| panic!("{error:?}"));
    compiler.include_imports(true).open_files(files).unwrap_or_else(|error| panic!("{error:?}"));

    let mut config = Config::new();
    config.btree_map(["."]).compile_well_known_types().enable_type_names();
    config.extern_path(WELL_KNOWN.0, WELL_KNOWN.1).include_file("istio_modules.rs");
    config.compile_fds(compiler.file_descriptor_set()).expect("Istio's messages can be generated");

    let mut json = pbjson_build::Builder::new();
    json.register_descriptors(&compiler.encode_file_descriptor_set()).expect("descriptors can be read back");
    json.extern_path(WELL_KNOWN.0, WELL_KNOWN.1).ignore_unknown_fields().btree_map(["."]);
    let packages = json.generate(&[".istio"], |_| Ok(Vec::new())).expect("Istio's JSON can be generated");
    for (package, code) in packages {
        // Appended, so that including a package's file brings both.
        OpenOptions::new()
            .append(true)
            .open(out.join(format!("{package}.rs")))
            .and_then(|mut file| file.write_all(&code))
            .unwrap_or_else(|error| panic!("{package}: {error}"));
    }
}
