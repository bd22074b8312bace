//! The proto files that `envoy-types` carries in its own source, next to ours, become one descriptor set: from it come
//! JSON, generic patches and the order of map entries. Nothing of others is kept in the repository and no `protoc` is
//! needed; the source folder is where cargo says it is.

use prost_reflect::DescriptorPool;
use protox::Compiler;
use protox::file::{File, FileResolver, GoogleFileResolver};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crate whose proto files are read.
const CARRIER: &str = "envoy-types";

/// Names written in a carried file that the compiler would look up in a sibling package of the same first word, and
/// how they are read instead.
const SPELLED_OUT: &[(&str, &str, &str)] = &[(
    "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.proto",
    " common.dynamic_forward_proxy.",
    " .envoy.extensions.common.dynamic_forward_proxy.",
)];

/// Where proto files are looked up: ours first, then each root inside the carrier's folder.
pub(crate) struct Roots {
    pub(crate) ours: PathBuf,
    pub(crate) theirs: Vec<PathBuf>,
}

impl Roots {
    /// Finds the roots from this crate's manifest folder.
    pub(crate) fn find(manifest: &Path) -> Self {
        let ours = manifest.join("../../proto");
        let carried = carrier(manifest).join("proto");
        let theirs = [
            "data-plane-api",
            "xds",
            "googleapis",
            "protoc-gen-validate",
            "opentelemetry-proto",
            "cel-spec/proto",
            "client_model",
            "ratelimit",
        ];
        Self { ours, theirs: theirs.iter().map(|root| carried.join(root)).collect() }
    }

    /// A compiler that finds files below every root.
    pub(crate) fn compiler(&self) -> Compiler {
        let mut compiler = Compiler::with_file_resolver(Reader(
            core::iter::once(&self.ours).chain(&self.theirs).cloned().collect(),
        ));
        compiler.include_imports(true);
        compiler
    }
}

/// Reads files below the roots, in their order, and the well-known ones from the compiler itself.
struct Reader(Vec<PathBuf>);

impl FileResolver for Reader {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        for root in &self.0 {
            if let Ok(mut source) = std::fs::read_to_string(root.join(name)) {
                for (_, from, to) in SPELLED_OUT.iter().filter(|(file, _, _)| *file == name) {
                    source = source.replace(from, to);
                }
                return File::from_source(name, &source);
            }
        }
        GoogleFileResolver::new().open_file(name)
    }
}

/// Writes `descriptors.bin`: the carrier's files, the supplement and Istio's. Returns them.
pub(crate) fn build(roots: &Roots, out: &Path) -> DescriptorPool {
    let mut pool = DescriptorPool::new();
    let mut files: Vec<String> = roots.theirs.iter().flat_map(|root| relative(root)).collect();
    files.extend(relative(&roots.ours));
    compile_into(&mut pool, roots, files);
    std::fs::write(out.join("descriptors.bin"), pool.encode_to_vec()).expect("the output folder is writable");
    pool
}

/// Compiles files with all they import and adds what the pool does not have yet.
///
/// A relative name is looked up in every package that the compiler holds, not only in imported ones: where
/// `envoy.extensions.config` is known, `config.core` written below `envoy.extensions` is no longer found in
/// `envoy.config`. So a file that fails beside the others is tried again in the next group, without them.
fn compile_into(pool: &mut DescriptorPool, roots: &Roots, mut files: Vec<String>) {
    while !files.is_empty() {
        let mut compiler = roots.compiler();
        let mut failures = Vec::new();
        let before = files.len();
        files.retain(|file| compiler.open_file(file).map_err(|error| failures.push(error)).is_err());
        assert!(files.len() < before, "{failures:?}");
        pool.decode_file_descriptor_set(compiler.encode_file_descriptor_set().as_slice())
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The proto files below a folder, relative to it, in order of name.
pub(crate) fn relative(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("a folder entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto")
                && let Some(file) = path.strip_prefix(root).ok().and_then(Path::to_str)
            {
                files.push(file.to_owned());
            }
        }
    }
    files.sort();
    files
}

/// The source folder of the carrier, from `cargo metadata`: offline first, since a build has fetched it already.
fn carrier(manifest: &Path) -> PathBuf {
    let cargo = std::env::var_os("CARGO").expect("cargo runs this");
    let target = std::env::var("TARGET").expect("cargo names the target");
    let mut errors = String::new();
    for mode in [&["--frozen"][..], &["--locked"], &[]] {
        let output = Command::new(&cargo)
            .args(["metadata", "--format-version", "1", "--filter-platform", &target])
            .args(mode)
            .arg("--manifest-path")
            .arg(manifest.join("Cargo.toml"))
            .output()
            .expect("cargo can be run");
        if !output.status.success() {
            errors.push_str(&String::from_utf8_lossy(&output.stderr));
            continue;
        }
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let found = metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|package| package["name"] == CARRIER)
            .and_then(|package| Path::new(package["manifest_path"].as_str()?).parent());
        if let Some(folder) = found {
            return folder.to_path_buf();
        }
    }
    panic!("the source of {CARRIER} was not found: {errors}");
}
