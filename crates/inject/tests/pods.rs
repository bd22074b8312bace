//! What users see of injected pods beyond the recorded ones: who gets a proxy, whose word holds, and that injecting
//! again changes nothing.

#![expect(clippy::expect_used, reason = "helpers of tests may end a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use inject::{Config, Decision, Injection, Injector, NativeSidecars, NoEnvironment, Request, decide, owner};
use proto::istio::mesh::MeshConfig;
use serde_json::{Value, json};

const VALUES: &str = r#"{
  "global": {
    "hub": "hub.test", "tag": "1.2-distroless", "istioNamespace": "istio-system", "pilotCertProvider": "istiod",
    "logging": {"level": "default:info"}, "multiCluster": {"clusterName": ""}, "network": "",
    "proxy": {"image": "proxyv2", "clusterDomain": "cluster.local", "includeIPRanges": "*", "includeInboundPorts": "*",
      "statusPort": 15020, "privileged": false, "logLevel": "warning", "componentLogLevel": "misc:error",
      "readinessInitialDelaySeconds": 0, "readinessPeriodSeconds": 15, "readinessFailureThreshold": 4,
      "startupProbe": {"enabled": true, "failureThreshold": 600}},
    "proxy_init": {"image": "proxyv2"}, "sds": {"token": {"aud": "istio-ca"}}, "sts": {"servicePort": 0}
  },
  "pilot": {"cni": {"enabled": false}}, "revision": "",
  "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": true}
}"#;

fn chart() -> BTreeMap<&'static str, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/istiod/files");
    [
        ("sidecar", "injection-template.yaml"),
        ("gateway", "gateway-injection-template.yaml"),
        ("grpc-agent", "grpc-agent.yaml"),
        ("grpc-simple", "grpc-simple.yaml"),
    ]
    .into_iter()
    .map(|(name, file)| (name, std::fs::read_to_string(folder.join(file)).expect("a template of the chart")))
    .collect()
}

fn config_with(more: Value) -> Config {
    let mut document = json!({"policy": "enabled", "templates": chart()});
    merge(&mut document, more);
    Config::parse(&document.to_string(), VALUES).expect("a configuration")
}

fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                merge(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

fn pod_with(more: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {}}]},
    });
    merge(&mut pod, more);
    pod
}

fn injected_with(
    pod: &Value,
    config: &Config,
    change: impl FnOnce(&mut Request<'_>),
) -> Result<Value, String> {
    let mesh = config::mesh_config::default_mesh();
    inject_with(pod, config, &mesh, change).map(|injection| {
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &injection.patch).expect("the patch applies");
        patched
    })
}

