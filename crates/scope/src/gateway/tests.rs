//! How the servers of a router's Gateways come together, and which ones have to go.

use std::sync::Arc;

use mesh::{Base, Mesh, OwnService, Reader};
use serde_json::{Value, json};

use super::{MergedGateway, merge};

fn gateway(name: &str, servers: &Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": "edge"}, "spec": {"servers": servers}})
}

fn server(port: u32, protocol: &str, hosts: &[&str], more: &Value) -> Value {
    let name = format!("{}-{port}", protocol.to_lowercase());
    let mut server = json!({"port": {"number": port, "name": name, "protocol": protocol}, "hosts": hosts});
    if let (Some(fields), Some(more)) = (server.as_object_mut(), more.as_object()) {
        fields.extend(more.clone());
    }
    server
}

fn simple() -> Value {
    json!({"tls": {"mode": "SIMPLE", "credentialName": "cert"}})
}

fn merged(gateways: &[Value]) -> MergedGateway {
    let objects = gateways.iter().map(|object| config::parse(object.clone(), "test").unwrap().unwrap());
    let mesh = Mesh::build(objects.collect(), Arc::new(Base::default()));
    let reader = Reader::new(&mesh);
    merge(
        &reader.gateways(&"edge".into(), &model::Labels::default(), &[]),
        &[],
        std::collections::BTreeSet::new(),
        false,
    )
}

/// With a Service whose ports 443 are of TCP and UDP, 8443 of TCP alone.
fn merged_behind_udp(servers: &Value, quic: bool) -> MergedGateway {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge", "namespace": "edge"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443},
            {"name": "http3", "port": 443, "protocol": "UDP"}, {"name": "more", "port": 8443}]}});
    let objects = [service, gateway("a", servers)];
    let objects = objects.into_iter().map(|object| config::parse(object, "test").unwrap().unwrap());
    let mesh = Mesh::build(objects.collect(), Arc::new(Base::default()));
    let reader = Reader::new(&mesh);
    let own: Vec<OwnService> = mesh
        .all_services()
        .iter()
        .flat_map(|service| service.ports.iter().map(move |port| (service, port)))
        .map(|(service, port)| OwnService {
            service: Arc::clone(service),
            port: port.clone(),
            target_port: port.number,
        })
        .collect();
    let gateways = reader.gateways(&"edge".into(), &model::Labels::default(), &own);
    merge(&gateways, &own, std::collections::BTreeSet::new(), quic)
}

fn speaks_http3(gateway: &MergedGateway) -> Vec<(&str, bool)> {
    let servers = gateway.groups.iter().flat_map(|group| &group.servers);
    servers.map(|server| (server.server.hosts[0].as_str(), server.http3)).collect()
}

#[test]
fn servers_that_terminate_tls_for_http_behind_a_udp_port_speak_http3() {
    let with_mode = |mode: &str| json!({"tls": {"mode": mode, "credentialName": "cert"}});
    let named = |port: &str, mut server: Value| {
        server["port"]["name"] = port.into();
        server
    };
    let servers = json!([
        named("a", server(443, "HTTPS", &["simple.test"], &simple())),
        named("b", server(443, "HTTPS", &["optional.test"], &with_mode("OPTIONAL_MUTUAL"))),
        named("c", server(443, "HTTPS", &["passed.test"], &with_mode("PASSTHROUGH"))),
        named("d", server(443, "TLS", &["tcp.test"], &simple())),
        named("e", server(8443, "HTTPS", &["no-udp.test"], &simple())),
    ]);
    let merged = merged_behind_udp(&servers, true);
    let expected = [
        ("simple.test", true),
        ("optional.test", true),
        ("passed.test", false),
        ("tcp.test", false),
        ("no-udp.test", false),
    ];
    assert_eq!(speaks_http3(&merged), expected);
    assert!(merged.issues.is_empty());
    let off = merged_behind_udp(&servers, false);
    assert!(speaks_http3(&off).iter().all(|(_, http3)| !http3), "nobody asked for HTTP/3");
}

#[test]
fn a_server_that_demands_certificates_of_clients_stays_with_tcp_and_its_owner_is_told() {
    for mode in ["MUTUAL", "ISTIO_MUTUAL"] {
        let tls = json!({"tls": {"mode": mode, "credentialName": "cert"}});
        let servers = json!([server(443, "HTTPS", &["a.test"], &tls)]);
        let merged = merged_behind_udp(&servers, true);
        assert_eq!(speaks_http3(&merged), [("a.test", false)]);
        assert_eq!(merged.issues[0].path, "spec.servers[0]");
        assert!(merged.issues[0].message.contains("QUIC"), "{}", merged.issues[0].message);
        assert!(merged_behind_udp(&servers, false).issues.is_empty());
    }
}

