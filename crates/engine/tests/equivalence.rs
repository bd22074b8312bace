//! Invariant I1: after any sequence of changes the engine's snapshots equal those of an engine that was given the
//! final state at once, and what a build of each proxy alone makes.

#![expect(clippy::expect_used, reason = "helpers of tests may end a test")]

mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use world::{World, endpoint_slice, proxy, router, service, virtual_service};
use xds::ResourceType;

/// One edit: an object appears, changes or goes.
#[derive(Clone, Debug)]
struct Edit {
    object: Value,
    remove: bool,
    commit: bool,
}

const NAMESPACES: [&str; 2] = ["apps", "other"];
/// How many kinds of objects [`template`] makes; the commonest have more than one.
const N_TEMPLATES: usize = 47;

fn object() -> impl Strategy<Value = Value> {
    let name = 0..4_usize;
    let namespace = 0..NAMESPACES.len();
    (name, namespace, 0..N_TEMPLATES, 0..3_usize).prop_map(|(name, namespace, kind, variant)| {
        template(&format!("s{name}"), NAMESPACES[namespace], kind, variant)
    })
}

fn template(name: &str, ns: &str, kind: usize, variant: usize) -> Value {
    let meta = json!({"name": name, "namespace": ns});
    let networking = |kind: &str, spec: Value| json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec});
    match kind {
        0 | 1 => service(name, ns, [80, 90, 80][variant], ["http", "tcp", ""][variant]),
        2 | 3 => endpoint_slice(name, ns, &["10.1.0.1", "10.1.0.2", "10.1.0.3"][..=variant]),
        4 | 5 => virtual_service(name, ns, ["1s", "2s", "3s"][variant]),
        6 => networking(
            "DestinationRule",
            json!({"host": name, "exportTo": [(["*", ".", "other"][variant])],
                    "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
                    "trafficPolicy": {"loadBalancer": {"simple": (["RANDOM", "ROUND_ROBIN", "LEAST_REQUEST"][variant])},
                        "outlierDetection": {"consecutive5xxErrors": variant}}}),
        ),
        7 => networking(
            "ServiceEntry",
            json!({"hosts": [format!("{name}.example.com")], "resolution": (["DNS", "STATIC", "NONE"][variant]),
                    "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}, {"number": 80, "name": "http", "protocol": "HTTP"}]}),
        ),
        8 => networking("Sidecar", json!({"egress": [{"hosts": [(["./*", "*/*", "other/*"][variant])]}]})),
        9 => json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": ns,
                    "labels": {"app": name, "security.istio.io/tlsMode": "istio"}},
                "spec": {"serviceAccountName": (["a", "b", "c"][variant]), "nodeName": "node-1"},
                "status": {"podIP": (["10.1.0.1", "10.1.0.2", "10.9.0.1"][variant])}}),
        10 => json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": "node-1", "labels": {"topology.kubernetes.io/region": (["r1", "r2", "r3"][variant])}}}),
        11 => json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
                "metadata": meta, "spec": {"mtls": {"mode": (["STRICT", "DISABLE", "PERMISSIVE"][variant])}}}),
        12 => json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "istio", "namespace": "istio-system"},
                "data": {"mesh": (["accessLogFile: /dev/stdout", "enableAutoMtls: false", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"][variant])}}),
        13 => json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "istio", "namespace": "istio-system"},
                "data": {"mesh": format!("discoverySelectors: [{{matchLabels: {{team: t{variant}}}}}]")}}),
        14 => json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": ns, "labels": {"team": format!("t{variant}")}}}),
        15 => json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": meta,
                "spec": {"priority": variant, "configPatches": [
                    {"applyTo": (["CLUSTER", "LISTENER", "VIRTUAL_HOST"][variant]),
                        "match": {"proxy": {"metadata": {"NAMESPACE": "apps"}}},
                        "patch": {"operation": "MERGE", "value": {"name": format!("{name}-renamed")}}},
                    {"applyTo": "HTTP_FILTER",
                        "patch": {"operation": "INSERT_FIRST", "value": {"name": name}}}]}}),
        16 => json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": meta,
                "spec": {"url": "oci://a.example/b:1", "phase": (["AUTHN", "AUTHZ", "STATS"][variant]),
                    "priority": variant, "selector": {"matchLabels": {"app": "s1"}}}}),
        17..=24 => gateway_api(name, ns, kind, variant),
        25 => networking(
            "DestinationRule",
            json!({"host": "s0", "workloadSelector": {"matchLabels": {"app": (["s1", "app", "s2"][variant])}},
                    "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": variant + 1}}}}),
        ),
        26 => networking(
            "VirtualService",
            json!({"hosts": [name], "http": [
                    {"match": [{"sourceLabels": {"app": (["s1", "app", "s2"][variant])}}], "timeout": "9s",
                        "route": [{"destination": {"host": name}}]},
                    {"route": [{"destination": {"host": name}}]}]}),
        ),
        27 => networking(
            "Sidecar",
            json!({"workloadSelector": {"labels": {"app": (["s1", "app", "s2"][variant])}},
                    "egress": [{"hosts": ["./*"]}]}),
        ),
        28 => json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta,
                "spec": {"selector": {"matchLabels": {"app": (["s1", "app", "s2"][variant])}},
                    "rules": [{"from": [{"source": {"namespaces": ["apps"]}}]}]}}),
        29 => json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": meta,
                "spec": {"workloadSelector": {"labels": {"app": (["s1", "app", "s2"][variant])}}, "configPatches": [
                    {"applyTo": "CLUSTER", "patch": {"operation": (["ADD", "REMOVE", "MERGE"][variant]),
                        "value": {"name": (["BlackHoleCluster", "x", "y"][variant]), "type": "STATIC"}}}]}}),
        31 => networking(
            "Gateway",
            json!({"servers": [{"port": {"number": 443, "name": "a", "protocol": "HTTPS"}, "hosts": ["*"],
                    "tls": {"mode": (["SIMPLE", "MUTUAL", "MUTUAL"][variant]), "credentialName": name}}]}),
        ),
        32 => json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta,
                "stringData": {(["key", "cacert", "other"][variant]): "x", "cert": "y"}}),
        33..=46 => rarer(name, ns, kind, variant),
        _ => networking(
            "WorkloadEntry",
            json!({"address": (["10.2.0.1", "10.2.0.2", "10.9.0.1"][variant]), "labels": {"app": name}}),
        ),
    }
}

