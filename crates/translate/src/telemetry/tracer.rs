//! Tracing providers: Zipkin, Datadog, SkyWalking, OpenTelemetry become the tracer of the connection manager (spec
//! 7.4; rows T16, T17). A provider whose service does not resolve, or of another kind, gives nothing.

use prost::Name;
use proto::envoy;
use proto::envoy::google::{boolean, seconds};
use proto::envoy::trace::tracing as tracers;
use proto::istio::mesh::mesh_config::extension_provider::{
    DatadogTracingProvider, GrpcService, HttpHeader, HttpService, OpenTelemetryTracingProvider, Provider,
    SkyWalkingTracingProvider, ZipkinTracingProvider,
    http_header::HeaderValue,
    open_telemetry_tracing_provider::{DynatraceSampler, Sampling},
    zipkin_tracing_provider::TraceContextOption,
};

use super::{log_provider, provider, trace};
use crate::Context;

/// A resolved provider.
pub(super) struct Tracer {
    pub(super) provider: tracers::Http,
    pub(super) max_tag_length: u32,
    pub(super) spawn_upstream_span: bool,
    /// Set where the provider samples by itself.
    pub(super) sampling: Option<f64>,
}

/// The tracer of the provider of that name.
pub(super) fn select(ctx: &Context<'_>, name: &str) -> Option<Tracer> {
    let mut tracer = match provider::named(&ctx.settings().config, name)? {
        Provider::Zipkin(settings) => zipkin(ctx, settings),
        Provider::Datadog(settings) => datadog(ctx, settings),
        Provider::Skywalking(settings) => skywalking(ctx, settings),
        Provider::Opentelemetry(settings) => open_telemetry(ctx, settings),
        _ => None,
    }?;
    tracer.spawn_upstream_span |=
        ctx.class().is_router() && ctx.settings().features.spawn_upstream_span_for_gateway;
    Some(tracer)
}

fn zipkin(ctx: &Context<'_>, settings: &ZipkinTracingProvider) -> Option<Tracer> {
    let (cluster, host) = provider::cluster(ctx, &settings.service, settings.port)?;
    let path = if settings.path.is_empty() { "/api/v2/spans" } else { &settings.path };
    let timeout = settings.timeout.as_ref().map_or_else(|| seconds(5), duration);
    let context = match settings.trace_context_option() {
        TraceContextOption::UseB3 => envoy::trace::zipkin_config::TraceContextOption::UseB3,
        TraceContextOption::UseB3WithW3cPropagation => {
            envoy::trace::zipkin_config::TraceContextOption::UseB3WithW3cPropagation
        }
    };
    let config = envoy::trace::ZipkinConfig {
        collector_endpoint_version: envoy::trace::zipkin_config::CollectorEndpointVersion::HttpJson as i32,
        trace_id_128bit: !settings.enable_64bit_trace_id,
        shared_span_context: Some(boolean(false)),
        trace_context_option: context as i32,
        collector_service: Some(envoy::core::HttpService {
            http_uri: Some(uri(&cluster, format!("http://{host}{path}"), timeout)),
            request_headers_to_add: headers(&settings.headers),
            ..Default::default()
        }),
        ..Default::default()
    };
    Some(tracer("envoy.tracers.zipkin", &config, settings.max_tag_length))
}

fn datadog(ctx: &Context<'_>, settings: &DatadogTracingProvider) -> Option<Tracer> {
    let (cluster, host) = provider::cluster(ctx, &settings.service, settings.port)?;
    let config = envoy::trace::DatadogConfig {
        collector_cluster: cluster,
        collector_hostname: host,
        service_name: ctx.class().node_cluster.clone(),
        ..Default::default()
    };
    Some(tracer("envoy.tracers.datadog", &config, settings.max_tag_length))
}

fn skywalking(ctx: &Context<'_>, settings: &SkyWalkingTracingProvider) -> Option<Tracer> {
    let (cluster, host) = provider::cluster(ctx, &settings.service, settings.port)?;
    let config = envoy::trace::SkyWalkingConfig {
        grpc_service: Some(log_provider::service(&cluster, &host)),
        ..Default::default()
    };
    let mut tracer = tracer("envoy.tracers.skywalking", &config, 0);
    tracer.spawn_upstream_span = true;
    Some(tracer)
}

