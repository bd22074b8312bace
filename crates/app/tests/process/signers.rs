//! Signers of the cluster in place of our own authority, on a real API server: the test plays the signers, one of which
//! lies and one of which refuses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::{Authority, Csr, Foreign, Identity, Lifetimes, Material, PrivateKey};
use kube_io::Client;
use proto::wkt;
use serde_json::{Value, json};
use server::{KeyKind, generate_key, moment};
use testkit::cluster::{Cluster, binaries, objects};
use testkit::control_plane::ControlPlane;
use testkit::secure::{Channel, ClientIdentity, connect, create_certificate, new_request};
use testkit::wait;

use crate::{Folder, LIMIT, binary};

const HOST: &str = "istiod.istio-system.svc";
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

fn authority() -> Arc<Authority> {
    let key = generate_key(KeyKind::P256).unwrap();
    let at = moment().unwrap();
    let private = PrivateKey::from_pem(&key).unwrap();
    let certificate = Authority::self_signed(&private, "signer", 86_400, at).unwrap();
    Arc::new(Authority::new(&Material { certificate, key, ..Material::default() }, at.now).unwrap())
}

fn who(account: &str) -> Identity {
    Identity::new("cluster.local", "shop", account).unwrap()
}

/// Answers an approved request as its signer does.
fn answer(object: &Value, workloads: &Authority, servers: &Authority) -> Option<Value> {
    let status = &object["status"];
    let conditions = status["conditions"].as_array()?;
    let is_new = status["certificate"].is_null() && conditions.iter().all(|one| one["type"] == "Approved");
    let pem = STANDARD.decode(object["spec"]["request"].as_str()?).unwrap();
    let csr = Csr::from_pem(&String::from_utf8(pem).unwrap()).unwrap();
    let issue = |authority: &Authority, identity: Identity| {
        authority
            .issue(&csr, &identity, 3600, Lifetimes::default(), moment().unwrap())
            .unwrap()
            .chain
            .concat()
    };
    let chain = match object["spec"]["signerName"].as_str()? {
        _ if !is_new => return None,
        "signers.test/istiod" => {
            let issued = servers.issue_server(csr.public_key(), &[HOST.to_owned()], 3600, moment().unwrap());
            issued.unwrap().chain.concat()
        }
        "signers.test/usual" => issue(workloads, who("web")),
        "signers.test/liar" => issue(workloads, who("admin")),
        _ => {
            let mut answered = object.clone();
            let refusal = json!({"type": "Failed", "status": "True", "reason": "No", "message": "not today"});
            answered["status"]["conditions"].as_array_mut()?.push(refusal);
            return Some(answered);
        }
    };
    let mut answered = object.clone();
    answered["status"]["certificate"] = STANDARD.encode(chain).into();
    Some(answered)
}

