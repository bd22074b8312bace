//! The injection webhook through a real API server: a labelled namespace, a Pod made in it, and what is stored.

use std::path::Path;
use std::time::Instant;

use kube_io::Client;
use serde_json::{Value, json};
use testkit::cluster::{Cluster, binaries, objects};

use super::*;

const VALUES: &str = r#"{"global": {"hub": "hub.test", "tag": "1.30.0", "istioNamespace": "istio-system",
  "pilotCertProvider": "istiod", "logging": {"level": "default:info"},
  "proxy": {"image": "proxyv2", "clusterDomain": "cluster.local", "includeIPRanges": "*", "includeInboundPorts": "*",
  "statusPort": 15020, "privileged": false, "logLevel": "warning", "componentLogLevel": "misc:error",
  "readinessInitialDelaySeconds": 0, "readinessPeriodSeconds": 15, "readinessFailureThreshold": 4},
  "proxy_init": {"image": "proxyv2"}, "sds": {"token": {"aud": "istio-ca"}}, "sts": {"servicePort": 0}},
  "pilot": {"cni": {"enabled": false}}, "revision": "", "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": true}}"#;

/// The ConfigMap of the injector, with the chart's template.
fn injector(annotations: &Value) -> Value {
    let template =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/istiod/files/injection-template.yaml");
    let templates = json!({"sidecar": std::fs::read_to_string(template).unwrap()});
    let config = json!({"policy": "enabled", "templates": templates, "injectedAnnotations": annotations});
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": "istio-sidecar-injector", "namespace": "istio-system"},
           "data": {"values": VALUES, "config": config.to_string()}})
}

/// As the chart has it, but for the address.
fn webhook(address: std::net::SocketAddr) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
           "metadata": {"name": "istio-sidecar-injector", "labels": {"istio.io/rev": "default"}},
           "webhooks": [{
               "name": "namespace.sidecar-injector.istio.io",
               "clientConfig": {"url": format!("https://localhost:{}/inject", address.port())},
               "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
               "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
               "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail"}]})
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
           "spec": {"serviceAccountName": "default", "containers": [{"name": "web", "image": "web:1"}]}})
}

/// Makes Pods until one is as wanted, or the time is over.
async fn until_made(client: &Client, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LIMIT;
    for number in 0.. {
        let pod = pod(&format!("web-{number}"));
        let made = objects::post(client, "/api/v1/namespaces/shop/pods", &pod).await;
        if let Some(made) = made.as_ref().ok().filter(|made| wanted(made)) {
            return made.clone();
        }
        assert!(Instant::now() < deadline, "{made:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    unreachable!("numbers do not end")
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let all = pod["spec"][list].as_array().into_iter().flatten();
    all.map(|container| container["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_a_labelled_namespace_come_with_a_proxy() {
    let Some(binaries) = binaries() else { return };
    let cluster = Cluster::start(&binaries, "injection").await.unwrap();
    let client = cluster.client().await.unwrap();
    let folder = Folder::new("injection");
    let mut plane = ControlPlane::over(&cluster.kubeconfig(), binary(), &folder.path().join("log")).unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = free();
    plane.secure = Some(free());
    plane.webhooks = Some(address);
    plane.environment.push(("ISTIOD_CUSTOM_HOST".to_owned(), "localhost".to_owned()));
    let shop = json!({"apiVersion": "v1", "kind": "Namespace",
                      "metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}});
    objects::apply(&client, &[shop, injector(&json!({})), webhook(address)]).await.unwrap();
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();

    // The API server believes the webhook once the roots are in its configuration.
    let made = until_made(&client, |_| true).await;
    assert_eq!(names(&made, "containers"), ["web", "istio-proxy"]);
    assert_eq!(names(&made, "initContainers"), ["istio-init"]);
    assert_eq!(made["metadata"]["labels"]["security.istio.io/tlsMode"], "istio");
    assert!(made["metadata"]["annotations"]["sidecar.istio.io/status"].is_string());

    let mut wrong = pod("wrong");
    wrong["metadata"]["annotations"] = json!({"sidecar.istio.io/proxyCPU": "lots"});
    let error = objects::post(&client, "/api/v1/namespaces/shop/pods", &wrong).await.unwrap_err();
    assert!(format!("{error:#}").contains("sidecar.istio.io/proxyCPU"), "{error:#}");

    objects::apply(&client, &[injector(&json!({"who": "changed"}))]).await.unwrap();
    until_made(&client, |made| made["metadata"]["annotations"]["who"] == "changed").await;

    // Whoever takes the roots out finds them there again.
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/istio-sidecar-injector";
    let mut configuration = webhook(address);
    configuration["webhooks"][0]["clientConfig"]["caBundle"] = json!("");
    objects::apply(&client, &[configuration]).await.unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        let stored: Value = serde_json::from_str(&objects::get(&client, path).await.unwrap()).unwrap();
        if stored["webhooks"][0]["clientConfig"]["caBundle"].as_str().is_some_and(|roots| !roots.is_empty()) {
            break;
        }
        assert!(Instant::now() < deadline, "{stored}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(running.metric("sidecar_injection_failure_total").unwrap() as u64, 1);
}
