//! The rules of section 6 of the platform specification that no recorded pod shows, as tables: who is chosen, what each
//! annotation does, how probes are rewritten, whose settings hold, and how containers of the user's own are laid over.
#![expect(clippy::expect_used, reason = "helpers of tests may end a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use inject::{Config, Decision, NoEnvironment, Request, decide, owner};
use proto::istio::mesh::MeshConfig;
use serde_json::{Value, json};

const VALUES: &str = r#"{"global": {"hub": "hub.test", "tag": "1.2", "istioNamespace": "istio-system",
  "pilotCertProvider": "istiod", "logging": {"level": "default:info"}, "multiCluster": {"clusterName": "east"},
  "proxy": {"image": "proxyv2", "clusterDomain": "cluster.local", "includeIPRanges": "*", "includeInboundPorts": "*",
    "statusPort": 15020, "privileged": false, "logLevel": "warning", "componentLogLevel": "misc:error",
    "readinessInitialDelaySeconds": 0, "readinessPeriodSeconds": 15, "readinessFailureThreshold": 4,
    "startupProbe": {"enabled": true, "failureThreshold": 600},
    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}},
  "proxy_init": {"image": "proxyv2"}, "sds": {"token": {"aud": "istio-ca"}}, "sts": {"servicePort": 0}},
  "pilot": {"cni": {"enabled": false}}, "revision": "", "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": true}}"#;

fn config_with(more: Value) -> Config {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/istiod/files");
    let text = |file: &str| std::fs::read_to_string(folder.join(file)).expect("a template of the chart");
    let mut document = json!({"policy": "enabled", "templates": {
        "sidecar": text("injection-template.yaml"), "gateway": text("gateway-injection-template.yaml")}});
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
    let mut pod = json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {}}]}});
    merge(&mut pod, more);
    pod
}

fn try_inject(pod: &Value, config: &Config, change: impl FnOnce(&mut Request<'_>)) -> Result<Value, String> {
    let mesh = config::mesh_config::default_mesh();
    let mut request = Request {
        pod,
        namespace: "shop",
        namespace_annotations: BTreeMap::new(),
        owner: owner(pod, "shop"),
        mesh: &mesh,
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
    inject::inject(&request).map(|injection| {
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &injection.patch).expect("the patch applies");
        patched
    })
}

fn injected(more: Value) -> Value {
    try_inject(&pod_with(more), &config_with(json!({})), |_| {}).expect("injected")
}

fn with_mesh(document: &str, more: Value) -> Value {
    let mesh: MeshConfig = config::mesh_config::parse_mesh(document).expect("a mesh configuration");
    let (pod, config) = (pod_with(more), config_with(json!({})));
    let mut request = Request {
        pod: &pod,
        namespace: "shop",
        namespace_annotations: BTreeMap::new(),
        owner: owner(&pod, "shop"),
        mesh: &mesh,
        proxy_configs: &[],
        config: &config,
        revision: "canary",
        native_sidecars: false,
        path_variables: BTreeMap::new(),
        openshift: false,
        compliance_policy: "",
        environment: Arc::new(NoEnvironment),
    };
    request.compliance_policy = "fips-140-2";
    inject::inject(&request).expect("injected").pod
}

fn annotated(annotations: Value) -> Value {
    injected(json!({"metadata": {"annotations": annotations}}))
}

fn named<'a>(pod: &'a Value, list: &str, name: &str) -> &'a Value {
    let mut all = pod["spec"][list].as_array().into_iter().flatten();
    all.find(|container| container["name"] == name).unwrap_or(&Value::Null)
}

fn proxy(pod: &Value) -> &Value {
    match named(pod, "containers", "istio-proxy") {
        Value::Null => named(pod, "initContainers", "istio-proxy"),
        found => found,
    }
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let all = pod["spec"][list].as_array().into_iter().flatten();
    all.map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect()
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let found = container["env"].as_array()?.iter().find(|variable| variable["name"] == name)?;
    Some(found["value"].as_str().unwrap_or_default())
}

