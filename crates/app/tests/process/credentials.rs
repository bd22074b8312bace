//! The certificate of a gateway through the real process: who gets it, how a new one arrives, and that nobody else ever
//! sees a byte of the key.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use server::{KeyKind, generate_key, moment};
use testkit::ads_stream::Stream;
use testkit::http;
use testkit::secure::{TokenIssuer, connect};
use testkit::wait;
use tonic::transport::{Channel, Endpoint};

use crate::{Folder, LIMIT};

const HOST: &str = "istiod.istio-system.svc";
const NAME: &str = "kubernetes://web";

/// A new certificate with its key, and the Secret of them.
fn secret() -> (String, String) {
    let key = generate_key(KeyKind::P256).unwrap();
    let private = ca::PrivateKey::from_pem(&key).unwrap();
    let chain = ca::Authority::self_signed(&private, "web", 86_400, moment().unwrap()).unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "web", "namespace": "edge"}, "stringData": {"tls.crt": chain, "tls.key": key}});
    (key, secret.to_string())
}

fn gateway() -> String {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "gateway", "namespace": "edge"},
        "spec": {"servers": [{"port": {"number": 443, "name": "https", "protocol": "HTTPS"},
            "hosts": ["web.test"], "tls": {"mode": "SIMPLE", "credentialName": "web"}}]}})
    .to_string()
}

pub(crate) async fn stream(channel: Channel, token: Option<&str>, namespace: &str, account: &str) -> Stream {
    let id = format!("router~10.0.0.1~gateway-1.{namespace}~{namespace}.svc.cluster.local");
    let metadata = json!({"NAMESPACE": namespace, "SERVICE_ACCOUNT": account,
                          "LABELS": "{\"istio\": \"gate\"}"});
    Stream::open(channel, token, &id, &metadata).await.unwrap()
}

/// Whether a text holds the key, plainly or in base64, or a line of it.
pub(crate) fn shows(text: &str, key: &str) -> bool {
    let body: Vec<&str> = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let encoded = STANDARD.encode(key);
    body.iter().any(|line| text.contains(line)) || text.contains(&encoded[40..80])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_arrives_and_rotates_where_it_belongs_and_is_seen_nowhere_else() {
    let folder = Folder::new("credentials");
    let tokens = TokenIssuer::new("https://issuer.test").unwrap();
    let (first, text) = secret();
    folder.write("gateway.yaml", &gateway());
    folder.write("secret.yaml", &text);
    let mut plane = folder.control_plane();
    plane.secure = Some(wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap());
    let kept = folder.path().join("root");
    plane.flags = vec!["--caRootFolder".into(), kept.display().to_string()];
    plane.flags.push("--log_output_level=default:debug".into());
    plane.environment = vec![("JWT_RULE".into(), tokens.rule())];
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let roots =
        wait::until("the root", LIMIT, || Ok(fs::read_to_string(kept.join("ca-cert.pem")).ok())).unwrap();
    let secure = async || {
        let deadline = Instant::now() + LIMIT;
        loop {
            match connect(plane.secure.unwrap(), HOST, &roots, None).await {
                Ok(channel) => break channel,
                Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };

    let mut own = stream(secure().await, Some(&tokens.token("edge", "gateway")), "edge", "gateway").await;
    own.subscribe(proto::type_url::SECRET, &[NAME]).await.unwrap();
    let sent = own.read().await.unwrap();
    assert!(sent.contains(&first), "the gateway has its key");

    // Somebody of another namespace, and somebody who proves nothing but says the same.
    let plain = Endpoint::try_from(format!("http://{}", running.addresses().grpc)).unwrap();
    let mut other = stream(secure().await, Some(&tokens.token("shop", "gateway")), "shop", "gateway").await;
    let mut nobody = stream(plain.connect().await.unwrap(), None, "edge", "gateway").await;
    for outsider in [&mut other, &mut nobody] {
        for name in [NAME, "kubernetes://edge/web", "kubernetes-gateway://edge/web"] {
            outsider.subscribe(proto::type_url::SECRET, &[name]).await.unwrap();
            let answer = outsider.read().await.unwrap();
            assert!(!answer.contains("PRIVATE KEY") && !answer.contains("CERTIFICATE"), "{name}");
        }
    }

    let (second, text) = secret();
    folder.write("secret.yaml", &text);
    let rotated = own.read().await.unwrap();
    assert!(rotated.contains(&second) && !rotated.contains(&first));

    let get = |path: &str| http::get(running.addresses().monitoring, path).send().unwrap().text();
    let dump = get("/debug/config_dump?proxyID=gateway-1.edge");
    assert!(dump.contains(NAME) && dump.contains("W3JlZGFjdGVkXQ=="), "{dump}");
    let pages = ["configz", "syncz", "registryz", "endpointz", "mesh", "adsz", "connections"];
    let mut seen: Vec<(String, String)> =
        pages.iter().map(|page| ((*page).to_owned(), get(&format!("/debug/{page}")))).collect();
    seen.push(("metrics".to_owned(), get("/metrics")));
    seen.push(("dump".to_owned(), dump));
    seen.push(("log".to_owned(), running.log()));
    for (what, text) in &seen {
        assert!(!shows(text, &first) && !shows(text, &second), "{what} shows the key");
    }
    let expiry = running.metric("pilot_sds_certificate_expiry_timestamp{").unwrap();
    assert!(expiry > moment().unwrap().now as f64, "{expiry}");
}
