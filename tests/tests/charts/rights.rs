//! What the charts let the control plane do, by the real authorizer: the process runs with a token of its
//! ServiceAccount and needs no more, and whoever steals that token cannot do what the control plane never does.

use anyhow::{Context as _, Result, ensure};
use tests::binary::binary;
use tests::replica::{Options, Replica};

use super::*;

const ACCOUNT: &str = "system:serviceaccount:istio-system:istiod";

/// Group, resource, namespace (empty: all), verb.
type Right = (&'static str, &'static str, &'static str, &'static str);

/// What a control plane has no business with.
const FORBIDDEN: &[Right] = &[
    ("", "secrets", "shop", "create"),
    ("", "secrets", "shop", "update"),
    ("", "secrets", "shop", "delete"),
    ("", "pods", "shop", "create"),
    ("", "pods", "shop", "delete"),
    ("", "pods/exec", "shop", "create"),
    ("", "pods/log", "shop", "get"),
    ("", "serviceaccounts/token", "istio-system", "create"),
    ("", "nodes", "", "update"),
    ("", "nodes", "", "delete"),
    ("", "namespaces", "", "create"),
    ("", "namespaces", "", "patch"),
    ("", "namespaces", "", "delete"),
    ("", "configmaps", "shop", "delete"),
    ("", "persistentvolumes", "", "list"),
    ("", "events", "shop", "list"),
    ("apps", "daemonsets", "shop", "list"),
    ("apps", "statefulsets", "shop", "patch"),
    ("batch", "jobs", "shop", "list"),
    ("discovery.k8s.io", "endpointslices", "shop", "update"),
    ("coordination.k8s.io", "leases", "kube-system", "update"),
    ("networking.k8s.io", "networkpolicies", "shop", "list"),
    ("networking.istio.io", "virtualservices", "shop", "update"),
    ("networking.istio.io", "gateways", "shop", "create"),
    ("security.istio.io", "authorizationpolicies", "shop", "delete"),
    ("gateway.networking.k8s.io", "httproutes", "shop", "update"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "", "create"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "", "update"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "create"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "delete"),
    ("rbac.authorization.k8s.io", "roles", "istio-system", "list"),
    ("rbac.authorization.k8s.io", "clusterroles", "", "escalate"),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "", "create"),
    ("certificates.k8s.io", "certificatesigningrequests", "", "create"),
    ("certificates.k8s.io", "certificatesigningrequests/approval", "", "update"),
];

/// What it does, so that the question is known to be asked rightly.
const GRANTED: &[Right] = &[
    ("", "secrets", "shop", "list"),
    ("", "secrets", "istio-system", "create"),
    ("", "configmaps", "shop", "create"),
    ("networking.istio.io", "virtualservices", "shop", "watch"),
    ("networking.istio.io", "serviceentries/status", "shop", "patch"),
    ("authentication.k8s.io", "tokenreviews", "", "create"),
];

async fn may(client: &kube_io::Client, (group, resource, namespace, verb): Right) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": ACCOUNT, "groups": ["system:serviceaccounts", "system:serviceaccounts:istio-system", "system:authenticated"],
        "resourceAttributes": {"group": group, "resource": resource, "subresource": subresource,
                               "namespace": namespace, "verb": verb}}});
    let answer = objects::post(client, "/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await?;
    answer["status"]["allowed"].as_bool().with_context(|| format!("no answer: {answer}"))
}

fn is_about_rights(object: &Value) -> bool {
    ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"].iter().any(|kind| object["kind"] == *kind)
}