/// The argument after a flag of the container that prepares the network.
fn flag(pod: &Value, name: &str) -> Option<String> {
    let init = named(pod, "initContainers", "istio-init");
    let arguments: Vec<&str> = init["args"].as_array()?.iter().filter_map(Value::as_str).collect();
    let at = arguments.iter().position(|argument| *argument == name)?;
    arguments.get(at + 1).map(|value| (*value).to_owned())
}

#[test]
fn system_namespaces_words_and_selectors_decide_as_kubernetes_reads_them() {
    let config = config_with(json!({}));
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"] {
        assert_eq!(decide(&pod_with(json!({})), namespace, &config), Decision::SystemNamespace);
    }
    assert_eq!(decide(&pod_with(json!({})), "istio-system", &config), Decision::Inject);
    // An empty label is one that says nothing, and still goes before the annotation.
    let empty = pod_with(json!({"metadata": {"labels": {"sidecar.istio.io/inject": ""},
        "annotations": {"sidecar.istio.io/inject": "false"}}}));
    assert_eq!(decide(&empty, "shop", &config), Decision::Inject);
    let unknown = config_with(json!({"policy": "sometimes"}));
    let asks = pod_with(json!({"metadata": {"labels": {"sidecar.istio.io/inject": "true"}}}));
    assert_eq!(decide(&asks, "shop", &unknown), Decision::Policy);
    for (selector, labels, is_chosen) in [
        (json!({}), json!({"a": "1"}), false),
        (json!({"matchLabels": {"a": "1"}}), json!({"a": "1", "b": "2"}), true),
        (json!({"matchLabels": {"a": "1", "b": "2"}}), json!({"a": "1"}), false),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}),
            json!({"a": "2"}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}),
            json!({"b": "1"}),
            true,
        ),
        (json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), json!({"a": ""}), true),
        (json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), json!({"a": ""}), false),
        // What Kubernetes would not take as a selector chooses nobody.
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["1"]}]}),
            json!({"a": "1"}),
            false,
        ),
        (json!({"matchExpressions": [{"key": "a", "operator": "NotIn"}]}), json!({"b": "1"}), false),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["1"]}]}),
            json!({"a": "1"}),
            false,
        ),
    ] {
        let config = config_with(json!({"neverInjectSelector": [selector]}));
        let pod = pod_with(json!({"metadata": {"labels": labels}}));
        let wanted = if is_chosen { Decision::NeverSelected } else { Decision::Inject };
        assert_eq!(decide(&pod, "shop", &config), wanted, "{selector} {labels}");
    }
}

#[test]
fn annotations_of_traffic_become_flags_of_the_network() {
    for (name, value, wanted) in [
        (
            "traffic.sidecar.istio.io/includeOutboundIPRanges",
            "10.0.0.0/8,fd00::/8",
            ("-i", "10.0.0.0/8,fd00::/8"),
        ),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "", ("-i", "")),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "192.168.0.0/16", ("-x", "192.168.0.0/16")),
        ("traffic.sidecar.istio.io/includeInboundPorts", "80,443", ("-b", "80,443")),
        ("traffic.sidecar.istio.io/includeInboundPorts", "", ("-b", "")),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "9090", ("-d", "15090,15021,9090,15020")),
        ("traffic.sidecar.istio.io/includeOutboundPorts", "8080", ("-q", "8080")),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", "3306", ("-o", "3306")),
        ("traffic.sidecar.istio.io/kubevirtInterfaces", "net1", ("-k", "net1")),
        ("istio.io/reroute-virtual-interfaces", "net2", ("-k", "net2")),
        ("traffic.sidecar.istio.io/excludeInterfaces", "eth1", ("-c", "eth1")),
        ("sidecar.istio.io/interceptionMode", "TPROXY", ("-m", "TPROXY")),
        ("status.sidecar.istio.io/port", "15999", ("-d", "15090,15021,15999")),
    ] {
        let pod = annotated(json!({name: value}));
        assert_eq!(flag(&pod, wanted.0).as_deref(), Some(wanted.1), "{name}={value}");
    }
    let none = annotated(json!({"sidecar.istio.io/interceptionMode": "NONE"}));
    assert_eq!(names(&none, "initContainers"), [""; 0], "nothing leads traffic anywhere");
    assert_eq!(variable(proxy(&none), "ISTIO_META_INTERCEPTION_MODE"), Some("NONE"));
    let tproxy = annotated(json!({"sidecar.istio.io/interceptionMode": "TPROXY"}));
    let security = &proxy(&tproxy)["securityContext"];
    assert_eq!(
        (&security["runAsUser"], &security["capabilities"]["add"]),
        (&json!(0), &json!(["NET_ADMIN"]))
    );
}

