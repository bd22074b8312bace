//! `trierarch analyze`: what is wrong in files, where, and with which exit code.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::cluster::{Cluster, binaries, objects};

use super::*;

const GOOD: &str = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: good}\nspec:\n  egress:\n  - \
                    hosts: [./*]\n";
const BAD: &str = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: bad\nspec:\n  \
                   hosts: [a.test, b.test]\n  ports:\n  - number: 80\n    name: http\n    protocol: HTTP\n  - number: 0\n    \
                   name: none\n    protocol: HTTP\n";
/// Two findings: a host and a gateway that are not there.
const MISSING: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: lost\n  namespace: \
                       shop\nspec:\n  hosts:\n  - a.test\n  gateways:\n  - no-gateway\n  http:\n  - route:\n    - \
                       destination:\n        host: no-host\n";

fn analyze(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary())
        .arg("analyze")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its flags reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn a_broken_object_is_named_with_line_and_field() {
    let output = analyze(&["-f", "-"], &format!("{GOOD}{BAD}"));
    assert_eq!(output.status.code(), Some(79));
    let text = out(&output);
    let line = "Error [IST0106] (ServiceEntry default/bad -:18) spec.ports[1].number: ";
    assert!(text.starts_with(line), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where there is no terminal: {text:?}");
    assert!(out(&analyze(&["--color", "-"], BAD)).contains("\u{1b}[1;31mError"));
}

#[test]
fn what_refers_to_nothing_is_named_with_what_to_do() {
    let output = analyze(&["-"], MISSING);
    assert_eq!(output.status.code(), Some(79));
    let expected = "Error [IST0101] (VirtualService shop/lost -:10) spec.gateways[0]: Referenced gateway not found: \
                    \"no-gateway\"; add it, or correct the name; \"mesh\" stands for all sidecars\nError [IST0101] \
                    (VirtualService shop/lost -:14) spec.http[0].route[0].destination.host: Referenced host not found: \
                    \"no-host\"; correct it, or add a Service or ServiceEntry of that name\n";
    assert_eq!(out(&output), expected);
}

#[test]
fn what_is_good_passes_and_says_so() {
    let output = analyze(&["-f", "-", "-o", "json"], GOOD);
    assert!(output.status.success());
    assert_eq!(out(&output).trim(), "[]");
    assert!(err(&output).contains("No validation issues found in 1 objects"), "{}", err(&output));
}

#[test]
fn every_format_says_the_same() {
    let json: Value = serde_json::from_str(&out(&analyze(&["-", "-o", "json"], MISSING))).unwrap();
    assert_eq!(json[0]["code"], "IST0101");
    assert_eq!(json[0]["level"], "Error");
    assert_eq!(json[0]["origin"], "VirtualService shop/lost");
    assert_eq!(json[0]["reference"], "-:10");
    assert_eq!(json[0]["field"], "spec.gateways[0]");
    let page = "https://istio.io/latest/docs/reference/config/analysis/ist0101/";
    assert_eq!(json[0]["documentationUrl"], page);
    let yaml = out(&analyze(&["-", "-o", "yaml"], MISSING));
    assert_eq!(config::yaml::documents(&yaml).unwrap(), [json]);
    let table = out(&analyze(&["-", "-o", "table"], MISSING));
    let mut lines = table.lines();
    assert!(
        lines.next().unwrap().starts_with("LEVEL  CODE     OBJECT                    PLACE  FIELD "),
        "{table}"
    );
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("Error  IST0101  VirtualService shop/lost  -:10   spec.gateways[0] "),
        "{table}"
    );
}

#[test]
fn thresholds_say_what_fails_and_what_is_printed() {
    let partial = GOOD.replace("[./*]", "[./a.test, ./a.test]");
    let warned = partial.clone()
        + "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\n\
                                    spec: {hosts: [a.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n";
    assert!(analyze(&["-"], &warned).status.success());
    assert_eq!(analyze(&["-", "--failure-threshold", "Warning"], &warned).status.code(), Some(79));
    assert!(out(&analyze(&["-"], &warned)).contains("Warning [IST0133]"));
    let quiet = analyze(&["-", "--output-threshold", "error", "--failure-threshold", "warning"], &warned);
    assert_eq!((out(&quiet).as_str(), quiet.status.code()), ("", Some(79)));
}

#[test]
fn findings_that_are_meant_are_suppressed_by_flag_or_annotation() {
    for object in ["VirtualService lost.shop", "VirtualService shop/lost", "VirtualService *.shop", "*"] {
        let output = analyze(&["-", "-S", &format!("IST0101={object}")], MISSING);
        assert!(output.status.success() && out(&output).is_empty(), "{object}: {}", out(&output));
    }
    for object in ["IST0102=*", "IST0101=VirtualService lost.other", "IST0101=Gateway *"] {
        assert_eq!(analyze(&["-", "-S", object], MISSING).status.code(), Some(79), "{object}");
    }
    for (codes, is_told) in
        [("IST0101", false), ("'*'", false), ("'IST0102, IST0101'", false), ("IST0102", true)]
    {
        let annotation = format!("  annotations: {{galley.istio.io/analyze-suppress: {codes}}}\nspec:\n");
        let output = analyze(&["-"], &MISSING.replacen("spec:\n", &annotation, 1));
        assert_eq!(!output.status.success(), is_told, "{codes}: {}", out(&output));
    }
    let wrong = analyze(&["-", "-S", "lost"], MISSING);
    assert!(
        !wrong.status.success() && err(&wrong).contains("write CODE=Kind name.namespace"),
        "{}",
        err(&wrong)
    );
}

#[test]
fn a_namespace_is_for_what_names_none_and_the_only_one_told_of() {
    assert!(analyze(&["-", "-n", "other"], MISSING).status.success());
    assert_eq!(analyze(&["-", "-n", "other", "-A"], MISSING).status.code(), Some(79));
    let output = analyze(&["-", "-n", "other"], BAD);
    assert!(out(&output).contains("(ServiceEntry other/bad "), "{}", out(&output));
}

#[test]
fn a_list_of_kubectl_is_opened() {
    let list = "apiVersion: v1\nitems:\n- apiVersion: networking.istio.io/v1\n  kind: Sidecar\n  metadata:\n    name: a\n    \
                namespace: b\n  spec:\n    egress:\n    - hosts:\n      - ./*\n- apiVersion: networking.istio.io/v1\n  kind: \
                Gateway\n  metadata:\n    name: c\n    namespace: d\n  spec:\n    servers: []\nkind: List\nmetadata:\n  \
                resourceVersion: \"\"\n";
    let output = analyze(&["-f", "-"], list);
    assert_eq!(output.status.code(), Some(79));
    let text = out(&output);
    let line = "Error [IST0106] (Gateway d/c -:18) spec.servers: a gateway must have at least one server";
    assert!(text.contains(line), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_analyzed() {
    let output = analyze(&["-"], &format!("a: [\n---\n{GOOD}"));
    assert_eq!(output.status.code(), Some(65));
    assert!(out(&output).contains("(-:1) this is neither YAML nor JSON"), "{}", out(&output));
    assert_eq!(analyze(&["-"], &format!("a: [\n---\n{MISSING}")).status.code(), Some(79));
    assert!(analyze(&["-", "--ignore-unknown"], &format!("a: [\n---\n{GOOD}")).status.success());
    let output = analyze(&["/there/is/nothing"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("/there/is/nothing cannot be read"), "{}", err(&output));
    let output = analyze(&["--use-kube=false"], "");
    assert!(!output.status.success() && err(&output).contains("name files or folders"), "{}", err(&output));
}

#[test]
fn kinds_of_others_and_steering_characters_do_no_harm() {
    let other =
        "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: a}\nspec: {secretName: x}\n";
    assert_eq!(out(&analyze(&["-"], other)), "");
    let output = out(&analyze(&["-"], &MISSING.replace("no-host", "\"no\\e[2Jhost\"")));
    assert!(!output.contains('\u{1b}'), "{output:?}");
}

#[test]
fn nothing_is_said_of_examples_and_charts_are_named() {
    let examples = repository().join("examples");
    let output = analyze(&[examples.to_str().unwrap(), "--failure-threshold", "info"], "");
    assert!(output.status.success() && out(&output).is_empty(), "{}", out(&output));
    let output = analyze(&[repository().join("deploy").to_str().unwrap()], "");
    assert!(output.status.success() && out(&output).is_empty(), "{}", out(&output));
    assert!(err(&output).contains("helm/istiod is a chart and passed over"), "{}", err(&output));
    let values = repository().join("deploy/helm/tests/values/istiod-remote.yaml");
    assert_eq!(
        analyze(&[values.to_str().unwrap()], "").status.code(),
        Some(79),
        "what was named should be objects"
    );
}

#[test]
fn mesh_configuration_of_a_file_counts() {
    let folder = Folder::new("analyze-mesh");
    let file = folder.path().join("mesh.yaml");
    std::fs::write(&file, "extensionProviders:\n- name: opa\n").unwrap();
    let file = file.to_str().unwrap();
    let policy = |name: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec: {{action: CUSTOM, provider: {{name: {name}}}, rules: [{{}}]}}\n"
        )
    };
    assert!(analyze(&["-", "--meshConfigFile", file], &policy("opa")).status.success());
    let output = analyze(&["-", "--meshConfigFile", file], &policy("opb"));
    assert!(out(&output).contains("Referenced extension provider not found: \"opb\""), "{}", out(&output));
}

/// As [`analyze`], over a cluster.
async fn analyze_live(kubeconfig: &Path, arguments: &[&str], input: &str) -> Output {
    let mut all = vec!["--kubeconfig".to_owned(), kubeconfig.display().to_string()];
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let input = input.to_owned();
    let run = move || analyze(&all.iter().map(String::as_str).collect::<Vec<_>>(), &input);
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_analyzed_and_files_as_if_they_were_in_it() {
    let Some(binaries) = binaries() else { return };
    let cluster = Cluster::start(&binaries, "analyze").await.unwrap();
    let client = cluster.client().await.unwrap();
    objects::define_all(&client).await.unwrap();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80}]}});
    let routes = config::yaml::documents(MISSING).unwrap().remove(0);
    objects::apply(&client, &[service, routes]).await.unwrap();
    let folder = Folder::new("analyze-cluster");

    let kubeconfig = cluster.kubeconfig();
    let output = analyze_live(&kubeconfig, &[], "").await;
    assert_eq!(output.status.code(), Some(79), "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("Error [IST0101] (VirtualService shop/lost) spec.gateways[0]: "), "{text}");
    assert!(text.contains("Referenced host not found: \"no-host\""), "{text}");
    assert!(text.contains("Info [IST0102] (Namespace shop) "), "{text}");

    // What a file says takes the place of what is stored, and may refer to what is stored.
    let mended = MISSING.replace("no-host", "web").replace("  gateways:\n  - no-gateway\n", "");
    let output = analyze_live(&kubeconfig, &["-", "-n", "shop"], &mended).await;
    assert!(output.status.success(), "{}", out(&output));
    assert_eq!(
        analyze(&["-", "-n", "shop"], &mended).status.code(),
        Some(79),
        "without the cluster web is unknown"
    );

    let nowhere = folder.path().join("kubeconfig");
    std::fs::copy(&kubeconfig, &nowhere).unwrap();
    drop(cluster);
    let output = analyze_live(&nowhere, &[], "").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("the cluster cannot be read"), "{}", err(&output));
}
