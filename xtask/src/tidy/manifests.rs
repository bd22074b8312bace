//! Member manifests: a version stands in the root manifest and nowhere else, and pure crates name no crate
//! that brings IO, a clock, threads, randomness, logs or metrics.

use super::directions::line_naming;
use super::{Finding, PURE, Tree};
use crate::metadata::DependencyKind;

/// What a pure crate may not name; a trailing `*` stands for any ending.
const IMPURE: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "clap",
    "getrandom",
    "hickory-*",
    "hyper*",
    "k8s-openapi",
    "kube*",
    "libc",
    "log",
    "metrics*",
    "mimalloc",
    "mio",
    "nix",
    "notify*",
    "num_cpus",
    "opentelemetry*",
    "prometheus*",
    "rand",
    "rand_*",
    "rayon*",
    "reqwest",
    "rustix",
    "socket2",
    "tempfile",
    "time",
    "tokio*",
    "tonic*",
    "tower*",
    "tracing*",
    "walkdir",
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &tree.metadata.members {
        let Some(manifest) = tree.files.get(&member.manifest) else {
            continue;
        };
        findings.extend(versions(&member.manifest, manifest));
        if !PURE.contains(&member.name.as_str()) {
            continue;
        }
        for dependency in &member.dependencies {
            if dependency.kind == DependencyKind::Normal
                && IMPURE.iter().any(|pattern| matches(pattern, &dependency.name))
            {
                let message =
                    format!("`{}` is a pure crate and may not depend on `{}`", member.name, dependency.name);
                findings.push(Finding::new(
                    &member.manifest,
                    line_naming(manifest, &dependency.name),
                    message,
                ));
            }
        }
    }
    findings
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// Dependencies of one manifest that do not take their version from the workspace.
fn versions(path: &str, manifest: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut section = Section::Other;
    let finding = |line: usize, name: &str| {
        let message =
            format!("`{name}` must say `workspace = true`: versions stand in the root manifest only");
        Finding::new(path, line, message)
    };
    for (index, line) in manifest.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(header) = line.strip_prefix('[') {
            if let Section::One { line, name, inherited: false } = &section {
                findings.push(finding(*line, name));
            }
            section = Section::of(header.trim_end_matches(']'), index + 1);
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        match &mut section {
            Section::Other => {}
            Section::Many => {
                let inherited = key.ends_with(".workspace") && value == "true";
                let spaced: String = value.split_whitespace().collect();
                if !inherited && !spaced.contains("workspace=true") {
                    findings.push(finding(index + 1, key));
                }
            }
            Section::One { inherited, .. } => *inherited |= key == "workspace" && value == "true",
        }
    }
    if let Section::One { line, name, inherited: false } = &section {
        findings.push(finding(*line, name));
    }
    findings
}

/// Where in a manifest a line stands.
enum Section {
    Other,
    /// `[dependencies]` and its like: a dependency per line.
    Many,
    /// `[dependencies.name]`: one dependency over several lines.
    One {
        line: usize,
        name: String,
        inherited: bool,
    },
}

impl Section {
    fn of(header: &str, line: usize) -> Self {
        if header.ends_with("dependencies") {
            return Self::Many;
        }
        match header.rsplit_once("dependencies.") {
            Some((_, name)) => Self::One { line, name: name.to_owned(), inherited: false },
            None => Self::Other,
        }
    }
}
