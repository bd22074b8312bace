//! The code map of docs/ARCHITECTURE.md names exactly the crates there are. Names count where the map lists them:
//! in code quotes at the head of a table row, a bullet or a heading, as `name` or `crates/name`.

use super::{Finding, Tree};

const DOCUMENT: &str = "docs/ARCHITECTURE.md";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.files.get(DOCUMENT) else {
        return Vec::new();
    };
    let crates: Vec<&str> = tree.metadata.members.iter().map(|member| member.name.as_str()).collect();
    let mut findings = Vec::new();
    let mut listed = Vec::new();
    let mut map_at = None;
    let mut level = 0;
    for (index, line) in text.lines().enumerate() {
        let depth = line.bytes().take_while(|byte| *byte == b'#').count();
        if depth > 0 && line.to_lowercase().contains("code map") {
            map_at = Some(index + 1);
            level = depth;
        } else if depth > 0 && depth <= level {
            level = 0;
        }
        for path in quoted(line) {
            // A folder path anywhere in the document must lead to a crate.
            let name = path.strip_prefix("crates/").map(|rest| rest.split('/').next().unwrap_or_default());
            if let Some(name) = name.filter(|name| !crates.contains(name)) {
                findings.push(Finding::new(DOCUMENT, index + 1, format!("there is no crate `{name}`")));
            }
        }
        if level > 0 {
            for name in quoted(head(line)).filter(|name| !name.starts_with("crates/")) {
                if !crates.contains(&name) {
                    findings.push(Finding::new(
                        DOCUMENT,
                        index + 1,
                        format!("the code map names `{name}`, which is no crate"),
                    ));
                }
            }
            listed.extend(
                quoted(head(line)).map(|name| name.trim_start_matches("crates/").trim_end_matches('/')),
            );
        }
    }
    let Some(map_at) = map_at else {
        findings.push(Finding::new(DOCUMENT, 0, "there is no heading `Code map`"));
        return findings;
    };
    // The packages outside crates/ are no part of the house, so the map may leave them to prose.
    let housed = tree.metadata.members.iter().filter(|member| member.manifest.starts_with("crates/"));
    for name in housed.map(|member| member.name.as_str()).filter(|name| !listed.contains(name)) {
        findings.push(Finding::new(
            DOCUMENT,
            map_at,
            format!("the code map does not name the crate `{name}`"),
        ));
    }
    findings
}

/// The part of a line that names what the line is about: the first cell, the text of a bullet before its first
/// stop or dash, a heading; empty for prose.
fn head(line: &str) -> &str {
    let line = line.trim_start();
    if let Some(row) = line.strip_prefix('|') {
        return row.split('|').next().unwrap_or_default();
    }
    if line.starts_with('#') {
        return line;
    }
    let Some(bullet) = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")) else {
        return "";
    };
    if !bullet.trim_start_matches('*').starts_with('`') {
        return "";
    }
    bullet.split([':', '.', '(', '—']).next().unwrap_or_default()
}

/// What stands in code quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
