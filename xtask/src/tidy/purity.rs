//! Pure crates stay pure: their product code names no files, environment, sockets, clock, threads, processes or
//! logs. Tests, benches and build scripts may. The same holds by lint where clippy can see it.

use super::source::{code, is_name, line_at, without_tests};
use super::{Finding, PURE, Tree, modules};

/// Paths that a pure crate may not write, and the modules of `std` among them.
const FORBIDDEN: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "SystemTime::now",
    "Instant::now",
    "thread_rng",
    "thread_local!",
    "getrandom::",
    "rand::",
    "tokio::",
    "kube::",
    "prometheus::",
    "tracing::",
    "log::",
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
];
const FORBIDDEN_MODULES: &[&str] = &["fs", "env", "process", "thread", "os"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let reached = modules::reached(tree);
    let mut findings = Vec::new();
    for member in &tree.metadata.members {
        let Some(folder) = member.manifest.strip_suffix("Cargo.toml") else {
            continue;
        };
        if !PURE.contains(&member.name.as_str()) {
            continue;
        }
        for (path, _) in reached.iter().filter(|(path, product)| **product && path.starts_with(folder)) {
            let Some(text) = tree.files.get(path) else {
                continue;
            };
            let code = without_tests(&code(text));
            for (offset, what) in impurities(&code) {
                let message = format!("`{what}` in the pure crate `{}`", member.name);
                findings.push(Finding::new(path, line_at(&code, offset), message));
            }
        }
    }
    findings
}

fn impurities(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for pattern in FORBIDDEN {
        for (offset, _) in code.match_indices(pattern) {
            let before = offset.checked_sub(1).map(|index| code.as_bytes()[index]);
            // `a::tracing::b` is a module of ours; `std::thread` is not `std::threading`.
            let begins = !before.is_some_and(|byte| is_name(byte) || (byte == b':' && !is_type(pattern)));
            let ends = code.as_bytes().get(offset + pattern.len()).is_none_or(|byte| !is_name(*byte));
            let open_end = pattern.ends_with(':') || pattern.ends_with("Tcp") || pattern.ends_with("Udp");
            if begins && (ends || open_end) {
                found.push((offset, (*pattern).to_owned()));
            }
        }
    }
    // `use std::{fs, env};`
    for (offset, opening) in code.match_indices("std::{") {
        for name in names_in_braces(&code[offset + opening.len()..]) {
            if FORBIDDEN_MODULES.contains(&name) {
                found.push((offset, format!("std::{name}")));
            }
        }
    }
    found
}

/// A type may stand behind any path: `net::TcpStream`, `time::Instant::now`.
fn is_type(pattern: &str) -> bool {
    pattern.starts_with(char::is_uppercase)
}

/// The first name of each element of a use list, up to the brace that closes it.
fn names_in_braces(list: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut expecting = true;
    for (index, byte) in list.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => expecting = true,
            _ if expecting && is_name(byte) => {
                expecting = false;
                let length = list[index..].bytes().take_while(|byte| is_name(*byte)).count();
                names.push(&list[index..index + length]);
            }
            _ => {}
        }
    }
    names
}
