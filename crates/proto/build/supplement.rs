//! Our own proto files for what `envoy-types` lacks become messages. Types of its packages are not generated again but
//! named where the crate re-exports them under plain names, since paths with keyword segments cannot be given here.

use super::descriptors::{Roots, relative};
use prost_build::Config;
use prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto};

/// Messages of `envoy-types` that our files mention, and where the crate names them.
const KNOWN: &[(&str, &str)] = &[
    (".google.protobuf", "crate::envoy::google"),
    (".envoy.config.core.v3", "crate::envoy::core"),
    (".xds.core.v3", "crate::envoy::xds_core"),
    (".xds.type.matcher.v3.Matcher", "crate::envoy::xds_matcher::Matcher"),
    (".xds.type.matcher.v3.Matcher.OnMatch", "crate::envoy::xds_matcher::matcher::OnMatch"),
    (".xds.type.v3.CelExpression", "crate::envoy::xds_types::CelExpression"),
];

/// Generates `supplement.rs` from all our files but Istio's.
pub(crate) fn build(roots: &Roots) {
    let files: Vec<String> =
        relative(&roots.ours).into_iter().filter(|file| !file.starts_with("istio/")).collect();
    let mut compiler = roots.compiler();
    compiler.open_files(&files).unwrap_or_else(|error| panic!("{error:?}"));
    let mut set = compiler.file_descriptor_set();
    let mut config = Config::new();
    config.btree_map(["."]).compile_well_known_types().enable_type_names().include_file("supplement.rs");
    for (message, path) in KNOWN {
        config.extern_path(*message, *path);
    }
    // Imported files must be present, since what a message may derive depends on them, but generate nothing.
    for file in set.file.iter_mut().filter(|file| !files.iter().any(|ours| ours == file.name())) {
        file.extension.clear();
        file.service.clear();
        let package = format!(".{}", file.package());
        let messages = file.message_type.iter().map(DescriptorProto::name);
        for name in messages.chain(file.enum_type.iter().map(EnumDescriptorProto::name)) {
            let name = format!("{package}.{name}");
            if !KNOWN.iter().any(|(known, _)| *known == package || *known == name) {
                config.extern_path(name, "crate::not_generated");
            }
        }
    }
    config.compile_fds(set).expect("the supplement can be generated");
}