/// One object of each kind that changes little at a time.
fn rarer(name: &str, ns: &str, kind: usize, variant: usize) -> Value {
    let meta = json!({"name": name, "namespace": ns});
    let selector = json!({"matchLabels": {"app": (["s1", "app", "s2"][variant])}});
    let object = |version: &str, kind: &str, spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec});
    let gateway_api = |kind: &str, spec: Value| object("gateway.networking.k8s.io/v1", kind, spec);
    let experimental = |kind: &str, spec: Value| object("gateway.networking.x-k8s.io/v1alpha1", kind, spec);
    let route = |kind: &str| {
        gateway_api(
            kind,
            json!({"parentRefs": [{"name": "s1", "namespace": "apps"}], "hostnames": ["c.test"],
            "rules": [{"backendRefs": [{"name": (["s1", "s2", "s3"][variant]), "port": 80}]}]}),
        )
    };
    match kind {
        33 => object(
            "security.istio.io/v1",
            "RequestAuthentication",
            json!({"selector": selector, "jwtRules": [
            {"issuer": format!("i{variant}.test"), "jwks": "{\"keys\":[]}"}]}),
        ),
        34 => object(
            "telemetry.istio.io/v1",
            "Telemetry",
            json!({"selector": selector,
            "accessLogging": [{"disabled": variant == 0, "providers": [{"name": "envoy"}]}],
            "metrics": [{"providers": [{"name": "prometheus"}], "reportingInterval": format!("{}s", variant + 1)}]}),
        ),
        35 => object("networking.istio.io/v1beta1", "ProxyConfig", json!({"concurrency": variant})),
        36 => object(
            "networking.istio.io/v1",
            "WorkloadGroup",
            json!({
            "metadata": {"labels": {"app": name}}, "template": {"serviceAccount": (["a", "b", "c"][variant])}}),
        ),
        37 => object(
            "extensions.istio.io/v1alpha1",
            "TrafficExtension",
            json!({"selector": selector,
            "phase": (["AUTHN", "AUTHZ", "STATS"][variant]),
            "lua": {"inlineCode": format!("function envoy_on_request(h) h:headers():add('v', '{variant}') end")}}),
        ),
        38 => json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": (["istio", "another", name][variant])},
            "spec": {"controllerName": (["istio.io/gateway-controller", "istio.io/gateway-controller", "x.test/y"][variant])}}),
        39 => route("TLSRoute"),
        40 => route("TCPRoute"),
        41 => route("UDPRoute"),
        42 => {
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name},
            "spec": {"controller": (["istio.io/ingress-controller", "x.test/y", "x.test/z"][variant])}})
        }
        43 => json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": (["a", "b", "c"][variant]), "namespace": ns}}),
        44 => experimental(
            "XListenerSet",
            json!({"parentRef": {"name": "s1", "namespace": "apps"},
            "listeners": [{"name": "d", "port": ([80, 90, 81][variant]), "protocol": "HTTP", "hostname": "d.test"}]}),
        ),
        45 => experimental(
            "XBackendTrafficPolicy",
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": name}],
            "retryConstraint": {"budget": {"percent": 10 * (variant + 1)}}}),
        ),
        _ => object(
            "inference.networking.k8s.io/v1",
            "InferencePool",
            json!({
            "selector": {"matchLabels": {"app": name}}, "targetPorts": [{"number": 80 + variant}],
            "endpointPickerRef": {"name": "s2", "port": {"number": 80}}}),
        ),
    }
}

