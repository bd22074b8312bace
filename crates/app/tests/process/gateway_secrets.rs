//! Secrets of gateways from a real API server to a real Envoy: served, asked of callers, rotated without a listener
//! being drained; only for whom the API server's roles allow them, and seen nowhere else.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ca::{Authority, Csr, Identity, Lifetimes, Material, PrivateKey};
use kube_io::Client;
use serde_json::{Value, json};
use server::{KeyKind, generate_key, moment};
use testkit::cluster::{Cluster, binaries, objects};
use testkit::control_plane::ControlPlane;
use testkit::envoy::{NEWEST, binary as envoy};
use testkit::http;
use testkit::process::Process;
use testkit::secure::connect;
use testkit::wait;

use crate::credentials::{shows, stream};
use crate::{Folder, LIMIT, binary};

const HOST: &str = "istiod.istio-system.svc";

fn free() -> SocketAddr {
    wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap()
}

/// A root, a certificate for a host or workload, and its key.
struct Issued {
    root: String,
    chain: String,
    key: String,
}

fn issued(host: &str) -> Issued {
    let (own, at) = (generate_key(KeyKind::P256).unwrap(), moment().unwrap());
    let certificate =
        Authority::self_signed(&PrivateKey::from_pem(&own).unwrap(), "web", 86_400, at).unwrap();
    let authority =
        Authority::new(&Material { certificate, key: own, ..Material::default() }, at.now).unwrap();
    let key = generate_key(KeyKind::P256).unwrap();
    let private = PrivateKey::from_pem(&key).unwrap();
    let chain = if host.is_empty() {
        let csr = Csr::from_pem(&Csr::request(&private).unwrap()).unwrap();
        let identity = Identity::new("users.test", "a", "b").unwrap();
        authority.issue(&csr, &identity, 3600, Lifetimes::default(), at).unwrap()
    } else {
        authority.issue_server(private.public_key(), &[host.to_owned()], 3600, at).unwrap()
    };
    Issued { root: authority.roots().to_owned(), chain: chain.chain.concat(), key }
}

fn secret(name: &str, kind: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "stringData": data,
           "metadata": {"name": name, "namespace": "edge"}})
}

fn tls(name: &str, issued: &Issued) -> Value {
    secret(name, "kubernetes.io/tls", &json!({"tls.crt": issued.chain, "tls.key": issued.key}))
}

/// The certificate that the gateway serves for a host; `None` if it does not shake hands.
fn served(port: u16, host: &str, more: &[&str]) -> Option<String> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", host, "-tls1_2"])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let from = text.find("-----BEGIN CERTIFICATE-----")?;
    let end = "-----END CERTIFICATE-----\n";
    Some(text[from..text.find(end)? + end.len()].to_owned())
}

