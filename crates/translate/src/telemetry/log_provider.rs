//! Extension providers that log: a file, the HTTP and TCP log services of Envoy, OpenTelemetry (spec 7.3; row T11).
//! A provider whose service does not resolve gives nothing.

use proto::envoy;
use proto::envoy::accesslog::{AccessLog, access_log::ConfigType};
use proto::envoy::otel_common::{AnyValue, KeyValue, KeyValueList, any_value};
use proto::istio::mesh::mesh_config::extension_provider::{
    EnvoyFileAccessLogProvider, EnvoyHttpGrpcV3LogProvider, EnvoyOpenTelemetryLogProvider,
    EnvoyTcpGrpcV3LogProvider, Provider, envoy_file_access_log_provider::log_format::LogFormat,
};

use super::{log_format, provider};
use crate::Context;

const DEFAULT_PATH: &str = "/dev/stdout";
const PEERS: &[&str] = &["upstream_peer", "downstream_peer"];
const PEERS_AND_WASM: &[&str] = &[
    "upstream_peer",
    "downstream_peer",
    "wasm.upstream_peer",
    "wasm.upstream_peer_id",
    "wasm.downstream_peer",
    "wasm.downstream_peer_id",
];

/// The access log of the provider of that name.
pub(super) fn access_log(ctx: &Context<'_>, name: &str) -> Option<AccessLog> {
    let config = &ctx.settings().config;
    match provider::named(config, name) {
        Some(Provider::EnvoyFileAccessLog(settings)) => Some(file_provider(settings)),
        Some(Provider::EnvoyHttpAls(settings)) => http_service(ctx, settings),
        Some(Provider::EnvoyTcpAls(settings)) => tcp_service(ctx, settings),
        Some(Provider::EnvoyOtelAls(settings)) => open_telemetry(ctx, settings),
        Some(_) => None,
        None if name.eq_ignore_ascii_case("envoy") => Some(file(DEFAULT_PATH, log_format::of_mesh(config))),
        None => None,
    }
}

/// A log file.
pub(super) fn file(path: &str, format: envoy::core::SubstitutionFormatString) -> AccessLog {
    let config = envoy::file_access_log::FileAccessLog {
        path: path.to_owned(),
        access_log_format: Some(envoy::file_access_log::file_access_log::AccessLogFormat::LogFormat(format)),
    };
    logger("envoy.access_loggers.file", proto::pack::any(&config))
}

/// The mesh's own log service, for requests.
pub(super) fn mesh_http_service() -> AccessLog {
    http_logger(
        common("http_envoy_accesslog", service("envoy_accesslog_service", ""), &[], PEERS_AND_WASM),
        None,
    )
}

/// The mesh's own log service, for connections.
pub(super) fn mesh_tcp_service() -> AccessLog {
    tcp_logger(common("tcp_envoy_accesslog", service("envoy_accesslog_service", ""), &[], PEERS_AND_WASM))
}

fn file_provider(settings: &EnvoyFileAccessLogProvider) -> AccessLog {
    let format = settings.log_format.as_ref().and_then(|format| format.log_format.as_ref());
    let mut format = match format {
        None => log_format::text(""),
        Some(LogFormat::Text(text)) => log_format::text(text),
        Some(LogFormat::Labels(labels)) => log_format::json(log_format::members(labels)),
    };
    format.omit_empty_values = settings.omit_empty_values;
    let path = if settings.path.is_empty() { DEFAULT_PATH } else { &settings.path };
    file(path, format)
}

fn http_service(ctx: &Context<'_>, settings: &EnvoyHttpGrpcV3LogProvider) -> Option<AccessLog> {
    let (cluster, authority) = provider::cluster(ctx, &settings.service, settings.port)?;
    let name = or(&settings.log_name, "http_envoy_accesslog");
    let common = common(name, service(&cluster, &authority), &settings.filter_state_objects_to_log, PEERS);
    Some(http_logger(common, Some(settings)))
}

