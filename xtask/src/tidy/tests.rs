//! Each check against a small tree that keeps its rule and one that breaks it.

use serde_json::json;

use super::*;
use crate::metadata::{Dependency, DependencyKind, Member, Package, Target};

/// A tree of files and the members that a test gives; every member's library is its only target.
fn tree(files: &[(&str, &str)], members: &[Member]) -> Tree {
    Tree {
        files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
        metadata: Metadata { members: members.to_vec(), packages: Vec::new() },
    }
}

fn member(name: &str, uses: &[(&str, DependencyKind)]) -> Member {
    let dependency =
        |(name, kind): &(&str, DependencyKind)| Dependency { name: (*name).to_owned(), kind: *kind };
    Member {
        name: name.to_owned(),
        manifest: format!("crates/{name}/Cargo.toml"),
        dependencies: uses.iter().map(dependency).collect(),
        targets: vec![Target { path: format!("crates/{name}/src/lib.rs"), product: true }],
    }
}

fn package(name: &str, version: &str, licence: &str) -> Package {
    Package { name: name.to_owned(), version: version.to_owned(), licence: licence.to_owned() }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

const NORMAL: DependencyKind = DependencyKind::Normal;
const DEVELOPMENT: DependencyKind = DependencyKind::Development;

#[test]
fn a_dependency_may_point_down_any_number_of_steps() {
    let members = [
        member("proto", &[]),
        member("mesh", &[("proto", NORMAL)]),
        member("engine", &[("mesh", NORMAL), ("testkit", DEVELOPMENT)]),
        member("kube-io", &[("mesh", DEVELOPMENT)]),
        member("testkit", &[("engine", NORMAL)]),
        member("tests", &[("testkit", NORMAL), ("engine", NORMAL)]),
    ];
    let findings = directions::check(&tree(&[], &members));
    // `mesh` is not under `kube-io`, not even for its tests.
    assert_eq!(
        lines(&findings),
        [
            "crates/kube-io/Cargo.toml:1: `kube-io` may not depend on `mesh`: that is against the allowed directions"
        ]
    );
}

#[test]
fn a_dependency_may_not_point_up_or_sideways() {
    let members = [
        member("config", &[("mesh", NORMAL)]),
        member("mesh", &[("testkit", NORMAL)]),
        member("server", &[("file-io", NORMAL)]),
        member("file-io", &[]),
        member("xtask", &[("model", NORMAL)]),
        member("model", &[]),
        member("testkit", &[]),
    ];
    let manifest = "[dependencies]\nmodel.workspace = true\nmesh.workspace = true\n";
    let findings = directions::check(&tree(&[("crates/config/Cargo.toml", manifest)], &members));
    assert_eq!(
        lines(&findings),
        [
            "crates/config/Cargo.toml:3: `config` may not depend on `mesh`: that is against the allowed directions",
            "crates/mesh/Cargo.toml:1: `mesh` may not depend on `testkit`: that is against the allowed directions",
            "crates/server/Cargo.toml:1: `server` may not depend on `file-io`: that is against the allowed directions",
            "crates/xtask/Cargo.toml:1: `xtask` may not depend on `model`: that is against the allowed directions",
        ]
    );
}

#[test]
fn a_crate_must_have_its_place_in_the_table() {
    let findings = directions::check(&tree(&[], &[member("utils", &[])]));
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.contains("`utils` is not in the table"));
}

#[test]
fn a_version_in_a_member_manifest_is_found() {
    let manifest = r#"
[package]
name = "model"
version.workspace = true

[dependencies]
serde.workspace = true
proto = { workspace = true, features = ["x"] }
bytes = "1"

[dev-dependencies.insta]
version = "1"

[target.'cfg(unix)'.dependencies]
ipnet = { version = "2" }

[build-dependencies.protox]
workspace = true
"#;
    let findings = manifests::check(&tree(&[("crates/model/Cargo.toml", manifest)], &[member("model", &[])]));
    let found: Vec<(usize, &str)> =
        findings.iter().map(|finding| (finding.line, finding.message.split('`').nth(1).unwrap())).collect();
    assert_eq!(found, [(9, "bytes"), (11, "insta"), (15, "ipnet")]);
}

