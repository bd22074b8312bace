//! The certificate authority of the real process: with files alone, and with an API server.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use server::KeyKind;
use testkit::cluster::{Cluster, binaries, objects};
use testkit::control_plane::ControlPlane;
use testkit::secure::{TokenIssuer, connect, create_certificate, new_request, plugged_in};
use testkit::wait;

use crate::{Folder, LIMIT, binary};

const HOST: &str = "istiod.istio-system.svc";

fn free() -> SocketAddr {
    wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap()
}

/// The reply to a signing request at `address`; tries as long as nothing answers there.
async fn sign(address: SocketAddr, roots: &str, token: &str) -> Vec<String> {
    let deadline = std::time::Instant::now() + LIMIT;
    let channel = loop {
        match connect(address, HOST, roots, None).await {
            Ok(channel) => break channel,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (_, request) = new_request(KeyKind::P256).unwrap();
    create_certificate(&channel, Some(token), request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_kept_in_a_folder_outlives_a_restart() {
    let folder = Folder::new("kept-root");
    let tokens = TokenIssuer::new("https://issuer.test").unwrap();
    let mut plane = folder.control_plane();
    plane.secure = Some(free());
    let kept = folder.path().join("root");
    plane.flags = vec!["--caRootFolder".into(), kept.display().to_string()];
    plane.environment = vec![("JWT_RULE".into(), tokens.rule())];
    let mut roots = Vec::new();
    for _ in 0..2 {
        let mut running = plane.start().unwrap();
        running.wait_ready(LIMIT).unwrap();
        let root =
            wait::until("the root", LIMIT, || Ok(fs::read_to_string(kept.join("ca-cert.pem")).ok())).unwrap();
        let reply = sign(plane.secure.unwrap(), &root, &tokens.token("shop", "web")).await;
        assert_eq!(reply.last(), Some(&root));
        roots.push(root);
        running.stop(LIMIT).unwrap();
    }
    assert_eq!(roots[0], roots[1]);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(kept.join("ca-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else may read the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_plugged_in_material_stops_a_start_and_leaves_a_running_process_as_it_was() {
    let folder = Folder::new("plugged-in");
    let cacerts = folder.path().join("cacerts");
    fs::create_dir_all(&cacerts).unwrap();
    let files = plugged_in(KeyKind::P256).unwrap();
    for (name, text) in &files[..3] {
        fs::write(cacerts.join(name), text).unwrap();
    }
    let tokens = TokenIssuer::new("https://issuer.test").unwrap();
    let mut plane = folder.control_plane();
    plane.secure = Some(free());
    plane.environment =
        vec![("JWT_RULE".into(), tokens.rule()), ("ROOT_CA_DIR".into(), cacerts.display().to_string())];
    let refused = |plane: &ControlPlane| {
        let mut running = plane.start().unwrap();
        wait::until("its end", LIMIT, || Ok(running.process().check_running().is_err().then_some(())))
            .unwrap();
        running.log()
    };
    assert!(refused(&plane).contains("root-cert.pem is missing"));
    let (name, root) = &files[3];
    fs::write(cacerts.join(name), &plugged_in(KeyKind::P256).unwrap()[3].1).unwrap();
    assert!(refused(&plane).contains("does not lead to any of the roots"));
    fs::write(cacerts.join(name), root).unwrap();
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let reply = sign(plane.secure.unwrap(), root, &tokens.token("shop", "web")).await;
    assert_eq!(reply.last(), Some(root));
    fs::write(cacerts.join("ca-key.pem"), &plugged_in(KeyKind::P256).unwrap()[1].1).unwrap();
    let alarm = "citadel_server_ca_reload_failure_count";
    wait::until("the alarm", LIMIT, || Ok((running.metric(alarm)? >= 1.0).then_some(()))).unwrap();
    let reply = sign(plane.secure.unwrap(), root, &tokens.token("shop", "web")).await;
    assert_eq!(reply.last(), Some(root), "the old one signs on");
    assert!(!running.log().contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_is_in_a_secret_namespaces_learn_it_and_tokens_of_the_cluster_are_taken() {
    let Some(binaries) = binaries() else { return };
    let cluster = Cluster::start(&binaries, "authority").await.unwrap();
    let client = cluster.client().await.unwrap();
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": "web", "namespace": "shop"}});
    objects::apply(&client, &[namespace("istio-system"), namespace("shop"), account]).await.unwrap();
    let folder = Folder::new("authority");
    let mut plane = ControlPlane::over(&cluster.kubeconfig(), binary(), &folder.path().join("log")).unwrap();
    plane.secure = Some(free());
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let path = "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert";
    let roots = loop {
        if let Ok(text) = objects::get(&client, path).await {
            let object: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(object["metadata"]["labels"]["istio.io/config"], "true");
            break object["data"]["root-cert.pem"].as_str().unwrap().to_owned();
        }
        running.process().check_running().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let secret =
        objects::get(&client, "/api/v1/namespaces/istio-system/secrets/istio-ca-secret").await.unwrap();
    assert!(secret.contains("istio.io/ca-root"));
    let token = async |audience: &str| {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                          "spec": {"audiences": [audience], "expirationSeconds": 3600}});
        let path = "/api/v1/namespaces/shop/serviceaccounts/web/token";
        let answer = objects::post(&client, path, &body).await.unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    };
    let reply = sign(plane.secure.unwrap(), &roots, &token("istio-ca").await).await;
    assert_eq!(reply.last(), Some(&roots));
    let channel = connect(plane.secure.unwrap(), HOST, &roots, None).await.unwrap();
    let (_, request) = new_request(KeyKind::P256).unwrap();
    let refused = create_certificate(&channel, Some(&token("elsewhere").await), request).await.unwrap_err();
    assert!(refused.to_string().contains("does not believe"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugged_in_authority_has_revoked_reaches_every_namespace() {
    let Some(binaries) = binaries() else { return };
    let cluster = Cluster::start(&binaries, "revoked").await.unwrap();
    let client = cluster.client().await.unwrap();
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    objects::apply(&client, &[namespace("istio-system"), namespace("shop")]).await.unwrap();
    let folder = Folder::new("revoked");
    let cacerts = folder.path().join("cacerts");
    fs::create_dir_all(&cacerts).unwrap();
    for (name, text) in plugged_in(KeyKind::P256).unwrap() {
        fs::write(cacerts.join(name), text).unwrap();
    }
    let config = "[ca]\ndefault_ca=x\n[x]\ndatabase=/dev/null\ndefault_md=sha256\ndefault_crl_days=1\n";
    fs::write(cacerts.join("ca.cnf"), config).unwrap();
    let made = std::process::Command::new("openssl")
        .args(["ca", "-gencrl", "-config", "ca.cnf", "-cert", "ca-cert.pem", "-keyfile", "ca-key.pem"])
        .args(["-out", "ca-crl.pem"])
        .current_dir(&cacerts)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut plane = ControlPlane::over(&cluster.kubeconfig(), binary(), &folder.path().join("log")).unwrap();
    plane.secure = Some(free());
    plane.environment = vec![("ROOT_CA_DIR".into(), cacerts.display().to_string())];
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let list = fs::read_to_string(cacerts.join("ca-crl.pem")).unwrap();
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        if let Ok(text) = objects::get(&client, "/api/v1/namespaces/shop/configmaps/istio-ca-crl").await {
            let object: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(object["data"]["ca-crl.pem"].as_str().map(str::trim), Some(list.trim()));
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", running.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fs::write(cacerts.join("ca-crl.pem"), "broken").unwrap();
    let alarm = "citadel_server_ca_reload_failure_count";
    wait::until("the alarm", LIMIT, || Ok((running.metric(alarm)? >= 1.0).then_some(()))).unwrap();
}
