//! What documents make of the defaults.

use proto::istio::mesh::mesh_config::{OutboundTrafficPolicy, outbound_traffic_policy::Mode};

use super::*;

#[test]
fn the_defaults_are_istios() {
    let mesh = default_mesh();
    assert_eq!(mesh, parse_mesh("").expect("an empty document"));
    assert_eq!((mesh.proxy_listen_port, mesh.proxy_inbound_listen_port), (15001, 15006));
    assert_eq!(mesh.connect_timeout.map(|time| time.seconds), Some(10));
    assert_eq!(mesh.outbound_traffic_policy.as_ref().map(OutboundTrafficPolicy::mode), Some(Mode::AllowAny));
    assert_eq!(mesh.extension_providers.len(), 3);
    let proxy = mesh.default_config.expect("proxy defaults");
    assert_eq!((proxy.status_port, proxy.stat_name_length), (15020, 189));
}

#[test]
fn documents_are_merged_by_the_rules_of_each_member() {
    let mesh = merge_mesh(&[
        "{default_config: {proxyMetadata: {A: '1'}, tracing: {sampling: 1}}, trustDomainAliases: [b, a]}",
        "defaultConfig: {proxyMetadata: {B: '2'}, tracing: {maxPathTagLength: 9}, tracingServiceName: CANONICAL_NAME_ONLY}
enableTracing: null
trustDomainAliases: [a, c]
localityLbSetting: {}
extensionProviders:
- {name: envoy, envoyFileAccessLog: {path: /dev/stderr}}
- {name: mine, zipkin: {service: zipkin, port: 9411}}",
    ])
    .expect("good documents");
    let proxy = mesh.default_config.expect("proxy defaults");
    assert_eq!(proxy.proxy_metadata.keys().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(proxy.proxy_admin_port, 15000);
    assert_eq!(proxy.tracing.map(|tracing| (tracing.sampling, tracing.max_path_tag_length)), Some((0.0, 9)));
    assert!(mesh.enable_tracing);
    assert_eq!(mesh.trust_domain_aliases, ["a", "b", "c"]);
    assert_eq!(mesh.locality_lb_setting.and_then(|setting| setting.enabled), None);
    let names: Vec<&str> = mesh.extension_providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["prometheus", "stackdriver", "envoy", "mine"]);
}

#[test]
fn an_annotation_is_laid_over_the_settings_of_the_mesh() {
    let mesh =
        parse_mesh("defaultConfig: {concurrency: 2, proxyMetadata: {A: '1'}}").expect("a good document");
    let under = mesh.default_config.expect("proxy defaults");
    let proxy =
        apply_proxy_config(&under, "{concurrency: 4, proxyMetadata: {B: '2'}}").expect("a good document");
    assert_eq!(proxy.concurrency.map(|n| n.value), Some(4));
    assert_eq!(proxy.proxy_metadata.len(), 2);
    assert_eq!(apply_proxy_config(&under, "").expect("an empty document"), under);
}

#[test]
fn broken_documents_are_rejected_with_the_field() {
    for (document, path) in [
        ("connectTimeout: soon", "connectTimeout"),
        ("defaultConfig: 5", "defaultConfig"),
        ("defaultConfig: {proxyAdminPort: high}", "defaultConfig.proxyAdminPort"),
        ("extensionProviders: [{name: [a]}]", "extensionProviders[3].name"),
        ("[a, b]", ""),
        ("a: [", ""),
        ("a: 1\n---\nb: 2", ""),
    ] {
        let rejection = parse_mesh(document).expect_err(document);
        assert_eq!(rejection.path, path, "{rejection}");
    }
    assert!(parse_networks("networks: {a: {endpoints: [{fromRegistry: [1]}]}}").is_err());
    assert_eq!(
        parse_networks("networks: {a: {gateways: [{address: b, port: 1}]}}").map(|n| n.networks.len()),
        Ok(1)
    );
}
