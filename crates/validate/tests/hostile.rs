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
    let (mut n_passed, mut slowest) = (0, std::time::Duration::ZERO);
    for _ in 0..n_inputs {
        let mut input = seeds[chance.below(seeds.len())].clone().into_bytes();
        for _ in 0..=chance.below(3) {
            let at = chance.below(input.len());
            let to = (at + chance.below(4)).min(input.len());
            let piece = PIECES[chance.below(PIECES.len())];
            input.splice(at..to, piece.bytes());
        }
        let begin = std::time::Instant::now();
        let answer = review(&input);
        slowest = slowest.max(begin.elapsed());
        let body: Value = serde_json::from_slice(&answer.body).expect("an answer is JSON");
        let passed = answer.outcome == Outcome::Passed;
        let refused = matches!(answer.outcome, Outcome::Refused(_));
        assert_eq!(body["response"]["allowed"], !refused);
        assert_eq!(refused, !answer.message.is_empty());
        n_passed += usize::from(passed);
    }
    eprintln!("{n_inputs} inputs, {n_passed} passed, the slowest took {slowest:?}");
    assert!(n_passed < n_inputs, "the mutations break something");
}

/// Values that stand where something else is expected.
fn strange(chance: &mut Chance) -> Value {
    match chance.below(14) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!(-1),
        4 => json!(1e300),
        5 => json!(true),
        6 => json!(""),
        7 => json!("*"),
        8 => json!("a/b/c"),
        9 => json!("*/*"),
        10 => json!("a.b.svc.cluster.local"),
        11 => json!([[{"a": [null]}]]),
        12 => json!({"host": "a", "name": "b", "hosts": ["./*", 7]}),
        _ => json!("é\u{0}\n%"),
    }
}

/// Puts something strange somewhere into a value.
fn mutate(value: &mut Value, chance: &mut Chance) {
    let stays = chance.below(4) == 0;
    match value {
        Value::Object(members) if !stays && !members.is_empty() => {
            let at = chance.below(members.len());
            if let Some((_, member)) = members.iter_mut().nth(at) {
                mutate(member, chance);
            }
        }
        Value::Array(items) if !stays && !items.is_empty() => {
            let at = chance.below(items.len());
            if chance.below(3) == 0 {
                let again = items[at].clone();
                items.push(again);
            }
            mutate(&mut items[at], chance);
        }
        other => *other = strange(chance),
    }
}

#[test]
fn objects_with_strange_values_are_judged_alone_and_together() {
    let n_inputs = std::env::var("VALIDATION_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(N_INPUTS);
    let mut seeds: Vec<Value> = seeds().iter().map(|review| review["request"]["object"].clone()).collect();
    let labels = json!({"app": "a"});
    let mesh = "extensionProviders: [{name: a}]";
    seeds.extend([
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "b"},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b", "labels": labels},
            "spec": {"containers": [{"name": "istio-proxy", "securityContext": {"runAsUser": 1337}}]}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b", "labels": {"istio.io/rev": "a"}}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": mesh}}),
        json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "a", "namespace": "b"},
            "spec": {"egress": [{"hosts": ["./*"]}]}}),
    ]);
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    let (mut n_found, mut slowest) = (0, std::time::Duration::ZERO);
    for _ in 0..n_inputs {
        let mut objects = seeds.clone();
        for _ in 0..=chance.below(4) {
            let at = chance.below(objects.len());
            mutate(&mut objects[at], &mut chance);
            let again = objects[at].clone();
            objects.push(again);
        }
        let begin = std::time::Instant::now();
        for object in &objects[seeds.len()..] {
            n_found += validate::check(object).map_or(1, |findings| findings.len());
        }
        let found = validate::across(&objects, &validate::Surroundings::default());
        slowest = slowest.max(begin.elapsed());
        assert!(found.iter().all(|(index, _)| *index < objects.len()));
        n_found += found.len();
    }
    eprintln!("{n_inputs} inputs, {n_found} findings, the slowest took {slowest:?}");
    assert!(n_found > n_inputs, "the mutations break something");
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