fn tcp_service(ctx: &Context<'_>, settings: &EnvoyTcpGrpcV3LogProvider) -> Option<AccessLog> {
    let (cluster, authority) = provider::cluster(ctx, &settings.service, settings.port)?;
    let name = or(&settings.log_name, "tcp_envoy_accesslog");
    Some(tcp_logger(common(
        name,
        service(&cluster, &authority),
        &settings.filter_state_objects_to_log,
        PEERS,
    )))
}

fn open_telemetry(ctx: &Context<'_>, settings: &EnvoyOpenTelemetryLogProvider) -> Option<AccessLog> {
    let (cluster, authority) = provider::cluster(ctx, &settings.service, settings.port)?;
    let format = settings.log_format.as_ref();
    let text = match format.map_or("", |format| format.text.as_str()) {
        "" => log_format::DEFAULT_TEXT.to_owned(),
        text => text.to_owned(),
    };
    let labels = format.and_then(|format| format.labels.as_ref()).map(|labels| {
        let values = labels.fields.iter().map(|(key, value)| KeyValue {
            key: key.clone(),
            value: Some(attribute(&log_format::text_of(value))),
            ..Default::default()
        });
        KeyValueList { values: values.collect() }
    });
    let name = or(&settings.log_name, "otel_envoy_accesslog");
    #[allow(deprecated, reason = "what istiod sends and every supported Envoy reads")]
    let config = envoy::open_telemetry::OpenTelemetryAccessLogConfig {
        common_config: Some(common(name, service(&cluster, &authority), &[], PEERS_AND_WASM)),
        disable_builtin_labels: true,
        formatters: log_format::formatters(&text),
        body: Some(attribute(&text)),
        attributes: labels,
        ..Default::default()
    };
    Some(logger("envoy.access_loggers.open_telemetry", proto::pack::any(&config)))
}

fn attribute(text: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) }
}

fn or<'a>(own: &'a str, default: &'a str) -> &'a str {
    if own.is_empty() { default } else { own }
}

/// The gRPC service of a cluster.
pub(super) fn service(cluster: &str, authority: &str) -> envoy::core::GrpcService {
    envoy::core::GrpcService {
        target_specifier: Some(envoy::core::grpc_service::TargetSpecifier::EnvoyGrpc(
            envoy::core::grpc_service::EnvoyGrpc {
                cluster_name: cluster.to_owned(),
                authority: authority.to_owned(),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

fn common(
    name: &str,
    service: envoy::core::GrpcService,
    objects: &[String],
    default_objects: &[&str],
) -> envoy::grpc_access_log::CommonGrpcAccessLogConfig {
    envoy::grpc_access_log::CommonGrpcAccessLogConfig {
        log_name: name.to_owned(),
        grpc_service: Some(service),
        transport_api_version: envoy::core::ApiVersion::V3 as i32,
        filter_state_objects_to_log: if objects.is_empty() {
            default_objects.iter().map(|&object| object.to_owned()).collect()
        } else {
            objects.to_vec()
        },
        ..Default::default()
    }
}

fn http_logger(
    common: envoy::grpc_access_log::CommonGrpcAccessLogConfig,
    settings: Option<&EnvoyHttpGrpcV3LogProvider>,
) -> AccessLog {
    let mut config =
        envoy::grpc_access_log::HttpGrpcAccessLogConfig { common_config: Some(common), ..Default::default() };
    if let Some(settings) = settings {
        config.additional_request_headers_to_log.clone_from(&settings.additional_request_headers_to_log);
        config.additional_response_headers_to_log.clone_from(&settings.additional_response_headers_to_log);
        config.additional_response_trailers_to_log.clone_from(&settings.additional_response_trailers_to_log);
    }
    logger("envoy.access_loggers.http_grpc", proto::pack::any(&config))
}

fn tcp_logger(common: envoy::grpc_access_log::CommonGrpcAccessLogConfig) -> AccessLog {
    let config = envoy::grpc_access_log::TcpGrpcAccessLogConfig { common_config: Some(common) };
    logger("envoy.tcp_grpc_access_log", proto::pack::any(&config))
}

fn logger(name: &str, config: envoy::google::Any) -> AccessLog {
    AccessLog { name: name.to_owned(), filter: None, config_type: Some(ConfigType::TypedConfig(config)) }
}
