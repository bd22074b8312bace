//! Nodes as injected pods, gateways, gRPC and careless clients send them.

use serde_json::json;

use super::*;

fn node(id: &str, metadata: Value) -> Node {
    Node { id: id.into(), metadata, ..Node::default() }
}

#[test]
fn an_injected_sidecar_is_read_in_full() {
    let proxy = Proxy::parse(&node(
        "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
        json!({
            "NAMESPACE": "shop", "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.30.0",
            "LABELS": {"app": "web", "istio-locality": "r1.z1.s1"},
            "INSTANCE_IPS": "10.0.0.1,fd00::1,rubbish", "DNS_CAPTURE": "true", "ENABLE_HBONE": true,
            "POD_PORTS": "[{\"name\":\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"}]",
            "INTERCEPTION_MODE": "TPROXY", "ENVOY_STATUS_PORT": 15021, "HTTP_PROXY_PORT": "15099",
        }),
    ))
    .unwrap();
    assert_eq!(proxy.proxy_type, ProxyType::Sidecar);
    assert_eq!((proxy.pod_name.as_str(), proxy.namespace.as_str()), ("web-1", "shop"));
    assert_eq!(proxy.config_namespace.as_str(), "shop");
    assert_eq!(proxy.ip_addresses, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    assert_eq!(proxy.locality.to_string(), "r1/z1/s1");
    assert_eq!(proxy.istio_version, Some((1, 30, 0)));
    assert_eq!(proxy.dialect, Dialect::Istio);
    assert!(proxy.metadata.dns_capture && proxy.metadata.enable_hbone);
    assert_eq!(proxy.metadata.pod_ports.as_ref().map(|ports| ports[0].container_port), Some(8080));
    assert_eq!(proxy.metadata.interception_mode, InterceptionMode::Tproxy);
    assert_eq!(proxy.metadata.envoy_status_port, Some(15021));
    assert_eq!(proxy.metadata.http_proxy_port, Some(15099));
}

#[test]
fn only_a_bad_id_turns_a_proxy_away() {
    let parse = |id: &str| Proxy::parse(&node(id, Value::Null));
    assert!(matches!(parse("sidecar~1.2.3.4~web"), Err(NodeError::Malformed(_))));
    assert!(matches!(parse("sidecar~1.2.3.4~a.b~c~d"), Err(NodeError::Malformed(_))));
    assert!(matches!(parse("toaster~1.2.3.4~a.b~b.svc"), Err(NodeError::UnknownType(_))));
    assert!(matches!(parse("sidecar~~a.b~b.svc"), Err(NodeError::NoAddress(_))));
    let proxy = parse("router~1.2.3.4~a.b~c.svc.cluster.local").unwrap();
    assert_eq!(proxy.config_namespace.as_str(), "c");
    assert_eq!(proxy.istio_version, None);
}

#[test]
fn values_of_an_unexpected_form_count_as_absent() {
    let proxy = Proxy::parse(&node(
        "sidecar~1.2.3.4~a.b~b.svc",
        json!({"LABELS": 7, "POD_PORTS": "nonsense", "DNS_CAPTURE": {"a": 1}, "INSTANCE_IPS": [], "HTTP10": "?"}),
    ))
    .unwrap();
    assert!(proxy.labels.is_empty());
    assert_eq!(proxy.metadata.pod_ports, None);
    assert_eq!(proxy.metadata.http10, None);
    assert!(!proxy.metadata.dns_capture);
}

#[test]
fn a_proxy_is_stock_unless_it_shows_istios_filters_or_lists_none_and_names_its_version() {
    let dialect = |extensions: &[&str], version: &str| {
        let extensions = extensions.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Dialect::of(&extensions, &NodeMetadata::parse(&json!({"ISTIO_VERSION": version})))
    };
    assert_eq!(dialect(&[], "1.30.0"), Dialect::Istio);
    assert_eq!(dialect(&[], ""), Dialect::Stock);
    assert_eq!(dialect(&["envoy.filters.http.router"], "1.30.0"), Dialect::Stock);
    assert_eq!(dialect(&["envoy.filters.http.router", "istio.stats"], ""), Dialect::Istio);
}

#[test]
fn versions_are_read_leniently() {
    assert_eq!(version("1.30-alpha.5"), Some((1, 30, 0)));
    assert_eq!(version("1.29.3-dev"), Some((1, 29, 3)));
    assert_eq!(version("master"), None);
    assert_eq!(version(""), None);
}

#[test]
fn envoys_own_message_is_read_alike() {
    use proto::envoy::google::Value as ProtoValue;
    let fields = [
        ("NAMESPACE", Kind::StringValue("b".into())),
        ("ENVOY_STATUS_PORT", Kind::NumberValue(15021.0)),
        ("DNS_CAPTURE", Kind::BoolValue(true)),
    ];
    let message = envoy::core::Node {
        id: "sidecar~1.2.3.4~a.b~b.svc".into(),
        metadata: Some(Struct {
            fields: fields
                .into_iter()
                .map(|(key, kind)| (key.into(), ProtoValue { kind: Some(kind) }))
                .collect(),
        }),
        locality: Some(envoy::core::Locality { region: "r".into(), ..Default::default() }),
        ..Default::default()
    };
    let proxy = Proxy::parse(&Node::from(&message)).unwrap();
    assert_eq!(proxy.metadata.envoy_status_port, Some(15021));
    assert!(proxy.metadata.dns_capture);
    assert_eq!(proxy.locality.region, "r");
}

#[test]
fn an_idle_timeout_below_zero_is_none() {
    let of = |text: &str| {
        let id = "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local";
        Proxy::parse(&node(id, json!({ "IDLE_TIMEOUT": text }))).unwrap().metadata.idle_timeout
    };
    assert_eq!([of("15m"), of("0s"), of("-1s")], ["15m", "0s", ""]);
}