fn open_telemetry(ctx: &Context<'_>, settings: &OpenTelemetryTracingProvider) -> Option<Tracer> {
    let (cluster, host) = provider::cluster(ctx, &settings.service, settings.port)?;
    let mut config = envoy::trace::OpenTelemetryConfig {
        service_name: trace::service_name(ctx, settings.service_attribute_enrichment()),
        ..Default::default()
    };
    match &settings.http {
        Some(http) => config.http_service = Some(http_service(&cluster, &host, http)),
        None => config.grpc_service = Some(grpc_service(&cluster, &host, settings.grpc.as_ref())),
    }
    if let Some(detectors) = &settings.resource_detectors {
        let prefix = "envoy.tracers.opentelemetry.resource_detectors";
        if detectors.environment.is_some() {
            config.resource_detectors.push(extension(
                format!("{prefix}.environment"),
                &envoy::otel_resource_detectors::EnvironmentResourceDetectorConfig {},
            ));
        }
        if detectors.dynatrace.is_some() {
            config.resource_detectors.push(extension(
                format!("{prefix}.dynatrace"),
                &envoy::otel_resource_detectors::DynatraceResourceDetectorConfig {},
            ));
        }
    }
    let mut sampling = None;
    if let Some(Sampling::DynatraceSampler(sampler)) = &settings.sampling {
        config.sampler = Some(dynatrace(ctx, (&cluster, &host), settings, sampler));
        // The sampler decides; whatever else is set must let every request reach it.
        sampling = Some(100.0);
    }
    let mut tracer = tracer("envoy.tracers.opentelemetry", &config, settings.max_tag_length);
    tracer.sampling = sampling;
    Some(tracer)
}

/// The sampler asks its own service, or where there is none the one that spans go to.
fn dynatrace(
    ctx: &Context<'_>,
    exporter: (&str, &str),
    settings: &OpenTelemetryTracingProvider,
    sampler: &DynatraceSampler,
) -> envoy::core::TypedExtensionConfig {
    let own = sampler.http_service.as_ref().and_then(|api| {
        let (cluster, host) = provider::cluster(ctx, &api.service, api.port)?;
        Some(http_service(&cluster, &host, api.http.as_ref()?))
    });
    let service = own.or_else(|| {
        let mut http = settings.http.clone()?;
        "/api/v2/samplingConfiguration".clone_into(&mut http.path);
        Some(http_service(exporter.0, exporter.1, &http))
    });
    let config = envoy::otel_samplers::DynatraceSamplerConfig {
        tenant: sampler.tenant.clone(),
        cluster_id: sampler.cluster_id,
        root_spans_per_minute: sampler.root_spans_per_minute,
        http_service: service,
    };
    extension("envoy.tracers.opentelemetry.samplers.dynatrace".to_owned(), &config)
}

fn http_service(cluster: &str, host: &str, http: &HttpService) -> envoy::core::HttpService {
    let timeout = http.timeout.as_ref().map_or_else(|| seconds(0), duration);
    envoy::core::HttpService {
        http_uri: Some(uri(cluster, format!("{host}{}", http.path), timeout)),
        request_headers_to_add: headers(&http.headers),
        ..Default::default()
    }
}

fn grpc_service(cluster: &str, host: &str, grpc: Option<&GrpcService>) -> envoy::core::GrpcService {
    let mut service = log_provider::service(cluster, host);
    if let Some(grpc) = grpc {
        service.timeout = grpc.timeout.as_ref().map(duration);
        service.initial_metadata = grpc.initial_metadata.iter().map(header).collect();
    }
    service
}

fn uri(cluster: &str, uri: String, timeout: envoy::google::Duration) -> envoy::core::HttpUri {
    envoy::core::HttpUri {
        uri,
        timeout: Some(timeout),
        http_upstream_type: Some(envoy::core::http_uri::HttpUpstreamType::Cluster(cluster.to_owned())),
    }
}

fn headers(configured: &[HttpHeader]) -> Vec<envoy::core::HeaderValueOption> {
    let option = |configured: &HttpHeader| envoy::core::HeaderValueOption {
        header: Some(header(configured)),
        append_action: envoy::core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        ..Default::default()
    };
    configured.iter().map(option).collect()
}

/// A header whose value is in the environment of the control plane stays empty: this crate has no environment, and a
/// secret has no place in what every proxy may read.
fn header(configured: &HttpHeader) -> envoy::core::HeaderValue {
    let value = match &configured.header_value {
        Some(HeaderValue::Value(value)) => value.clone(),
        Some(HeaderValue::EnvName(_)) | None => String::new(),
    };
    envoy::core::HeaderValue { key: configured.name.clone(), value, ..Default::default() }
}

fn duration(value: &proto::wkt::Duration) -> envoy::google::Duration {
    envoy::google::Duration { seconds: value.seconds, nanos: value.nanos }
}

fn extension<M: prost::Message + Name>(name: String, config: &M) -> envoy::core::TypedExtensionConfig {
    envoy::core::TypedExtensionConfig { name, typed_config: Some(proto::pack::any(config)) }
}

fn tracer<M: prost::Message + Name>(name: &str, config: &M, max_tag_length: u32) -> Tracer {
    let config_type = tracers::http::ConfigType::TypedConfig(proto::pack::any(config));
    Tracer {
        provider: tracers::Http { name: name.to_owned(), config_type: Some(config_type) },
        max_tag_length,
        spawn_upstream_span: false,
        sampling: None,
    }
}