#[test]
fn a_pure_crate_may_not_name_an_impure_dependency() {
    let members = [
        member("engine", &[("tokio-stream", NORMAL), ("bytes", NORMAL), ("tokio", DEVELOPMENT)]),
        member("server", &[("tokio", NORMAL)]),
    ];
    let files = [
        ("crates/engine/Cargo.toml", "[dependencies]\ntokio-stream.workspace = true\n"),
        ("crates/server/Cargo.toml", "[dependencies]\ntokio.workspace = true\n"),
    ];
    let findings = manifests::check(&tree(&files, &members));
    assert_eq!(
        lines(&findings),
        ["crates/engine/Cargo.toml:2: `engine` is a pure crate and may not depend on `tokio-stream`"]
    );
}

#[test]
fn a_long_file_needs_an_exception_and_an_exception_needs_a_long_file() {
    let long = "//! Long.\n".repeat(801);
    let exceptions = "# comment\nb.rs one table\nc.rs was long once\nd.rs\n";
    let files = [("a.rs", long.as_str()), ("b.rs", &long), ("c.rs", "//! Short."), ("d.rs", &long)];
    let mut tree = tree(&files, &[]);
    tree.files.insert("xtask/long-files.txt".to_owned(), exceptions.to_owned());
    let findings = lines(&files::check_length(&tree));
    assert_eq!(
        findings,
        [
            "xtask/long-files.txt:3: `c.rs` needs no exception any more",
            "xtask/long-files.txt:4: `d.rs` stands here without a reason",
            "a.rs:801: 801 lines; the limit is 800, split the file by question",
        ]
    );
}

#[test]
fn a_file_without_a_header_is_found() {
    let files =
        [("a.rs", "//! Good.\nfn a() {}\n"), ("b.rs", "// Not enough.\n"), ("c.rs", ""), ("d.md", "# d")];
    let found: Vec<String> =
        files::check_header(&tree(&files, &[])).into_iter().map(|finding| finding.path).collect();
    assert_eq!(found, ["b.rs", "c.rs"]);
}

#[test]
fn a_file_that_no_mod_line_reaches_is_found() {
    let root = r#"
mod plain;
pub(crate) mod folder;
#[cfg(test)]
mod tests;
mod inline { mod deep; }
#[path = "elsewhere/odd.rs"]
mod named;
// mod commented;
const TEXT: &str = "mod quoted;";
"#;
    let files = [
        ("crates/model/src/lib.rs", root),
        ("crates/model/src/plain.rs", "mod child;"),
        ("crates/model/src/plain/child.rs", ""),
        ("crates/model/src/folder/mod.rs", "mod leaf;"),
        ("crates/model/src/folder/leaf.rs", ""),
        ("crates/model/src/tests.rs", ""),
        ("crates/model/src/inline/deep.rs", ""),
        ("crates/model/src/elsewhere/odd.rs", ""),
        ("crates/model/src/commented.rs", ""),
        ("crates/model/src/quoted.rs", ""),
        ("crates/model/src/child.rs", ""),
    ];
    let tree = tree(&files, &[member("model", &[])]);
    let found: Vec<String> = modules::check(&tree).into_iter().map(|finding| finding.path).collect();
    assert_eq!(
        found,
        ["crates/model/src/child.rs", "crates/model/src/commented.rs", "crates/model/src/quoted.rs"]
    );
    let reached = modules::reached(&tree);
    assert!(!reached["crates/model/src/tests.rs"]);
    assert!(reached["crates/model/src/plain/child.rs"]);
}

#[test]
fn impure_code_in_a_pure_crate_is_found() {
    let bad = r#"//! Talks about std::fs.
use std::{collections::BTreeMap, env, io::{self, Read}};
use std::fs;
fn now() -> Instant { std::time::Instant::now() }
fn log() { tracing::info!("std::thread"); }
const SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/set"));
fn lifetimes<'a>(a: &'a str) -> char { '"' }
mod dialog { fn threads() { crate::log::note(); } }
#[cfg(test)]
mod more { fn clock() { std::time::SystemTime::now(); } }
fn last() { std::thread::spawn(|| ()); }
"#;
    let files = [
        ("crates/engine/src/lib.rs", bad),
        ("crates/engine/tests/outer.rs", "use std::fs;"),
        ("crates/server/src/lib.rs", "use std::fs;"),
    ];
    let mut engine = member("engine", &[]);
    engine.targets.push(Target { path: "crates/engine/tests/outer.rs".to_owned(), product: false });
    let findings = purity::check(&tree(&files, &[engine, member("server", &[])]));
    let mut found: Vec<(usize, &str)> =
        findings.iter().map(|finding| (finding.line, finding.message.split('`').nth(1).unwrap())).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [(2, "std::env"), (3, "std::fs"), (4, "Instant::now"), (5, "tracing::"), (11, "std::thread")]
    );
}

