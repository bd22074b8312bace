//! What `cargo metadata` says, reduced to what tidy asks: the members with their dependencies and targets,
//! and every locked package with its licence.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The whole answer, reduced. Paths are relative to the workspace root.
#[derive(Default)]
pub(crate) struct Metadata {
    pub(crate) members: Vec<Member>,
    pub(crate) packages: Vec<Package>,
}

/// A package of this workspace.
#[derive(Clone, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) manifest: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One dependency as the manifest names it.
#[derive(Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    Normal,
    Development,
    Build,
}

/// A root file that cargo compiles.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) path: String,
    /// Whether the file is part of the product: a library or a binary, not a test, bench, example or build script.
    pub(crate) product: bool,
}

/// A package of someone else, as locked.
#[derive(Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: String,
}

/// Asks cargo, without the network first: a machine that has built the workspace needs none.
pub(crate) fn load(root: &Path) -> Result<Metadata> {
    let host = host_triple(root)?;
    let mut failure = String::new();
    for offline in [true, false] {
        let mut command = Command::new("cargo");
        command.current_dir(root).args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            &host,
        ]);
        if offline {
            command.arg("--offline");
        }
        let output = command.output().context("starting cargo metadata")?;
        if output.status.success() {
            let answer = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
            return Ok(reduce(&answer));
        }
        failure = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    bail!("cargo metadata failed: {failure}")
}

fn host_triple(root: &Path) -> Result<String> {
    let output = Command::new("rustc").current_dir(root).arg("-vV").output().context("starting rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// From cargo's JSON to [`Metadata`]; anything absent is empty.
pub(crate) fn reduce(answer: &Value) -> Metadata {
    let root = format!("{}/", text(&answer["workspace_root"]));
    let ours: Vec<&str> = list(&answer["workspace_members"]).iter().map(text).collect();
    let mut metadata = Metadata::default();
    for package in list(&answer["packages"]) {
        let name = text(&package["name"]).to_owned();
        if ours.contains(&text(&package["id"])) {
            metadata.members.push(Member {
                name,
                manifest: relative(&package["manifest_path"], &root),
                dependencies: list(&package["dependencies"]).iter().map(dependency).collect(),
                targets: list(&package["targets"]).iter().map(|value| target(value, &root)).collect(),
            });
        } else {
            metadata.packages.push(Package {
                name,
                version: text(&package["version"]).to_owned(),
                licence: text(&package["license"]).to_owned(),
            });
        }
    }
    metadata.members.sort_by(|a, b| a.name.cmp(&b.name));
    metadata.packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    metadata
}

fn dependency(value: &Value) -> Dependency {
    let kind = match text(&value["kind"]) {
        "dev" => DependencyKind::Development,
        "build" => DependencyKind::Build,
        _ => DependencyKind::Normal,
    };
    Dependency { name: text(&value["name"]).to_owned(), kind }
}

fn target(value: &Value, root: &str) -> Target {
    let kinds: Vec<&str> = list(&value["kind"]).iter().map(text).collect();
    let product = !kinds.iter().any(|kind| matches!(*kind, "test" | "bench" | "example" | "custom-build"));
    Target { path: relative(&value["src_path"], root), product }
}

fn relative(path: &Value, root: &str) -> String {
    let path = text(path);
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
