//! What the JSON of Istio's objects may look like, what is refused, and that every recorded input is understood.

use super::networking::{
    self, DestinationRule, EnvoyFilter, HttpRoute, VirtualService, http_fault_injection, http_redirect,
    load_balancer_settings, string_match::MatchType,
};
use super::{extensions, mesh, networking_beta, security, struct_paths, telemetry};
use crate::wkt::{self, strip_nulls};
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn yaml<T: DeserializeOwned>(text: &str) -> T {
    let value: Value = serde_yaml::from_str(text).unwrap();
    serde_json::from_value(value).unwrap()
}

fn refused<T: DeserializeOwned>(json: Value) -> bool {
    serde_json::from_value::<T>(json).is_err()
}

const EVERYTHING: &str = r#"
hosts: [reviews, "*.example.com"]
gateways: [mesh, ns/gw]
exportTo: ["."]
http:
- name: all
  match:
  - name: m
    uri: {exact: /a}
    scheme: {prefix: http}
    method: {regex: "GET|PUT"}
    authority: {exact: a.example.com}
    headers: {x-one: {exact: "1"}, x-present: {}}
    withoutHeaders: {x-two: {prefix: p}}
    queryParams: {q: {regex: "[0-9]+"}}
    port: 8080
    sourceLabels: {app: web}
    sourceNamespace: default
    gateways: [mesh]
    ignoreUriCase: true
    statPrefix: stats
  route:
  - destination: {host: reviews, subset: v1, port: {number: 9080}}
    weight: 75
    headers: {request: {set: {a: b}, add: {c: d}, remove: [e]}}
  rewrite: {uri: /b, uriRegexRewrite: {match: "^/a", rewrite: /c}}
  timeout: 1m30s
  retries: {attempts: 3, perTryTimeout: 100ms, retryOn: "5xx", retryRemoteLocalities: true, backoff: 25ms}
  fault:
    delay: {percent: 10, fixedDelay: 5s}
    abort: {percentage: {value: 0.5}, httpStatus: 503}
  mirror: {host: shadow}
  mirror_percent: 50
  mirrorPercentage: {value: 12.5}
  mirrors: [{destination: {host: other}, percentage: {value: 1}}]
  corsPolicy:
    allowOrigin: [a]
    allowOrigins: [{regex: ".*"}]
    allowMethods: [GET]
    maxAge: 24h
    allowCredentials: true
    unmatchedPreflights: IGNORE
- delegate: {name: child, namespace: ns}
- redirect: {uri: /x, redirectCode: 302, derivePort: FROM_REQUEST_PORT}
- directResponse: {status: 200, body: {string: hello}}
tls:
- match: [{sniHosts: [a.com], port: 443}]
  route: [{destination: {host: a}, weight: 100}]
tcp:
- match: [{port: 27017, destinationSubnets: [10.0.0.0/8]}]
  route: [{destination: {host: mongo}}]
"#;

