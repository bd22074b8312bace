//! Who is sent which Secret: bytes of a key are only ever in the snapshots of proxies that have proved a right to it,
//! whoever asked before them (CVE-2021-34824), and are never printed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod world;

use engine::ProxyId;
use prost::Message;
use proto::envoy::core::DataSource;
use proto::envoy::core::data_source::Specifier;
use proto::envoy::google::Any;
use proto::envoy::tls::Secret;
use proto::envoy::tls::secret::Type;
use scope::{Proxy, SecretAccess};
use serde_json::{Value, json};
use world::{World, router, service};
use xds::ResourceType;

/// A Secret of the generic form, whose key holds `word`.
fn secret(name: &str, namespace: &str, word: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
        "stringData": {"cert": "a chain", "key": format!("key {word}"), "cacert": format!("roots {word}")}})
}

/// A Gateway for every router, with one server for each credential.
fn gateway(namespace: &str, credentials: &[&str], mode: &str) -> Value {
    let servers: Vec<Value> = credentials
        .iter()
        .enumerate()
        .map(|(index, name)| {
            json!({"port": {"number": 443, "name": format!("https-{index}"), "protocol": "HTTPS"},
                "hosts": [format!("h{index}.test")], "tls": {"mode": mode, "credentialName": name}})
        })
        .collect();
    json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "gateway", "namespace": namespace}, "spec": {"servers": servers}})
}

fn proved(proxy: Proxy, reads_secrets: bool) -> Proxy {
    Proxy { secret_access: SecretAccess::Proved { account: "gateway".into(), reads_secrets }, ..proxy }
}

/// Names of a proxy's secrets, each with what is in it.
fn secrets(world: &World, id: u64) -> Vec<(String, String)> {
    let text = |source: Option<DataSource>| match source.unwrap().specifier.unwrap() {
        Specifier::InlineBytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    let snapshot = world.engine.snapshot(ProxyId(id)).unwrap();
    let read = |resource: &xds::Resource| {
        let any = Any::decode(resource.body().whole()).unwrap();
        let secret = Secret::decode(&*any.value).unwrap();
        assert_eq!(secret.name, **resource.name());
        let content = match secret.r#type.unwrap() {
            Type::TlsCertificate(certificate) => text(certificate.private_key),
            Type::ValidationContext(context) => text(context.trusted_ca),
            other => panic!("{other:?}"),
        };
        (secret.name, content)
    };
    snapshot.resources(ResourceType::Secret).iter().map(read).collect()
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    wanted.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn a_key_goes_to_proxies_with_a_right_to_it_in_whatever_order_they_come() {
    let cases: [(Proxy, &[(&str, &str)]); 4] = [
        (
            proved(router("allowed", "edge"), true),
            &[("kubernetes://web", "key edge"), ("kubernetes://web-cacert", "roots edge")],
        ),
        (proved(router("roots", "edge"), false), &[("kubernetes://web-cacert", "roots edge")]),
        (router("nobody", "edge"), &[]),
        (
            proved(router("other", "other"), true),
            &[("kubernetes://web", "key other"), ("kubernetes://web-cacert", "roots other")],
        ),
    ];
    for first in 0..cases.len() {
        let mut world = World::default();
        world.stage(gateway("edge", &["web"], "MUTUAL"));
        world.stage(secret("web", "edge", "edge"));
        world.stage(secret("web", "other", "other"));
        world.commit();
        for turn in 0..cases.len() {
            let at = (first + turn) % cases.len();
            world.connect(at as u64, &cases[at].0);
        }
        for (at, (proxy, wanted)) in cases.iter().enumerate() {
            assert_eq!(secrets(&world, at as u64), pairs(wanted), "{}, first is {first}", proxy.id);
        }
        let printed = format!("{:?}", world.engine.snapshot(ProxyId(0)));
        assert!(printed.contains("kubernetes://web") && !printed.contains("key edge"), "{printed}");
        let as_numbers = format!("{:?}", b"key edge");
        assert!(!printed.contains(as_numbers.trim_matches(['[', ']'])), "{printed}");
    }
}

#[test]
fn another_namespace_is_never_read_by_the_name_of_a_secret() {
    let mut world = World::default();
    world.stage(gateway(
        "edge",
        &["kubernetes://other/web", "kubernetes-gateway://other/web", "web"],
        "SIMPLE",
    ));
    world.stage(secret("web", "other", "other"));
    world.stage(secret("web", "edge", "edge"));
    world.commit();
    world.connect(0, &proved(router("a", "edge"), true));
    assert_eq!(secrets(&world, 0), pairs(&[("kubernetes://web", "key edge")]));
    let reasons: Vec<String> = world.engine.issues().iter().map(ToString::to_string).collect();
    assert!(reasons.iter().any(|issue| issue.contains("another namespace")), "{reasons:?}");
    assert!(reasons.iter().any(|issue| issue.contains("no Gateway of the proxy may refer")), "{reasons:?}");
}

#[test]
fn a_rotated_secret_moves_those_that_have_it_and_nothing_but_itself() {
    let mut world = World::default();
    world.stage(gateway("edge", &["web"], "SIMPLE"));
    world.stage(secret("web", "edge", "one"));
    world.commit();
    world.connect(0, &proved(router("a", "edge"), true));
    world.connect(1, &router("b", "edge"));
    world.stage(secret("web", "edge", "two"));
    let report = world.commit();
    assert_eq!(report.pushed.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [0]);
    assert_eq!((report.n_rendered(), report.n_secrets, report.n_scopes), (1, 1, 0), "{:?}", report.rendered);
    assert_eq!(secrets(&world, 0), pairs(&[("kubernetes://web", "key two")]));
    world.stage(secret("unrelated", "edge", "three"));
    let report = world.commit();
    assert!(report.pushed.is_empty() && report.selected.is_empty(), "{report:?}");
}

#[test]
fn a_secret_that_is_not_there_costs_only_itself_and_comes_when_it_is() {
    let mut world = World::default();
    world.stage(gateway("edge", &["web", "late"], "SIMPLE"));
    world.stage(secret("web", "edge", "web"));
    world.commit();
    world.connect(0, &proved(router("a", "edge"), true));
    assert_eq!(secrets(&world, 0), pairs(&[("kubernetes://web", "key web")]));
    let is_told = |world: &World| {
        world.engine.issues().iter().any(|i| i.to_string().contains("edge/late does not exist"))
    };
    assert!(is_told(&world));
    let listeners = world.engine.snapshot(ProxyId(0)).unwrap();
    assert_eq!(listeners.resources(ResourceType::Listener).len(), 1);
    world.stage(secret("late", "edge", "late"));
    assert_eq!(world.commit().pushed.len(), 1);
    assert_eq!(
        secrets(&world, 0),
        pairs(&[("kubernetes://late", "key late"), ("kubernetes://web", "key web")])
    );
    assert!(!is_told(&world));
    world.unstage(&secret("late", "edge", "late"));
    world.commit();
    assert_eq!(secrets(&world, 0), pairs(&[("kubernetes://web", "key web")]));
}

#[test]
fn roots_are_read_from_their_own_secret_first_in_either_form_and_from_config_maps() {
    let mut world = World::default();
    world.stage(gateway("edge", &["web", "tls"], "MUTUAL"));
    world.stage(secret("web", "edge", "both"));
    world.stage(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": "edge"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": "chain", "tls.key": "key tls", "ca.crt": "roots tls", "ca.crl": "list"}}),
    );
    world.commit();
    world.connect(0, &proved(router("a", "edge"), true));
    let roots = |world: &World| -> Vec<String> {
        secrets(world, 0)
            .into_iter()
            .filter(|(name, _)| name.ends_with("-cacert"))
            .map(|(_, text)| text)
            .collect()
    };
    assert_eq!(roots(&world), ["roots tls", "roots both"]);
    let own = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web-cacert", "namespace": "edge"},
        "stringData": {"ca.crt": "roots alone"}});
    world.stage(own.clone());
    world.commit();
    assert_eq!(roots(&world), ["roots tls", "roots alone"]);
    world.unstage(&own);
    world.commit();
    assert_eq!(roots(&world), ["roots tls", "roots both"]);

    let mut with_map = gateway("edge", &["web"], "MUTUAL");
    with_map["spec"]["servers"][0]["tls"]["caCertCredentialName"] = "configmap://shared/ca-cacert".into();
    world.stage(with_map);
    world.stage(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": "shared"},
        "data": {"ca.crt": "roots of the map"}}),
    );
    world.commit();
    assert_eq!(roots(&world), ["roots of the map"]);
}