#[test]
fn the_code_map_names_the_crates_there_are() {
    let map = "# Architecture\nProse names `gone` freely, but `crates/lost/src` is wrong.\n\n## Code map\n\
        | crate | duty |\n| `model`, `config` | words; may use `serde` |\n- `ghost`: nothing\n- `mesh` - the indexes\n\
        ## Next\n- `elsewhere`: not the map\n";
    let outside = Member { manifest: "xtask/Cargo.toml".to_owned(), ..member("xtask", &[]) };
    let members =
        [outside, member("config", &[]), member("mesh", &[]), member("model", &[]), member("scope", &[])];
    let findings = map::check(&tree(&[("docs/ARCHITECTURE.md", map)], &members));
    assert_eq!(
        lines(&findings),
        [
            "docs/ARCHITECTURE.md:2: there is no crate `lost`",
            "docs/ARCHITECTURE.md:7: the code map names `ghost`, which is no crate",
            "docs/ARCHITECTURE.md:4: the code map does not name the crate `scope`",
        ]
    );
}

#[test]
fn licences_bans_and_duplicates_follow_the_policy() {
    let policy = r#"
[licenses]
allow = [
    "MIT",
    "BSD-3-Clause",
]
exceptions = [
    { crate = "imbl", allow = ["MPL-2.0"] },
]
[bans]
deny = [
    { crate = "ring", use-instead = "aws-lc-rs", reason = "no" },
]
skip = [
    { crate = "syn", reason = "two" },
]
"#;
    let mut tree = tree(&[("deny.toml", policy)], &[]);
    tree.metadata.packages = vec![
        package("a", "1.0.0", "Apache-2.0 OR MIT"),
        package("b", "1.0.0", "MIT AND GPL-3.0"),
        package("c", "1.0.0", "(GPL-2.0 OR MIT) AND BSD-3-Clause"),
        package("d", "1.0.0", "Unlicense/MIT"),
        package("e", "1.0.0", ""),
        package("f", "1.0.0", "MPL-2.0"),
        package("imbl", "7.0.0", "MPL-2.0+"),
        package("ring", "0.17.0", "MIT"),
        package("syn", "2.0.0", "MIT"),
        package("syn", "3.0.0", "MIT"),
        package("twice", "1.0.0", "MIT"),
        package("twice", "2.0.0", "MIT"),
    ];
    assert_eq!(
        lines(&licences::check(&tree)),
        [
            "Cargo.lock:1: `b` 1.0.0 has the licence `MIT AND GPL-3.0`, which deny.toml does not allow",
            "Cargo.lock:1: `e` 1.0.0 has the licence ``, which deny.toml does not allow",
            "Cargo.lock:1: `f` 1.0.0 has the licence `MPL-2.0`, which deny.toml does not allow",
            "deny.toml:12: the banned package `ring` is in Cargo.lock",
            "Cargo.lock:1: `twice` is locked in several versions: 1.0.0, 2.0.0",
        ]
    );
}

#[test]
fn registries_and_paths_of_one_machine_are_found() {
    let registry = concat!("https://pypi", ".org/simple");
    let lock =
        concat!("source = \"registry+https://github.com/rust-lang/crates", ".io-index\"\nname = \"a\"\n");
    let folder = concat!("see /wo", "rk/main/notes and the route /a/wo", "rk/b\n");
    let files = [
        ("Cargo.lock", lock),
        ("README.md", registry),
        ("docs/a.md", folder),
        ("docs/b.md", "the /a/work/b route"),
    ];
    let findings = hosts::check(&tree(&files, &[]));
    let found: Vec<(&str, usize)> =
        findings.iter().map(|finding| (finding.path.as_str(), finding.line)).collect();
    assert_eq!(found, [("README.md", 1), ("docs/a.md", 1)]);
}