fn groups(gateway: &MergedGateway) -> Vec<String> {
    gateway
        .groups
        .iter()
        .map(|g| format!("{}:{} {:?} x{} {}", g.bind, g.port, g.protocol, g.servers.len(), g.route_name))
        .collect()
}

#[test]
fn plaintext_http_of_all_gateways_shares_one_route_configuration() {
    let a = gateway("a", &json!([server(80, "HTTP", &["a.test"], &json!({}))]));
    let b = gateway("b", &json!([server(80, "GRPC", &["b.test"], &json!({}))]));
    let merged = merged(&[a, b]);
    assert_eq!(groups(&merged), [":80 Http x2 http.80"]);
    assert_eq!(merged.by_route["http.80"].len(), 2);
    assert!(merged.issues.is_empty());
}

#[test]
fn another_protocol_on_a_plaintext_port_is_left_out_but_may_have_an_address_of_its_own() {
    let servers = json!([
        server(80, "HTTP", &["a.test"], &json!({})),
        server(80, "TCP", &["*"], &json!({})),
        server(80, "TCP", &["*"], &json!({"bind": "10.0.0.1"})),
    ]);
    let merged = merged(&[gateway("a", &servers)]);
    assert_eq!(groups(&merged), [":80 Http x1 http.80", "10.0.0.1:80 Tcp x1 "]);
    assert_eq!(merged.issues.len(), 1);
    assert_eq!(merged.issues[0].path, "spec.servers[1]");
}

#[test]
fn a_host_that_an_older_tls_server_of_the_port_has_costs_the_whole_later_server() {
    let a = gateway("a", &json!([server(443, "HTTPS", &["a.test", "b.test"], &simple())]));
    let b = gateway("b", &json!([server(443, "HTTPS", &["b.test", "c.test"], &simple())]));
    let merged = merged(&[a, b]);
    assert_eq!(merged.by_route.keys().collect::<Vec<_>>(), ["https.443.https-443.a.edge"]);
    assert_eq!(merged.issues.len(), 1);
    assert!(merged.issues[0].message.contains("b.test"));
}

#[test]
fn hosts_name_the_namespace_whose_virtual_services_may_serve_them() {
    let hosts = ["./own.test", "*/any.test", "other/theirs.test"];
    let merged = merged(&[gateway("a", &json!([server(80, "HTTP", &hosts, &json!({}))]))]);
    let server = &merged.groups[0].servers[0];
    assert_eq!(server.hosts_for("edge").collect::<Vec<_>>(), ["own.test", "any.test"]);
    assert_eq!(server.hosts_for("other").collect::<Vec<_>>(), ["any.test", "theirs.test"]);
}

#[test]
fn every_host_of_every_namespace_takes_all_server_names() {
    let https = server(443, "HTTPS", &["edge/a.test", "*/*"], &simple());
    let merged = merged(&[gateway("a", &json!([https]))]);
    assert!(merged.groups[0].servers[0].server_names().is_empty());
}

#[test]
fn a_server_that_is_left_out_takes_no_host_from_those_after_it() {
    let a = gateway("a", &json!([server(443, "HTTPS", &["b.test"], &simple())]));
    let b = gateway("b", &json!([server(443, "HTTPS", &["b.test", "c.test"], &simple())]));
    let c = gateway("c", &json!([server(443, "HTTPS", &["c.test", "c.test"], &simple())]));
    let merged = merged(&[a, b, c]);
    let routes = merged.by_route.keys().collect::<Vec<_>>();
    assert_eq!(routes, ["https.443.https-443.a.edge", "https.443.https-443.c.edge"]);
}

#[test]
fn after_a_plaintext_server_on_a_tls_port_no_further_tls_server_fits() {
    let servers = json!([
        server(443, "HTTPS", &["a.test"], &simple()),
        server(443, "HTTP", &["*"], &json!({})),
        server(443, "TLS", &["b.test"], &simple()),
    ]);
    let merged = merged(&[gateway("a", &servers)]);
    assert_eq!(groups(&merged), [":443 Https x1 ", ":443 Http x1 http.443"]);
    assert_eq!(merged.issues[0].path, "spec.servers[2]");
}
