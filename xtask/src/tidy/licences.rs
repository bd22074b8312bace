//! What deny.toml promises, checked without cargo-deny: every locked package has an allowed licence, none is
//! banned, and none comes in two versions unless the file excuses it. Only the simple form of that file is read:
//! one entry per line inside a list.

use std::collections::BTreeMap;

use super::{Finding, Tree};

const POLICY: &str = "deny.toml";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.files.get(POLICY) else {
        return vec![Finding::new(POLICY, 0, "the file is missing")];
    };
    let policy = Policy::read(text);
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &tree.metadata.packages {
        let name = package.name.as_str();
        versions.entry(name).or_default().push(&package.version);
        if let Some((line, _, wrappers)) = policy.banned.iter().find(|(_, banned, _)| banned == name) {
            let users = users_of(tree.files.get("Cargo.lock").map_or("", String::as_str), name);
            if !wrappers.is_empty() && users.iter().all(|user| wrappers.iter().any(|w| w == user)) {
                continue;
            }
            findings.push(Finding::new(
                POLICY,
                *line,
                format!("the banned package `{name}` is in Cargo.lock"),
            ));
        }
        if !is_allowed(&package.licence, &policy.allowed(name)) {
            let message = format!(
                "`{name}` {} has the licence `{}`, which {POLICY} does not allow",
                package.version, package.licence
            );
            findings.push(Finding::new("Cargo.lock", 0, message));
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        if !policy.duplicates.iter().any(|(_, excused)| excused == name) {
            let message = format!("`{name}` is locked in several versions: {}", versions.join(", "));
            findings.push(Finding::new("Cargo.lock", 0, message));
        }
    }
    findings
}

#[derive(Default)]
struct Policy {
    licences: Vec<String>,
    /// A package and one more licence that is allowed for it alone.
    exceptions: Vec<(String, String)>,
    /// Line, package, and the packages that may name it all the same.
    banned: Vec<(usize, String, Vec<String>)>,
    duplicates: Vec<(usize, String)>,
}

impl Policy {
    fn read(text: &str) -> Self {
        let mut policy = Self::default();
        let mut section = "";
        let mut list = "";
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']);
                list = "";
                continue;
            }
            if list.is_empty() || line.ends_with('[') {
                list = line.split('=').next().unwrap_or_default().trim();
                if line.ends_with('[') {
                    continue;
                }
            }
            match (section, list) {
                ("licenses", "allow") => policy.licences.extend(strings(line).map(str::to_owned)),
                ("licenses", "exceptions") => {
                    if let (Some(name), Some(licence)) = (value(line, "crate"), value(line, "allow")) {
                        policy.exceptions.push((name, licence));
                    }
                }
                ("bans", "deny") => {
                    let wrappers: Vec<String> = value(line, "wrappers").into_iter().collect();
                    policy.banned.extend(value(line, "crate").map(|name| (index + 1, name, wrappers)));
                }
                ("bans", "skip") => {
                    policy.duplicates.extend(value(line, "crate").map(|name| (index + 1, name)));
                }
                _ => {}
            }
            if line.ends_with(']') || !line.contains(['{', '"']) {
                list = "";
            }
        }
        policy
    }

    fn allowed(&self, name: &str) -> Vec<&str> {
        let own = self
            .exceptions
            .iter()
            .filter(|(package, _)| package == name)
            .map(|(_, licence)| licence.as_str());
        self.licences.iter().map(String::as_str).chain(own).collect()
    }
}

/// The packages of the lock file that name a dependency.
fn users_of<'a>(lock: &'a str, dependency: &str) -> Vec<&'a str> {
    lock.split("[[package]]")
        .filter(|package| {
            package.lines().any(|line| strings(line).next() == Some(dependency) && line.starts_with(' '))
        })
        .filter_map(|package| package.lines().find_map(|line| line.strip_prefix("name = ")))
        .map(|name| name.trim_matches('"'))
        .collect()
}

/// The first string after `key =`, also inside a list.
fn value(line: &str, key: &str) -> Option<String> {
    let at = line.find(&format!("{key} ="))?;
    strings(&line[at..]).next().map(str::to_owned)
}

fn strings(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// Whether an SPDX expression can be met with the allowed licences. `/` is the old way to write OR.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at, allowed) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let Some(word) = words.get(*at) else {
        return false;
    };
    *at += 1;
    if *word == "(" {
        let met = any_of(words, at, allowed);
        *at += 1;
        return met;
    }
    // An exception only gives more freedom.
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    // `+` means: or any later version.
    allowed.contains(&word.trim_end_matches('+'))
}