#[test]
fn cargo_metadata_is_reduced_to_paths_from_the_root() {
    let answer = json!({
        "workspace_root": "/somewhere",
        "workspace_members": ["model 0.1.0"],
        "packages": [
            {
                "id": "model 0.1.0", "name": "model", "version": "0.1.0",
                "manifest_path": "/somewhere/crates/model/Cargo.toml",
                "dependencies": [{"name": "serde", "kind": null}, {"name": "proptest", "kind": "dev"}],
                "targets": [
                    {"kind": ["lib"], "src_path": "/somewhere/crates/model/src/lib.rs"},
                    {"kind": ["custom-build"], "src_path": "/somewhere/crates/model/build.rs"},
                ],
            },
            {"id": "serde 1.0.0", "name": "serde", "version": "1.0.0", "license": "MIT"},
        ],
    });
    let metadata = metadata::reduce(&answer);
    assert_eq!(metadata.members[0].manifest, "crates/model/Cargo.toml");
    assert!(metadata.members[0].dependencies[1].kind == DEVELOPMENT);
    let targets: Vec<(&str, bool)> =
        metadata.members[0].targets.iter().map(|target| (target.path.as_str(), target.product)).collect();
    assert_eq!(targets, [("crates/model/src/lib.rs", true), ("crates/model/build.rs", false)]);
    assert_eq!(metadata.packages[0].licence, "MIT");
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text = "a /* b /* c */ d */ e // f\n\"g \\\" h\" r#\"i \" j\"# b\"k\" '\\'' '\"' 'l 'ä' m";
    let code = source::code(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "e", "b", "'l", "m"]);
}

/// A document that lists every row once, each shown by `shown`.
fn rows_document(shown: impl Fn(&str) -> String) -> String {
    let traffic = [('C', 27), ('E', 23), ('R', 30), ('L', 30), ('S', 20), ('K', 16), ('F', 20), ('T', 17)];
    let security =
        [('P', 10), ('M', 10), ('J', 11), ('A', 22), ('G', 9), ('D', 6), ('I', 4), ('Q', 2), ('N', 4)];
    let rows = traffic
        .iter()
        .chain(&security)
        .flat_map(|(letter, n)| (1..=*n).map(move |number| format!("{letter}{number:02}")));
    rows.map(|row| format!("| {row} | what | {} |\n", shown(&row))).collect::<Vec<_>>().concat()
}

fn rows_tree(document: &str) -> Tree {
    tree(
        &[
            ("docs/parity.md", document),
            ("tests/golden/cluster/names/case.yaml", ""),
            ("examples/canary/README.md", ""),
            ("crates/engine/tests/some.rs", "fn a_thing_holds() {}"),
            ("tests/parity/floor.yaml", "bookinfo: 80\n"),
        ],
        &[],
    )
}

#[test]
fn a_checklist_in_which_every_row_is_shown_by_something_that_exists_passes() {
    let document = rows_document(|row| match row {
        "C01" => "golden `cluster/names`; example `canary` (all but `nothing`)".to_owned(),
        "E23" => "test `crates/engine/tests/some.rs::a_thing_holds`".to_owned(),
        "E22" => "scenario `bookinfo reviews cds BlackHoleCluster`".to_owned(),
        _ => "golden `cluster/names`".to_owned(),
    });
    assert_eq!(lines(&rows::check(&rows_tree(&document))), [""; 0]);
}

#[test]
fn a_row_that_is_absent_double_unknown_or_shown_by_nothing_is_found() {
    let document = rows_document(|row| {
        match row {
            "C02" => "golden `cluster/other`",
            "C03" => "examples `canary`, `other`",
            "C04" => "test `crates/engine/tests/some.rs::another_thing`",
            "C05" => "scenario `other proxy cds name`",
            "C06" => "scenario `bookinfo`",
            "C07" => "nothing yet (`cluster/names`)",
            "C08" => "`cluster/names`",
            _ => "golden `cluster/names`",
        }
        .to_owned()
    });
    let document = document.replace("| L30 | what | golden `cluster/names` |\n", "")
        + "| L01 | again | golden `cluster/names` |\n| X01 | unknown | golden `cluster/names` |\n";
    let findings = lines(&rows::check(&rows_tree(&document)));
    let said: Vec<&str> =
        findings.iter().filter_map(|line| line.split_once(": ").map(|(_, said)| said)).collect();
    assert_eq!(
        said,
        [
            "row C02: no golden case cluster/other",
            "row C03: no example other",
            "row C04: no test crates/engine/tests/some.rs::another_thing; write `path::function`",
            "row C05: no scenario other",
            "row C06: bookinfo: write `scenario proxy type resource`",
            "row C07 names nothing that shows it",
            "row C08: cluster/names: say whether it is a golden case, an example, a test or a scenario",
            "row L01 is listed already, in line 81",
            "the checklist has no row X01",
            "row L30 is not listed",
        ]
    );
}
