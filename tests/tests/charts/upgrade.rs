//! From releases of Istio's charts to ours and back, on a real API server: `deploy/helm/tests/istio-objects.yaml` lists
//! what such releases hold and what cannot change. Every object stays the same one (its uid does), keeps what it is
//! chosen by and what controllers wrote into it, and Helm finds nothing that it may not change. Answers checklist 9.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use config::Kind;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use testkit::cluster::{Cluster, binaries, objects};

use super::{helm, namespace, root};

/// One release of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    chart: String,
    #[serde(rename = "release")]
    name: String,
    #[serde(default = "istio_system")]
    namespace: String,
    #[serde(default)]
    values: Value,
    #[serde(default)]
    crds: bool,
    objects: Vec<Row>,
}

/// One object of a release.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: String,
    name: String,
    /// What of `spec` stays.
    #[serde(default)]
    keeps: Map<String, Value>,
    /// Labels of the Pods of a Deployment.
    #[serde(default)]
    labels: Map<String, Value>,
    /// `Kind/name` that a binding refers to.
    role: Option<String>,
    /// The Service that an EndpointSlice belongs to.
    service: Option<String>,
    #[serde(default)]
    webhooks: Vec<String>,
}

fn istio_system() -> String {
    "istio-system".to_owned()
}

/// The API version, the plural and whether objects have a namespace.
fn place(kind: &str) -> (&'static str, &'static str, bool) {
    match kind {
        "ServiceAccount" => ("v1", "serviceaccounts", true),
        "ConfigMap" => ("v1", "configmaps", true),
        "Service" => ("v1", "services", true),
        "Deployment" => ("apps/v1", "deployments", true),
        "HorizontalPodAutoscaler" => ("autoscaling/v2", "horizontalpodautoscalers", true),
        "PodDisruptionBudget" => ("policy/v1", "poddisruptionbudgets", true),
        "NetworkPolicy" => ("networking.k8s.io/v1", "networkpolicies", true),
        "EndpointSlice" => ("discovery.k8s.io/v1", "endpointslices", true),
        "Role" => ("rbac.authorization.k8s.io/v1", "roles", true),
        "RoleBinding" => ("rbac.authorization.k8s.io/v1", "rolebindings", true),
        "ClusterRole" => ("rbac.authorization.k8s.io/v1", "clusterroles", false),
        "ClusterRoleBinding" => ("rbac.authorization.k8s.io/v1", "clusterrolebindings", false),
        "MutatingWebhookConfiguration" => {
            ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", false)
        }
        "ValidatingWebhookConfiguration" => {
            ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", false)
        }
        "ValidatingAdmissionPolicy" => {
            ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", false)
        }
        "ValidatingAdmissionPolicyBinding" => {
            ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", false)
        }
        other => panic!("the table names a {other}, which has no place here"),
    }
}

impl Row {
    fn path(&self, namespace: &str) -> String {
        let (version, plural, is_namespaced) = place(&self.kind);
        let root = if version.contains('/') { "apis" } else { "api" };
        let within = if is_namespaced { format!("namespaces/{namespace}/") } else { String::new() };
        format!("/{root}/{version}/{within}{plural}/{}", self.name)
    }

    fn head(&self, namespace: &str) -> Value {
        let (version, _, is_namespaced) = place(&self.kind);
        let mut head = json!({"apiVersion": version, "kind": self.kind, "metadata": {"name": self.name}});
        if is_namespaced {
            head["metadata"]["namespace"] = json!(namespace);
        }
        head
    }

    /// The least object of this kind that the API server takes and that has what the row says.
    fn object(&self, namespace: &str) -> Value {
        let mut object = self.head(namespace);
        let mut spec = self.keeps.clone();
        let mut give = |key: &str, value: Value| {
            spec.entry(key).or_insert(value);
        };
        match self.kind.as_str() {
            "Deployment" => {
                let containers = json!([{"name": "discovery", "image": "before"}]);
                give(
                    "template",
                    json!({"metadata": {"labels": self.labels}, "spec": {"containers": containers}}),
                );
            }
            "Service" => give("ports", json!([{"name": "tcp", "port": 15012, "protocol": "TCP"}])),
            "HorizontalPodAutoscaler" => give("maxReplicas", json!(5)),
            "PodDisruptionBudget" => give("minAvailable", json!(1)),
            "NetworkPolicy" => give("policyTypes", json!(["Ingress"])),
            "ValidatingAdmissionPolicy" => {
                let rule = json!({"apiGroups": ["extensions.istio.io"], "apiVersions": ["*"], "resources": ["*"],
                                  "operations": ["CREATE"]});
                give("matchConstraints", json!({"resourceRules": [rule]}));
                give("validations", json!([{"expression": "true"}]));
            }
            "ValidatingAdmissionPolicyBinding" => give("validationActions", json!(["Deny"])),
            "ConfigMap" => object["data"] = json!({"before": "before"}),
            "Role" | "ClusterRole" => object["rules"] = json!([]),
            "RoleBinding" | "ClusterRoleBinding" => {
                let (kind, name) =
                    self.role.as_deref().and_then(|role| role.split_once('/')).expect("a role");
                object["roleRef"] =
                    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
            }
            "EndpointSlice" => {
                object["metadata"]["labels"] = json!({"kubernetes.io/service-name": self.service});
                object["addressType"] = json!("IPv4");
                object["endpoints"] = json!([{"addresses": ["192.0.2.8"]}]);
            }
            _ => {}
        }
        if !self.webhooks.is_empty() {
            object["webhooks"] = self.webhooks.iter().map(|name| webhook(name)).collect();
        }
        if !spec.is_empty() {
            object["spec"] = Value::Object(spec);
        }
        object
    }
}

