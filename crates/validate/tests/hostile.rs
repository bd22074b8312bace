//! Hostile reviews: whatever is sent gets an answer, and none takes long or ends the process. VALIDATION_FUZZ says how
//! many mutated inputs are tried: `VALIDATION_FUZZ=100000 cargo test -p validate --release --test hostile`.

use serde_json::{Value, json};
use validate::{Outcome, review};

const N_INPUTS: usize = 2000;

fn asked(kind: &str, group: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "7", "operation": "CREATE", "object": {
            "apiVersion": format!("{group}.istio.io/v1"),
            "kind": kind,
            "metadata": {"name": "a", "namespace": "b", "annotations": {"istio.io/dry-run": "true"}},
            "spec": spec,
        }},
    })
}

fn seeds() -> Vec<Value> {
    let route = json!([{"destination": {"host": "a", "subset": "v", "port": {"number": 80}}, "weight": 1}]);
    let headers = json!({"request": {"set": {"x": "%REQ(a):1%"}, "remove": ["b"]}});
    vec![
        asked(
            "VirtualService",
            "networking",
            json!({"hosts": ["a.b", "*.c"], "gateways": ["a/b", "mesh"],
            "http": [{"match": [{"uri": {"prefix": "/a"}, "headers": {"x": {"regex": "a[b-c]{1,3}(?:d)"}}}],
                "route": route, "headers": headers, "retries": {"attempts": 1, "retryOn": "5xx,503"}, "timeout": "1s",
                "fault": {"abort": {"httpStatus": 500, "percentage": {"value": 0.5}}}}, {"route": route}],
            "tls": [{"match": [{"sniHosts": ["a.b"]}], "route": route}]}),
        ),
        asked(
            "DestinationRule",
            "networking",
            json!({"host": "a", "exportTo": [".", "*"], "trafficPolicy": {
            "loadBalancer": {"consistentHash": {"maglev": {"tableSize": 101}, "httpCookie": {"name": "a"}},
                "localityLbSetting": {"distribute": [{"from": "a/*", "to": {"b/c": 100}}]}},
            "tls": {"mode": "MUTUAL", "clientCertificate": "/a"}, "outlierDetection": {"interval": "1s"}}}),
        ),
        asked(
            "Gateway",
            "networking",
            json!({"servers": [{"port": {"number": 443, "name": "a", "protocol": "HTTPS"},
            "hosts": ["a/*.b.c"], "tls": {"mode": "SIMPLE", "credentialName": "configmap://a/b"}}]}),
        ),
        asked(
            "AuthorizationPolicy",
            "security",
            json!({"action": "DENY", "rules": [{
            "from": [{"source": {"ipBlocks": ["10.0.0.0/8"], "serviceAccounts": ["a/b"]}}],
            "to": [{"operation": {"paths": ["/a/{*}/{**}"], "ports": ["80"]}}],
            "when": [{"key": "request.headers[a]", "values": ["b"]}]}]}),
        ),
        asked(
            "Telemetry",
            "telemetry",
            json!({"accessLogging": [{"filter": {
            "expression": "response.code >= 400 && has(request.headers['x']) || [1, 2][0] == 1u"}}]}),
        ),
        asked(
            "EnvoyFilter",
            "networking",
            json!({"configPatches": [{"applyTo": "CLUSTER", "patch": {
            "operation": "MERGE", "value": {"connect_timeout": "1s", "name": "a"}}}]}),
        ),
        asked(
            "RequestAuthentication",
            "security",
            json!({"jwtRules": [{"jwksUri": "https://a:1/b",
            "jwks": "{\"keys\": [{\"kty\": \"oct\", \"k\": \"a\"}]}", "timeout": "1m"}]}),
        ),
    ]
}

/// Numbers by chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % end.max(1)
    }
}

const PIECES: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "-1",
    "1e400",
    "\\u0000",
    "*",
    "%",
    "(",
    "a{1000}",
    "\\\\",
    "/",
    "{**}",
    "é",
    "99999999999999999999",
    "true",
    "..",
];

#[test]
fn mutated_reviews_get_an_answer() {
    let n_inputs = std::env::var("VALIDATION_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(N_INPUTS);
    let seeds: Vec<String> = seeds().iter().map(Value::to_string).collect();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut n_passed = 0;
    for _ in 0..n_inputs {
        let mut input = seeds[chance.below(seeds.len())].clone().into_bytes();
        for _ in 0..=chance.below(3) {
            let at = chance.below(input.len());
            let to = (at + chance.below(4)).min(input.len());
            let piece = PIECES[chance.below(PIECES.len())];
            input.splice(at..to, piece.bytes());
        }
        let answer = review(&input);
        let body: Value = serde_json::from_slice(&answer.body).expect("an answer is JSON");
        let passed = answer.outcome == Outcome::Passed;
        let refused = matches!(answer.outcome, Outcome::Refused(_));
        assert_eq!(body["response"]["allowed"], !refused);
        assert_eq!(refused, !answer.message.is_empty());
        n_passed += usize::from(passed);
    }
    eprintln!("{n_inputs} inputs, {n_passed} passed");
    assert!(n_passed < n_inputs, "the mutations break something");
}

#[test]
fn deep_and_huge_reviews_are_refused_with_a_bounded_message() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(200_000), close.repeat(200_000));
    for body in [deep("[", "]"), deep("{\"a\":", "}")] {
        assert_ne!(review(body.as_bytes()).outcome, Outcome::Passed);
    }
    let hosts: Vec<String> = (0..100_000).map(|i| format!("h{i}..x")).collect();
    let many: Vec<String> = (0..100_000).map(|i| format!("h{i}.x")).collect();
    let route = json!([{"destination": {"host": "a"}}]);
    for spec in [
        json!({"hosts": hosts, "http": [{"route": route}]}),
        json!({"hosts": many, "tls": [{"match": [{"sniHosts": hosts}], "route": route}]}),
    ] {
        let answer = review(asked("VirtualService", "networking", spec).to_string().as_bytes());
        assert_ne!(answer.outcome, Outcome::Passed);
        assert!(answer.body.len() < 40_000, "{} bytes", answer.body.len());
    }
    let expression = "(".repeat(1 << 20);
    let spec = json!({"accessLogging": [{"filter": {"expression": expression}}]});
    assert_ne!(review(asked("Telemetry", "telemetry", spec).to_string().as_bytes()).outcome, Outcome::Passed);
}
