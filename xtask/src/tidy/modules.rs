//! The module tree: every `.rs` file is reached by `mod` lines from a file that cargo compiles, so none rots unseen.
//! The walk also tells which files are product code and which are reached only for tests.

use std::collections::BTreeMap;

use super::source::{code, is_name, without_tests};
use super::{Finding, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let reached = reached(tree);
    tree.files
        .keys()
        .filter(|path| path.rsplit_once('.').is_some_and(|(_, extension)| extension == "rs"))
        .filter(|path| !reached.contains_key(*path))
        .map(|path| Finding::new(path, 1, "no `mod` line leads to this file and it is no target of cargo"))
        .collect()
}

/// Every file that is compiled, and whether it is part of the product.
pub(crate) fn reached(tree: &Tree) -> BTreeMap<String, bool> {
    let mut reached = BTreeMap::new();
    for member in &tree.metadata.members {
        for target in &member.targets {
            visit(tree, &target.path, true, target.product, &mut reached);
        }
    }
    reached
}

/// Follows the `mod` lines of a file. `owns_folder`: whether children lie beside the file, not in a folder of its name.
fn visit(tree: &Tree, path: &str, owns_folder: bool, product: bool, reached: &mut BTreeMap<String, bool>) {
    let Some(text) = tree.files.get(path) else {
        return;
    };
    match reached.get(path) {
        Some(seen) if *seen || !product => return,
        _ => reached.insert(path.to_owned(), product),
    };
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    let children = if owns_folder || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
    let code = code(text);
    let kept = without_tests(&code);
    for module in declarations(text, &code) {
        let product = product && kept.as_bytes()[module.offset] != b' ';
        if let Some(file) = &module.file {
            // A `#[path]` or an `include!` counts from the folder of the file that says it.
            visit(tree, &normal(&format!("{folder}/{file}")), true, product, reached);
        } else {
            let name = &module.name;
            visit(tree, &format!("{children}/{name}.rs"), false, product, reached);
            visit(tree, &format!("{children}/{name}/mod.rs"), true, product, reached);
        }
    }
}

struct Declaration {
    offset: usize,
    /// With the names of inline modules around it, `outer/inner`.
    name: String,
    file: Option<String>,
}

/// The `mod name;` lines of a file, with `#[path = "…"]`, and the files it includes as text.
fn declarations(text: &str, code: &str) -> Vec<Declaration> {
    let mut found = Vec::new();
    // Inline modules that are open, with the depth of braces outside them.
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    let bytes = code.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                open.retain(|(_, outside)| *outside < depth);
            }
            b'm' if is_word(bytes, at, b"mod") => {
                let rest = &code[at + 3..];
                let name: String =
                    rest.trim_start().bytes().take_while(|byte| is_name(*byte)).map(char::from).collect();
                let after = rest.trim_start()[name.len()..].trim_start();
                if !name.is_empty() && after.starts_with(';') {
                    let path: Vec<&str> =
                        open.iter().map(|(name, _)| name.as_str()).chain([name.as_str()]).collect();
                    found.push(Declaration {
                        offset: at,
                        name: path.join("/"),
                        file: path_attribute(text, code, at),
                    });
                } else if !name.is_empty() && after.starts_with('{') {
                    open.push((name, depth));
                }
            }
            b'i' if is_word(bytes, at, b"include") && bytes[at..].starts_with(b"include!(") => {
                let argument = text[at + "include!(".len()..].trim_start();
                if let Some(file) = quoted(argument) {
                    found.push(Declaration { offset: at, name: String::new(), file: Some(file) });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn is_word(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    bytes[at..].starts_with(word)
        && !bytes.get(at + word.len()).is_some_and(|byte| is_name(*byte))
        && !at.checked_sub(1).is_some_and(|before| is_name(bytes[before]))
}

/// The `#[path = "…"]` among the attributes right before a `mod`.
fn path_attribute(text: &str, code: &str, module: usize) -> Option<String> {
    let start = code[..module].rfind([';', '{', '}']).map_or(0, |index| index + 1);
    let attribute = code[start..module].find("#[path")?;
    quoted(text[start + attribute..module].split_once('=')?.1.trim_start())
}

fn quoted(text: &str) -> Option<String> {
    let (literal, _) = text.strip_prefix('"')?.split_once('"')?;
    Some(literal.to_owned())
}

/// A path without `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