/// Signs what is approved, until dropped.
async fn sign_all(client: Client, workloads: Arc<Authority>, servers: Arc<Authority>) {
    loop {
        let list: Value = serde_json::from_str(&objects::get(&client, REQUESTS).await.unwrap()).unwrap();
        for object in list["items"].as_array().into_iter().flatten() {
            let Some(mut answered) = answer(object, &workloads, &servers) else { continue };
            answered["apiVersion"] = "certificates.k8s.io/v1".into();
            answered["kind"] = "CertificateSigningRequest".into();
            let name = object["metadata"]["name"].as_str().unwrap();
            // It may have been taken away meanwhile.
            let _ = objects::put(&client, &format!("{REQUESTS}/{name}/status"), &answered).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ask(
    channel: &Channel,
    token: Option<&str>,
    signer: &str,
    uris: &[&str],
) -> Result<(Csr, Vec<String>), String> {
    let (key, mut request) = new_request(KeyKind::P256).unwrap();
    request.csr = Csr::request_for(&PrivateKey::from_pem(&key).unwrap(), uris, &[]).unwrap();
    if !signer.is_empty() {
        let kind = Some(wkt::value::Kind::StringValue(signer.to_owned()));
        let fields = [("CertSigner".to_owned(), wkt::Value { kind })];
        request.metadata = Some(wkt::Struct { fields: BTreeMap::from(fields) });
    }
    let csr = Csr::from_pem(&request.csr).unwrap();
    let reply = create_certificate(channel, token, request).await;
    reply.map(|reply| (csr, reply)).map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}

#[tokio::test(flavor = "multi_thread")]
async fn signers_of_the_cluster_sign_for_whoever_has_proved_who_they_are_and_for_nobody_else() {
    let Some(binaries) = binaries() else { return };
    let cluster = Cluster::start(&binaries, "signers").await.unwrap();
    let client = cluster.client().await.unwrap();
    let (workloads, servers) = (authority(), authority());
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": "web", "namespace": "shop"}});
    let mesh = json!({"caCertificates": [
        {"pem": workloads.roots(), "certSigners": ["signers.test/usual", "signers.test/liar"]},
        {"pem": servers.roots(), "certSigners": ["signers.test/istiod"]}]});
    let mesh = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"mesh": mesh.to_string()},
                      "metadata": {"name": "istio", "namespace": "istio-system"}});
    objects::apply(&client, &[namespace("istio-system"), namespace("shop"), account, mesh]).await.unwrap();
    let signing = tokio::spawn(sign_all(client.clone(), workloads.clone(), servers.clone()));
    let folder = Folder::new("signers");
    let mut plane = ControlPlane::over(&cluster.kubeconfig(), binary(), &folder.path().join("log")).unwrap();
    plane.secure = Some(wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap());
    plane.environment = [
        ("EXTERNAL_CA", "ISTIOD_RA_KUBERNETES_API"),
        ("K8S_SIGNER", "signers.test/usual"),
        ("CERT_SIGNER_DOMAIN", "signers.test"),
        ("PILOT_CERT_PROVIDER", "k8s.io/signers.test/istiod"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                      "spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600}});
    let path = "/api/v1/namespaces/shop/serviceaccounts/web/token";
    let made = objects::post(&client, path, &body).await.unwrap();
    let token = made["status"]["token"].as_str();

    // Our own port is certified by a signer, whose root is what workloads are told to trust.
    let deadline = Instant::now() + LIMIT;
    let reach = async |identity: Option<&ClientIdentity>| loop {
        match connect(plane.secure.unwrap(), HOST, servers.roots(), identity).await {
            Ok(channel) => return channel,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let channel = reach(None).await;
    let map = "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert";
    loop {
        let stored: Option<Value> =
            objects::get(&client, map).await.ok().and_then(|text| serde_json::from_str(&text).ok());
        if stored.is_some_and(|map| {
            map["data"]["root-cert.pem"].as_str().map(str::trim) == Some(servers.roots().trim())
        }) {
            break;
        }
        assert!(Instant::now() < deadline, "the ConfigMap has not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let own = "spiffe://cluster.local/ns/shop/sa/web";
    for (signer, uris) in [("", &[][..]), ("usual", &[own])] {
        let (csr, reply) = ask(&channel, token, signer, uris).await.unwrap();
        Foreign::parse(&reply[0]).unwrap().check(&csr, &who("web")).unwrap();
        assert_eq!(reply.last().unwrap().trim(), workloads.roots().trim());
    }
    let refused =
        async |signer: &str, uris: &[&str]| ask(&channel, token, signer, uris).await.map(drop).unwrap_err();
    let told = refused("", &["spiffe://cluster.local/ns/shop/sa/admin"]).await;
    assert!(told.contains("InvalidArgument") && told.contains("other names"), "{told}");
    let told = refused("", &[own, "spiffe://cluster.local/ns/shop/sa/admin"]).await;
    assert!(told.contains("InvalidArgument"), "{told}");
    let told = refused("liar", &[own]).await;
    assert!(
        told.contains("Internal") && told.contains("not for spiffe://cluster.local/ns/shop/sa/web alone"),
        "{told}"
    );
    let told = refused("moody", &[]).await;
    assert!(told.contains("Internal") && told.contains("not today"), "{told}");
    assert!(ask(&channel, None, "", &[]).await.unwrap_err().contains("Unauthenticated"));

    // What a signer has signed is believed of a caller, too.
    let (key, request) = new_request(KeyKind::P256).unwrap();
    let reply = create_certificate(&channel, token, request).await.unwrap();
    let channel = reach(Some(&ClientIdentity { chain: reply[0].clone(), key })).await;
    ask(&channel, None, "", &[]).await.unwrap();

    let left: Value = serde_json::from_str(&objects::get(&client, REQUESTS).await.unwrap()).unwrap();
    assert_eq!(left["items"], json!([]), "no request is left behind");
    let own_root = objects::get(&client, "/api/v1/namespaces/istio-system/secrets/istio-ca-secret").await;
    assert!(own_root.is_err(), "there is no root of our own");
    signing.abort();
}
