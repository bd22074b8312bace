//! TLS contexts of either side, and the transport sockets that carry them (spec 1.6, 4.2; security 1.4, 2.2). Pure
//! functions of their arguments: whoever calls them has put the arguments into its input.
//!
//! `secret` says where certificates come from, `mesh_context` builds the contexts of mutual TLS between workloads,
//! `origination` those of TLS that a client originates towards whatever a DestinationRule names.

mod compliance;
mod gateway_context;
mod mesh_context;
mod origination;
mod secret;

pub use gateway_context::{GatewayServerTls, gateway_server_context};
pub use mesh_context::{ServerStack, client_alpn, mesh_client_context, mesh_server_context, trust_domains};
pub use origination::{Originate, origination_context};
pub use secret::{
    CREDENTIAL_SOCKET, credential, file_root, file_secret, secret_references, workload_certificate,
    workload_roots,
};

use proto::envoy;

/// The TLS transport socket.
pub const TLS_SOCKET: &str = "envoy.transport_sockets.tls";
/// The transport socket of QUIC, which has TLS inside.
pub const QUIC_SOCKET: &str = "envoy.transport_sockets.quic";
/// The plain text transport socket.
pub const RAW_BUFFER_SOCKET: &str = "envoy.transport_sockets.raw_buffer";

/// The transport socket of a server's TLS context.
pub fn server_socket(context: &envoy::tls::DownstreamTlsContext) -> envoy::core::TransportSocket {
    socket(TLS_SOCKET, proto::pack::any(context))
}

/// The transport socket of a server's TLS context on a UDP listener.
pub fn quic_socket(context: &envoy::tls::DownstreamTlsContext) -> envoy::core::TransportSocket {
    let transport = envoy::quic::QuicDownstreamTransport {
        downstream_tls_context: Some(context.clone()),
        ..Default::default()
    };
    socket(QUIC_SOCKET, proto::pack::any(&transport))
}

/// The transport socket of a client's TLS context.
pub fn client_socket(context: &envoy::tls::UpstreamTlsContext) -> envoy::core::TransportSocket {
    socket(TLS_SOCKET, proto::pack::any(context))
}

/// The plain text transport socket.
pub fn raw_buffer_socket() -> envoy::core::TransportSocket {
    socket(RAW_BUFFER_SOCKET, proto::pack::any(&envoy::raw_buffer::RawBuffer {}))
}

/// A transport socket of that name and configuration.
pub fn socket(name: &str, config: envoy::google::Any) -> envoy::core::TransportSocket {
    envoy::core::TransportSocket {
        name: name.to_owned(),
        config_type: Some(envoy::core::transport_socket::ConfigType::TypedConfig(config)),
    }
}

/// TLS 1.2 to 1.3.
pub(crate) fn parameters() -> envoy::tls::TlsParameters {
    use envoy::tls::tls_parameters::TlsProtocol;
    envoy::tls::TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12 as i32,
        tls_maximum_protocol_version: TlsProtocol::TlSv13 as i32,
        ..Default::default()
    }
}

/// Matchers of subject names, each exactly.
pub fn exact_names<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<envoy::matcher::StringMatcher> {
    use envoy::matcher::string_matcher::MatchPattern;
    names.into_iter().map(|name| name_matcher(MatchPattern::Exact(name.clone()))).collect()
}

pub(crate) fn name_matcher(
    pattern: envoy::matcher::string_matcher::MatchPattern,
) -> envoy::matcher::StringMatcher {
    envoy::matcher::StringMatcher { match_pattern: Some(pattern), ignore_case: false }
}

/// A validation whose roots come over SDS and whose other settings are `default`.
pub fn combined_validation(
    default: envoy::tls::CertificateValidationContext,
    roots: envoy::tls::SdsSecretConfig,
) -> envoy::tls::common_tls_context::ValidationContextType {
    envoy::tls::common_tls_context::ValidationContextType::CombinedValidationContext(
        envoy::tls::common_tls_context::CombinedCertificateValidationContext {
            default_validation_context: Some(default),
            validation_context_sds_secret_config: Some(roots),
            ..Default::default()
        },
    )
}