fn inject_with(
    pod: &Value,
    config: &Config,
    mesh: &MeshConfig,
    change: impl FnOnce(&mut Request<'_>),
) -> Result<Injection, String> {
    let mut request = Request {
        pod,
        namespace: "shop",
        namespace_annotations: BTreeMap::new(),
        owner: owner(pod, "shop"),
        mesh,
        proxy_configs: &[],
        config,
        revision: "",
        native_sidecars: false,
        path_variables: BTreeMap::new(),
        openshift: false,
        compliance_policy: "",
        environment: Arc::new(NoEnvironment),
    };
    change(&mut request);
    inject::inject(&request)
}

fn injected(more: Value) -> Value {
    injected_with(&pod_with(more), &config_with(json!({})), |_| {}).expect("injected")
}

fn proxy(pod: &Value) -> &Value {
    let lists = ["containers", "initContainers"];
    let all = lists.iter().flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    all.into_iter().find(|container| container["name"] == "istio-proxy").expect("a proxy")
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let found = container["env"].as_array()?.iter().find(|variable| variable["name"] == name)?;
    Some(found["value"].as_str().unwrap_or_default())
}

#[test]
fn the_first_rule_that_says_something_decides() {
    let config = config_with(json!({
        "neverInjectSelector": [{"matchLabels": {"never": "yes"}}],
        "alwaysInjectSelector": [{"matchExpressions": [{"key": "always", "operator": "Exists"}]}],
    }));
    let off = config_with(
        json!({"policy": "disabled", "alwaysInjectSelector": [{"matchLabels": {"always": "yes"}}]}),
    );
    let label = |value: &str| json!({"labels": {"sidecar.istio.io/inject": value}});
    let annotation = |value: &str| json!({"annotations": {"sidecar.istio.io/inject": value}});
    let both = json!({"labels": {"sidecar.istio.io/inject": "true"},
        "annotations": {"sidecar.istio.io/inject": "false"}});
    for (config, meta, wanted) in [
        (&config, json!({}), Decision::Inject),
        (&config, label("false"), Decision::Refused),
        (&config, annotation("false"), Decision::Refused),
        (&config, both, Decision::Inject),
        (&config, label("nonsense"), Decision::Inject),
        (&config, json!({"labels": {"never": "yes", "always": "yes"}}), Decision::NeverSelected),
        (&config, json!({"labels": {"never": "yes", "sidecar.istio.io/inject": "true"}}), Decision::Inject),
        (&off, json!({}), Decision::Policy),
        (&off, label("true"), Decision::Inject),
        (&off, json!({"labels": {"always": "yes"}}), Decision::Inject),
    ] {
        let pod = pod_with(json!({"metadata": meta}));
        assert_eq!(decide(&pod, "shop", config), wanted, "{}", pod["metadata"]);
    }
    assert_eq!(decide(&pod_with(label("true")), "kube-system", &config), Decision::SystemNamespace);
    let host = pod_with(json!({"spec": {"hostNetwork": true}, "metadata": label("true")}));
    assert_eq!(decide(&host, "shop", &config), Decision::HostNetwork);
}

#[test]
fn injecting_again_changes_nothing() {
    let config = config_with(json!({}));
    for more in [
        json!({}),
        json!({"metadata": {"annotations": {"prometheus.io/port": "9090", "prometheus.io/scrape": "true"}},
            "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {},
                "readinessProbe": {"httpGet": {"path": "/r", "port": 80}}}]}}),
        json!({"spec": {"containers": [
            {"name": "web", "image": "web:1", "resources": {}},
            {"name": "istio-proxy", "image": "auto", "args": ["mine"], "resources": {}}]}}),
    ] {
        for native in [false, true] {
            let once = injected_with(&pod_with(more.clone()), &config, |r| r.native_sidecars = native)
                .expect("once");
            let twice = injected_with(&once, &config, |r| r.native_sidecars = native).expect("twice");
            let again = json_patch::diff(&once, &twice);
            assert!(again.is_empty(), "native: {native}: {again}");
        }
    }
}