#[test]
fn a_virtual_service_of_everything_is_read() {
    let service: VirtualService = yaml(EVERYTHING);
    let [all, delegate, redirect, direct] = &service.http[..] else { panic!("four routes") };
    let condition = &all.r#match[0];
    assert_eq!(condition.uri.as_ref().unwrap().match_type, Some(MatchType::Exact("/a".to_owned())));
    assert_eq!(condition.headers["x-present"].match_type, None);
    assert_eq!(all.timeout.unwrap().seconds, 90);
    assert_eq!(all.retries.as_ref().unwrap().per_try_timeout.unwrap().as_nanos(), 100_000_000);
    assert_eq!(all.mirror_percent.unwrap().value, 50);
    let fault = all.fault.as_ref().unwrap();
    let delay = fault.delay.as_ref().unwrap();
    assert_eq!(delay.percent, 10);
    let five = wkt::Duration::from_seconds(5);
    assert_eq!(delay.http_delay_type, Some(http_fault_injection::delay::HttpDelayType::FixedDelay(five)));
    let cors = all.cors_policy.as_ref().unwrap();
    assert_eq!(cors.allow_origin, ["a"]);
    assert_eq!(cors.unmatched_preflights(), networking::cors_policy::UnmatchedPreflights::Ignore);
    assert_eq!(delegate.delegate.as_ref().unwrap().namespace, "ns");
    let derived = http_redirect::RedirectPortSelection::FromRequestPort as i32;
    let port = redirect.redirect.as_ref().unwrap().redirect_port;
    assert_eq!(port, Some(http_redirect::RedirectPort::DerivePort(derived)));
    assert_eq!(direct.direct_response.as_ref().unwrap().status, 200);
    assert_eq!(service.tls[0].r#match[0].sni_hosts, ["a.com"]);
    assert_eq!(service.tcp[0].r#match[0].port, 27017);
}

#[test]
fn a_virtual_service_survives_json_and_bytes() {
    let service: VirtualService = yaml(EVERYTHING);
    let json = serde_json::to_value(&service).unwrap();
    assert_eq!(serde_json::from_value::<VirtualService>(json).unwrap(), service);
    assert_eq!(VirtualService::decode(service.encode_to_vec().as_slice()).unwrap(), service);
}

#[test]
fn snake_case_enum_numbers_and_numbers_as_text_are_understood() {
    let rule: DestinationRule = yaml(
        r#"
host: a
traffic_policy:
  load_balancer: {simple: 5, warmup_duration_secs: 1.5h}
  connectionPool: {http: {http1MaxPendingRequests: "8", h2UpgradePolicy: UPGRADE}}
  outlierDetection: {consecutive_5xx_errors: "7", consecutiveErrors: 3}
  tls: {mode: ISTIO_MUTUAL}
"#,
    );
    let policy = rule.traffic_policy.unwrap();
    let balancer = policy.load_balancer.unwrap();
    let least = load_balancer_settings::SimpleLb::LeastRequest as i32;
    assert_eq!(balancer.lb_policy, Some(load_balancer_settings::LbPolicy::Simple(least)));
    assert_eq!(balancer.warmup_duration_secs.unwrap().seconds, 5400);
    assert_eq!(policy.connection_pool.unwrap().http.unwrap().http1_max_pending_requests, 8);
    let outliers = policy.outlier_detection.unwrap();
    assert_eq!((outliers.consecutive_5xx_errors.unwrap().value, outliers.consecutive_errors), (7, 3));
    assert_eq!(policy.tls.unwrap().mode(), networking::client_tls_settings::TlSmode::IstioMutual);
}

#[test]
fn unknown_fields_are_passed_over() {
    let route: HttpRoute = yaml("{name: a, notAField: {deep: [1]}}");
    assert_eq!(route.name, "a");
}

#[test]
fn wrong_types_unknown_names_and_rival_members_are_refused() {
    assert!(refused::<HttpRoute>(json!({"name": 5})));
    assert!(refused::<HttpRoute>(json!({"timeout": 5})));
    assert!(refused::<HttpRoute>(json!({"timeout": "5"})));
    assert!(refused::<HttpRoute>(json!({"match": [{"ignoreUriCase": "true"}]})));
    assert!(refused::<HttpRoute>(json!({"match": [{"port": -1}]})));
    assert!(refused::<HttpRoute>(json!({"match": {}})));
    assert!(refused::<HttpRoute>(json!({"match": [{"uri": {"exact": "a", "prefix": "b"}}]})));
    assert!(refused::<HttpRoute>(json!({"match": null})), "nulls are stripped before");
    assert!(refused::<DestinationRule>(json!({"trafficPolicy": {"loadBalancer": {"simple": "FASTEST"}}})));
}

#[test]
fn patches_keep_their_nulls_and_order() {
    let mut json = json!({"workloadSelector": null, "configPatches": [{
        "applyTo": "HTTP_FILTER",
        "patch": {"operation": "INSERT_BEFORE", "filterClass": null, "value": {"b": null, "a": {"n": 3}}},
    }]});
    strip_nulls(&mut json, struct_paths("EnvoyFilter"));
    let filter: EnvoyFilter = serde_json::from_value(json).unwrap();
    let patch = filter.config_patches[0].patch.as_ref().unwrap();
    let value = Value::from(patch.value.as_ref().unwrap());
    assert_eq!(value.to_string(), r#"{"a":{"n":3},"b":null}"#);
}

/// The folder of recorded inputs, beside the workspace or named by the environment.
fn scenarios() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let beside = root.ancestors().skip(1).take(3).map(|folder| folder.join("shared"));
    let named = std::env::var_os("TRIERARCH_SHARED").map(PathBuf::from);
    named.into_iter().chain(beside).map(|shared| shared.join("parity/scenarios")).find(|path| path.is_dir())
}

/// Reads a spec as its kind, after stripping; `None` for kinds that are not Istio's.
fn read(kind: &str, mut spec: Value) -> Option<Result<(), String>> {
    fn by<T: DeserializeOwned>(spec: Value) -> Result<(), String> {
        serde_json::from_value::<T>(spec).map(|_| ()).map_err(|error| error.to_string())
    }
    strip_nulls(&mut spec, struct_paths(kind));
    let read = match kind {
        "VirtualService" => by::<VirtualService>,
        "DestinationRule" => by::<DestinationRule>,
        "Gateway" => by::<networking::Gateway>,
        "ServiceEntry" => by::<networking::ServiceEntry>,
        "Sidecar" => by::<networking::Sidecar>,
        "WorkloadEntry" => by::<networking::WorkloadEntry>,
        "WorkloadGroup" => by::<networking::WorkloadGroup>,
        "EnvoyFilter" => by::<EnvoyFilter>,
        "ProxyConfig" => by::<networking_beta::ProxyConfig>,
        "PeerAuthentication" => by::<security::PeerAuthentication>,
        "RequestAuthentication" => by::<security::RequestAuthentication>,
        "AuthorizationPolicy" => by::<security::AuthorizationPolicy>,
        "Telemetry" => by::<telemetry::Telemetry>,
        "WasmPlugin" => by::<extensions::WasmPlugin>,
        "TrafficExtension" => by::<extensions::TrafficExtension>,
        "MeshConfig" => by::<mesh::MeshConfig>,
        _ => return None,
    };
    Some(read(spec))
}

#[test]
fn every_recorded_input_is_understood() {
    let Some(folder) = scenarios() else {
        assert!(std::env::var_os("CI").is_none(), "the recordings are missing");
        println!("SKIPPED: no recordings beside the workspace; set TRIERARCH_SHARED to their folder");
        return;
    };
    let (mut objects, mut failures) = (0, Vec::new());
    let mut check = |path: &Path, kind: &str, spec: Value| match read(kind, spec) {
        Some(Ok(())) => objects += 1,
        Some(Err(error)) => failures.push(format!("{} {kind}: {error}", path.display())),
        None => failures.push(format!("{} {kind}: no such kind", path.display())),
    };
    for scenario in std::fs::read_dir(folder).unwrap() {
        let scenario = scenario.unwrap().path();
        let settings = scenario.join("mesh.yaml");
        if let Ok(text) = std::fs::read_to_string(&settings) {
            check(&settings, "MeshConfig", serde_yaml::from_str(&text).unwrap());
        }
        let Ok(inputs) = std::fs::read_dir(scenario.join("config")) else { continue };
        for path in inputs.map(|input| input.unwrap().path()) {
            let text = std::fs::read_to_string(&path).unwrap();
            for document in serde_yaml::Deserializer::from_str(&text) {
                let mut object: Value = serde::Deserialize::deserialize(document).unwrap();
                let group = object["apiVersion"].as_str().unwrap_or_default();
                if group.split('/').next().is_some_and(|group| group.ends_with(".istio.io")) {
                    let kind = object["kind"].as_str().unwrap().to_owned();
                    let spec = match object["spec"].take() {
                        Value::Null => json!({}),
                        spec => spec,
                    };
                    check(&path, &kind, spec);
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(objects > 300, "only {objects} objects were found");
}
