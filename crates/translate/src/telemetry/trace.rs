//! The tracing block of HTTP connection managers: sampling, tags, provider (spec 7.4; rows T13-T17). Telemetry objects
//! go before the mesh's default provider, and that before the switch `enableTracing`.

use std::collections::BTreeMap;

use proto::envoy;
use proto::envoy::google::uint32;
use proto::envoy::hcm::http_connection_manager;
use proto::istio::mesh::mesh_config::extension_provider::ServiceAttributeEnrichment;
use proto::istio::telemetry;
use proto::istio::telemetry::tracing as telemetry_tracing;

use super::{Direction, TelemetryObjects, custom_tags, tracer};
use crate::Context;

/// The block, and whether the request id decides what is sampled.
#[derive(Clone, Debug)]
pub(super) struct Tracing {
    pub(super) block: Option<http_connection_manager::Tracing>,
    pub(super) by_request_id: bool,
}

impl Tracing {
    pub(super) const OFF: Self = Self { block: None, by_request_id: true };
}

/// What Telemetry objects and the mesh say together, for one direction.
struct Spec<'a> {
    provider: Option<&'a str>,
    disabled: bool,
    sampling: Option<f64>,
    tags: Option<&'a BTreeMap<String, telemetry_tracing::CustomTag>>,
    by_request_id: bool,
    istio_tags: Option<bool>,
}

/// Resolves the block.
pub(super) fn select(ctx: &Context<'_>, direction: Direction, objects: &TelemetryObjects) -> Tracing {
    let config = &ctx.settings().config;
    let default = config.default_providers.as_ref().and_then(|providers| providers.tracing.first());
    let entries: Vec<&telemetry::Tracing> = objects.iter().flat_map(|object| &object.spec.tracing).collect();
    if entries.is_empty() && default.is_none() {
        if !config.enable_tracing {
            return Tracing::OFF;
        }
        // The tracer of the bootstrap.
        return Tracing { block: Some(block(ctx, None, &Spec::new(None))), by_request_id: true };
    }
    let spec = merged(Spec::new(default.map(String::as_str)), &entries, direction);
    let Some(tracer) = spec.provider.filter(|_| !spec.disabled).and_then(|name| tracer::select(ctx, name))
    else {
        return Tracing::OFF;
    };
    let by_request_id = spec.by_request_id;
    Tracing { block: Some(block(ctx, Some(tracer), &spec)), by_request_id }
}

impl<'a> Spec<'a> {
    fn new(provider: Option<&'a str>) -> Self {
        Self { provider, disabled: false, sampling: None, tags: None, by_request_id: true, istio_tags: None }
    }
}

/// The last entry that says something about the direction wins, field by field; tags are replaced as a whole.
fn merged<'a>(mut spec: Spec<'a>, entries: &[&'a telemetry::Tracing], direction: Direction) -> Spec<'a> {
    for entry in entries {
        if !entry.r#match.as_ref().is_none_or(|m| direction.is_in(m.mode())) {
            continue;
        }
        if let Some(provider) = entry.providers.first() {
            spec.provider = Some(&provider.name);
        }
        if let Some(disabled) = &entry.disable_span_reporting {
            spec.disabled = disabled.value;
        }
        if !entry.custom_tags.is_empty() {
            spec.tags = Some(&entry.custom_tags);
        }
        if let Some(sampling) = &entry.random_sampling_percentage {
            spec.sampling = Some(sampling.value);
        }
        if let Some(flag) = &entry.use_request_id_for_trace_sampling {
            spec.by_request_id = flag.value;
        }
        if let Some(flag) = &entry.enable_istio_tags {
            spec.istio_tags = Some(flag.value);
        }
    }
    spec
}

fn block(
    ctx: &Context<'_>,
    tracer: Option<tracer::Tracer>,
    spec: &Spec<'_>,
) -> http_connection_manager::Tracing {
    let proxy = crate::proxy_config::effective(ctx);
    let own = proxy.tracing.as_ref();
    let of_tracer = tracer.as_ref();
    let sampling = of_tracer
        .and_then(|tracer| tracer.sampling)
        .or(spec.sampling)
        .or_else(|| own.map(|tracing| tracing.sampling).filter(|sampling| *sampling != 0.0))
        .unwrap_or_else(|| f64::from(ctx.settings().features.trace_sampling_basis_points) / 100.0);
    let tag_length = of_tracer
        .map(|tracer| tracer.max_tag_length)
        .filter(|length| *length != 0)
        .or_else(|| own.map(|tracing| tracing.max_path_tag_length).filter(|length| *length != 0));
    let spawns = of_tracer.is_some_and(|tracer| tracer.spawn_upstream_span);
    let of_proxy = own.and_then(|own| own.enable_istio_tags.as_ref()).map(|flag| flag.value);
    let mut tags = Vec::new();
    if spec.istio_tags.or(of_proxy).unwrap_or(true) {
        tags = custom_tags::of_mesh(ctx);
    }
    match (spec.tags, own) {
        (Some(configured), _) => tags.extend(custom_tags::of_telemetry(configured)),
        (None, Some(own)) => tags.extend(custom_tags::of_proxy_config(own)),
        (None, None) => {}
    }
    tags.sort_by(|a, b| a.tag.cmp(&b.tag));
    http_connection_manager::Tracing {
        client_sampling: percent(100.0),
        random_sampling: percent(sampling),
        overall_sampling: percent(100.0),
        max_path_tag_length: tag_length.map(uint32),
        custom_tags: tags,
        provider: tracer.map(|tracer| tracer.provider),
        spawn_upstream_span: spawns.then(|| envoy::google::boolean(true)),
        ..Default::default()
    }
}

/// Envoy takes no more than everything and no less than nothing.
fn percent(value: f64) -> Option<envoy::types::Percent> {
    Some(envoy::types::Percent { value: value.clamp(0.0, 100.0) })
}

/// The name by which the proxy's service goes in traces.
pub(super) fn service_name(ctx: &Context<'_>, enrichment: ServiceAttributeEnrichment) -> String {
    let class = ctx.class();
    match enrichment {
        ServiceAttributeEnrichment::OtelSemanticConventions => class.metadata.workload_name.clone(),
        ServiceAttributeEnrichment::IstioCanonical => class.node_cluster.clone(),
    }
}