#[test]
fn annotations_of_the_proxy_become_its_arguments_resources_and_probes() {
    let pod = annotated(json!({
        "sidecar.istio.io/logLevel": "debug", "sidecar.istio.io/componentLogLevel": "http:trace",
        "sidecar.istio.io/agentLogLevel": "ca:debug", "readiness.status.sidecar.istio.io/periodSeconds": "7",
        "readiness.status.sidecar.istio.io/initialDelaySeconds": "3",
        "readiness.status.sidecar.istio.io/failureThreshold": "9", "sidecar.istio.io/capNetBindService": "true",
        "sidecar.istio.io/bootstrapOverride": "own-bootstrap"}));
    let arguments = proxy(&pod)["args"].to_string();
    for wanted in
        ["--proxyLogLevel=debug", "--proxyComponentLogLevel=http:trace", "--log_output_level=ca:debug"]
    {
        assert!(arguments.contains(wanted), "{wanted}: {arguments}");
    }
    let probe = &proxy(&pod)["readinessProbe"];
    assert_eq!(
        [&probe["periodSeconds"], &probe["initialDelaySeconds"], &probe["failureThreshold"]],
        [&json!(7), &json!(3), &json!(9)]
    );
    assert_eq!(proxy(&pod)["securityContext"]["capabilities"]["add"], json!(["NET_BIND_SERVICE"]));
    let volume = named(&pod, "volumes", "custom-bootstrap-volume");
    assert_eq!(volume["configMap"]["name"], "own-bootstrap");
    assert!(variable(proxy(&pod), "ISTIO_BOOTSTRAP_OVERRIDE").is_some());

    // Of resources, what the annotations say is all there is.
    let some = annotated(json!({"sidecar.istio.io/proxyCPU": "250m"}));
    assert_eq!(proxy(&some)["resources"], json!({"requests": {"cpu": "250m"}}));
    let all = annotated(json!({"sidecar.istio.io/proxyCPU": "1", "sidecar.istio.io/proxyMemory": "1Gi",
        "sidecar.istio.io/proxyCPULimit": "2", "sidecar.istio.io/proxyMemoryLimit": "2Gi"}));
    let wanted = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}});
    assert_eq!(proxy(&all)["resources"], wanted);
    assert_eq!(
        proxy(&injected(json!({})))["resources"]["requests"]["cpu"],
        "100m",
        "else those of the values"
    );

    let volumes = annotated(json!({
        "sidecar.istio.io/userVolume": "[{\"name\": \"mine\", \"emptyDir\": {}}]",
        "sidecar.istio.io/userVolumeMount": "[{\"name\": \"mine\", \"mountPath\": \"/mine\"}]"}));
    assert_eq!(named(&volumes, "volumes", "mine")["emptyDir"], json!({}));
    let mounts = proxy(&volumes)["volumeMounts"].as_array().expect("mounts");
    assert!(mounts.contains(&json!({"name": "mine", "mountPath": "/mine"})), "{mounts:?}");
    // Both may also be a mapping by name.
    let mapped = annotated(json!({"sidecar.istio.io/userVolume": "{\"mine\": {\"emptyDir\": {}}}"}));
    assert_eq!(named(&mapped, "volumes", "mine")["emptyDir"], json!({}));
}

