//! Which way each part of a rule fails: what cannot be told lets nothing through and refuses no less.

use super::*;
use proto::istio::security::rule::{From, To};

fn made(rule: &Rule, tcp: bool, allows: bool) -> Result<Policy, Unfit> {
    policy(rule, Setting { tcp, allows, trust_domains: &[], namespace: "a" })
}

fn when(key: &str, value: &str) -> Rule {
    let condition = Condition { key: key.to_owned(), values: vec![value.to_owned()], ..Default::default() };
    Rule { when: vec![condition], ..Default::default() }
}

fn of(source: Source, operation: Operation) -> Rule {
    Rule {
        from: vec![From { source: Some(source) }],
        to: vec![To { operation: Some(operation) }],
        ..Default::default()
    }
}

fn everything() -> Policy {
    made(&Rule::default(), false, true).expect("an empty rule says nothing wrong")
}

#[test]
fn what_makes_no_sense_lets_nothing_through_and_refuses_no_less() {
    for (key, value) in [
        ("no.such.key", "x"),
        ("request.headers[a b]", "x"),
        ("request.headers[]", "x"),
        ("request.auth.claims", "x"),
        ("experimental.envoy.filters.[k]", "x"),
        ("source.ip", "10.0.0.0/33"),
        ("destination.port", "65536"),
    ] {
        assert_eq!(made(&when(key, value), false, true), Err(Unfit), "{key}");
        assert_eq!(made(&when(key, value), false, false), Ok(everything()), "{key}");
    }
}

#[test]
fn a_rule_about_requests_allows_no_connection_and_refuses_all_it_could() {
    let methods = Operation { methods: vec!["GET".to_owned()], ..Default::default() };
    let rule = of(Source::default(), methods);
    assert_eq!(made(&rule, true, true), Err(Unfit));
    assert_eq!(made(&rule, true, false), Ok(everything()));
}

#[test]
fn trust_domains_of_sources_allow_nobody() {
    let source = Source { trust_domains: vec!["a.test".to_owned()], ..Default::default() };
    let rule = of(source, Operation::default());
    assert_eq!(made(&rule, false, true), Err(Unfit));
    assert_eq!(made(&rule, false, false), Ok(everything()));
}

#[test]
fn templates_that_envoy_refuses_are_no_paths() {
    for path in ["/{**}/a", "/{a}/{*}", "{*}", "/{*}{**}", "/{*}/\n"] {
        let paths = Operation { paths: vec![path.to_owned()], ..Default::default() };
        assert_eq!(made(&of(Source::default(), paths), false, true), Err(Unfit), "{path}");
    }
}

/// Every key of a condition that is known, with a value that makes sense; those of the second list are about requests.
const OF_CONNECTIONS: &[(&str, &str)] = &[
    ("source.ip", "10.0.0.0/8"),
    ("remote.ip", "10.0.0.1"),
    ("source.namespace", "shop"),
    ("source.serviceAccount", "shop/web"),
    ("source.principal", "cluster.local/ns/shop/sa/web"),
    ("destination.ip", "10.0.0.1"),
    ("destination.port", "80"),
    ("connection.sni", "a.test"),
    ("experimental.envoy.filters.network.mysql_proxy[db.table]", "[update]"),
];
const OF_REQUESTS: &[(&str, &str)] = &[
    ("request.auth.principal", "issuer/subject"),
    ("request.auth.audiences", "a"),
    ("request.auth.presenter", "a"),
    ("request.auth.claims[a][b]", "c"),
    ("request.headers[x]", "y"),
];

#[test]
fn every_key_is_told_of_requests_and_of_connections_as_far_as_these_have_it() {
    for (keys, is_http) in [(OF_CONNECTIONS, false), (OF_REQUESTS, true)] {
        for (key, value) in keys {
            for allows in [true, false] {
                let of_request = made(&when(key, value), false, allows).expect(key);
                assert_ne!(of_request, everything(), "{key}");
                let of_connection = made(&when(key, value), true, allows);
                match (is_http, allows) {
                    (false, _) => assert_eq!(of_connection, Ok(of_request), "{key}"),
                    (true, true) => assert_eq!(of_connection, Err(Unfit), "{key}"),
                    (true, false) => assert_eq!(of_connection, Ok(everything()), "{key}"),
                }
            }
        }
    }
}

