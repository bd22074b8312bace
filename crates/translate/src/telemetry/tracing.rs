//! The tracing block of HTTP connection managers: sampling, tags, provider (spec 7.4; rows T13-T17).

use proto::envoy;
use proto::envoy::google::uint32;
use proto::envoy::hcm::http_connection_manager;
use proto::istio;

use super::{Direction, custom_tags, tracer};
use crate::Context;

/// The block, and whether the request id decides what is sampled.
#[derive(Clone, Debug)]
pub(super) struct Tracing {
    pub(super) block: Option<http_connection_manager::Tracing>,
    pub(super) by_request_id: bool,
}

/// Resolves the block.
pub(super) fn select(ctx: &Context<'_>, _direction: Direction) -> Tracing {
    let config = &ctx.settings().config;
    let proxy = crate::proxy_config::effective(ctx);
    let own = proxy.tracing.as_ref();
    let default = config.default_providers.as_ref().and_then(|providers| providers.tracing.first());
    let tracer = match default {
        Some(name) => match tracer::select(ctx, name) {
            Some(tracer) => Some(tracer),
            None => return Tracing { block: None, by_request_id: true },
        },
        None if config.enable_tracing => None,
        None => return Tracing { block: None, by_request_id: true },
    };
    let sampling = own
        .map(|tracing| tracing.sampling)
        .filter(|sampling| *sampling != 0.0)
        .unwrap_or_else(|| f64::from(ctx.settings().features.trace_sampling_basis_points) / 100.0);
    let mut tags = Vec::new();
    if own.and_then(|t| t.enable_istio_tags.as_ref()).is_none_or(|flag| flag.value) {
        tags = custom_tags::of_mesh(ctx);
    }
    if let Some(own) = own {
        tags.extend(custom_tags::of_proxy_config(own));
    }
    tags.sort_by(|a, b| a.tag.cmp(&b.tag));
    let tag_length = tracer
        .as_ref()
        .map(|tracer| tracer.max_tag_length)
        .filter(|length| *length != 0)
        .or_else(|| own.map(|tracing| tracing.max_path_tag_length).filter(|length| *length != 0));
    let spawns = tracer.as_ref().is_some_and(|tracer| tracer.spawn_upstream_span);
    let block = http_connection_manager::Tracing {
        client_sampling: percent(100.0),
        random_sampling: percent(tracer.as_ref().and_then(|tracer| tracer.sampling).unwrap_or(sampling)),
        overall_sampling: percent(100.0),
        max_path_tag_length: tag_length.map(uint32),
        custom_tags: tags,
        provider: tracer.map(|tracer| tracer.provider),
        spawn_upstream_span: spawns.then(|| envoy::google::boolean(true)),
        ..Default::default()
    };
    Tracing { block: Some(block), by_request_id: true }
}

fn percent(value: f64) -> Option<envoy::types::Percent> {
    Some(envoy::types::Percent { value })
}

/// The name by which the proxy's service goes in traces.
pub(super) fn service_name(
    ctx: &Context<'_>,
    enrichment: istio::mesh::mesh_config::extension_provider::ServiceAttributeEnrichment,
) -> String {
    use istio::mesh::mesh_config::extension_provider::ServiceAttributeEnrichment as By;
    let class = ctx.class();
    match enrichment {
        By::OtelSemanticConventions => class.metadata.workload_name.clone(),
        By::IstioCanonical => class.node_cluster.clone(),
    }
}