async fn token(client: &Client, account: &str) -> String {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                      "spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600}});
    let path = format!("/api/v1/namespaces/edge/serviceaccounts/{account}/token");
    let answer = objects::post(client, &path, &body).await.unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

fn start_agent(folder: &Folder, plane: SocketAddr, admin: SocketAddr) -> Process {
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut command = Command::new(binary());
    command.args(["agent", "router", "--discoveryAddress", &plane.to_string(), "--discoverySan", HOST]);
    command.args(["--rootCert", &at("root.pem"), "--tokenPath", &at("token")]);
    command.args(["--podName", "gateway-1", "--podNamespace", "edge", "--serviceAccount", "gateway"]);
    command.args(["--ip", "127.0.0.1", "--label", "istio=gate", "--concurrency", "1"]);
    command.args(["--terminationDrainDuration", "1s", "--log_output_level", "default:debug"]);
    command.args(["--configPath", &at("proxy"), "--secretsPath", &at("secrets")]);
    command.arg("--binaryPath").arg(envoy(NEWEST).unwrap());
    command.args(["--adminAddress", &admin.to_string(), "--readyAddress", &free().to_string()]);
    command.args(["--statsAddress", "127.0.0.1:0", "--statusAddress", &free().to_string()]);
    Process::start("agent", &mut command, &folder.path().join("agent.log")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_serves_what_its_secrets_hold_and_nobody_else_gets_them() {
    let Some(binaries) = binaries() else { return };
    let cluster = Cluster::start_with_rbac(&binaries, "gateway-secrets").await.unwrap();
    let client = cluster.client().await.unwrap();
    objects::define_all(&client).await.unwrap();
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "edge"}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "secrets", "namespace": "edge"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "secrets", "namespace": "edge"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "secrets"},
        "subjects": [{"kind": "ServiceAccount", "name": "gateway", "namespace": "edge"}]});
    let port = free().port();
    let server = |host: &str, mode: &str, credential: &str| {
        json!({"port": {"number": port, "name": format!("https-{credential}"), "protocol": "HTTPS"}, "hosts": [host],
               "tls": {"mode": mode, "credentialName": credential}})
    };
    let gateway = json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "gate", "namespace": "edge"},
        "spec": {"selector": {"istio": "gate"},
                 "servers": [server("web.test", "SIMPLE", "web"), server("strict.test", "MUTUAL", "strict")]}});
    let (first, second, strict, user) =
        (issued("web.test"), issued("web.test"), issued("strict.test"), issued(""));
    // Both forms of Secrets, the roots of users in one of their own.
    let generic = json!({"cert": strict.chain, "key": strict.key});
    let all = [
        namespace("istio-system"),
        namespace("edge"),
        account("gateway"),
        account("other"),
        role,
        binding,
        gateway,
        tls("web", &first),
        secret("strict", "Opaque", &generic),
        secret("strict-cacert", "Opaque", &json!({"cacert": user.root})),
    ];
    objects::apply(&client, &all).await.unwrap();
    let folder = Folder::new("gateway-secrets");
    let mut plane = ControlPlane::over(&cluster.kubeconfig(), binary(), &folder.path().join("log")).unwrap();
    plane.secure = Some(free());
    plane.flags.push("--log_output_level=default:debug".to_owned());
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let path = "/api/v1/namespaces/edge/configmaps/istio-ca-root-cert";
    let deadline = Instant::now() + LIMIT;
    let roots = loop {
        if let Ok(text) = objects::get(&client, path).await {
            let map: Value = serde_json::from_str(&text).unwrap();
            break map["data"]["root-cert.pem"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "{}", running.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    fs::write(folder.path().join("root.pem"), &roots).unwrap();
    fs::write(folder.path().join("token"), token(&client, "gateway").await).unwrap();
    let admin = free();
    let mut agent = start_agent(&folder, plane.secure.unwrap(), admin);
    let until = |what: &str, agent: &mut Process, mut holds: Box<dyn FnMut() -> bool + '_>| {
        wait::until(what, LIMIT, || {
            agent.check_running()?;
            Ok(holds().then_some(()))
        })
        .unwrap();
    };
    let is_served =
        |host: &'static str, wanted: &str, more: &[&str]| served(port, host, more).as_deref() == Some(wanted);
    until("the first certificate", &mut agent, Box::new(|| is_served("web.test", &first.chain, &[])));
    // Only who has a certificate of the users' authority is answered at the other host.
    for (name, text) in [("user.pem", &user.chain), ("user.key", &user.key)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (at("user.pem"), at("user.key"));
    let proof = ["-cert", certificate.as_str(), "-key", key.as_str()];
    until("the other one", &mut agent, Box::new(|| is_served("strict.test", &strict.chain, &proof)));
    assert_eq!(served(port, "strict.test", &[]), None, "a caller without a certificate is turned away");

    // A new certificate reaches new connections, and no listener is touched for it.
    let get = |path: &str| http::get(admin, path).send().unwrap().text();
    let listeners = || get("/stats?filter=listener_manager.*(modified|draining|create_success)");
    let before = listeners();
    objects::apply(&client, &[tls("web", &second)]).await.unwrap();
    until("the second certificate", &mut agent, Box::new(|| is_served("web.test", &second.chain, &[])));
    assert_eq!(listeners(), before);
    // A root that users are verified by goes, and with it who was let in by it.
    let stranger = issued("");
    objects::apply(&client, &[secret("strict-cacert", "Opaque", &json!({"cacert": stranger.root}))])
        .await
        .unwrap();
    until("the new roots", &mut agent, Box::new(|| served(port, "strict.test", &proof).is_none()));

    // A proxy that the same Gateway selects, of the same namespace, but of an account without the right.
    let refused = || running.metric("pilot_sds_certificate_errors_total").unwrap();
    let before = refused();
    let channel = connect(plane.secure.unwrap(), HOST, &roots, None).await.unwrap();
    let mut other = stream(channel, Some(&token(&client, "other").await), "edge", "other").await;
    for name in ["kubernetes://web", "kubernetes://edge/web", "kubernetes-gateway://edge/web"] {
        other.subscribe(proto::type_url::SECRET, &[name]).await.unwrap();
        let answer = other.read().await.unwrap();
        assert!(!answer.contains("PRIVATE KEY") && !answer.contains("CERTIFICATE"), "{name}");
    }
    assert!(refused() > before, "what is refused is counted");

    let pages = ["configz", "syncz", "config_dump?proxyID=gateway-1.edge", "adsz", "mesh"];
    let address = running.addresses().monitoring;
    let page = |page: &&str| http::get(address, &format!("/debug/{page}")).send().unwrap().text();
    let mut seen: Vec<String> = pages.iter().map(page).collect();
    seen.extend([get("/config_dump?include_eds"), get("/certs"), running.log(), agent.log_end(usize::MAX)]);
    for (number, text) in seen.iter().enumerate() {
        for key in [&first.key, &second.key, &strict.key] {
            assert!(!shows(text, key), "the key is seen in number {number}");
        }
    }
    // An agent that is killed could not end its Envoy.
    agent.terminate(LIMIT).unwrap();
}
