//! `trierarch inject`: proxies into files, from standard input and with the user's own configuration.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::*;

const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: 'web:1'}]}\n";

fn inject(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary())
        .arg("inject")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_pod_from_standard_input_gets_the_proxy_of_the_chart() {
    let output = inject(&["-f", "-", "--nativeSidecars", "true", "-r", "canary"], POD);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let pod = text(&output.stdout);
    assert!(pod.contains("name: istio-proxy") && pod.contains("restartPolicy: Always"), "{pod}");
    assert!(pod.contains("istio.io/rev: canary"), "{pod}");
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn what_is_left_alone_is_told_on_standard_error() {
    let output = inject(
        &["-f", "-"],
        &POD.replace("{name: web}", "{name: web, labels: {sidecar.istio.io/inject: 'false'}}"),
    );
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("Pod \"default/web\": it has sidecar injection disabled"));
    assert!(!text(&output.stdout).contains("istio-proxy"));
}

#[test]
fn own_templates_values_and_mesh_come_from_files() {
    let folder = Folder::new("inject");
    folder.write(
        "injector.yaml",
        "apiVersion: v1\nkind: ConfigMap\ndata:\n  values: '{\"hello\": \"there\"}'\n  config: |\n    policy: enabled\n    \
         templates:\n      sidecar: |\n        metadata: {annotations: {hello: '{{ .Values.hello }} {{ .MeshConfig.TrustDomain }}'}}\n",
    );
    folder.write("mesh.yaml", "trustDomain: own.test\n");
    let config = folder.path().join("config/injector.yaml");
    let mesh = folder.path().join("config/mesh.yaml");
    let arguments = [
        "-f",
        "-",
        "--injectConfigFile",
        config.to_str().unwrap(),
        "--meshConfigFile",
        mesh.to_str().unwrap(),
    ];
    let output = inject(&arguments, POD);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("hello: there own.test"), "{}", text(&output.stdout));
}

#[test]
fn what_cannot_be_injected_ends_with_an_exit_code_and_names_the_object() {
    let bad = POD.replace("{name: web}", "{name: web, annotations: {sidecar.istio.io/proxyCPU: lots}}");
    let output = inject(&["-f", "-"], &bad);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("Pod \"default/web\"") && error.contains("sidecar.istio.io/proxyCPU"), "{error}");
    assert!(output.stdout.is_empty(), "nothing half done");
    assert_eq!(inject(&["-f", "/no/such/file"], "").status.code(), Some(1));
    assert_eq!(inject(&[], "").status.code(), Some(2));
}
