//! A root of our own over its whole life on a real API server: replicas that start together share one, it is renewed
//! before it runs out, and everything that is made of it follows while old and new certificates go on working together.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_io::Client;
use serde_json::{Value, json};
use server::KeyKind;
use testkit::cluster::{Cluster, binaries, objects};
use testkit::control_plane::{ControlPlane, Running};
use testkit::secure::{ClientIdentity, connect, create_certificate, new_request};
use testkit::wait;

use crate::{Folder, LIMIT, binary};

const HOST: &str = "istiod.istio-system.svc";
const SECRET: &str = "/api/v1/namespaces/istio-system/secrets/istio-ca-secret";
const CONFIG_MAP: &str = "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert";
const WEBHOOK: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/istio-sidecar-injector";

fn free() -> SocketAddr {
    wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap()
}

/// A replica whose root lives 400 seconds (520 with the allowance for clocks that are behind) and is due with 395 left:
/// some five seconds after it was made.
fn replica(cluster: &Cluster, folder: &Folder, name: &str, more: &[(&str, &str)]) -> ControlPlane {
    let log = folder.path().join(name);
    let mut plane = ControlPlane::over(&cluster.kubeconfig(), binary(), &log).unwrap();
    plane.secure = Some(free());
    plane.webhooks = Some(free());
    let variables = [
        ("CITADEL_SELF_SIGNED_CA_CERT_TTL", "400s"),
        ("CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", "76"),
        ("CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL", "500ms"),
        ("CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR", "false"),
        ("POD_NAME", name),
    ];
    plane.environment = variables.iter().chain(more).map(|(k, v)| ((*k).into(), (*v).into())).collect();
    plane
}

async fn stored(client: &Client, path: &str) -> Option<Value> {
    let text = objects::get(client, path).await.ok()?;
    serde_json::from_str(&text).ok()
}

