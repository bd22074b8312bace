//! The charts in `deploy/helm`, through the pinned Helm (`make tools-helm`): with default values and with files such as
//! users of Istio's charts have, each renders valid objects, under the names that other tools rely on. Without Helm
//! these say so and pass, unless CI is set; so do those that put them into a real API server where there is none. Answers
//! checklists 7 and 9 of the platform specification.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests may end a test")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use testkit::cluster::{Cluster, binaries, objects};
use testkit::parity::{Scenario, shared_dir};
use tests::helm::{helm, rendered, root};

#[path = "charts/policy.rs"]
mod policy;
#[path = "charts/rights.rs"]
mod rights;
#[path = "charts/upgrade.rs"]
mod upgrade;
#[path = "charts/values.rs"]
mod values_of_istio;

/// `Kind/name` of objects, which must differ.
fn names(objects: &[Value]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for object in objects {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        assert!(!text("/apiVersion").is_empty(), "{object}");
        assert!(!text("/metadata/name").is_empty(), "{object}");
        let name = format!("{}/{}", text("/kind"), text("/metadata/name"));
        assert!(names.insert(name.clone()), "{name} stands twice");
    }
    names
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The values files of a chart, by the first word of their names.
fn values(chart: &str) -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(root().join("deploy/helm/tests/values"))
        .expect("the folder of values is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|file| file.starts_with(&format!("{chart}-")))
        .map(|file| format!("tests/values/{file}"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_chart_renders_with_defaults_and_with_every_file_of_values() {
    let Some(helm) = helm() else { return };
    let mut rendering = 0;
    for chart in ["base", "istiod", "gateway"] {
        let files = values(chart);
        assert!(files.len() >= 5, "{chart}");
        let mut runs = vec![Vec::new()];
        runs.extend(files.iter().map(|file| vec!["--values", file.as_str()]));
        for arguments in runs {
            let objects = rendered(&helm, "release", chart, &arguments)
                .unwrap_or_else(|error| panic!("{chart} {arguments:?}: {error}"));
            assert!(!names(&objects).is_empty(), "{chart} {arguments:?}");
            rendering += 1;
        }
    }
    assert!(rendering >= 3 * 6);
}

#[test]
fn the_default_revision_has_the_names_and_selectors_of_istiods_chart() {
    let Some(helm) = helm() else { return };
    let objects = rendered(&helm, "istiod", "istiod", &[]).expect("the chart renders");
    let expected = [
        "ClusterRole/istio-reader-clusterrole-istio-system",
        "ClusterRole/istiod-clusterrole-istio-system",
        "ClusterRole/istiod-gateway-controller-istio-system",
        "ClusterRoleBinding/istio-reader-clusterrole-istio-system",
        "ClusterRoleBinding/istiod-clusterrole-istio-system",
        "ClusterRoleBinding/istiod-gateway-controller-istio-system",
        "ConfigMap/istio",
        "ConfigMap/istio-sidecar-injector",
        "ConfigMap/values",
        "Deployment/istiod",
        "HorizontalPodAutoscaler/istiod",
        "MutatingWebhookConfiguration/istio-sidecar-injector",
        "Role/istiod",
        "RoleBinding/istiod",
        "Service/istiod",
        "ServiceAccount/istiod",
        "ValidatingWebhookConfiguration/istio-validator-istio-system",
    ];
    assert_eq!(names(&objects), expected.map(str::to_owned).into());

    // Neither can be changed by an upgrade, or Pods would be lost between the two.
    let deployment = find(&objects, "Deployment", "istiod");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], json!({"istio": "pilot"}));
    let service = find(&objects, "Service", "istiod");
    assert_eq!(service["spec"]["selector"], json!({"app": "istiod", "istio": "pilot"}));
    let ports: Vec<i64> = service["spec"]["ports"]
        .as_array()
        .expect("ports")
        .iter()
        .map(|port| port["port"].as_i64().expect("a number"))
        .collect();
    assert_eq!(ports, [15010, 15012, 443, 15014]);
    assert_eq!(service["spec"]["ports"][2]["targetPort"], 15017);

    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for (name, value) in deployment["spec"]["selector"]["matchLabels"].as_object().expect("labels") {
        assert_eq!(labels[name], *value);
    }
    for (name, value) in service["spec"]["selector"].as_object().expect("labels") {
        assert_eq!(labels[name], *value);
    }
}

#[test]
fn a_revision_has_its_own_objects_beside_the_default_ones() {
    let Some(helm) = helm() else { return };
    let file = ["--values", "tests/values/istiod-revision.yaml"];
    let revision = rendered(&helm, "istiod-1-30-0", "istiod", &file).expect("the chart renders");
    let default = rendered(&helm, "istiod", "istiod", &[]).expect("the chart renders");
    let (revision_names, default_names) = (names(&revision), names(&default));
    assert!(revision_names.is_disjoint(&default_names), "{revision_names:?}");
    for name in [
        "Service/istiod-1-30-0",
        "Service/istiod-revision-tag-canary",
        "Service/istiod-revision-tag-prod-stable",
        "ConfigMap/istio-1-30-0",
        "MutatingWebhookConfiguration/istio-sidecar-injector-1-30-0",
        "MutatingWebhookConfiguration/istio-revision-tag-canary",
        "ValidatingWebhookConfiguration/istio-validator-1-30-0-istio-system",
    ] {
        assert!(revision_names.contains(name), "no {name}");
    }
    // The labels of one revision's Pods are not chosen by the other's Service or Deployment.
    let labels = &find(&revision, "Deployment", "istiod-1-30-0")["spec"]["template"]["metadata"]["labels"];
    assert_eq!((&labels["istio"], &labels["istio.io/rev"]), (&"istiod".into(), &"1-30-0".into()));
}

/// The failure policies of all webhooks of a kind.
fn failure_policies(objects: &[Value], kind: &str) -> BTreeSet<String> {
    let configurations = objects.iter().filter(|object| object["kind"] == kind);
    let webhooks = configurations.flat_map(|object| object["webhooks"].as_array().into_iter().flatten());
    webhooks.map(|webhook| webhook["failurePolicy"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_pod_is_refused_while_injection_is_away_unless_the_user_wants_it_without_a_proxy() {
    let Some(helm) = helm() else { return };
    let with = |arguments: &[&str]| {
        let objects = rendered(&helm, "istiod", "istiod", arguments).expect("the chart renders");
        // What only the control plane may make strict begins lenient.
        assert_eq!(
            failure_policies(&objects, "ValidatingWebhookConfiguration"),
            ["Ignore".to_owned()].into()
        );
        failure_policies(&objects, "MutatingWebhookConfiguration")
    };
    for file in [&[][..], &["--values", "tests/values/istiod-revision.yaml"]] {
        assert_eq!(with(file), ["Fail".to_owned()].into());
    }
    // As after `--reuse-values` over a release of Istio's chart.
    assert_eq!(with(&["--set-json", "trierarch=null"]), ["Fail".to_owned()].into());
    assert_eq!(with(&["--set", "trierarch.injectionFailurePolicy=Ignore"]), ["Ignore".to_owned()].into());
}

#[test]
fn mesh_configuration_is_the_users_over_the_defaults() {
    let Some(helm) = helm() else { return };
    let file = ["--values", "tests/values/istiod-production.yaml"];
    let objects = rendered(&helm, "istiod", "istiod", &file).expect("the chart renders");
    let mesh = find(&objects, "ConfigMap", "istio")["data"]["mesh"].as_str().expect("a document");
    let mesh: Value = serde_yaml::from_str(mesh).expect("YAML");
    assert_eq!(mesh["defaultConfig"]["discoveryAddress"], "istiod.istio-system.svc:15012");
    assert_eq!(mesh["defaultConfig"]["holdApplicationUntilProxyStarts"], true);
    assert_eq!(mesh["outboundTrafficPolicy"]["mode"], "REGISTRY_ONLY");
    assert_eq!(mesh["trustDomain"], "cluster.local");
}

#[test]
fn values_below_pilot_count_and_a_variable_that_the_user_sets_stands_once() {
    let Some(helm) = helm() else { return };
    let file = ["--values", "tests/values/istiod-older.yaml"];
    let objects = rendered(&helm, "istiod", "istiod", &file).expect("the chart renders");
    let deployment = find(&objects, "Deployment", "istiod");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let sampling: Vec<&Value> = container["env"]
        .as_array()
        .expect("variables")
        .iter()
        .filter(|variable| variable["name"] == "PILOT_TRACE_SAMPLING")
        .collect();
    assert_eq!(sampling, [&json!({"name": "PILOT_TRACE_SAMPLING", "value": "50"})]);
    // Images that the file names are Istio's.
    assert!(container["image"].as_str().is_some_and(|image| image.starts_with("trierarch:")), "{container}");
    let names = names(&objects);
    assert!(
        names.contains("PodDisruptionBudget/istiod") && !names.contains("HorizontalPodAutoscaler/istiod")
    );
}

#[test]
fn values_of_a_wrong_type_are_refused_before_anything_is_installed() {
    let Some(helm) = helm() else { return };
    let error =
        rendered(&helm, "istiod", "istiod", &["--set", "autoscaleMin=many"]).expect_err("not a number");
    assert!(error.contains("autoscaleMin"), "{error}");
}

/// Waits until objects of the last definition that was made can be stored.
async fn apply_when_served(client: &kube_io::Client, object: &Value) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..600 {
        match objects::apply_strictly(client, object).await {
            Ok(()) => return Ok(()),
            Err(error) => last = format!("{error:#}"),
        }
        if !last.contains("404") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Err(last)
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

#[tokio::test]
async fn a_real_api_server_takes_every_rendering_and_helm_upgrades_from_one_to_the_next() {
    let (Some(helm), Some(binaries)) = (helm(), binaries()) else { return };
    let cluster = Cluster::start(&binaries, "charts").await.expect("a cluster");
    let client = cluster.client().await.expect("a client");
    objects::apply_strictly(&client, &namespace("istio-system")).await.expect("a namespace");

    for chart in ["base", "istiod", "gateway"] {
        let mut runs = vec![Vec::new()];
        let files = values(chart);
        runs.extend(files.iter().map(|file| vec!["--values", file.as_str()]));
        for arguments in runs {
            // A namespaced object of a chart names its namespace.
            for object in rendered(&helm, "strict", chart, &arguments).expect("the chart renders") {
                apply_when_served(&client, &object)
                    .await
                    .unwrap_or_else(|error| panic!("{chart} {arguments:?}: {error}"));
            }
            for object in rendered(&helm, "strict", chart, &arguments).expect("the chart renders") {
                // Definitions stay: emptying and making them again takes long.
                if object["kind"] != "CustomResourceDefinition" {
                    objects::delete(&client, &[object]).await.expect("what was applied can be deleted");
                }
            }
        }
    }

    let run = |arguments: &[&str]| {
        let output = Command::new(&helm)
            .args(arguments)
            .args(["--namespace", "istio-system", "--kubeconfig"])
            .arg(cluster.kubeconfig())
            .current_dir(root().join("deploy/helm"))
            .output()
            .expect("Helm can be run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        text
    };
    assert!(!run(&["install", "istiod", "istiod"]).contains("NOT SUPPORTED"));
    for file in values("istiod").iter().filter(|file| !file.contains("revision")) {
        let told = run(&["upgrade", "istiod", "istiod", "--values", file]);
        assert_eq!(told.contains("- image:"), file.contains("older"), "{file}: {told}");
    }
    run(&["install", "canary", "istiod", "--values", "tests/values/istiod-revision.yaml"]);
    run(&["rollback", "istiod", "1"]);

    for object in rendered(&helm, "stable", "base", &["--values", "tests/values/base-stable.yaml"])
        .expect("the chart renders")
    {
        apply_when_served(&client, &object).await.expect("the policy is taken");
    }
    policy::refuses_what_is_not_stable_and_nothing_else(&client).await;
}

#[tokio::test]
async fn the_definitions_take_what_istio_takes_and_refuse_what_its_api_forbids() {
    let (Some(binaries), Some(shared)) = (binaries(), shared_dir()) else { return };
    let cluster = Cluster::start(&binaries, "definitions").await.expect("a cluster");
    let client = cluster.client().await.expect("a client");
    for definition in config::crd::definitions() {
        objects::apply_strictly(&client, &definition.object)
            .await
            .expect("the API server takes the definition");
    }

    let is_istios = |object: &Value| {
        object["apiVersion"].as_str().is_some_and(|version| version.contains(".istio.io/"))
            && object["kind"] != "IstioOperator"
    };
    let mut applied = 0;
    for name in Scenario::names(&shared).expect("scenarios") {
        let scenario = Scenario::load(&shared, &name).expect("a scenario");
        for mut object in scenario.objects.into_iter().filter(is_istios) {
            let space = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
            object["metadata"]["namespace"] = json!(space);
            if let Some(members) = object.as_object_mut() {
                members.remove("status");
            }
            objects::apply_strictly(&client, &namespace(&space)).await.expect("a namespace");
            apply_when_served(&client, &object).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            applied += 1;
        }
    }
    assert!(applied > 300, "{applied}");

    // The corpus of the webhook: what that allows, the schema allows; some of what it refuses, the schema refuses too.
    let folder = shared.join("validation/cases");
    let mut refused = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).expect("the corpus is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let case = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a case");
        for object in config::yaml::documents(&text).expect("YAML") {
            let space = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
            objects::apply_strictly(&client, &namespace(&space)).await.expect("a namespace");
            if let Err(error) = objects::apply_strictly(&client, &object).await {
                assert!(case.starts_with("bad-"), "{case}: {error:#}");
                refused.insert(case.clone());
            }
        }
    }
    for case in [
        "bad-se-addresses",
        "bad-se-static-no-endpoints",
        "bad-we-no-address",
        "bad-wg-probe",
        "bad-wasm-url",
    ] {
        assert!(refused.contains(case), "{case} was taken");
    }
}
