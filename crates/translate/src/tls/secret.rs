//! Where the proxy gets its certificates: from the agent beside it (`sds-grpc`), from a socket that the user mounted
//! (`sds-external`, `sds-files-grpc`), or from the control plane over ADS (credentialName; spec 1.6, rows C15, C16).

use proto::envoy;
use proto::envoy::core;

use crate::Reference;

/// The cluster of the agent's secret service.
const AGENT: &str = "sds-grpc";
/// The cluster of the mounted socket for file certificates.
const FILES_SOCKET: &str = "sds-files-grpc";
/// The cluster of the mounted socket for credentials.
pub const CREDENTIAL_SOCKET: &str = "sds-external";
const SDS_SCHEME: &str = "sds://";
const BUILTIN: &str = "builtin://";
/// A secret that nobody has: what it is for fails.
const INVALID: &str = "invalid://";

/// The workload's own certificate.
pub fn workload_certificate() -> envoy::tls::SdsSecretConfig {
    secret("default", agent(AGENT, true))
}

/// The mesh's trusted roots.
pub fn workload_roots() -> envoy::tls::SdsSecretConfig {
    secret("ROOTCA", agent(AGENT, true))
}

/// A certificate and key that the agent reads from files: `file-cert:<chain>~<key>`. `own_socket` says that another
/// program reads them.
pub fn file_secret(chain: &str, key: &str, own_socket: bool) -> envoy::tls::SdsSecretConfig {
    from_files(format!("file-cert:{chain}~{key}"), own_socket)
}

/// Trusted roots that the agent reads from a file: `file-root:<path>`, where `system` is the system's own bundle.
pub fn file_root(path: &str, own_socket: bool) -> envoy::tls::SdsSecretConfig {
    from_files(format!("file-root:{path}"), own_socket)
}

/// What a `credentialName` stands for; `suffix` is empty for the certificate and `-cacert` for the roots.
/// `own_socket` says that names beginning with `sds://` are served from a mounted socket.
pub fn credential(name: &str, suffix: &str, own_socket: bool) -> envoy::tls::SdsSecretConfig {
    if name == BUILTIN {
        return if suffix.is_empty() { workload_certificate() } else { workload_roots() };
    }
    let full = if name == INVALID { INVALID.to_owned() } else { format!("{name}{suffix}") };
    if name.starts_with(SDS_SCHEME) && own_socket {
        return secret(&full, agent(CREDENTIAL_SOCKET, false));
    }
    let verbatim = ["kubernetes://", "kubernetes-gateway://", "configmap://", INVALID, BUILTIN]
        .iter()
        .any(|scheme| full.starts_with(scheme));
    let stripped = full.strip_prefix(SDS_SCHEME).unwrap_or(&full);
    let resource = if verbatim { full.clone() } else { format!("kubernetes://{stripped}") };
    let over_ads = core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..Default::default()
    };
    secret(&resource, over_ads)
}

/// The secrets of a context that the control plane itself serves.
pub fn secret_references(context: Option<&envoy::tls::CommonTlsContext>) -> Vec<Reference> {
    use core::config_source::ConfigSourceSpecifier::Ads;
    use envoy::tls::common_tls_context::ValidationContextType;
    let Some(context) = context else { return Vec::new() };
    let roots = match &context.validation_context_type {
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            combined.validation_context_sds_secret_config.as_ref()
        }
        Some(ValidationContextType::ValidationContextSdsSecretConfig(config)) => Some(config),
        _ => None,
    };
    context
        .tls_certificate_sds_secret_configs
        .iter()
        .chain(roots)
        .filter(|secret| {
            let source =
                secret.sds_config.as_ref().and_then(|source| source.config_source_specifier.as_ref());
            matches!(source, Some(Ads(_)))
        })
        .map(|secret| Reference::Secret(secret.name.clone()))
        .collect()
}

fn from_files(name: String, own_socket: bool) -> envoy::tls::SdsSecretConfig {
    secret(&name, agent(if own_socket { FILES_SOCKET } else { AGENT }, false))
}

fn secret(name: &str, source: core::ConfigSource) -> envoy::tls::SdsSecretConfig {
    envoy::tls::SdsSecretConfig { name: name.to_owned(), sds_config: Some(source) }
}

/// The secret service behind a static cluster. `wait` keeps the listener or cluster back until the secret is there;
/// without it Envoy's default timeout applies, so that a missing file blocks nothing else.
fn agent(cluster: &str, wait: bool) -> core::ConfigSource {
    let service = core::GrpcService {
        target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(
            core::grpc_service::EnvoyGrpc { cluster_name: cluster.to_owned(), ..Default::default() },
        )),
        ..Default::default()
    };
    let source = core::ApiConfigSource {
        api_type: core::api_config_source::ApiType::Grpc as i32,
        transport_api_version: core::ApiVersion::V3 as i32,
        grpc_services: vec![service],
        set_node_on_first_message_only: true,
        ..Default::default()
    };
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        initial_fetch_timeout: wait.then(|| envoy::google::seconds(0)),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::ApiConfigSource(source)),
        ..Default::default()
    }
}