fn is_hook(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| kind.ends_with("WebhookConfiguration"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_of_the_charts_are_what_the_process_needs_and_not_what_a_thief_would_like() -> Result<()> {
    let (Some(helm), Some(programs)) = (helm(), binaries()) else { return Ok(()) };
    let binary = binary()?;
    let cluster = Cluster::start_with_rbac(&programs, "rights").await?;
    let client = cluster.client().await?;
    objects::define_all(&client).await?;
    let rendered = rendered(&helm, "istiod", "istiod", &[]).map_err(anyhow::Error::msg)?;
    let account = find(&rendered, "ServiceAccount", "istiod").clone();
    let entry = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "press", "namespace": "shop"},
        "spec": {"hosts": ["press.test"], "resolution": "DNS",
                 "ports": [{"number": 9000, "name": "tcp", "protocol": "TCP"}]}});
    objects::apply(&client, &[account, entry.clone()]).await?;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let issued =
        objects::post(&client, "/api/v1/namespaces/istio-system/serviceaccounts/istiod/token", &request)
            .await?;
    let token = issued["status"]["token"].as_str().context("a token")?;

    // Without rights it waits, and says what it waits for.
    let kubeconfig = Some(cluster.kubeconfig_of(token)?);
    let options = Options { kubeconfig, has_tls: true, ..Options::named("rights") };
    let mut replica = Replica::start(&binary, &cluster, &options)?;
    replica.until_logged(0, &["not ready: ", "Service", "forbidden"], 1).await?;
    ensure!(replica.running().readiness()? != 200, "ready without having read anything");

    // With those of the chart it reads everything, takes the lock and writes what is to be written.
    let rights: Vec<Value> = rendered.iter().filter(|object| is_about_rights(object)).cloned().collect();
    for object in &rights {
        objects::apply_strictly(&client, object).await?;
    }
    replica.until("readiness", |replica| Ok(replica.readiness() == 200)).await?;
    let log = replica.log_length();
    let written = "/apis/networking.istio.io/v1/namespaces/shop/serviceentries/press";
    let mut stored = Value::Null;
    for _ in 0..2400 {
        stored = serde_json::from_str(&objects::get(&client, written).await?)?;
        if stored["status"]["addresses"].is_array() {
            break;
        }
        replica.check()?;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    ensure!(stored["status"]["addresses"][0]["value"] == "240.240.0.1", "nothing was written: {stored}");
    // The roots come into webhooks, and whether validation works is tried: nobody answers where the Service leads.
    let hooks = rendered.iter().filter(|object| is_hook(object));
    let hooks: Vec<Value> = hooks.cloned().collect();
    objects::apply(&client, &hooks).await?;
    replica.until_logged(log, &["istio-sidecar-injector holds the roots"], 1).await?;
    replica.until_logged(log, &["istio-validator-istio-system holds the roots"], 1).await?;
    replica.until_logged(log, &["validation stays lenient", "was let through"], 1).await?;
    objects::delete(&client, &hooks).await?;
    // Something of every kind comes by watches; nothing is refused once the rights are there.
    replica.assert_fresh(&binary, &cluster, &options).await?;
    let text = replica.running().log();
    let refused: Vec<&str> = text[log..].lines().filter(|line| line.contains("forbidden")).collect();
    ensure!(refused.is_empty(), "{refused:#?}");
    replica.stop()?;

    for right in GRANTED {
        ensure!(may(&client, *right).await?, "may not {right:?}");
    }
    for right in FORBIDDEN {
        ensure!(!may(&client, *right).await?, "may {right:?}");
    }
    // No rule is a key to everything.
    for role in rights.iter().filter(|object| object["rules"].is_array()) {
        for rule in role["rules"].as_array().into_iter().flatten() {
            let has = |member: &str, text: &str| {
                rule[member].as_array().is_some_and(|list| list.iter().any(|item| item == text))
            };
            ensure!(!has("verbs", "*") && !has("apiGroups", "*"), "{rule}");
            for verb in ["escalate", "bind", "impersonate"] {
                ensure!(!has("verbs", verb), "{rule}");
            }
        }
    }
    Ok(())
}

