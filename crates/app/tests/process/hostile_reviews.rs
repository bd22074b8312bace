//! AdmissionReviews of those who mean harm, through the real HTTPS port: each is answered, the process keeps its size,
//! and goes on to answer the others (reliability specification, 1.2: bodies, nesting, templates and regexes that explode).

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::tls_client::TlsClient;
use testkit::wait;

use super::*;

/// The API server waits no longer for a webhook than this at the most.
const PATIENCE: Duration = Duration::from_secs(30);
/// KiB; a build that is not optimized has some 100 MiB before anybody asks.
const MAX_MEMORY: u64 = 1024 * 1024;

/// Templates that do not end, or end as something huge.
const TEMPLATES: [(&str, &str); 8] = [
    ("loops", "{{ range $i := until 2000000000 }}{{ range $j := until 2000000000 }}x{{ end }}{{ end }}"),
    ("recurses", "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}"),
    ("doubles", "{{ define \"b\" }}{{ template \"b\" (print . .) }}{{ end }}{{ template \"b\" \"xx\" }}"),
    ("repeats", "metadata: {labels: {a: '{{ repeat 2000000000 \"x\" }}'}}"),
    ("pads", "metadata: {labels: {a: '{{ printf \"%2000000000d\" 1 }}'}}"),
    ("matches", "{{ regexMatch \"(((a{1000}){1000}){1000}){1000}\" \"aaaa\" }}"),
    ("nests", "{{ repeat 200000 \"[\" }}"),
    ("breaks", "spec: {containers: [{name: 7}]}"),
];

struct Port(SocketAddr);

impl Port {
    /// Status and body of the answer to a POST.
    fn post(&self, path: &str, kind: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let client = TlsClient {
            roots: String::new(),
            server_name: String::new(),
            identity: None,
            alpn: vec!["http/1.1".to_owned()],
        };
        let mut stream =
            wait::until("a connection", LIMIT, || client.connect(self.0, PATIENCE).map(Some)).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: istiod.istio-system.svc\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        // Who is told to stop in the midst of a body finds the connection closed.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        let mut answer = Vec::new();
        let mut chunk = [0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            answer.extend_from_slice(&chunk[..read]);
        }
        let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        let status = status.and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n");
        (status, body.map(|at| answer[at + 4..].to_vec()).unwrap_or_default())
    }

    /// The response to a review.
    fn review(&self, path: &str, review: &Value) -> Value {
        let (status, body) = self.post(path, "application/json", review.to_string().as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["kind"], "AdmissionReview");
        answer["response"].take()
    }
}

fn of_pod(metadata: &Value) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "7", "namespace": "shop", "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "object": {"kind": "Pod", "apiVersion": "v1", "metadata": metadata,
                   "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}})
}

fn of_route(route: &Value) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "7", "namespace": "shop", "operation": "CREATE",
        "kind": {"group": "networking.istio.io", "version": "v1", "kind": "VirtualService"},
        "object": {"kind": "VirtualService", "apiVersion": "networking.istio.io/v1",
                   "metadata": {"name": "web", "namespace": "shop"}, "spec": {"hosts": ["web"], "http": [route]}}}})
}

fn of_match(regex: &str) -> Value {
    let to = json!([{"destination": {"host": "web"}}]);
    of_route(&json!({"match": [{"uri": {"regex": regex}}], "route": to}))
}

