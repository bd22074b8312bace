//! The rules of choice, each where two candidates fit.

use serde_json::json;

use super::*;

fn call(value: Value) -> Call {
    serde_json::from_value(value).unwrap()
}

fn resources(listener: Value, routes: Value) -> Resources {
    let named = |value: Value| BTreeMap::from([(text(&value["name"]).to_owned(), value)]);
    BTreeMap::from([("lds".to_owned(), named(listener)), ("rds".to_owned(), named(routes))])
}

fn http_chain() -> Value {
    json!({"name": "http", "filters": [{"typedConfig": {
        "@type": "type.googleapis.com/x.HttpConnectionManager", "rds": {"routeConfigName": "80"}}}]})
}

fn tcp_chain(cluster: &str, wanted: Value) -> Value {
    json!({"name": cluster, "filterChainMatch": wanted, "filters": [{"typedConfig": {
        "@type": "type.googleapis.com/x.TcpProxy", "cluster": cluster}}]})
}

fn address(port: u16) -> Value {
    json!({"socketAddress": {"address": "0.0.0.0", "portValue": port}})
}

#[test]
fn an_exact_domain_beats_suffix_prefix_and_star() {
    let host = |name: &str, domain: &str| json!({"name": name, "domains": [domain], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name}}]});
    let routes = json!({"name": "80", "ignorePortInHostMatching": true, "virtualHosts": [
        host("star", "*"), host("prefix", "a.*"), host("short", "*.com"), host("long", "*.b.com"), host("exact", "a.b.com"),
    ]});
    let all = resources(json!({"name": "l", "address": address(80), "filterChains": [http_chain()]}), routes);
    let takes = |host: &str| simulate(&all, &call(json!({"to": "10.0.0.1:80", "host": host}))).takes;
    assert_eq!(
        ["A.b.com:80", "c.b.com", "c.com", "a.org", "x"].map(takes),
        ["exact", "long", "short", "prefix", "star"]
    );
}

#[test]
fn a_chain_is_chosen_by_port_then_network_then_server_name() {
    let listener = json!({"name": "l", "address": address(443), "filterChains": [
        tcp_chain("any", json!({})),
        tcp_chain("wide", json!({"prefixRanges": [{"addressPrefix": "10.0.0.0", "prefixLen": 8}]})),
        tcp_chain("narrow", json!({"prefixRanges": [{"addressPrefix": "10.1.0.0", "prefixLen": 16}]})),
        tcp_chain("wildcard", json!({"serverNames": ["*.b.com"]})),
        tcp_chain("exact", json!({"serverNames": ["a.b.com"]})),
    ], "defaultFilterChain": tcp_chain("default", json!({}))});
    let all = resources(listener, json!({"name": "none"}));
    let takes = |to: &str, sni: Option<&str>| simulate(&all, &call(json!({"to": to, "sni": sni}))).takes;
    assert_eq!(takes("10.1.2.3:443", None), "narrow");
    assert_eq!(takes("10.2.2.3:443", None), "wide");
    assert_eq!(takes("11.0.0.1:443", Some("a.b.com")), "exact");
    assert_eq!(takes("11.0.0.1:443", Some("z.b.com")), "wildcard");
    assert_eq!(takes("11.0.0.1:443", Some("z.org")), "any");
    assert_eq!(takes("11.0.0.1:80", None), "closed");
}

#[test]
fn a_route_needs_path_headers_and_parameters() {
    let route = |wanted: Value| {
        request::fits(
            &wanted,
            &call(json!({
        "to": "10.0.0.1:80", "host": "a", "path": "/A/b?x=1", "headers": {"user": "jason"}})),
        )
    };
    assert!(route(json!({"prefix": "/a", "caseSensitive": false})) && !route(json!({"prefix": "/a"})));
    assert!(route(json!({"pathSeparatedPrefix": "/A"})) && !route(json!({"pathSeparatedPrefix": "/A/"})));
    assert!(route(json!({"safeRegex": {"regex": "/A/."}})) && !route(json!({"safeRegex": {"regex": "/A"}})));
    let header = |matcher: Value| route(json!({"prefix": "/", "headers": [matcher]}));
    assert!(header(json!({"name": "user", "stringMatch": {"exact": "jason"}})));
    assert!(!header(json!({"name": "user", "stringMatch": {"exact": "jason"}, "invertMatch": true})));
    assert!(header(json!({"name": "other", "presentMatch": true, "invertMatch": true})));
    let parameter = |matcher: Value| route(json!({"prefix": "/", "queryParameters": [matcher]}));
    assert!(parameter(json!({"name": "x", "stringMatch": {"exact": "1"}})));
    assert!(!parameter(json!({"name": "y", "presentMatch": true})));
}