#[test]
fn a_certificate_of_another_namespace_lasts_as_long_as_its_grant() {
    const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let mut world = World::default();
    let mut behind = service("gw-istio", "edge", 443, "https");
    behind["spec"]["selector"] = json!({"app": "app"});
    world.stage(behind);
    world.stage(json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "istio"}, "spec": {"controllerName": "istio.io/gateway-controller"}}));
    world.stage(json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": "edge"},
        "spec": {"gatewayClassName": "istio", "listeners": [{"name": "a", "port": 443, "protocol": "HTTPS",
            "tls": {"mode": "Terminate", "certificateRefs": [{"name": "web", "namespace": "certs"}]}}]}}));
    world.stage(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web", "namespace": "certs"},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": CHAIN, "tls.key": KEY}}),
    );
    let grant = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant",
        "metadata": {"name": "grant", "namespace": "certs"},
        "spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge"}],
            "to": [{"group": "", "kind": "Secret"}]}});
    world.commit();
    let gateway = |name: &str, account: &str| Proxy {
        secret_access: SecretAccess::Proved { account: account.into(), reads_secrets: false },
        ..router(name, "edge")
    };
    world.connect(0, &gateway("own", "gw-istio"));
    world.connect(1, &gateway("imposter", "default"));
    for _ in 0..3 {
        assert_eq!(secrets(&world, 0), []);
        world.stage(grant.clone());
        world.commit();
        assert_eq!(secrets(&world, 0), pairs(&[("kubernetes-gateway://certs/web", KEY)]));
        assert_eq!(secrets(&world, 1), [], "another service account than the Gateway's");
        world.unstage(&grant);
        world.commit();
    }
}