fn webhook(name: &str) -> Value {
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let service = json!({"namespace": "istio-system", "name": "istiod", "path": "/before"});
    json!({"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
           "clientConfig": {"service": service}, "rules": [rule]})
}

/// A chart that holds just the objects of the table, in a folder of its own.
fn chart_before(release: &Release) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("before-{}", release.name));
    std::fs::create_dir_all(folder.join("templates")).expect("a folder");
    let head = format!("apiVersion: v2\nname: {}\nversion: 1.30.0\n", release.chart);
    std::fs::write(folder.join("Chart.yaml"), head).expect("a file");
    let mut all: Vec<Value> = release.objects.iter().map(|row| row.object(&release.namespace)).collect();
    if release.crds {
        all.extend(istios_kinds().map(objects::definition));
    }
    let text: Vec<String> = all.iter().map(Value::to_string).collect();
    std::fs::write(folder.join("templates/objects.yaml"), text.join("\n---\n")).expect("a file");
    std::fs::write(folder.join("values-of-the-user.yaml"), release.values.to_string()).expect("a file");
    folder
}

fn istios_kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.group().ends_with(".istio.io"))
}

async fn stored(client: &kube_io::Client, row: &Row, namespace: &str) -> Value {
    let text = objects::get(client, &row.path(namespace))
        .await
        .unwrap_or_else(|error| panic!("{} {} is gone: {error:#}", row.kind, row.name));
    serde_json::from_str(&text).expect("the API server answers in JSON")
}

/// What an object is, and what of it nobody may lose.
async fn identity(client: &kube_io::Client, row: &Row, namespace: &str) -> (Value, Value, Vec<Value>) {
    let object = stored(client, row, namespace).await;
    let is = json!([
        object["metadata"]["uid"],
        object["spec"]["clusterIP"],
        object["roleRef"],
        object["addressType"]
    ]);
    let kept = row.keeps.keys().map(|key| (key.clone(), object["spec"][key].clone())).collect::<Map<_, _>>();
    let webhooks = object["webhooks"].as_array().cloned().unwrap_or_default();
    let bundles = row.webhooks.iter().map(|name| {
        let webhook = webhooks.iter().find(|webhook| webhook["name"] == **name);
        webhook.map_or(Value::Null, |webhook| json!([name, webhook["clientConfig"]["caBundle"]]))
    });
    (is, Value::Object(kept), bundles.collect())
}

#[tokio::test]
async fn releases_of_istios_charts_become_ours_and_go_back_without_losing_an_object() {
    let (Some(helm), Some(binaries)) = (helm(), binaries()) else { return };
    let table =
        std::fs::read_to_string(root().join("deploy/helm/tests/istio-objects.yaml")).expect("the table");
    let releases: Vec<Release> = serde_yaml::from_str(&table).expect("a table");
    let cluster = Cluster::start(&binaries, "upgrade").await.expect("a cluster");
    let client = cluster.client().await.expect("a client");
    for name in ["istio-system", "away"] {
        objects::apply_strictly(&client, &namespace(name)).await.expect("a namespace");
    }

    for release in &releases {
        let before = chart_before(release);
        let run = |verb: &[&str]| {
            let output = Command::new(&helm)
                .args(verb)
                .args(["--namespace", &release.namespace, "--kubeconfig"])
                .arg(cluster.kubeconfig())
                .current_dir(root().join("deploy/helm"))
                .output()
                .expect("Helm can be run");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {verb:?}: {error}", release.name);
        };
        let folder = before.to_string_lossy().into_owned();
        run(&["install", &release.name, &folder]);
        for row in release.objects.iter().filter(|row| !row.webhooks.is_empty()) {
            // As the control plane does, by its own hand.
            let mut object = row.head(&release.namespace);
            object["webhooks"] = row
                .webhooks
                .iter()
                .map(|name| json!({"name": name, "clientConfig": {"caBundle": "Q0E="}}))
                .collect();
            objects::apply_strictly(&client, &object).await.expect("the CA is written");
        }
        if release.crds {
            let rule = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                              "metadata": {"name": "kept", "namespace": "istio-system"},
                              "spec": {"hosts": ["kept"], "http": [{"route": [{"destination": {"host": "kept"}}]}]}});
            super::apply_when_served(&client, &rule).await.expect("an object of the user");
        }
        let mut known = BTreeMap::new();
        for row in &release.objects {
            let identity = identity(&client, row, &release.namespace).await;
            known.insert((row.kind.as_str(), row.name.as_str()), identity);
        }

        let values = before.join("values-of-the-user.yaml").to_string_lossy().into_owned();
        let upgrade = ["upgrade", &release.name, &release.chart, "--values", &values];
        for step in [&upgrade[..], &["rollback", &release.name, "1"], &upgrade[..]] {
            run(step);
            for row in &release.objects {
                let now = identity(&client, row, &release.namespace).await;
                let then = &known[&(row.kind.as_str(), row.name.as_str())];
                assert_eq!(now, *then, "{step:?}: {} {}", row.kind, row.name);
            }
        }
        if release.crds {
            let path = "/apis/networking.istio.io/v1/namespaces/istio-system/virtualservices/kept";
            objects::get(&client, path).await.expect("the user's object is still there");
        }
        for row in release.objects.iter().filter(|row| row.kind == "Deployment") {
            let now = stored(&client, row, &release.namespace).await;
            let image = now["spec"]["template"]["spec"]["containers"][0]["image"].clone();
            assert_ne!(image, "before", "the upgrade took place");
        }
    }
}
