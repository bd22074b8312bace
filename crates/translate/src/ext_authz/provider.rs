//! An extension provider that authorizes, to the filters that ask it (security 4.8).

use proto::envoy;
use proto::envoy::core::grpc_service::{EnvoyGrpc, TargetSpecifier};
use proto::envoy::core::{GrpcService, HeaderValue, HttpUri, http_uri};
use proto::envoy::ext_authz::{
    AuthorizationRequest, AuthorizationResponse, BufferSettings, ExtAuthz, HttpService, ext_authz::Services,
};
use proto::envoy::google;
use proto::envoy::matcher::string_matcher::MatchPattern;
use proto::envoy::matcher::{ListStringMatcher, MetadataMatcher, StringMatcher};
use proto::istio::mesh::mesh_config::extension_provider::{
    EnvoyExternalAuthorizationGrpcProvider, EnvoyExternalAuthorizationHttpProvider,
    EnvoyExternalAuthorizationRequestBody, Provider,
};
use proto::wkt::Duration;

use crate::telemetry::provider_cluster;
use crate::{Context, rbac};

/// How many seconds an answer is waited for unless the provider says otherwise.
const TIMEOUT: i64 = 600;

/// The filters of a provider.
pub(super) struct Filters {
    pub(super) http: ExtAuthz,
    /// Only what speaks gRPC is asked about connections.
    pub(super) tcp: Option<envoy::network_ext_authz::ExtAuthz>,
}

/// The filters of the provider of that name, or why it cannot be asked.
pub(super) fn resolve(ctx: &Context<'_>, name: &str) -> Result<Filters, String> {
    let config = &ctx.settings().config;
    let found = config.extension_providers.iter().find(|provider| provider.name == name);
    match found.and_then(|provider| provider.provider.as_ref()) {
        Some(Provider::EnvoyExtAuthzHttp(settings)) => {
            Ok(Filters { http: over_http(ctx, name, settings)?, tcp: None })
        }
        Some(Provider::EnvoyExtAuthzGrpc(settings)) => over_grpc(ctx, name, settings),
        Some(_) => Err("it does not authorize".to_owned()),
        None => Err("the mesh has no such provider".to_owned()),
    }
}

fn over_http(
    ctx: &Context<'_>,
    name: &str,
    settings: &EnvoyExternalAuthorizationHttpProvider,
) -> Result<ExtAuthz, String> {
    let (cluster, host) = service(ctx, &settings.service, settings.port)?;
    if !settings.path_prefix.is_empty() && !settings.path_prefix.starts_with('/') {
        return Err("its path prefix does not begin with a slash".to_owned());
    }
    let in_check = match &settings.include_request_headers_in_check {
        headers if headers.is_empty() => &settings.include_headers_in_check,
        headers => headers,
    };
    let added = &settings.include_additional_headers_in_check;
    if let Some(bad) = added.keys().find(|key| !rbac::is_header_name(key)) {
        return Err(format!("`{bad}` is no header"));
    }
    let headers_to_add: Vec<_> = added
        .iter()
        .map(|(key, value)| HeaderValue { key: key.clone(), value: value.clone(), ..Default::default() })
        .collect();
    let response = AuthorizationResponse {
        allowed_upstream_headers: headers(&settings.headers_to_upstream_on_allow)?,
        allowed_client_headers: headers(&settings.headers_to_downstream_on_deny)?,
        allowed_client_headers_on_success: headers(&settings.headers_to_downstream_on_allow)?,
        ..Default::default()
    };
    let service = HttpService {
        server_uri: Some(HttpUri {
            uri: format!("http://{host}"),
            timeout: Some(timeout(settings.timeout)?),
            http_upstream_type: Some(http_uri::HttpUpstreamType::Cluster(cluster)),
        }),
        path_prefix: settings.path_prefix.clone(),
        authorization_request: (!headers_to_add.is_empty())
            .then(|| AuthorizationRequest { headers_to_add, ..Default::default() }),
        authorization_response: (response != AuthorizationResponse::default()).then_some(response),
        ..Default::default()
    };
    Ok(ExtAuthz {
        services: Some(Services::HttpService(service)),
        allowed_headers: headers(in_check)?,
        failure_mode_allow: settings.fail_open,
        status_on_error: status(&settings.status_on_error)?,
        with_request_body: body(settings.include_request_body_in_check.as_ref())?,
        filter_enabled_metadata: Some(asked(rbac::HTTP_FILTER, name)),
        transport_api_version: envoy::core::ApiVersion::V3 as i32,
        ..Default::default()
    })
}