/// Objects of the Gateway API and an Ingress, which stand for other objects together with what they refer to.
fn gateway_api(name: &str, ns: &str, kind: usize, variant: usize) -> Value {
    let meta = json!({"name": name, "namespace": ns});
    let object = |kind: &str, spec: Value| json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": meta, "spec": spec});
    let backend = |name: &str| json!({"name": name, "namespace": NAMESPACES[variant % 2], "port": 80});
    match kind {
        17 => object(
            "Gateway",
            json!({"gatewayClassName": (["istio", "istio", "another"][variant]),
                "addresses": [{"type": "Hostname", "value": "s1"}],
                "allowedListeners": {"namespaces": {"from": "All"}},
                "listeners": [
                    {"name": "a", "port": 80, "protocol": "HTTP",
                        "allowedRoutes": {"namespaces": {"from": (["All", "Same", "Selector"][variant]),
                            "selector": {"matchLabels": {"team": "t1"}}}}},
                    {"name": "b", "port": 90, "protocol": "HTTPS",
                        "tls": {"certificateRefs": [{"name": "s0", "namespace": "other"}]}}]}),
        ),
        18 => object(
            "HTTPRoute",
            json!({"parentRefs": [{"name": "s1", "namespace": "apps"}, {"group": "", "kind": "Service", "name": "s2"}],
                "hostnames": (["a.test", "*.test", "b.test"][..=variant]),
                "rules": [{"backendRefs": [backend("s2"), backend("s3")]}]}),
        ),
        19 => object(
            "GRPCRoute",
            json!({"parentRefs": [{"name": "s1", "namespace": "apps", "sectionName": (["a", "b", "c"][variant])}],
                "rules": [{"matches": [{"method": {"service": "x"}}], "backendRefs": [backend("s2")]}]}),
        ),
        20 => object(
            "ReferenceGrant",
            json!({"from": [{"group": "gateway.networking.k8s.io", "kind": (["HTTPRoute", "GRPCRoute", "Gateway"][variant]),
                    "namespace": NAMESPACES[variant % 2]}],
                "to": [{"group": "", "kind": "Service"}, {"group": "", "kind": "Secret"}]}),
        ),
        21 => object(
            "BackendTLSPolicy",
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": "s2"}],
                "validation": {"hostname": format!("v{variant}.test"),
                    "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": name}]}}),
        ),
        22 => object(
            "ListenerSet",
            json!({"parentRef": {"name": "s1", "namespace": "apps"},
                "listeners": [{"name": "c", "port": ([80, 90, 81][variant]), "protocol": "HTTP", "hostname": "c.test"}]}),
        ),
        23 => json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta,
            "data": {(["ca.crt", "other", "cacert"][variant]): "x"}}),
        _ => json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": ns, "annotations": {"kubernetes.io/ingress.class": (["istio", "istio", "x"][variant])}},
            "spec": {"rules": [{"host": "i.test", "http": {"paths": [{"path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": name, "port": {"name": (["http", "tcp", "http"][variant])}}}}]}}]}}),
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (object(), prop::bool::weighted(0.2), prop::bool::weighted(0.6))
        .prop_map(|(object, remove, commit)| Edit { object, remove, commit });
    prop::collection::vec(edit, 1..24)
}

/// Everything a proxy should have, by type and name, as versions of content.
fn contents(world: &World, proxy: u64) -> BTreeMap<(&'static str, String), String> {
    let snapshot = world.engine.snapshot(engine::ProxyId(proxy)).expect("a connected proxy has a snapshot");
    ResourceType::ALL
        .into_iter()
        .flat_map(|kind| {
            let of_kind = snapshot.resources(kind).iter();
            of_kind.map(move |r| ((kind.short_name(), r.name().to_string()), r.version())).collect::<Vec<_>>()
        })
        .collect()
}

