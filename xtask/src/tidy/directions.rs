//! Dependencies between our own crates point only the allowed way. The table below is the picture of
//! docs/ARCHITECTURE.md; a crate may use what stands in its row, and all that those may use.

use super::{Finding, Tree};
use crate::metadata::DependencyKind;

/// A crate and the crates directly under it. Rows stay in an order in which nothing points down.
const BELOW: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("model", &["proto"]),
    ("config", &["model"]),
    ("gateway-api", &["config"]),
    ("mesh", &["gateway-api"]),
    ("scope", &["mesh"]),
    ("translate", &["scope"]),
    ("xds", &["model"]),
    ("engine", &["translate", "xds"]),
    ("swarm", &["proto"]),
    ("ca", &["model"]),
    ("inject", &["config"]),
    ("validate", &["config"]),
    ("kube-io", &["config"]),
    ("file-io", &["config"]),
    ("jwks-io", &[]),
    ("server", &["engine", "ca", "inject", "validate"]),
    ("agent", &["ca"]),
    ("app", &["server", "agent", "kube-io", "file-io", "jwks-io"]),
];

/// Packages that help only in development and so may use any crate of the table.
const TESTKIT: &str = "testkit";
const TESTS: &str = "tests";
/// Knows none of our crates, so that it builds when they do not.
const XTASK: &str = "xtask";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let ours: Vec<&str> = tree.metadata.members.iter().map(|member| member.name.as_str()).collect();
    let mut findings = Vec::new();
    for member in &tree.metadata.members {
        if !is_known(&member.name) {
            let message = format!(
                "crate `{}` is not in the table of allowed directions (xtask/src/tidy/directions.rs)",
                member.name
            );
            findings.push(Finding::new(&member.manifest, 0, message));
            continue;
        }
        for dependency in &member.dependencies {
            let name = dependency.name.as_str();
            if ours.contains(&name) && !may_use(&member.name, name, dependency.kind) {
                let line = tree.files.get(&member.manifest).map_or(0, |text| line_naming(text, name));
                let message = format!(
                    "`{}` may not depend on `{name}`: that is against the allowed directions",
                    member.name
                );
                findings.push(Finding::new(&member.manifest, line, message));
            }
        }
    }
    findings
}

fn is_known(name: &str) -> bool {
    [TESTKIT, TESTS, XTASK].contains(&name) || BELOW.iter().any(|(upper, _)| *upper == name)
}

fn may_use(user: &str, used: &str, kind: DependencyKind) -> bool {
    match user {
        XTASK => false,
        TESTS => used != XTASK && used != TESTS,
        TESTKIT => used != XTASK && used != TESTS && used != TESTKIT,
        _ if used == TESTKIT => kind == DependencyKind::Development,
        _ => is_below(user, used),
    }
}

fn is_below(user: &str, used: &str) -> bool {
    BELOW
        .iter()
        .find(|(upper, _)| *upper == user)
        .is_some_and(|(_, lower)| lower.iter().any(|direct| *direct == used || is_below(direct, used)))
}

/// The line of a manifest that begins with a dependency's name, or 0.
pub(crate) fn line_naming(manifest: &str, dependency: &str) -> usize {
    let names =
        |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    manifest.lines().position(names).map_or(0, |index| index + 1)
}
