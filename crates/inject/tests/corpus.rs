//! The recorded injections: each pod of the corpus, injected with the chart's own templates, must be the pod that the
//! recorded control plane made. The corpus lies in `shared/injection` beside the repository, or where
//! TRIERARCH_SHARED says; without it the test says so and passes, but in CI it fails.
#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests may end a test")]

mod compare;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inject::{Config, Decision, NoEnvironment, Request, decide, owner};
use serde_json::Value;

/// Where the corpus is, if anywhere.
fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("TRIERARCH_SHARED").map_or(beside, PathBuf::from);
    let corpus = Some(shared.join("injection")).filter(|corpus| corpus.is_dir());
    if corpus.is_none() {
        let message = "SKIPPED: no corpus of injections in shared/ beside the repository; set TRIERARCH_SHARED to what holds injection/";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("{message}");
    }
    corpus
}

/// The chart's templates, or those of a folder for which the tests were started by hand.
fn templates() -> BTreeMap<&'static str, String> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/istiod/files");
    let folder = std::env::var_os("INJECTION_TEMPLATES").map_or(chart, PathBuf::from);
    [("sidecar", "injection-template.yaml"), ("gateway", "gateway-injection-template.yaml")]
        .into_iter()
        .map(|(name, file)| {
            (name, std::fs::read_to_string(folder.join(file)).expect("a template of the chart"))
        })
        .collect()
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    config::yaml::documents(&text).expect("YAML").remove(0)
}

/// What the injector answers for a pod: nothing, a pod, or a message.
fn answer(pod: &Value, config: &Config, mesh: &str) -> Result<Option<Value>, String> {
    let namespace = pod["metadata"]["namespace"].as_str().expect("a namespace");
    if decide(pod, namespace, config) != Decision::Inject {
        return Ok(None);
    }
    let mesh = config::mesh_config::parse_mesh(mesh).expect("a mesh configuration");
    let request = Request {
        pod,
        namespace,
        namespace_annotations: BTreeMap::new(),
        owner: owner(pod, namespace),
        mesh: &mesh,
        proxy_configs: &[],
        config,
        revision: "default",
        native_sidecars: true,
        path_variables: BTreeMap::new(),
        openshift: false,
        compliance_policy: "",
        environment: Arc::new(NoEnvironment),
    };
    let injection = inject::inject(&request)?;
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &injection.patch).expect("the patch applies to the pod it was made for");
    Ok(Some(patched))
}

#[test]
fn pods_are_injected_as_recorded() {
    let Some(corpus) = corpus() else { return };
    let values = std::fs::read_to_string(corpus.join("values.json")).expect("values");
    let document = serde_json::json!({"policy": "enabled", "templates": templates()}).to_string();
    let config = Config::parse(&document, &values).expect("the chart's templates parse");
    let mesh = std::fs::read_to_string(corpus.join("../parity/base/mesh.yaml")).expect("a mesh");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(corpus.join("cases"))
        .expect("cases")
        .map(|case| case.expect("a case").path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "the corpus has no cases");
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let pod = yaml(&case.join("pod.yaml"));
        let response = yaml(&case.join("response.json"));
        let ours = answer(&pod, &config, &mesh);
        if response["allowed"] == false {
            let message = response["status"]["message"].as_str().unwrap_or_default();
            match ours {
                Err(ours) if ours == message => {}
                ours => wrong.push(format!("{name}: refused with {message:?}, but we answer {ours:?}")),
            }
            continue;
        }
        match ours {
            Ok(ours) => {
                let differences =
                    compare::differences(&yaml(&case.join("injected.yaml")), &ours.unwrap_or(pod));
                wrong.extend(differences.into_iter().map(|difference| format!("{name}: {difference}")));
            }
            Err(error) => wrong.push(format!("{name}: not injected: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{} recorded pods are equal", cases.len());
}
