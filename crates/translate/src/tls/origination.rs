//! TLS that a client originates because a DestinationRule says SIMPLE or MUTUAL (spec 1.6; security 2.2; rows C15,
//! C16): certificates from files over the agent, or from a `credentialName`.

use istio::networking::client_tls_settings::TlSmode;
use mesh::MeshSettings;
use proto::{envoy, istio};

use super::compliance::comply;
use super::{combined_validation, exact_names, parameters, secret};

/// What an originated context is made of.
#[derive(Clone, Debug)]
pub struct Originate<'a> {
    /// The user's settings, mode SIMPLE or MUTUAL.
    pub tls: &'a istio::networking::ClientTlsSettings,
    /// Names accepted of the server.
    pub names: &'a [String],
    /// Whether the cluster speaks HTTP/2.
    pub http2: bool,
    /// Whether a mounted socket serves `sds://` credentials.
    pub credential_socket: bool,
    /// Whether a mounted socket serves file certificates.
    pub file_socket: bool,
}

/// The context; `None` when MUTUAL lacks its certificate or key.
pub fn origination_context(
    settings: &MeshSettings,
    what: &Originate<'_>,
) -> Option<envoy::tls::UpstreamTlsContext> {
    let tls = what.tls;
    let mutual = tls.mode() == TlSmode::Mutual;
    let unverified = tls.insecure_skip_verify.as_ref().is_some_and(|flag| flag.value);
    let mut common = envoy::tls::CommonTlsContext { tls_params: Some(parameters()), ..Default::default() };
    #[allow(deprecated, reason = "what istiod sends and every supported Envoy reads")]
    let mut validation = envoy::tls::CertificateValidationContext {
        match_subject_alt_names: exact_names(what.names),
        ..Default::default()
    };
    if tls.credential_name.is_empty() {
        if mutual {
            if tls.client_certificate.is_empty() || tls.private_key.is_empty() {
                return None;
            }
            common.tls_certificate_sds_secret_configs =
                vec![secret::file_secret(&tls.client_certificate, &tls.private_key, what.file_socket)];
        }
        common.validation_context_type = Some(if unverified {
            use envoy::tls::common_tls_context::ValidationContextType;
            ValidationContextType::ValidationContext(Default::default())
        } else {
            let path = if tls.ca_certificates.is_empty() { "system" } else { &tls.ca_certificates };
            if !tls.ca_crl.is_empty() {
                validation.crl = Some(file(&tls.ca_crl));
            }
            combined_validation(validation, secret::file_root(path, what.file_socket))
        });
    } else {
        if mutual {
            common.tls_certificate_sds_secret_configs =
                vec![secret::credential(&tls.credential_name, "", what.credential_socket)];
        }
        if !unverified {
            let roots = secret::credential(&tls.credential_name, "-cacert", what.credential_socket);
            common.validation_context_type = Some(combined_validation(validation, roots));
        }
    }
    if let (Some(params), Some(defaults)) = (&mut common.tls_params, &settings.config.tls_defaults) {
        params.ecdh_curves.clone_from(&defaults.ecdh_curves);
        params.cipher_suites.clone_from(&defaults.cipher_suites);
    }
    if what.http2 {
        common.alpn_protocols = vec!["h2".to_owned()];
    }
    comply(settings.features.compliance, &mut common);
    Some(envoy::tls::UpstreamTlsContext {
        sni: tls.sni.clone(),
        common_tls_context: Some(common),
        ..Default::default()
    })
}

pub(super) fn file(path: &str) -> envoy::core::DataSource {
    envoy::core::DataSource {
        specifier: Some(envoy::core::data_source::Specifier::Filename(path.to_owned())),
        ..Default::default()
    }
}