/// One field of a source or an operation with such values.
fn fields(values: &[&str]) -> Vec<(&'static str, bool, Rule)> {
    let list = || values.iter().map(|&value| value.to_owned()).collect::<Vec<String>>();
    let (source, operation) = (Source::default(), Operation::default());
    let from = |source| of(source, Operation { ports: vec!["80".to_owned()], ..Default::default() });
    let to = |operation| of(Source { namespaces: vec!["shop".to_owned()], ..Default::default() }, operation);
    vec![
        ("hosts", true, to(Operation { hosts: list(), ..operation.clone() })),
        ("notHosts", true, to(Operation { not_hosts: list(), ..operation.clone() })),
        ("methods", true, to(Operation { methods: list(), ..operation.clone() })),
        ("notMethods", true, to(Operation { not_methods: list(), ..operation.clone() })),
        ("paths", true, to(Operation { paths: list(), ..operation.clone() })),
        ("notPaths", true, to(Operation { not_paths: list(), ..operation.clone() })),
        ("ports", false, to(Operation { ports: list(), ..operation.clone() })),
        ("notPorts", false, to(Operation { not_ports: list(), ..operation })),
        ("principals", false, from(Source { principals: list(), ..source.clone() })),
        ("notPrincipals", false, from(Source { not_principals: list(), ..source.clone() })),
        ("requestPrincipals", true, from(Source { request_principals: list(), ..source.clone() })),
        ("notRequestPrincipals", true, from(Source { not_request_principals: list(), ..source.clone() })),
        ("namespaces", false, from(Source { namespaces: list(), ..source.clone() })),
        ("notNamespaces", false, from(Source { not_namespaces: list(), ..source.clone() })),
        ("serviceAccounts", false, from(Source { service_accounts: list(), ..source.clone() })),
        ("notServiceAccounts", false, from(Source { not_service_accounts: list(), ..source.clone() })),
        ("ipBlocks", false, from(Source { ip_blocks: list(), ..source.clone() })),
        ("notIpBlocks", false, from(Source { not_ip_blocks: list(), ..source.clone() })),
        ("remoteIpBlocks", false, from(Source { remote_ip_blocks: list(), ..source.clone() })),
        ("notRemoteIpBlocks", false, from(Source { not_remote_ip_blocks: list(), ..source })),
    ]
}

#[test]
fn every_field_about_requests_allows_no_connection_and_refuses_as_if_it_were_not_there() {
    for (name, is_http, rule) in fields(&["80"]).into_iter().filter(|(name, ..)| !name.contains("pBlocks")) {
        let without = {
            let mut rule = rule.clone();
            rule.from.iter_mut().filter_map(|from| from.source.as_mut()).for_each(|source| {
                source.request_principals.clear();
                source.not_request_principals.clear();
            });
            rule.to.iter_mut().filter_map(|to| to.operation.as_mut()).for_each(|to| {
                *to = Operation {
                    ports: to.ports.clone(),
                    not_ports: to.not_ports.clone(),
                    ..Default::default()
                };
            });
            rule
        };
        assert!(made(&rule, false, true).is_ok() && made(&rule, false, false).is_ok(), "{name}");
        assert_eq!(made(&rule, true, true).is_err(), is_http, "{name}");
        assert_eq!(made(&rule, true, false), made(&without, true, false), "{name}");
    }
}

#[test]
fn a_value_that_makes_no_sense_is_never_taken_for_one_that_allows() {
    for (name, _, rule) in fields(&["/{a}/{*}"]) {
        let is_checked = ["orts", "pBlocks"].iter().any(|part| name.contains(part)) || name.ends_with("aths");
        for tcp in [false, true] {
            assert!(!is_checked || made(&rule, tcp, true) == Err(Unfit), "{name}");
            assert!(made(&rule, tcp, false).is_ok(), "{name}: the refusal stays, without the value");
        }
    }
}

#[test]
fn parts_that_are_empty_allow_nobody() {
    let empty = Condition { key: "source.ip".to_owned(), ..Default::default() };
    let rules = [
        Rule { when: vec![empty], ..Default::default() },
        Rule { from: vec![From { source: None }], ..Default::default() },
        Rule { from: vec![From { source: Some(Source::default()) }], ..Default::default() },
        Rule { to: vec![To { operation: None }], ..Default::default() },
        Rule { to: vec![To { operation: Some(Operation::default()) }], ..Default::default() },
    ];
    for rule in rules {
        assert_eq!(made(&rule, false, true), Err(Unfit), "{rule:?}");
        assert_eq!(made(&rule, false, false), Ok(everything()), "{rule:?}");
    }
}
