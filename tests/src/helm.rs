//! The charts of `deploy/helm` through the pinned Helm (`make tools-helm`): where Helm is, and what it renders.

#![expect(clippy::expect_used, reason = "helpers of tests may end a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize as _;
use serde_json::Value;

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Helm, where it is installed.
pub fn helm() -> Option<PathBuf> {
    let tools = std::env::var_os("TRIERARCH_TOOLS").map_or_else(|| root().join(".tools"), PathBuf::from);
    let module =
        std::fs::read_to_string(root().join("tools/helm/go.mod")).expect("the version of Helm is pinned");
    let version =
        module.lines().find_map(|line| line.strip_prefix("require helm.sh/helm/v3 v")).expect("a version");
    let helm = tools.join(format!("helm-{version}")).join("helm");
    if helm.is_file() {
        return Some(helm);
    }
    let message = format!("no Helm in {}; `make tools-helm` builds it", tools.display());
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("SKIPPED: {message}");
    None
}

/// Renders a chart as `helm install` would have it, in namespace `istio-system`.
pub fn rendered(helm: &Path, release: &str, chart: &str, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let output = Command::new(helm)
        .args(["template", release, chart, "--namespace", "istio-system"])
        .args(arguments)
        .current_dir(root().join("deploy/helm"))
        .output()
        .expect("Helm can be run");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).expect("YAML is UTF-8");
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let object = Value::deserialize(document).map_err(|error| format!("{chart}: {error}"))?;
        if !object.is_null() {
            objects.push(object);
        }
    }
    Ok(objects)
}