#[test]
fn every_kind_of_probe_and_hook_goes_through_the_agent() {
    let container = json!([{"name": "web", "image": "web:1", "resources": {},
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/r", "port": "http", "scheme": "HTTPS", "httpHeaders": [{"name": "H", "value": "v"}]}, "timeoutSeconds": 3},
        "livenessProbe": {"tcpSocket": {"port": 8081}, "periodSeconds": 4},
        "startupProbe": {"grpc": {"port": 8082, "service": "s"}},
        "lifecycle": {"preStop": {"httpGet": {"path": "/stop", "port": 8080}}, "postStart": {"tcpSocket": {"port": "http"}}}},
        {"name": "other", "image": "o", "resources": {}, "livenessProbe": {"exec": {"command": ["true"]}},
         "lifecycle": {"preStop": {"exec": {"command": ["true"]}}}}]);
    let pod = injected(json!({"spec": {"containers": container}}));
    let web = named(&pod, "containers", "web");
    for (at, path) in [
        ("/readinessProbe", "/app-health/web/readyz"),
        ("/livenessProbe", "/app-health/web/livez"),
        ("/startupProbe", "/app-health/web/startupz"),
        ("/lifecycle/preStop", "/app-lifecycle/web/prestopz"),
        ("/lifecycle/postStart", "/app-lifecycle/web/poststartz"),
    ] {
        let action = &web.pointer(at).expect("a probe")["httpGet"];
        assert_eq!((&action["path"], &action["port"]), (&json!(path), &json!(15020)), "{at}");
        let handler = web.pointer(at).expect("a probe");
        assert!(handler["tcpSocket"].is_null() && handler["grpc"].is_null(), "{at}: {handler}");
    }
    assert_eq!(web["readinessProbe"]["httpGet"]["scheme"], "HTTP", "the agent is asked in plain text");
    assert_eq!(web["livenessProbe"]["periodSeconds"], 4);
    let other = named(&pod, "containers", "other");
    assert!(other["livenessProbe"]["exec"].is_object() && other["lifecycle"]["preStop"]["exec"].is_object());
    let probers = variable(proxy(&pod), "ISTIO_KUBE_APP_PROBERS").expect("the originals");
    let probers: Value = serde_json::from_str(probers).expect("JSON");
    let wanted = json!({
        "/app-health/web/readyz": {"httpGet": {"path": "/r", "port": 8080, "scheme": "HTTPS",
            "httpHeaders": [{"name": "H", "value": "v"}]}, "timeoutSeconds": 3},
        "/app-health/web/livez": {"tcpSocket": {"port": 8081}},
        "/app-health/web/startupz": {"grpc": {"port": 8082, "service": "s"}},
        "/app-lifecycle/web/prestopz": {"httpGet": {"path": "/stop", "port": 8080}},
        "/app-lifecycle/web/poststartz": {"tcpSocket": {"port": 8080}},
    });
    assert_eq!(probers, wanted);

    let moved = injected(json!({"metadata": {"annotations": {"status.sidecar.istio.io/port": "16000"}},
        "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {}, "livenessProbe": {"tcpSocket": {"port": 1}}}]}}));
    assert_eq!(named(&moved, "containers", "web")["livenessProbe"]["httpGet"]["port"], 16000);
}

#[test]
fn scraping_moves_to_the_agent_with_what_the_pod_said() {
    let pod = annotated(
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "prometheus.io/path": "/m"}),
    );
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(
        ["scrape", "port", "path"].map(|name| annotations[format!("prometheus.io/{name}")].as_str()),
        [Some("true"), Some("15020"), Some("/stats/prometheus")]
    );
    let kept = variable(proxy(&pod), "ISTIO_PROMETHEUS_ANNOTATIONS").expect("what the pod said");
    let kept: Value = serde_json::from_str(kept).expect("JSON");
    assert_eq!(kept, json!({"scrape": "true", "path": "/m", "port": "9090"}));
    let off = with_mesh(
        "enablePrometheusMerge: false",
        json!({"metadata": {"annotations": {"prometheus.io/port": "9090"}}}),
    );
    assert_eq!(off["metadata"]["annotations"]["prometheus.io/port"], "9090");
}

#[test]
fn the_mesh_decides_what_neither_pod_nor_values_do() {
    let pod = with_mesh(
        "trustDomain: own.test\ninboundTrafficPolicy: {mode: LOCALHOST}\ndefaultConfig:\n  proxyMetadata: {COLOUR: blue}\n  \
         holdApplicationUntilProxyStarts: true\n  interceptionMode: TPROXY\n",
        json!({"metadata": {"annotations": {"proxy.istio.io/config": "proxyMetadata: {SHAPE: round}"}}}),
    );
    for (name, value) in [
        ("TRUST_DOMAIN", "own.test"),
        ("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "true"),
        ("COLOUR", "blue"),
        ("SHAPE", "round"),
        ("ISTIO_META_INTERCEPTION_MODE", "TPROXY"),
        ("COMPLIANCE_POLICY", "fips-140-2"),
        ("ISTIO_META_CLUSTER_ID", "east"),
        ("ISTIO_META_MESH_ID", "own.test"),
    ] {
        assert_eq!(variable(proxy(&pod), name), Some(value), "{name}");
    }
    assert_eq!(names(&pod, "containers"), ["istio-proxy", "web"], "the application waits");
    assert_eq!(pod["metadata"]["annotations"]["istio.io/rev"], "canary");
    let status = pod["metadata"]["annotations"]["sidecar.istio.io/status"].as_str().expect("a status");
    let status: Value = serde_json::from_str(status).expect("JSON");
    assert_eq!(status["revision"], "canary");
    assert_eq!(
        (&status["containers"], &status["initContainers"]),
        (&json!(["istio-proxy"]), &json!(["istio-init"]))
    );
    assert!(
        status["volumes"].as_array().is_some_and(|names| names.contains(&json!("istio-envoy"))),
        "{status}"
    );
}

#[test]
fn proxy_configs_hold_by_root_namespace_then_annotation_then_selector() {
    let object = |namespace: &str, name: &str, spec: Value| -> Value {
        json!({"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig",
               "metadata": {"name": name, "namespace": namespace}, "spec": spec})
    };
    let variables = |value: &str| json!({"environmentVariables": {"WHO": value}});
    let mut of_pod = variables("pod");
    of_pod["selector"] = json!({"matchLabels": {"app": "web"}});
    let mut of_other = variables("other");
    of_other["selector"] = json!({"matchLabels": {"app": "db"}});
    let (root, space) =
        (object("istio-system", "root", variables("root")), object("shop", "all", variables("namespace")));
    let (pods, others) = (object("shop", "web", of_pod), object("shop", "db", of_other));
    let elsewhere = object("field", "all", variables("elsewhere"));
    for (objects, annotation, wanted) in [
        (vec![&root], None, "root"),
        (vec![&root, &space], None, "namespace"),
        (vec![&root, &space, &others, &elsewhere], None, "namespace"),
        (vec![&root, &space], Some("annotation"), "annotation"),
        (vec![&root, &space, &pods], Some("annotation"), "pod"),
        (vec![&elsewhere], None, "mesh"),
    ] {
        let store: config::ConfigStore = objects
            .into_iter()
            .map(|object| config::parse(object.clone(), "test").expect("sound").expect("known"))
            .collect();
        let proxy_configs: Vec<_> = store.proxy_configs().iter().cloned().collect();
        let mut pod = pod_with(json!({}));
        if let Some(who) = annotation {
            let document = format!("proxyMetadata: {{WHO: {who}}}");
            pod["metadata"]["annotations"] = json!({"proxy.istio.io/config": document});
        }
        let mesh =
            config::mesh_config::parse_mesh("defaultConfig: {proxyMetadata: {WHO: mesh}}").expect("a mesh");
        let config = config_with(json!({}));
        let request = Request {
            pod: &pod,
            namespace: "shop",
            namespace_annotations: BTreeMap::new(),
            owner: owner(&pod, "shop"),
            mesh: &mesh,
            proxy_configs: &proxy_configs,
            config: &config,
            revision: "",
            native_sidecars: false,
            path_variables: BTreeMap::new(),
            openshift: false,
            compliance_policy: "",
            environment: Arc::new(NoEnvironment),
        };
        let pod = inject::inject(&request).expect("injected").pod;
        assert_eq!(variable(proxy(&pod), "WHO"), Some(wanted));
    }
}

#[test]
fn a_container_of_the_users_own_is_laid_over_that_of_the_template() {
    let own = json!({"spec": {"containers": [{"name": "web", "image": "web:1", "resources": {}}, {
        "name": "istio-proxy", "image": "auto", "resources": {"limits": {"cpu": "4"}}, "securityContext": {"runAsUser": 2000},
        "env": [{"name": "MINE", "value": "1"}], "volumeMounts": [{"name": "c", "mountPath": "/c"}],
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}}}],
        "volumes": [{"name": "c", "emptyDir": {}}]}});
    for native in [false, true] {
        let pod = try_inject(&pod_with(own.clone()), &config_with(json!({})), |request| {
            request.native_sidecars = native;
        });
        let pod = pod.expect("injected");
        let list = if native { "initContainers" } else { "containers" };
        let found = named(&pod, list, "istio-proxy");
        assert_eq!(found["image"], "hub.test/proxyv2:1.2", "native: {native}");
        assert_eq!(found["resources"]["limits"]["cpu"], "4");
        assert_eq!(found["resources"]["requests"]["cpu"], "100m", "what the user did not say stays");
        assert_eq!(found["lifecycle"]["preStop"]["exec"]["command"], json!(["sleep", "5"]));
        assert_eq!(variable(found, "MINE"), Some("1"));
        assert!(variable(found, "CA_ADDR").is_some());
        assert_eq!(found["securityContext"]["runAsUser"], 2000);
        assert_eq!(flag(&pod, "-u").as_deref(), Some("2000"), "its own traffic does not come back to it");
        let overrides = pod["metadata"]["annotations"]["proxy.istio.io/overrides"].as_str().expect("kept");
        let overrides: Value = serde_json::from_str(overrides).expect("JSON");
        assert_eq!(overrides[list][0]["name"], "istio-proxy", "{overrides}");
        assert_eq!(
            names(&pod, "containers").iter().filter(|name| *name == "istio-proxy").count(),
            usize::from(!native)
        );
    }
}

