//! Rust files by themselves: each begins with a `//!` header that says what it is for, and none is longer than
//! the limit unless `xtask/long-files.txt` names it with a reason. An entry that is no longer needed fails too.

use super::{Finding, Tree};

const LIMIT: usize = 800;
const EXCEPTIONS: &str = "xtask/long-files.txt";

pub(crate) fn check_header(tree: &Tree) -> Vec<Finding> {
    rust_files(tree)
        .filter(|(_, text)| !text.trim_start().starts_with("//!"))
        .map(|(path, _)| Finding::new(path, 1, "the file does not begin with a `//!` header"))
        .collect()
}

pub(crate) fn check_length(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let exceptions = tree.files.get(EXCEPTIONS).map(String::as_str).unwrap_or_default();
    let mut excused = Vec::new();
    for (index, line) in exceptions.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (path, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if reason.trim().is_empty() {
            findings.push(Finding::new(
                EXCEPTIONS,
                index + 1,
                format!("`{path}` stands here without a reason"),
            ));
        }
        let length = tree.files.get(path).map_or(0, |text| text.lines().count());
        if length <= LIMIT {
            findings.push(Finding::new(
                EXCEPTIONS,
                index + 1,
                format!("`{path}` needs no exception any more"),
            ));
        }
        excused.push(path);
    }
    for (path, text) in rust_files(tree) {
        let length = text.lines().count();
        if length > LIMIT && !excused.contains(&path) {
            findings.push(Finding::new(
                path,
                LIMIT + 1,
                format!("{length} lines; the limit is {LIMIT}, split the file by question"),
            ));
        }
    }
    findings
}

fn rust_files(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let is_rust = |path: &str| path.rsplit_once('.').is_some_and(|(_, extension)| extension == "rs");
    tree.files
        .iter()
        .filter(move |(path, _)| is_rust(path))
        .map(|(path, text)| (path.as_str(), text.as_str()))
}