#[test]
fn the_proxy_is_last_unless_the_application_waits_for_it() {
    let names = |pod: &Value| -> Vec<String> {
        let containers = pod["spec"]["containers"].as_array().expect("containers");
        containers.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&injected(json!({}))), ["web", "istio-proxy"]);
    let hold = json!({"metadata": {"annotations": {"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}}});
    let pod = injected(hold);
    assert_eq!(names(&pod), ["istio-proxy", "web"]);
    assert_eq!(proxy(&pod)["lifecycle"]["postStart"]["exec"]["command"], json!(["pilot-agent", "wait"]));
}

#[test]
fn the_pod_knows_its_cluster_and_network_by_path_or_label() {
    let config = config_with(json!({}));
    let path = |request: &mut Request<'_>| {
        request.path_variables = inject::variables("/inject/cluster/east--slash--1/net/n1/foo/bar%20baz/");
    };
    let pod = injected_with(&pod_with(json!({})), &config, path).expect("injected");
    let of = |pod: &Value, name: &str| variable(proxy(pod), name).map(str::to_owned);
    assert_eq!(of(&pod, "ISTIO_META_CLUSTER_ID").as_deref(), Some("east/1"));
    assert_eq!(of(&pod, "ISTIO_META_NETWORK").as_deref(), Some("n1"));
    assert_eq!(of(&pod, "FOO").as_deref(), Some("bar baz"));
    assert_eq!(pod["metadata"]["labels"]["topology.istio.io/network"], "n1");
    let labelled = pod_with(json!({"metadata": {"labels": {"topology.istio.io/network": "own"}}}));
    let pod = injected_with(&labelled, &config, path).expect("injected");
    assert_eq!(of(&pod, "ISTIO_META_NETWORK").as_deref(), Some("own"));
    let old = inject::variables("/inject/:ENV:cluster=c1:ENV:net=n/2:ENV:=x:ENV:y");
    let wanted = [("ISTIO_META_CLUSTER_ID", "c1"), ("ISTIO_META_NETWORK", "n/2")];
    assert_eq!(old, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert!(inject::variables("/inject").is_empty());
}

#[test]
fn images_follow_type_and_annotation() {
    let image = |annotation: Value| {
        proxy(&injected(json!({"metadata": {"annotations": annotation}})))["image"].clone()
    };
    assert_eq!(image(json!({})), "hub.test/proxyv2:1.2-distroless");
    assert_eq!(image(json!({"sidecar.istio.io/proxyImageType": "debug"})), "hub.test/proxyv2:1.2-debug");
    assert_eq!(image(json!({"sidecar.istio.io/proxyImageType": "default"})), "hub.test/proxyv2:1.2");
    assert_eq!(image(json!({"sidecar.istio.io/proxyImage": "my/proxy:3"})), "my/proxy:3");
    assert_eq!(
        image(json!({"proxy.istio.io/config": "image: {imageType: debug}"})),
        "hub.test/proxyv2:1.2-debug"
    );
}

#[test]
fn probes_and_scraping_stay_where_the_pod_wants_them_to() {
    let probe = json!([{"name": "web", "image": "web:1", "readinessProbe": {"httpGet": {"path": "/r", "port": "none"}}}]);
    let pod = injected(json!({"spec": {"containers": probe.clone()},
        "metadata": {"annotations": {"sidecar.istio.io/rewriteAppHTTPProbers": "false"}}}));
    assert_eq!(pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"], "/r");
    // A port that nobody named: the agent could not find it, but the kubelet must not go around the proxy either.
    let pod = injected(json!({"spec": {"containers": probe}}));
    assert_eq!(pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"], "/app-health/web/readyz");
    assert_eq!(variable(proxy(&pod), "ISTIO_KUBE_APP_PROBERS"), None);
    for (annotations, wanted) in [
        (json!({"prometheus.io/scrape": "false"}), "false"),
        (json!({"prometheus.io/scrape": "true", "prometheus.istio.io/merge-metrics": "false"}), "true"),
    ] {
        let pod = injected(json!({"metadata": {"annotations": annotations}}));
        assert_eq!(pod["metadata"]["annotations"]["prometheus.io/scrape"], wanted);
        assert_eq!(pod["metadata"]["annotations"]["prometheus.io/port"], Value::Null);
    }
}

#[test]
fn values_that_make_no_sense_are_told_by_annotation() {
    let config = config_with(json!({}));
    for (name, value) in [
        ("sidecar.istio.io/interceptionMode", "BOTH"),
        ("sidecar.istio.io/proxyCPU", "lots"),
        ("sidecar.istio.io/proxyMemory", "1Mi\n"),
        ("status.sidecar.istio.io/port", "65536"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0"),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "*"),
        ("traffic.sidecar.istio.io/excludeInterfaces", "an-interface-too-long"),
        ("prometheus.istio.io/merge-metrics", "maybe"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "-1"),
        ("proxy.istio.io/config", "concurrency: many"),
        ("proxy.istio.io/config", "not: [closed"),
        ("proxy.istio.io/config", "proxyMetadata: {\"A\\nB\": c}"),
        ("sidecar.istio.io/logLevel", "debug\n    securityContext: {privileged: true}"),
        ("inject.istio.io/templates", "nothing"),
        ("proxy.istio.io/overrides", "{\"containers\": [\"istio-proxy\"]}"),
    ] {
        let pod = pod_with(json!({"metadata": {"annotations": {name: value}}}));
        let error = injected_with(&pod, &config, |_| {}).expect_err(value);
        let named = [name, "nothing", "proxyMetadata"].iter().any(|name| error.contains(name));
        assert!(named, "{name}={value}: {error}");
    }
}

#[test]
fn a_template_of_ones_own_is_laid_over_the_pod() {
    let own = r"
metadata:
  labels:
    greeting: {{ index .ObjectMeta.Labels `greeting` | default `hello` }}
    none: '{{ index .ObjectMeta.Labels `nobody` }}'
spec:
  containers:
  {{- range .Spec.Containers }}
  - name: {{ .Name }}
    env:
    - name: WHERE
      value: {{ $.ObjectMeta.Namespace }}-{{ $.ProxyConfig.GetStatusPort }}-{{ formatDuration $.ProxyConfig.DrainDuration }}
  {{- end }}
  volumes:
  - name: cache
    emptyDir: {}
";
    let config = config_with(json!({"templates": {"own": own}, "aliases": {"both": ["sidecar", "own"]}}));
    let pod = pod_with(json!({
        "metadata": {"annotations": {"inject.istio.io/templates": "both"}},
        "spec": {"volumes": [{"name": "mine", "emptyDir": {}}]},
    }));
    let pod = injected_with(&pod, &config, |_| {}).expect("injected");
    assert_eq!(pod["metadata"]["labels"]["greeting"], "hello");
    assert_eq!(pod["metadata"]["labels"]["none"], "");
    assert_eq!(variable(&pod["spec"]["containers"][0], "WHERE"), Some("shop-15020-45s"));
    let volumes: Vec<&str> = pod["spec"]["volumes"]
        .as_array()
        .expect("volumes")
        .iter()
        .filter_map(|v| v["name"].as_str())
        .collect();
    assert!(volumes.contains(&"cache") && volumes.contains(&"mine") && volumes.contains(&"istio-envoy"));
    assert_eq!(proxy(&pod)["image"], "hub.test/proxyv2:1.2-distroless");
}

#[test]
fn a_template_that_makes_no_pod_refuses_it() {
    for (template, named) in [
        ("spec: [", "YAML"),
        ("- a list", "mapping"),
        ("spec: {containers: [{name: x, env: [{name: A, value: 1}]}]}", "spec.containers[0].env[0].value"),
        ("metadata: {labels: {a: true}}", "metadata.labels[a]"),
        ("spec: {containers: [{image: x}]}", "name"),
        ("{{ fail `because` }}", "because"),
        ("{{ now }}", "time"),
        ("{{ index .Spec.Containers 7 }}", "range"),
    ] {
        let config = config_with(json!({"templates": {"sidecar": template}}));
        let error = injected_with(&pod_with(json!({})), &config, |_| {}).expect_err(template);
        assert!(error.contains(named), "{template}: {error}");
    }
}

#[test]
fn on_openshift_the_proxy_runs_as_the_last_user_of_the_namespace() {
    let config = config_with(json!({}));
    let pod = injected_with(&pod_with(json!({})), &config, |request| {
        request.openshift = true;
        request.namespace_annotations = [
            ("openshift.io/sa.scc.uid-range".to_owned(), "1000650000/10000".to_owned()),
            ("openshift.io/sa.scc.supplemental-groups".to_owned(), "1000650000-1000650009".to_owned()),
        ]
        .into();
    });
    let pod = pod.expect("injected");
    assert_eq!(proxy(&pod)["securityContext"]["runAsUser"], 1_000_659_999);
    assert_eq!(proxy(&pod)["securityContext"]["runAsGroup"], 1_000_650_009);
}

#[test]
fn templates_for_grpc_tell_every_container_of_the_bootstrap() {
    for (template, file) in [
        ("grpc-agent", "/etc/istio/proxy/grpc-bootstrap.json"),
        ("grpc-simple", "/var/lib/grpc/data/bootstrap.json"),
    ] {
        let pod = injected(json!({"metadata": {"annotations": {"inject.istio.io/templates": template}}}));
        let web = pod["spec"]["containers"].as_array().expect("containers");
        let web = web.iter().find(|container| container["name"] == "web").expect("the application");
        assert_eq!(variable(web, "GRPC_XDS_BOOTSTRAP"), Some(file));
    }
    let agent = injected(json!({"metadata": {"annotations": {"inject.istio.io/templates": "grpc-agent"}}}));
    assert_eq!(variable(proxy(&agent), "ISTIO_META_GENERATOR"), Some("grpc"));
    assert_eq!(variable(proxy(&agent), "DISABLE_ENVOY"), Some("true"));
}

#[test]
fn workloads_name_themselves_after_what_owns_them() {
    let pod = |kind: &str, name: &str, labels: Value| {
        json!({"metadata": {"generateName": "x-", "labels": labels, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": true}]}})
    };
    for (kind, name, labels, wanted) in [
        ("ReplicaSet", "web-5d4", json!({"pod-template-hash": "5d4"}), ("Deployment", "web")),
        ("ReplicaSet", "web-5d4", json!({}), ("ReplicaSet", "web-5d4")),
        ("ReplicaSet", "web-7f", json!({"rollouts-pod-template-hash": "7f"}), ("Rollout", "web")),
        ("StatefulSet", "db", json!({}), ("StatefulSet", "db")),
        ("Job", "backup-28392840", json!({}), ("CronJob", "backup")),
        ("Job", "backup-1", json!({}), ("Job", "backup-1")),
        ("ReplicationController", "web-1", json!({"deploymentconfig": "web"}), ("DeploymentConfig", "web")),
    ] {
        let owner = owner(&pod(kind, name, labels), "shop");
        assert_eq!((owner.kind.as_str(), owner.name.as_str()), wanted);
    }
}

#[test]
fn a_file_is_injected_object_by_object() {
    let text = "\
# A service stays as it is, with its comment.
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:1'}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tidy}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: tidy, image: 'tidy:1'}]}}}}}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: host}
  spec: {hostNetwork: true, containers: [{name: a, image: 'a:1'}]}
";
    let injector = injector(config_with(json!({})));
    let injected = inject::inject_text(text, "default", &injector).expect("injected");
    assert!(injected.text.starts_with("# A service stays as it is"), "{}", injected.text);
    assert_eq!(injected.n_injected, 2);
    assert_eq!(
        injected.notes,
        ["Skipping injection because Pod \"default/host\": it has host networking enabled"]
    );
    let documents = config::yaml::documents(&injected.text).expect("YAML");
    assert_eq!(documents.len(), 4);
    let template = &documents[1]["spec"]["template"];
    let owner = "kubernetes://apis/apps/v1/namespaces/shop/deployments/web";
    assert_eq!(variable(proxy(template), "ISTIO_META_OWNER"), Some(owner));
    assert_eq!(template["metadata"]["namespace"], Value::Null, "nothing is added but what was injected");
    assert!(documents[2]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["annotations"].is_object());
    let error = inject::inject_text("kind: Deployment\nmetadata: {name: web}\n", "shop", &injector);
    assert_eq!(error, Err("Deployment \"shop/web\": spec.template is required".to_owned()));
    let error = inject::inject_text("a: [", "shop", &injector).expect_err("no YAML");
    assert!(error.starts_with("document 1: "), "{error}");
}

fn injector(config: Config) -> Injector {
    Injector {
        config: Arc::new(config),
        mesh: Arc::new(config::mesh_config::default_mesh()),
        proxy_configs: Vec::new(),
        revision: String::new(),
        native_sidecars: NativeSidecars::default(),
        openshift: None,
        compliance_policy: String::new(),
        environment: Arc::new(NoEnvironment),
    }
}