#[test]
fn native_sidecars_start_first_and_drain_when_the_pod_goes() {
    let own = json!({"spec": {"initContainers": [{"name": "first", "image": "i", "resources": {}}]}});
    for (annotation, by_default, is_native) in [
        (None, true, true),
        (None, false, false),
        (Some("true"), false, true),
        (Some("false"), true, false),
        (Some("?"), true, true),
    ] {
        let mut pod = pod_with(own.clone());
        if let Some(word) = annotation {
            pod["metadata"]["annotations"] = json!({"sidecar.istio.io/nativeSidecar": word});
        }
        let pod = try_inject(&pod, &config_with(json!({})), |request| request.native_sidecars = by_default)
            .expect("injected");
        if is_native {
            assert_eq!(names(&pod, "initContainers"), ["istio-init", "istio-proxy", "first"]);
            let found = proxy(&pod);
            assert_eq!(found["restartPolicy"], "Always");
            assert!(found["lifecycle"]["preStop"].to_string().contains("drain"), "{found}");
            assert_eq!(found["startupProbe"]["failureThreshold"], 600);
        } else {
            assert_eq!(names(&pod, "initContainers"), ["first", "istio-init"]);
            assert_eq!(names(&pod, "containers"), ["web", "istio-proxy"]);
        }
    }
}

