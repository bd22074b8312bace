//! `proxyHeaders` and `gatewayTopology`: which headers the proxy sets, keeps and believes (spec 4.3, 4.4).

use proto::envoy;
use proto::envoy::google::boolean;
use proto::envoy::hcm::HttpConnectionManager;
use proto::envoy::hcm::http_connection_manager::{
    ForwardClientCertDetails, ServerHeaderTransformation, SetCurrentClientCertDetails,
};
use proto::istio::mesh::ForwardClientCertDetails as Configured;
use proto::istio::mesh::proxy_config::ProxyHeaders;
use proto::wkt::BoolValue;

use super::HcmOptions;
use crate::telemetry::Direction;

pub(super) fn apply(options: &HcmOptions, manager: &mut HttpConnectionManager) {
    let defaults = &options.defaults;
    let headers = &*defaults.headers;
    server_name(headers, defaults.direction, manager);
    if is(headers.request_id.as_ref().and_then(|id| id.disabled.as_ref())) {
        manager.generate_request_id = Some(boolean(false));
    }
    manager.append_x_forwarded_port =
        is(headers.x_forwarded_port.as_ref().and_then(|port| port.enabled.as_ref()));
    match defaults.direction {
        Direction::Inbound => {
            let details = forward(headers.forwarded_client_cert(), ForwardClientCertDetails::AppendForward);
            manager.forward_client_cert_details = details as i32;
            manager.set_current_client_cert_details = Some(workload_certificate(headers));
        }
        Direction::Gateway => {
            let topology = &*defaults.topology;
            let details =
                forward(topology.forward_client_cert_details(), ForwardClientCertDetails::SanitizeSet);
            manager.forward_client_cert_details = details as i32;
            manager.set_current_client_cert_details = Some(SetCurrentClientCertDetails {
                subject: Some(boolean(true)),
                cert: true,
                dns: true,
                uri: true,
                ..Default::default()
            });
            manager.xff_num_trusted_hops = topology.num_trusted_proxies;
        }
        Direction::Outbound => {}
    }
    manager.http_protocol_options = http1(options);
}

/// `server`: its own name on inbound and gateway, none on outbound unless one was given.
fn server_name(headers: &ProxyHeaders, direction: Direction, manager: &mut HttpConnectionManager) {
    let server = headers.server.as_ref();
    if is(server.and_then(|server| server.disabled.as_ref())) {
        manager.server_header_transformation = ServerHeaderTransformation::PassThrough as i32;
        return;
    }
    // A header cannot hold a line break; Envoy would refuse every listener that says so.
    let fits = |name: &&str| !name.contains(['\0', '\n', '\r']);
    match server.map(|server| server.value.as_str()).filter(fits).unwrap_or_default() {
        "" if direction == Direction::Outbound => {}
        "" => "istio-envoy".clone_into(&mut manager.server_name),
        own => own.clone_into(&mut manager.server_name),
    }
}

/// `setCurrentClientCertDetails`: subject, DNS and URI names unless switched off; certificate and chain when
/// switched on.
fn workload_certificate(headers: &ProxyHeaders) -> SetCurrentClientCertDetails {
    let own = headers.set_current_client_cert_details.as_ref();
    let on = |flag: Option<&BoolValue>| flag.is_none_or(|flag| flag.value);
    SetCurrentClientCertDetails {
        subject: Some(boolean(on(own.and_then(|own| own.subject.as_ref())))),
        dns: on(own.and_then(|own| own.dns.as_ref())),
        uri: on(own.and_then(|own| own.uri.as_ref())),
        cert: is(own.and_then(|own| own.cert.as_ref())),
        chain: is(own.and_then(|own| own.chain.as_ref())),
        ..Default::default()
    }
}

fn forward(configured: Configured, default: ForwardClientCertDetails) -> ForwardClientCertDetails {
    match configured {
        Configured::Undefined => default,
        Configured::Sanitize => ForwardClientCertDetails::Sanitize,
        Configured::ForwardOnly => ForwardClientCertDetails::ForwardOnly,
        Configured::AppendForward => ForwardClientCertDetails::AppendForward,
        Configured::SanitizeSet => ForwardClientCertDetails::SanitizeSet,
        Configured::AlwaysForwardOnly => ForwardClientCertDetails::AlwaysForwardOnly,
    }
}

/// HTTP/1 options; gateways always have some.
fn http1(options: &HcmOptions) -> Option<envoy::core::Http1ProtocolOptions> {
    let defaults = &options.defaults;
    let preserve = is(defaults.headers.preserve_http1_header_case.as_ref());
    if !(preserve || defaults.http10 || options.allow_absolute_url || defaults.router) {
        return None;
    }
    Some(envoy::core::Http1ProtocolOptions {
        accept_http_10: defaults.http10,
        allow_absolute_url: options.allow_absolute_url.then(|| boolean(true)),
        header_key_format: preserve.then(preserve_case),
        ..Default::default()
    })
}

fn preserve_case() -> envoy::core::http1_protocol_options::HeaderKeyFormat {
    use proto::envoy::core::http1_protocol_options::{HeaderKeyFormat, header_key_format::HeaderFormat};
    let config = envoy::preserve_case::PreserveCaseFormatterConfig::default();
    HeaderKeyFormat {
        header_format: Some(HeaderFormat::StatefulFormatter(envoy::core::TypedExtensionConfig {
            name: "preserve_case".to_owned(),
            typed_config: Some(proto::pack::any(&config)),
        })),
    }
}

fn is(flag: Option<&BoolValue>) -> bool {
    flag.is_some_and(|flag| flag.value)
}
