//! Tracked files name no package registry and no path of one machine: the project must build from any mirror and
//! in any folder. Cargo.lock's own `source` lines are the exception.

use super::{Finding, Tree};

/// Written in halves, so that this file does not find itself.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("proxy.golang", ".org"),
    concat!("sum.golang", ".org"),
    concat!("registry.npmjs", ".org"),
];
const FOLDERS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        for (index, line) in text.lines().enumerate() {
            if path == "Cargo.lock" && line.starts_with("source = \"registry+") {
                continue;
            }
            if let Some(host) = REGISTRIES.iter().find(|host| line.contains(**host)) {
                findings.push(Finding::new(path, index + 1, format!("names the package registry `{host}`")));
            }
            if let Some(folder) = FOLDERS.iter().find(|folder| begins_path(line, folder)) {
                findings.push(Finding::new(
                    path,
                    index + 1,
                    format!("names a path of one machine, `{folder}…`"),
                ));
            }
        }
    }
    findings
}

/// Whether the folder stands at the beginning of an absolute path, not inside a longer one.
fn begins_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(offset, _)| {
        let before = line[..offset].chars().next_back();
        before.is_none_or(|before| before.is_whitespace() || "\"'`(=:,<>".contains(before))
    })
}