#[test]
fn templates_are_those_that_are_named_in_their_order_or_the_default_ones() {
    let label = |value: &str| format!("metadata: {{labels: {{last: {value}, {value}: here}}}}");
    let templates = json!({"one": label("one"), "two": label("two")});
    let config = config_with(json!({"templates": templates, "defaultTemplates": ["two", "one"],
        "aliases": {"both": ["one", "two"], "self": ["both"]}}));
    let of = |names: Option<&str>| {
        let mut pod = pod_with(json!({}));
        if let Some(names) = names {
            pod["metadata"]["annotations"] = json!({"inject.istio.io/templates": names});
        }
        try_inject(&pod, &config, |_| {})
    };
    for (names, last) in [
        (None, "one"),
        (Some("one"), "one"),
        (Some(" one , two "), "two"),
        (Some("both"), "two"),
        (Some("two,both,one"), "one"),
    ] {
        assert_eq!(of(names).expect("injected")["metadata"]["labels"]["last"], last, "{names:?}");
    }
    // An alias stands for templates, not for other aliases.
    for unknown in ["self", "", "one,"] {
        let error = of(Some(unknown)).expect_err(unknown);
        assert!(error.contains("not found; have") && error.contains("one, sidecar, two"), "{error}");
    }
}

#[test]
fn a_gateway_is_a_pod_whose_proxy_is_its_application() {
    let gateway = json!({"metadata": {"labels": {"istio": "ingressgateway", "app": "edge"},
        "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto", "ports": [{"containerPort": 8080}], "resources": {}}]}});
    let mut pod = pod_with(json!({}));
    pod["metadata"] = json!({"name": "edge", "namespace": "shop"});
    merge(&mut pod, gateway);
    let pod = try_inject(&pod, &config_with(json!({})), |request| request.native_sidecars = true)
        .expect("injected");
    assert_eq!(names(&pod, "containers"), ["istio-proxy"], "never an init container");
    assert!(names(&pod, "initContainers").is_empty());
    assert_eq!(proxy(&pod)["image"], "hub.test/proxyv2:1.2");
    assert!(proxy(&pod)["args"].to_string().contains("router"), "{}", proxy(&pod)["args"]);
    let sysctls = &pod["spec"]["securityContext"]["sysctls"];
    assert_eq!(sysctls[0], json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}));
    let ports = proxy(&pod)["ports"].as_array().expect("ports");
    assert!(ports.iter().any(|port| port["containerPort"] == 8080), "{ports:?}");
}