fn over_grpc(
    ctx: &Context<'_>,
    name: &str,
    settings: &EnvoyExternalAuthorizationGrpcProvider,
) -> Result<Filters, String> {
    let (cluster_name, authority) = service(ctx, &settings.service, settings.port)?;
    let grpc = EnvoyGrpc { cluster_name, authority, ..Default::default() };
    let grpc_service = GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(grpc)),
        timeout: Some(timeout(settings.timeout)?),
        ..Default::default()
    };
    let http = ExtAuthz {
        services: Some(Services::GrpcService(grpc_service.clone())),
        failure_mode_allow: settings.fail_open,
        status_on_error: status(&settings.status_on_error)?,
        with_request_body: body(settings.include_request_body_in_check.as_ref())?,
        filter_enabled_metadata: Some(asked(rbac::HTTP_FILTER, name)),
        transport_api_version: envoy::core::ApiVersion::V3 as i32,
        ..Default::default()
    };
    let tcp = envoy::network_ext_authz::ExtAuthz {
        stat_prefix: "tcp.".to_owned(),
        grpc_service: Some(grpc_service),
        failure_mode_allow: settings.fail_open,
        filter_enabled_metadata: Some(asked(rbac::NETWORK_FILTER, name)),
        transport_api_version: envoy::core::ApiVersion::V3 as i32,
        ..Default::default()
    };
    Ok(Filters { http, tcp: Some(tcp) })
}

/// The cluster and the host of a provider's service.
fn service(ctx: &Context<'_>, service: &str, port: u32) -> Result<(String, String), String> {
    if !(1..=65535).contains(&port) {
        return Err(format!("{port} is no port"));
    }
    provider_cluster(ctx, service, port)
        .ok_or_else(|| format!("service {service} does not exist or is declared in several namespaces"))
}

/// Whether the RBAC filter before found that the provider is to be asked.
fn asked(filter: &str, provider: &str) -> MetadataMatcher {
    let prefix = MatchPattern::Prefix(format!("{}{provider}", rbac::CUSTOM_PREFIX));
    let policy = StringMatcher { match_pattern: Some(prefix), ..Default::default() };
    rbac::metadata_text(filter, "istio_ext_authz_shadow_effective_policy_id", policy)
}

fn timeout(stated: Option<Duration>) -> Result<google::Duration, String> {
    match stated.map(google::Duration::from) {
        None => Ok(google::seconds(TIMEOUT)),
        Some(timeout) if timeout.seconds >= 0 && timeout.nanos >= 0 => Ok(timeout),
        Some(_) => Err("its timeout is negative".to_owned()),
    }
}

fn status(stated: &str) -> Result<Option<envoy::types::HttpStatus>, String> {
    if stated.is_empty() {
        return Ok(None);
    }
    let code = stated.parse::<i32>().ok().filter(|code| *code != 0);
    let known = code.filter(|code| envoy::types::StatusCode::try_from(*code).is_ok());
    known.map(|code| Some(envoy::types::HttpStatus { code })).ok_or_else(|| format!("{stated} is no status"))
}

fn body(stated: Option<&EnvoyExternalAuthorizationRequestBody>) -> Result<Option<BufferSettings>, String> {
    match stated {
        // Envoy refuses the whole listener then.
        Some(body) if body.max_request_bytes == 0 => Err("it is sent no byte of bodies".to_owned()),
        _ => Ok(stated.map(|body| BufferSettings {
            max_request_bytes: body.max_request_bytes,
            allow_partial_message: body.allow_partial_message,
            pack_as_bytes: body.pack_as_bytes,
        })),
    }
}

/// Headers by name, start or end.
fn headers(stated: &[String]) -> Result<Option<ListStringMatcher>, String> {
    let one = |value: &String| {
        let pattern = if value == "*" || value.is_empty() {
            return Err("a header to be passed on has no name".to_owned());
        } else if let Some(start) = value.strip_suffix('*') {
            MatchPattern::Prefix(start.to_owned())
        } else if let Some(end) = value.strip_prefix('*') {
            MatchPattern::Suffix(end.to_owned())
        } else {
            MatchPattern::Exact(value.clone())
        };
        Ok(StringMatcher { match_pattern: Some(pattern), ignore_case: true })
    };
    let patterns = stated.iter().map(one).collect::<Result<Vec<_>, String>>()?;
    Ok((!patterns.is_empty()).then_some(ListStringMatcher { patterns }))
}
