//! Whatever comes as an AdmissionReview is answered, within bounds, and no pod gets what no template said. The mutated
//! inputs grow from one seed; `INJECTION_FUZZ=100000` makes that many (`cargo test -p inject --test hostile`).

#![expect(clippy::expect_used, reason = "helpers of tests may end a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inject::{Config, Injector, NativeSidecars, NoEnvironment, Outcome, review};
use serde_json::{Value, json};

/// How many mutated inputs there are, unless told otherwise.
const N_INPUTS: u32 = 150;

const VALUES: &str = r#"{"global": {"hub": "h", "tag": "t", "istioNamespace": "istio-system", "logging": {"level": "x"},
  "proxy": {"image": "proxyv2", "clusterDomain": "c", "includeIPRanges": "*", "includeInboundPorts": "*",
  "statusPort": 15020, "privileged": false, "readinessInitialDelaySeconds": 0, "readinessPeriodSeconds": 15,
  "readinessFailureThreshold": 4}, "proxy_init": {"image": "proxyv2"}, "sds": {"token": {"aud": "istio-ca"}},
  "sts": {"servicePort": 0}}, "pilot": {"cni": {"enabled": false}},
  "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": true}}"#;

fn injector(template: Option<&str>) -> Injector {
    let chart =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/istiod/files/injection-template.yaml");
    let chart = std::fs::read_to_string(chart).expect("the chart's template");
    let document = json!({"policy": "enabled", "templates": {"sidecar": template.unwrap_or(&chart)}});
    Injector {
        config: Arc::new(Config::parse(&document.to_string(), VALUES).expect("a configuration")),
        mesh: Arc::new(config::mesh_config::default_mesh()),
        proxy_configs: Vec::new(),
        revision: String::new(),
        native_sidecars: NativeSidecars::default(),
        openshift: None,
        compliance_policy: String::new(),
        environment: Arc::new(NoEnvironment),
    }
}

fn seed() -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {"uid": "7", "namespace": "shop", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": {
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"generateName": "web-", "labels": {"app": "web", "pod-template-hash": "5d4"},
                "annotations": {"prometheus.io/port": "9090", "proxy.istio.io/config": "concurrency: 2",
                    "sidecar.istio.io/userVolume": "[{\"name\": \"v\", \"emptyDir\": {}}]",
                    "sidecar.istio.io/proxyCPU": "10m", "sidecar.istio.io/logLevel": "debug",
                    "sidecar.istio.io/status": "{\"containers\": [\"istio-proxy\"]}",
                    "proxy.istio.io/overrides": "{\"containers\": [{\"name\": \"istio-proxy\"}]}",
                    "traffic.sidecar.istio.io/excludeInboundPorts": "1,2"},
                "ownerReferences": [{"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": "web-5d4", "controller": true}]},
            "spec": {"nodeName": "n", "volumes": [{"name": "d", "emptyDir": {}}],
                "initContainers": [{"name": "first", "image": "i"}],
                "containers": [{"name": "web", "image": "w", "ports": [{"name": "http", "containerPort": 80}],
                    "env": [{"name": "A", "value": "b"}], "lifecycle": {"preStop": {"httpGet": {"port": "http"}}},
                    "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "timeoutSeconds": 2}}]}}},
    })
}

/// A generator of numbers that is the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).expect("a small number"))
            .expect("a small number")
    }
}

/// What someone who means harm puts where a text, a list or a mapping is expected.
fn harm(numbers: &mut Numbers) -> Value {
    let texts = [
        "",
        "istio-proxy",
        "istio-init",
        "auto",
        "{{ .Values }}",
        "\n    securityContext: {privileged: true}",
        "\"",
        "'",
        "\u{0}",
        "[",
        "{\"a\": ",
        "*x",
        "&x [*x, *x]",
        "a: &a [b]\nb: *a",
        "!!binary x",
        "💥",
        "-1",
        "1e999",
        "NONE",
        "TPROXY",
        "true",
        "0",
        "99999999999999999999",
        "../../..",
        "$(POD_NAME)",
        "<<: {a: b}",
        "? a",
        "%",
        "|",
        "[{\"name\": \"x\"}, 1, null, [[[[]]]]]",
        "{\"x\": {\"$patch\": \"delete\"}}",
        "gateway,sidecar,,",
    ];
    match numbers.below(9) {
        0 => Value::Null,
        1 => json!(numbers.below(2) == 0),
        2 => json!(-1),
        3 => json!([]),
        4 => json!({}),
        5 => json!([null, {"name": "istio-proxy"}, {"name": "istio-proxy"}, 3]),
        6 => json!({"$patch": "replace", "name": "istio-proxy", "labels": {"a": 1}}),
        7 => json!("x".repeat(1 << numbers.below(16))),
        _ => json!(texts[numbers.below(texts.len())]),
    }
}

