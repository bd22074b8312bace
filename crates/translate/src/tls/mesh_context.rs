//! Mutual TLS between workloads: the server's context on inbound chains and the client's context on clusters (spec
//! 4.2, 1.6; security 1.4, 2.2; rows C13, C14, L11).
//!
//! `istio-peer-exchange` announces that a peer exchanges metadata over TCP, for which only Istio's build has a
//! filter; a stock Envoy must not offer it, or the peer's first bytes would reach the application.

use mesh::MeshSettings;
use proto::{envoy, istio};
use scope::{Dialect, TlsFiles};

use super::compliance::comply;
use super::{combined_validation, exact_names, name_matcher, parameters, secret};

pub(super) const PEER_EXCHANGE: &str = "istio-peer-exchange";

const CIPHERS: &[&str] = &[
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
];

/// What a server does behind TLS; decides the protocols it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerStack {
    /// An HTTP connection manager.
    Http,
    /// A TCP proxy.
    Tcp,
}

/// The server's context of mesh mutual TLS. `files` are certificates mounted into the proxy, `own_socket` says that
/// another program than the agent serves these files.
pub fn mesh_server_context(
    settings: &MeshSettings,
    files: &TlsFiles,
    own_socket: bool,
    stack: ServerStack,
    dialect: Dialect,
) -> envoy::tls::DownstreamTlsContext {
    use istio::mesh::mesh_config::tls_config::TlsProtocol;
    let mut params = parameters();
    let mesh_tls = settings.config.mesh_m_tls.as_ref();
    if mesh_tls.is_some_and(|tls| tls.min_protocol_version() == TlsProtocol::Tlsv13) {
        params.tls_minimum_protocol_version = params.tls_maximum_protocol_version;
    }
    params.cipher_suites = match mesh_tls {
        Some(tls) if !tls.cipher_suites.is_empty() => tls.cipher_suites.clone(),
        _ => CIPHERS.iter().map(|&cipher| cipher.to_owned()).collect(),
    };
    let mut alpn = vec!["h2".to_owned(), "http/1.1".to_owned()];
    if stack == ServerStack::Tcp && exchanges_metadata(settings, dialect) {
        alpn.insert(0, PEER_EXCHANGE.to_owned());
    }
    let certificate = if files.cert_chain.is_empty() {
        secret::workload_certificate()
    } else {
        secret::file_secret(&files.cert_chain, &files.key, own_socket)
    };
    let roots = if files.root_cert.is_empty() {
        secret::workload_roots()
    } else {
        secret::file_root(&files.root_cert, own_socket)
    };
    let prefix = |domain: &String| {
        let prefix = format!("spiffe://{domain}/");
        name_matcher(envoy::matcher::string_matcher::MatchPattern::Prefix(prefix))
    };
    #[allow(deprecated, reason = "what istiod sends and every supported Envoy reads")]
    let validation = envoy::tls::CertificateValidationContext {
        match_subject_alt_names: trust_domains(settings).iter().map(prefix).collect(),
        ..Default::default()
    };
    let mut common = envoy::tls::CommonTlsContext {
        tls_params: Some(params),
        alpn_protocols: alpn,
        tls_certificate_sds_secret_configs: vec![certificate],
        validation_context_type: Some(combined_validation(validation, roots)),
        ..Default::default()
    };
    comply(settings.features.compliance, &mut common);
    envoy::tls::DownstreamTlsContext {
        require_client_certificate: Some(envoy::google::boolean(true)),
        common_tls_context: Some(common),
        ..Default::default()
    }
}

/// The trust domains whose peers are accepted: the mesh's, its aliases, those of further roots; none when the check
/// is switched off.
pub fn trust_domains(settings: &MeshSettings) -> Vec<String> {
    if settings.features.skip_validate_trust_domain {
        return Vec::new();
    }
    let config = &settings.config;
    let own = settings.trust_domain().to_owned();
    let further = config.ca_certificates.iter().flat_map(|certificate| &certificate.trust_domains);
    let mut domains: Vec<String> = Vec::new();
    for domain in std::iter::once(&own).chain(&config.trust_domain_aliases).chain(further) {
        if !domain.is_empty() && !domains.contains(domain) {
            domains.push(domain.clone());
        }
    }
    domains
}

/// The client's context of mesh mutual TLS: the workload's certificate, `names` accepted of the server.
pub fn mesh_client_context(
    settings: &MeshSettings,
    names: &[String],
    sni: &str,
    alpn_protocols: Vec<String>,
) -> envoy::tls::UpstreamTlsContext {
    #[allow(deprecated, reason = "what istiod sends and every supported Envoy reads")]
    let validation = envoy::tls::CertificateValidationContext {
        match_subject_alt_names: exact_names(names),
        ..Default::default()
    };
    let mut common = envoy::tls::CommonTlsContext {
        tls_params: Some(parameters()),
        alpn_protocols,
        tls_certificate_sds_secret_configs: vec![secret::workload_certificate()],
        validation_context_type: Some(combined_validation(validation, secret::workload_roots())),
        ..Default::default()
    };
    comply(settings.features.compliance, &mut common);
    envoy::tls::UpstreamTlsContext {
        sni: sni.to_owned(),
        common_tls_context: Some(common),
        ..Default::default()
    }
}

/// The protocols that a client of the mesh offers. `http2` says that the cluster speaks HTTP/2, `http1` that it
/// speaks HTTP/1.1: there a stock Envoy has to offer what the `istio.alpn` filter would have put in, so that a
/// server that has to guess sees HTTP.
pub fn client_alpn(settings: &MeshSettings, dialect: Dialect, http1: bool, http2: bool) -> Vec<String> {
    let list: &[&str] = match (dialect, http2, http1) {
        (Dialect::Istio, true, _) => &["istio", "h2"],
        (Dialect::Stock, true, _) => &["istio-h2", "istio", "h2"],
        (Dialect::Stock, false, true) => &["istio-http/1.1", "istio", "http/1.1"],
        (_, false, _) => &["istio"],
    };
    let first = exchanges_metadata(settings, dialect).then_some(PEER_EXCHANGE);
    first.into_iter().chain(list.iter().copied()).map(str::to_owned).collect()
}

pub(super) fn exchanges_metadata(settings: &MeshSettings, dialect: Dialect) -> bool {
    dialect == Dialect::Istio && settings.features.metadata_exchange && !settings.features.disable_mx_alpn
}