/// The same, built for the proxy alone and with nothing shared.
fn alone(world: &World, proxy: &scope::Proxy) -> BTreeMap<(&'static str, String), String> {
    let made = engine::generate(world.engine.mesh(), proxy);
    let name_table: Vec<_> = made.name_table.into_iter().collect();
    [
        (ResourceType::Cluster, made.clusters),
        (ResourceType::Endpoint, made.endpoints),
        (ResourceType::Listener, made.listeners),
        (ResourceType::Route, made.routes),
        (ResourceType::NameTable, name_table),
        (ResourceType::ExtensionConfig, made.extensions),
        (ResourceType::Secret, made.secrets),
    ]
    .into_iter()
    .flat_map(|(kind, list)| list.into_iter().map(move |resource| (kind, resource)))
    .map(|(kind, resource)| {
        let version = resource.piece.fingerprint.short();
        ((kind.short_name(), resource.name.to_string()), version)
    })
    .collect()
}

fn proxies() -> Vec<scope::Proxy> {
    let mut second = proxy("p1", "other");
    second.labels = model::Labels::from([("app", "s1")]);
    // Behind the Service that Gateways name, and selected by what Ingresses become.
    let mut third = router("p2", "apps");
    third.labels = model::Labels::from([("app", "s1"), ("istio", "ingressgateway")]);
    third.secret_access = scope::SecretAccess::Proved { account: "s1".into(), reads_secrets: true };
    // Beside the first and with another workload, so the two share what they call as long as no rule tells them apart.
    let mut fourth = proxy("p3", "apps");
    fourth.labels = model::Labels::from([("app", "s1")]);
    vec![proxy("p0", "apps"), second, third, fourth]
}

fn key(object: &Value) -> (String, String, String) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    // Two groups have a Gateway.
    let api_version = text(&object["apiVersion"]);
    let group = api_version.split('/').next().unwrap_or_default();
    let kind = format!("{group} {}", text(&object["kind"]));
    (kind, text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

/// `EQUIVALENCE_CASES` asks for more sequences than `make test` has time for.
fn n_cases() -> u32 {
    std::env::var("EQUIVALENCE_CASES").ok().map_or(48, |text| text.parse().expect("a number of sequences"))
}

#[test]
fn every_kind_is_among_those_that_are_edited() {
    let kinds = |object: &Value| {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let version = text(&object["apiVersion"]);
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        config::Kind::from_group_kind(group, &text(&object["kind"])).expect("a kind that is known")
    };
    let made: std::collections::BTreeSet<_> = (0..N_TEMPLATES)
        .flat_map(|kind| (0..3).map(move |variant| template("s1", "apps", kind, variant)))
        .map(|object| kinds(&object))
        .collect();
    let missing: Vec<_> = config::Kind::ALL.iter().filter(|kind| !made.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: n_cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_changes_ends_where_a_rebuild_from_nothing_does(edits in edits()) {
        let mut stepwise = World::default();
        for (id, proxy) in proxies().iter().enumerate() {
            stepwise.connect(id as u64, proxy);
        }
        let mut last: BTreeMap<(String, String, String), Value> = BTreeMap::new();
        for edit in &edits {
            if edit.remove {
                stepwise.unstage(&edit.object);
                last.remove(&key(&edit.object));
            } else {
                stepwise.stage(edit.object.clone());
                last.insert(key(&edit.object), edit.object.clone());
            }
            if edit.commit {
                let report = stepwise.commit();
                prop_assert_eq!(report.panics, Vec::<String>::new());
                // Asked for after every change, as the process does, so that what is kept of it is at stake.
                stepwise.engine.counted();
            }
        }
        stepwise.commit();
        let mut at_once = World::default();
        for object in last.into_values() {
            at_once.stage(object);
        }
        at_once.commit();
        prop_assert_eq!(stepwise.engine.mesh().statuses(), at_once.engine.mesh().statuses());
        for (id, proxy) in proxies().iter().enumerate() {
            at_once.connect(id as u64, proxy);
            prop_assert_eq!(contents(&stepwise, id as u64), contents(&at_once, id as u64));
            prop_assert_eq!(contents(&stepwise, id as u64), alone(&stepwise, proxy));
        }
        prop_assert_eq!(stepwise.engine.issues(), at_once.engine.issues());
        prop_assert_eq!(stepwise.engine.counted(), at_once.engine.counted());
    }
}