fn mutate(value: &mut Value, numbers: &mut Numbers) {
    if numbers.below(12) == 0 {
        *value = harm(numbers);
        return;
    }
    match value {
        Value::Object(members) if !members.is_empty() => {
            let which = numbers.below(members.len());
            if let Some((_, member)) = members.iter_mut().nth(which) {
                mutate(member, numbers);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let which = numbers.below(items.len());
            if numbers.below(6) == 0 {
                let again = items[which].clone();
                items.push(again);
            } else {
                mutate(&mut items[which], numbers);
            }
        }
        Value::Object(members) => {
            members.insert("name".to_owned(), harm(numbers));
        }
        other => *other = harm(numbers),
    }
}

/// An answer must be a review of the form that the API server takes; an injected pod must only hold containers that it
/// had or that the template brings, and none with rights that neither said.
fn judge(body: &[u8], injector: &Injector) -> Outcome {
    let answer = review(body, "/inject", injector);
    let response: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
    assert_eq!(response["kind"], "AdmissionReview");
    let allowed = response["response"]["allowed"].as_bool().expect("a verdict");
    assert_eq!(allowed, !matches!(answer.outcome, Outcome::Failed(_)));
    assert_eq!(response["response"]["patch"].is_string(), answer.outcome == Outcome::Injected);
    answer.outcome
}

#[test]
fn mutated_reviews_are_answered() {
    let n_inputs = std::env::var("INJECTION_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(N_INPUTS);
    let injector = injector(None);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut injected, mut slowest) = (0, Duration::ZERO);
    for _ in 0..n_inputs {
        let mut input = seed();
        for _ in 0..=numbers.below(4) {
            mutate(&mut input["request"]["object"], &mut numbers);
        }
        if numbers.below(20) == 0 {
            mutate(&mut input, &mut numbers);
        }
        let mut body = input.to_string().into_bytes();
        if numbers.below(10) == 0 {
            let at = numbers.below(body.len());
            body[at] = u8::try_from(numbers.below(256)).expect("a byte");
        }
        if numbers.below(50) == 0 {
            body.truncate(numbers.below(body.len()));
        }
        let started = Instant::now();
        injected += u32::from(judge(&body, &injector) == Outcome::Injected);
        slowest = slowest.max(started.elapsed());
    }
    assert!(injected > n_inputs / 10, "too few inputs reach the templates: {injected} of {n_inputs}");
    eprintln!("{n_inputs} mutated inputs, {injected} injected, the slowest took {slowest:?}");
}

#[test]
fn large_and_deep_reviews_are_answered() {
    let injector = injector(None);
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(200_000), close.repeat(200_000)).into_bytes();
    assert!(matches!(judge(&deep("[", "]"), &injector), Outcome::Failed(_)));
    assert!(matches!(judge(&deep("{\"a\":", "}"), &injector), Outcome::Failed(_)));
    for (name, change) in [
        ("annotation", json!({"x": "y".repeat(10 << 20)})),
        (
            "document",
            json!({"proxy.istio.io/config": format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))}),
        ),
        ("bomb", json!({"proxy.istio.io/config": bomb()})),
        (
            "volumes",
            json!({"sidecar.istio.io/userVolume": format!("[{}]", vec!["{\"name\":\"a\"}"; 20_000].join(","))}),
        ),
    ] {
        let mut input = seed();
        input["request"]["object"]["metadata"]["annotations"] = change;
        let started = Instant::now();
        let outcome = judge(input.to_string().as_bytes(), &injector);
        assert!(matches!(outcome, Outcome::Injected | Outcome::Failed(_)), "{name}");
        eprintln!("{name}: {:?}, {}", started.elapsed(), matches!(outcome, Outcome::Injected));
    }
    let mut many = seed();
    many["request"]["object"]["spec"]["containers"] = (0..20_000)
        .map(|i| json!({"name": format!("c{i}"), "image": "i", "ports": [{"containerPort": i}]}))
        .collect();
    let started = Instant::now();
    judge(many.to_string().as_bytes(), &injector);
    eprintln!("containers: {:?}", started.elapsed());
}

/// YAML whose aliases stand for a billion items.
fn bomb() -> String {
    let levels = ('b'..='j').map(|letter| {
        let below = char::from(u8::try_from(u32::from(letter) - 1).expect("a letter"));
        format!("{letter}: &{letter} [{}]\n", vec![format!("*{below}"); 10].join(","))
    });
    format!("a: &a [x,x,x,x,x,x,x,x,x,x]\n{}", levels.collect::<Vec<_>>().concat())
}

#[test]
fn what_is_no_review_of_a_pod_is_told_so() {
    let injector = injector(None);
    let failed = |body: &str| match judge(body.as_bytes(), &injector) {
        Outcome::Failed(message) => message,
        other => format!("{other:?}"),
    };
    assert!(failed("").contains("AdmissionReview"));
    assert!(failed("{}").contains("unsupported"));
    assert!(failed(r#"{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v7"}"#).contains("v7"));
    assert!(
        failed(r#"{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}"#).contains("request")
    );
    let mut other = seed();
    other["request"]["object"]["kind"] = json!("Deployment");
    assert_eq!(judge(other.to_string().as_bytes(), &injector), Outcome::Skipped("it is no Pod"));
    let mut older = seed();
    older["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let answer = review(older.to_string().as_bytes(), "/inject", &injector);
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(
        (&answer["apiVersion"], &answer["response"]["uid"]),
        (&json!("admission.k8s.io/v1beta1"), &json!("7"))
    );
}

#[test]
fn a_line_break_in_a_name_is_no_yaml_of_the_template() {
    // As Istio's templates: without quotes.
    let injector = injector(Some(
        "spec:\n  containers:\n  - name: istio-proxy\n    image: x\n    env:\n    - name: OWNER\n      value: {{ .DeploymentMeta.Name }}\n",
    ));
    let mut input = seed();
    let owner = &mut input["request"]["object"]["metadata"]["ownerReferences"][0];
    owner["kind"] = json!("StatefulSet");
    owner["name"] = json!("a\n    securityContext: {privileged: true}");
    assert!(matches!(judge(input.to_string().as_bytes(), &injector), Outcome::Failed(_)));
}
