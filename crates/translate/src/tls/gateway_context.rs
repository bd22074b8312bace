//! The server's context of a Gateway's TLS server (spec 4.3; rows L18, L19): certificates from a `credentialName`, from
//! files over the agent, or the workload's own; clients verified as the mode says.

use mesh::MeshSettings;
use proto::istio::mesh::mesh_config::tls_config::TlsProtocol as MeshTlsProtocol;
use proto::istio::networking::ServerTlsSettings;
use proto::istio::networking::server_tls_settings::TlSmode;
use proto::{envoy, istio};
use scope::{Dialect, TlsFiles};

use super::compliance::comply;
use super::mesh_context::{PEER_EXCHANGE, exchanges_metadata};
use super::{combined_validation, exact_names, origination, secret};

/// Cipher suites that Envoy knows. Others, and repetitions, are left out: one unknown name would cost the listener.
const CIPHER_SUITES: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
];

/// What a gateway's context is made of.
#[derive(Clone, Copy, Debug)]
pub struct GatewayServerTls<'a> {
    /// The server's settings, of a mode that terminates TLS.
    pub tls: &'a ServerTlsSettings,
    /// Whether a TCP proxy stands behind it, not a connection manager.
    pub tcp: bool,
    /// Whether it is for HTTP/3.
    pub quic: bool,
    /// Which Envoy it is for.
    pub dialect: Dialect,
    /// Certificates mounted into the proxy in place of the workload's.
    pub files: &'a TlsFiles,
    /// Whether a mounted socket serves `sds://` credentials.
    pub credential_socket: bool,
    /// Whether a mounted socket serves file certificates.
    pub file_socket: bool,
}

/// The context.
pub fn gateway_server_context(
    settings: &MeshSettings,
    what: &GatewayServerTls<'_>,
) -> envoy::tls::DownstreamTlsContext {
    let tls = what.tls;
    let mode = tls.mode();
    let mut common = envoy::tls::CommonTlsContext {
        alpn_protocols: if what.quic {
            vec!["h3".to_owned()]
        } else {
            vec!["h2".to_owned(), "http/1.1".to_owned()]
        },
        ..Default::default()
    };
    if mode == TlSmode::IstioMutual {
        if what.tcp && exchanges_metadata(settings, what.dialect) {
            common.alpn_protocols.insert(0, PEER_EXCHANGE.to_owned());
        }
        of_files(what, what.files, &[], &mut common);
    } else {
        if tls.credential_name.is_empty() && tls.credential_names.is_empty() {
            let files = TlsFiles {
                cert_chain: tls.server_certificate.clone(),
                key: tls.private_key.clone(),
                root_cert: tls.ca_certificates.clone(),
            };
            of_files(what, &files, &tls.tls_certificates, &mut common);
        } else {
            of_credentials(what, &mut common);
        }
        common.tls_params = parameters(settings, tls);
    }
    comply(settings.features.compliance, &mut common);
    envoy::tls::DownstreamTlsContext {
        // Envoy 1.37 refuses to ask for one over QUIC; servers that demand one have no such listener.
        require_client_certificate: Some(envoy::google::boolean(
            !what.quic && matches!(mode, TlSmode::Mutual | TlSmode::IstioMutual),
        )),
        common_tls_context: Some(common),
        ..Default::default()
    }
}

/// Whether certificates of clients are looked at.
fn verifies(mode: TlSmode) -> bool {
    matches!(mode, TlSmode::Mutual | TlSmode::OptionalMutual | TlSmode::IstioMutual)
}

fn of_files(
    what: &GatewayServerTls<'_>,
    files: &TlsFiles,
    several: &[istio::networking::server_tls_settings::TlsCertificate],
    common: &mut envoy::tls::CommonTlsContext,
) {
    let file = |chain: &str, key: &str| secret::file_secret(chain, key, what.file_socket);
    common.tls_certificate_sds_secret_configs = if !several.is_empty() {
        several.iter().map(|one| file(&one.server_certificate, &one.private_key)).collect()
    } else if files.cert_chain.is_empty() {
        vec![secret::workload_certificate()]
    } else {
        vec![file(&files.cert_chain, &files.key)]
    };
    if !verifies(what.tls.mode()) {
        return;
    }
    let mut validation = names_of(what.tls);
    if !what.tls.ca_crl.is_empty() {
        validation.crl = Some(origination::file(&what.tls.ca_crl));
    }
    let roots = if files.root_cert.is_empty() {
        secret::workload_roots()
    } else {
        secret::file_root(&files.root_cert, what.file_socket)
    };
    common.validation_context_type = Some(combined_validation(validation, roots));
}

fn of_credentials(what: &GatewayServerTls<'_>, common: &mut envoy::tls::CommonTlsContext) {
    let tls = what.tls;
    let names = if tls.credential_names.is_empty() {
        std::slice::from_ref(&tls.credential_name)
    } else {
        &*tls.credential_names
    };
    common.tls_certificate_sds_secret_configs =
        names.iter().map(|name| secret::credential(name, "", what.credential_socket)).collect();
    if !verifies(tls.mode()) {
        return;
    }
    let mut validation = names_of(tls);
    validation.verify_certificate_spki.clone_from(&tls.verify_certificate_spki);
    validation.verify_certificate_hash.clone_from(&tls.verify_certificate_hash);
    let roots = if tls.ca_cert_credential_name.is_empty() {
        let name = names.first().map_or("", String::as_str);
        secret::credential(name, "-cacert", what.credential_socket)
    } else {
        secret::credential(&tls.ca_cert_credential_name, "", what.credential_socket)
    };
    common.validation_context_type = Some(combined_validation(validation, roots));
}

#[allow(deprecated, reason = "what istiod sends and every supported Envoy reads")]
fn names_of(tls: &ServerTlsSettings) -> envoy::tls::CertificateValidationContext {
    envoy::tls::CertificateValidationContext {
        match_subject_alt_names: exact_names(&tls.subject_alt_names),
        ..Default::default()
    }
}

/// The server's versions and ciphers over the mesh's; nothing where neither says anything.
fn parameters(settings: &MeshSettings, tls: &ServerTlsSettings) -> Option<envoy::tls::TlsParameters> {
    use envoy::tls::tls_parameters::TlsProtocol;
    let mut params = envoy::tls::TlsParameters::default();
    if let Some(defaults) = &settings.config.tls_defaults {
        params.ecdh_curves.clone_from(&defaults.ecdh_curves);
        params.cipher_suites.clone_from(&defaults.cipher_suites);
        params.tls_minimum_protocol_version = match defaults.min_protocol_version() {
            MeshTlsProtocol::TlsAuto => TlsProtocol::TlsAuto,
            MeshTlsProtocol::Tlsv12 => TlsProtocol::TlSv12,
            MeshTlsProtocol::Tlsv13 => TlsProtocol::TlSv13,
        } as i32;
    }
    // Istio and Envoy number the versions alike.
    if tls.min_protocol_version != 0 {
        params.tls_minimum_protocol_version = tls.min_protocol_version;
    }
    if tls.max_protocol_version != 0 {
        params.tls_maximum_protocol_version = tls.max_protocol_version;
    }
    let mut suites: Vec<String> = Vec::new();
    for suite in &tls.cipher_suites {
        if CIPHER_SUITES.contains(&suite.as_str()) && !suites.contains(suite) {
            suites.push(suite.clone());
        }
    }
    if !suites.is_empty() {
        params.cipher_suites = suites;
    }
    (params != envoy::tls::TlsParameters::default()).then_some(params)
}