/// The most memory that a process had, in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn whatever_comes_is_answered_and_the_next_pod_is_injected() {
    let folder = Folder::new("hostile-reviews");
    let mut templates: serde_json::Map<String, Value> =
        TEMPLATES.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    templates.insert("sidecar".into(), json!("spec: {containers: [{name: istio-proxy, image: proxy}]}"));
    let config = json!({"policy": "enabled", "templates": templates});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio-sidecar-injector", "namespace": "istio-system"},
        "data": {"values": "{\"global\": {}}", "config": config.to_string()}});
    folder.write("injector.yaml", &map.to_string());
    let free = || wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap();
    let mut plane = folder.control_plane();
    plane.secure = Some(free());
    plane.webhooks = Some(free());
    plane.environment.push(("ROOT_CA_DIR".to_owned(), folder.path().join("none").display().to_string()));
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let port = Port(plane.webhooks.unwrap());
    let pid = running.process().id();
    let good = || {
        let response = port.review("/inject/cluster/east/net/n1", &of_pod(&json!({"name": "web"})));
        assert!(response["allowed"] == true && response["patch"].is_string(), "{response}");
        let response = port.review("/validate", &of_match("/a.*"));
        assert_eq!(response["allowed"], true, "{response}");
    };
    good();

    // Templates.
    for (name, _) in TEMPLATES {
        let metadata = json!({"name": "web", "annotations": {"inject.istio.io/templates": name}});
        let response = port.review("/inject", &of_pod(&metadata));
        assert!(response["allowed"] == false && response["patch"].is_null(), "{name}: {response}");
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains("injection") && message.len() < 20_000, "{name}: {message}");
    }
    good();

    // Bodies: too large, too deep, of other kinds, and none at all.
    let large = of_pod(&json!({"name": "web", "annotations": {"x": "y".repeat(10 << 20)}})).to_string();
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(1 << 20), close.repeat(1 << 20));
    let inside = |open: &str, close: &str| {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        of_pod(&json!({"name": "DEEP"})).to_string().replace("\"DEEP\"", &deep)
    };
    for path in ["/inject", "/validate"] {
        let (status, _) = port.post(path, "application/json", large.as_bytes());
        assert!(matches!(status, 0 | 413), "{path}: 10 MB were answered by {status}");
        for body in [deep("[", "]"), deep("{\"a\":", "}"), inside("[", "]"), inside("{\"a\":", "}")] {
            let (status, answer) = port.post(path, "application/json", body.as_bytes());
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let is_refused = status == 400 || answer["response"]["allowed"] == false;
            assert!(is_refused, "{path}: {status} {answer}");
        }
        assert_eq!(port.post(path, "application/json", b"").0, 400);
        assert_eq!(port.post(path, "text/yaml", b"{}").0, 415);
        for odd in [json!(null), json!([]), json!({}), json!({"kind": "Pod"}), json!({"request": 7})] {
            let (status, answer) = port.post(path, "application/json", odd.to_string().as_bytes());
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            assert!(status >= 400 || answer["response"]["allowed"] == false, "{path}: {odd}: {answer}");
        }
    }
    good();

    // Neither judges what is for the other.
    assert!(port.review("/inject", &of_match("/a"))["patch"].is_null());
    assert_eq!(port.review("/validate", &of_pod(&json!({"name": "web"})))["allowed"], false);

    // Regexes that explode, and YAML that does.
    for regex in [
        "(((a{1000}){1000}){1000}){1000}".to_owned(),
        "(".repeat(100_000) + &")".repeat(100_000),
        "(a*)*".repeat(300),
    ] {
        let response = port.review("/validate", &of_match(&regex));
        assert_eq!(response["allowed"], false, "{}: {response}", &regex[..30.min(regex.len())]);
    }
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (letter, below) in ('b'..='j').zip('a'..='i') {
        let items = vec![format!("*{below}"); 10].join(",");
        bomb = format!("{bomb}{letter}: &{letter} [{items}]\n");
    }
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for (name, value) in [
        ("proxy.istio.io/config", bomb.as_str()),
        ("proxy.istio.io/config", nested.as_str()),
        ("proxy.istio.io/config", "concurrency: {a: b}"),
        ("proxy.istio.io/overrides", nested.as_str()),
        ("proxy.istio.io/overrides", "{\"containers\": [{\"name\": \"istio-proxy\", \"image\": {}}]}"),
        ("sidecar.istio.io/proxyImage", "a\n    securityContext: {privileged: true}"),
    ] {
        let response = port.review("/inject", &of_pod(&json!({"name": "web", "annotations": {name: value}})));
        let shown = &value[..40.min(value.len())];
        assert!(response["allowed"] == false && response["patch"].is_null(), "{name}: {shown}: {response}");
    }
    good();

    // Many at once, who wait for their turn.
    let looping = of_pod(&json!({"name": "web", "annotations": {"inject.istio.io/templates": "loops"}}));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(port.review("/inject", &looping)["allowed"], false));
        }
    });
    good();
    running.process().check_running().unwrap();
    assert!(!running.log().contains("panicked"), "{}", running.log());
    assert!(memory(pid) < MAX_MEMORY, "{} KiB", memory(pid));
}