#[test]
fn names_for_telemetry_come_from_the_labels_that_users_have() {
    for (labels, name, revision) in [
        (json!({}), "web", "latest"),
        (json!({"app": "a", "version": "v1"}), "a", "v1"),
        (
            json!({"app.kubernetes.io/name": "k", "app": "a", "app.kubernetes.io/version": "2", "version": "v1"}),
            "k",
            "2",
        ),
        (
            json!({"service.istio.io/canonical-name": "own", "service.istio.io/canonical-revision": "r", "app": "a"}),
            "own",
            "r",
        ),
    ] {
        let mut pod = pod_with(json!({}));
        pod["metadata"]["labels"] = labels.clone();
        let pod = try_inject(&pod, &config_with(json!({})), |_| {}).expect("injected");
        let all = &pod["metadata"]["labels"];
        assert_eq!(all["service.istio.io/canonical-name"], name, "{labels}");
        assert_eq!(all["service.istio.io/canonical-revision"], revision, "{labels}");
    }
    let long = injected(json!({"metadata": {"labels": {"app": "x".repeat(63)}}}));
    assert_eq!(
        long["metadata"]["labels"]["service.istio.io/canonical-name"].as_str().map(str::len),
        Some(63)
    );
    let hbone =
        annotated(json!({"proxy.istio.io/config": "proxyMetadata: {ISTIO_META_ENABLE_HBONE: 'true'}"}));
    assert_eq!(hbone["metadata"]["labels"]["networking.istio.io/tunnel"], "http");
    assert_eq!(hbone["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "web");
}
