//! `/inject` over HTTP: what the API server sends, and what it never would.

use std::collections::BTreeMap;
use std::sync::Arc;

use inject::{Config, Injector, NativeSidecars, NoEnvironment};
use prometheus::{Registry, TextEncoder};
use server::{Injectors, injection_router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Known(Option<Arc<Injector>>);

impl Injectors for Known {
    fn injector(&self) -> Option<Arc<Injector>> {
        self.0.clone()
    }
}

const TEMPLATE: &str = "spec: {containers: [{name: istio-proxy, image: x}]}";

fn injector() -> Injector {
    let document = serde_json::json!({"policy": "enabled", "templates": {"sidecar": TEMPLATE}});
    Injector {
        config: Arc::new(Config::parse(&document.to_string(), "{}").unwrap()),
        mesh: Arc::new(config::mesh_config::default_mesh()),
        proxy_configs: Vec::new(),
        revision: String::new(),
        native_sidecars: NativeSidecars { everywhere: false, nodes: BTreeMap::new() },
        openshift: None,
        compliance_policy: String::new(),
        environment: Arc::new(NoEnvironment),
    }
}

struct Server {
    address: std::net::SocketAddr,
    registry: Registry,
}

async fn serve(injector: Option<Injector>) -> Server {
    let registry = Registry::new();
    let router = injection_router(Arc::new(Known(injector.map(Arc::new))), &registry).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::serve_http(listener, router, std::future::pending()));
    Server { address, registry }
}

impl Server {
    async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // A server that has heard enough may close before everything was said.
        let _ = socket.write_all(body).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn metric(&self, name: &str) -> String {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    }
}

fn review(pod: &str) -> Vec<u8> {
    let review = r#"{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request":
        {"uid": "u1", "namespace": "shop", "object": POD}}"#;
    review.replace("POD", pod).into_bytes()
}

const JSON: &str = "application/json";

#[tokio::test]
async fn a_pod_is_answered_with_a_patch_and_counted() {
    let server = serve(Some(injector())).await;
    let pod = r#"{"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}"#;
    let (status, body) = server.post("/inject/cluster/c1/net/n1", JSON, &review(pod)).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["response"]["uid"], "u1");
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    let host = r#"{"metadata": {"name": "a"}, "spec": {"hostNetwork": true, "containers": []}}"#;
    let (_, body) = server.post("/inject", JSON, &review(host)).await;
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["response"], serde_json::json!({"uid": "u1", "allowed": true}));
    for (metric, wanted) in [
        ("sidecar_injection_requests_total", "2"),
        ("sidecar_injection_success_total", "2"),
        ("sidecar_injection_skip_total", "1"),
        ("sidecar_injection_failure_total", "0"),
        ("sidecar_injection_time_seconds_count", "2"),
    ] {
        assert_eq!(server.metric(metric), wanted, "{metric}");
    }
}

#[tokio::test]
async fn what_is_no_request_of_an_api_server_is_refused_with_a_status() {
    let server = serve(Some(injector())).await;
    assert_eq!(server.post("/inject", "text/plain", b"{}").await.0, 415);
    assert_eq!(server.post("/inject", JSON, b"").await.0, 400);
    assert_eq!(server.post("/inject", JSON, &vec![b' '; 7 << 20]).await.0, 413);
    let (status, body) = server.post("/inject", JSON, b"nonsense").await;
    assert_eq!(status, 200, "a review that cannot be read gets a verdict too");
    assert!(body.contains("\"allowed\":false"), "{body}");
    assert_eq!(server.metric("sidecar_injection_failure_total"), "3");
}

#[tokio::test]
async fn nobody_is_let_through_while_the_configuration_is_not_known() {
    let server = serve(None).await;
    let (status, body) = server.post("/inject", JSON, &review("{}")).await;
    assert_eq!((status, body.as_str()), (503, "the injector's configuration is not known"));
}
