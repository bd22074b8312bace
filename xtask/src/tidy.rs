//! `cargo xtask tidy`: the house rules that compilers and lints cannot see. Each check is a pure function from
//! the tracked files and cargo's metadata to findings, so that its test can hand it a small bad tree.
//! A finding prints as `path:line: message`; any finding makes the exit code 1.

mod directions;
mod files;
mod hosts;
mod licences;
mod manifests;
mod map;
mod modules;
mod purity;
mod rows;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::metadata::{self, Metadata};

/// The crates that may do no IO and know no clock, environment, threads, randomness, logs or metrics.
pub(crate) const PURE: &[&str] = &[
    "proto",
    "model",
    "config",
    "gateway-api",
    "mesh",
    "scope",
    "translate",
    "xds",
    "engine",
    "ca",
    "inject",
    "validate",
];

/// Everything the checks look at: the text files that git tracks or would track, by path from the root.
#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) metadata: Metadata,
}

/// One broken rule. Line 0 stands for the file as a whole and is printed as 1.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line.max(1), self.message)
    }
}

#[expect(clippy::print_stdout, reason = "the findings are the output of this command")]
pub(crate) fn command(root: &Path) -> Result<ExitCode> {
    let tree = Tree { files: tracked_files(root)?, metadata: metadata::load(root)? };
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} findings", findings.len());
    Ok(ExitCode::FAILURE)
}

/// All checks, in the order of path and line.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let checks = [
        directions::check,
        manifests::check,
        files::check_length,
        files::check_header,
        modules::check,
        purity::check,
        map::check,
        licences::check,
        hosts::check,
        rows::check,
    ];
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check(tree)).collect();
    findings.sort();
    findings
}

/// Files that are committed or would be by `git add .`; binary files and those deleted but not yet staged are left out.
fn tracked_files(root: &Path) -> Result<BTreeMap<String, String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("starting git ls-files")?;
    ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).context("a tracked path is not UTF-8")?;
    let mut files = BTreeMap::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        if let Ok(text) = std::fs::read_to_string(root.join(name)) {
            files.insert(name.to_owned(), text);
        }
    }
    Ok(files)
}
