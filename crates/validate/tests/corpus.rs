//! The recorded verdicts: each object of the corpus must be accepted or refused as the recorded control plane did, with
//! as many warnings, and what the recorded messages name of the object must be named by ours. The corpus
//! lies in `shared/validation` beside the repository, or where TRIERARCH_SHARED says; without it the test says so and
//! passes, but in CI it fails.
#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests may end a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("TRIERARCH_SHARED").map_or(beside, PathBuf::from);
    let corpus = Some(shared.join("validation/cases")).filter(|corpus| corpus.is_dir());
    if corpus.is_none() {
        let message = "SKIPPED: no corpus of verdicts in shared/ beside the repository; set TRIERARCH_SHARED to what holds validation/";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("{message}");
    }
    corpus
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn answer(object: &Value) -> Value {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "object": object},
    });
    let answer = validate::review(review.to_string().as_bytes());
    let mut answer: Value = serde_json::from_slice(&answer.body).expect("an answer is JSON");
    assert_eq!(answer["response"]["uid"], "u");
    answer["response"].take()
}

/// Whole words of a text.
fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.' | '_'))
        .map(|word| word.trim_matches('.').to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Names of fields and values below a place.
fn named(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| named(item, into)),
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            into.insert(name.to_lowercase());
            named(member, into);
        }),
        Value::String(text) => {
            into.insert(text.to_lowercase());
        }
        other => {
            into.insert(other.to_string());
        }
    }
}

/// Words that recorded messages use of themselves, and not of the object.
const PROSE: [&str; 5] = ["a", "and", "set", "by", "x"];

#[test]
fn verdicts_warnings_and_fields_are_as_recorded() {
    let Some(corpus) = corpus() else { return };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(corpus)
        .expect("cases")
        .map(|case| case.expect("a case").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "the corpus has no cases");
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_stem().expect("a name").to_string_lossy();
        let object = config::yaml::documents(&read(case)).expect("YAML").remove(0);
        let theirs: Value = serde_json::from_str(&read(&case.with_extension("json"))).expect("a verdict");
        let ours = answer(&object);
        let warnings = ours["warnings"].as_array().cloned().unwrap_or_default();
        if theirs["allowed"] != ours["allowed"] {
            wrong.push(format!("{name}: {} was recorded, but we answer {ours}", theirs["allowed"]));
        }
        let recorded = theirs["warnings"].as_array().cloned().unwrap_or_default();
        if warnings.len() != recorded.len() {
            wrong.push(format!("{name}: recorded warnings {recorded:?}, ours {warnings:?}"));
        }
        let mut names = BTreeSet::new();
        named(&object["spec"], &mut names);
        let said = format!("{} {}", ours["status"]["message"], Value::Array(warnings));
        let ours = words(&said.replace("\\t", " ").replace("\\n", " ").replace(['[', ']'], " "));
        let ours: BTreeSet<String> =
            ours.iter().flat_map(|word| word.split('.').map(str::to_owned).chain([word.clone()])).collect();
        let recorded = format!("{} {}", theirs["message"], theirs["warnings"]);
        for word in words(&recorded.replace("\\t", " ").replace("\\n", " ")) {
            if names.contains(&word) && !PROSE.contains(&word.as_str()) && !ours.contains(&word) {
                wrong.push(format!("{name}: the recorded message names {word}, ours does not: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{} recorded verdicts are equal", cases.len());
}