/// What the charts give on top where signers of the cluster sign.
const SIGNING: &[Right] = &[
    ("certificates.k8s.io", "certificatesigningrequests", "", "create"),
    ("certificates.k8s.io", "certificatesigningrequests", "", "delete"),
    ("certificates.k8s.io", "certificatesigningrequests/approval", "", "update"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_rights_of_the_charts_roots_are_written_and_named_signers_are_approved() -> Result<()> {
    let (Some(helm), Some(programs)) = (helm(), binaries()) else { return Ok(()) };
    let cluster = Cluster::start_with_rbac(&programs, "signing").await?;
    let client = cluster.client().await?;
    objects::define_all(&client).await?;
    let values =
        ["--set=env.EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API", "--set=global.certSigners={signers.test/usual}"];
    let rendered = rendered(&helm, "istiod", "istiod", &values).map_err(anyhow::Error::msg)?;
    let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    objects::apply(&client, &[find(&rendered, "ServiceAccount", "istiod").clone(), shop]).await?;
    for object in rendered.iter().filter(|object| is_about_rights(object)) {
        objects::apply_strictly(&client, object).await?;
    }
    for right in SIGNING {
        ensure!(may(&client, *right).await?, "may not {right:?}");
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let issued =
        objects::post(&client, "/api/v1/namespaces/istio-system/serviceaccounts/istiod/token", &request)
            .await?;
    let token = issued["status"]["token"].as_str().context("a token")?;
    let own = kube_io::connect(Some(&cluster.kubeconfig_of(token)?)).await?;

    // A new root over an old one, as at every rotation.
    for roots in ["old", "new"] {
        kube_io::keep_config_map(&own, "shop", "istio-ca-root-cert", "root-cert.pem", roots).await?;
        let path = "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert";
        let stored: Value = serde_json::from_str(&objects::get(&client, path).await?)?;
        ensure!(stored["data"]["root-cert.pem"] == roots, "{stored}");
    }
    let data = [("ca-cert.pem".to_owned(), b"one".to_vec())].into();
    let write = async |over: Option<&kube_io::StoredSecret>| {
        kube_io::write_secret(&own, "istio-system", "istio-ca-secret", "istio.io/ca-root", &data, over).await
    };
    ensure!(write(None).await?, "the Secret is new");
    let stored = kube_io::read_secret(&own, "istio-system", "istio-ca-secret").await?.context("a Secret")?;
    ensure!(write(Some(&stored)).await?, "the Secret is renewed");

    // The test is the signer. What it signs does not matter here.
    let ask = |signer: &str| kube_io::SigningRequest {
        prefix: "csr-workload-",
        pem: testkit::secure::new_request(testkit::secure::KeyKind::P256)
            .map(|made| made.1.csr)
            .unwrap_or_default(),
        signer: signer.to_owned(),
        lifetime: 3600,
        usages: &["digital signature", "key encipherment", "server auth", "client auth"],
        patience: std::time::Duration::from_mins(1),
    };
    let refused = kube_io::sign_by_cluster(&own, &ask("signers.test/other")).await;
    ensure!(
        refused.is_err_and(|error| error.to_string().contains("signers.test/other")),
        "another signer is approved"
    );
    let certificate = &testkit::secure::plugged_in(testkit::secure::KeyKind::P256)?[0].1;
    let asked = ask("signers.test/usual");
    let signing = kube_io::sign_by_cluster(&own, &asked);
    let answering = async {
        let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        loop {
            let list: Value = serde_json::from_str(&objects::get(&client, path).await?)?;
            let approved = list["items"].as_array().into_iter().flatten();
            let mut approved = approved.filter(|one| one["status"]["conditions"][0]["type"] == "Approved");
            if let Some(object) = approved.next() {
                let mut object = object.clone();
                object["apiVersion"] = "certificates.k8s.io/v1".into();
                object["kind"] = "CertificateSigningRequest".into();
                object["status"]["certificate"] = testkit::secure::base64(certificate).into();
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                return objects::put(&client, &format!("{path}/{name}/status"), &object).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let (signed, answered) = tokio::join!(signing, answering);
    answered?;
    ensure!(signed?.trim() == certificate.trim(), "what the signer has signed comes back");
    Ok(())
}