/// What stands there as soon as it is as wanted.
async fn until(client: &Client, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = stored(client, path).await;
        if let Some(found) = found.as_ref().filter(|found| wanted(found)) {
            return found.clone();
        }
        assert!(Instant::now() < deadline, "{path}: {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn decoded(object: &Value, key: &str) -> String {
    String::from_utf8(STANDARD.decode(object["data"][key].as_str().unwrap()).unwrap()).unwrap()
}

async fn reach(
    plane: &ControlPlane,
    roots: &str,
    identity: Option<&ClientIdentity>,
) -> testkit::secure::Channel {
    let deadline = Instant::now() + LIMIT;
    loop {
        match connect(plane.secure.unwrap(), HOST, roots, identity).await {
            Ok(channel) => return channel,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A certificate, asked for with a token or, without one, with the certificate of the connection.
async fn sign(
    plane: &ControlPlane,
    roots: &str,
    identity: Option<&ClientIdentity>,
    token: Option<&str>,
) -> (ClientIdentity, String) {
    let channel = reach(plane, roots, identity).await;
    let (key, request) = new_request(KeyKind::P256).unwrap();
    let mut reply = create_certificate(&channel, token, request).await.unwrap();
    let roots = reply.pop().unwrap();
    (ClientIdentity { chain: reply.concat(), key }, roots)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_is_shared_and_renewed_in_time_and_everything_made_of_it_follows() {
    let Some(binaries) = binaries() else { return };
    let cluster = Cluster::start(&binaries, "rotation").await.unwrap();
    let client = cluster.client().await.unwrap();
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": "web", "namespace": "shop"}});
    let webhook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "istio-sidecar-injector", "labels": {"istio.io/rev": "default"}},
        "webhooks": [{"name": "namespace.sidecar-injector.istio.io", "admissionReviewVersions": ["v1"],
                      "clientConfig": {"url": "https://localhost:1/inject"}, "sideEffects": "None",
                      "failurePolicy": "Ignore", "namespaceSelector": {"matchLabels": {"nobody": "here"}},
                      "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                                 "resources": ["pods"]}]}]});
    objects::apply(&client, &[namespace("istio-system"), namespace("shop"), account, webhook]).await.unwrap();
    let folder = Folder::new("rotation");
    let planes = ["one", "two"].map(|name| replica(&cluster, &folder, name, &[]));
    // Both at once: there is one Secret, and whoever came second signs with the root of the first.
    let mut running: Vec<Running> = planes.iter().map(|plane| plane.start().unwrap()).collect();
    for running in &mut running {
        running.wait_ready(LIMIT).unwrap();
    }
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                      "spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600}});
    let path = "/api/v1/namespaces/shop/serviceaccounts/web/token";
    let answer = objects::post(&client, path, &body).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    let secret = until(&client, SECRET, |_| true).await;
    let (first, key) = (decoded(&secret, "ca-cert.pem"), decoded(&secret, "ca-key.pem"));
    // Should the root have been renewed since, it is of the same key, so that both are believed by the first.
    let (old, _) = sign(&planes[0], &first, None, Some(token)).await;
    sign(&planes[1], &first, None, Some(token)).await;

    let renewed = until(&client, SECRET, |secret| decoded(secret, "ca-cert.pem") != first).await;
    assert!(renewed["data"]["ca-key.pem"] == secret["data"]["ca-key.pem"], "the key stays");
    until(&client, CONFIG_MAP, |map| {
        map["data"]["root-cert.pem"].as_str().is_some_and(|text| text != first && !text.is_empty())
    })
    .await;
    until(&client, WEBHOOK, |webhook| {
        let bundle = webhook["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        let text = String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap();
        !text.is_empty() && text != first
    })
    .await;

    // Old and new work with each other, in both directions and at both replicas: who has only the old root believes
    // what is served now, and a certificate of before is believed now, by which a new one is asked for.
    for plane in &planes {
        let new = loop {
            let (issued, roots) = sign(plane, &first, Some(&old), None).await;
            if roots != first {
                break (issued, roots);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        sign(plane, &new.1, Some(&old), None).await;
        sign(plane, &first, Some(&new.0), None).await;
    }
    for running in &running {
        // What is served is new, too, once webhooks hold the new root.
        let served = || running.log().matches("serving certificate issued").count();
        wait::until("a new certificate", LIMIT, || Ok((served() >= 2).then_some(()))).unwrap();
        let log = running.log();
        assert!(!log.contains("PRIVATE KEY") && !log.contains(key.lines().nth(1).unwrap()));
    }
    let made = running.iter().filter(|one| one.log().contains("a new root is made")).count();
    assert!(made >= 1);

    // Where plugged-in material would be mounted from, if so wished; the usual Secret goes first where there is one.
    let wished = [("USE_CACERTS_FOR_SELF_SIGNED_CA", "true")];
    let mut other = replica(&cluster, &folder, "three", &wished);
    other.flags.extend(["--namespace".to_owned(), "shop".to_owned()]);
    let mut third = other.start().unwrap();
    third.wait_ready(LIMIT).unwrap();
    let made = until(&client, "/api/v1/namespaces/shop/secrets/cacerts", |_| true).await;
    assert!(made["data"]["istio-generated"].is_string(), "it is told from what operators plug in");
    assert_eq!(made["data"]["root-cert.pem"], made["data"]["ca-cert.pem"]);
    assert!(stored(&client, "/api/v1/namespaces/shop/secrets/istio-ca-secret").await.is_none());
    let mut same = replica(&cluster, &folder, "four", &wished);
    same.flags.extend(["--log_output_level".to_owned(), "default:info".to_owned()]);
    let mut fourth = same.start().unwrap();
    fourth.wait_ready(LIMIT).unwrap();
    sign(&same, &first, Some(&old), None).await;
    assert!(stored(&client, "/api/v1/namespaces/istio-system/secrets/cacerts").await.is_none());
}
