//! `trierarch analyze`: what is wrong in files, where, and with which exit code.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::*;

const GOOD: &str = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: good}\nspec:\n  egress:\n  - \
                    hosts: [./*]\n";
const BAD: &str = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: bad\nspec:\n  \
                   hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n      weight: 1\n    - destination: \
                   {host: b}\n      weight: -1\n";

fn analyze(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary())
        .args(["analyze", "-f", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_broken_object_is_named_with_line_and_field() {
    let output = analyze(&[], &format!("{GOOD}{BAD}"));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let line =
        "Error [IST0106] (VirtualService default/bad -:19) spec.http[0].route[1].weight: weight -1 < 0";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where there is no terminal: {text:?}");
}

#[test]
fn what_is_good_passes_and_says_so() {
    let output = analyze(&["-o", "json"], GOOD);
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "[]");
    assert!(
        String::from_utf8(analyze(&[], GOOD).stdout).unwrap().contains("No validation issues found in 1")
    );
}

#[test]
fn warnings_fail_only_where_the_threshold_says_so() {
    let partial = GOOD.replace("[./*]", "[./a.test, ./a.test]");
    assert!(analyze(&[], &partial).status.success());
    assert_eq!(analyze(&["--failure-threshold", "Warning"], &partial).status.code(), Some(1));
}

#[test]
fn a_list_of_kubectl_is_opened() {
    let list = "apiVersion: v1\nitems:\n- apiVersion: networking.istio.io/v1\n  kind: Sidecar\n  metadata:\n    name: a\n    \
                namespace: b\n  spec:\n    egress:\n    - hosts:\n      - ./*\n- apiVersion: networking.istio.io/v1\n  kind: \
                Gateway\n  metadata:\n    name: c\n    namespace: d\n  spec:\n    servers: []\nkind: List\nmetadata:\n  \
                resourceVersion: \"\"\n";
    let output = analyze(&[], list);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = "Error [IST0106] (Gateway d/c -:18) spec.servers: a gateway must have at least one server";
    assert!(text.contains(line), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}
