//! The `istio.stats` filter of HTTP and TCP chains (spec 7.2; rows T01-T05).

use proto::envoy;
use proto::envoy::listener::filter::ConfigType;
use proto::istio::mesh::mesh_config::extension_provider::Provider;

use super::Direction;
use crate::Context;

const NAME: &str = "istio.stats";

/// One filter configuration for each provider of metrics that yields one.
pub(super) fn select(ctx: &Context<'_>, direction: Direction) -> Vec<proto::stats::PluginConfig> {
    let config = &ctx.settings().config;
    let mut names: Vec<&String> =
        config.default_providers.as_ref().map(|p| p.metrics.iter().collect()).unwrap_or_default();
    names.sort();
    names.dedup();
    let is_prometheus = |name: &str| {
        name == "prometheus"
            || config
                .extension_providers
                .iter()
                .any(|p| p.name == name && matches!(p.provider, Some(Provider::Prometheus(_))))
    };
    names.into_iter().filter(|name| is_prometheus(name)).map(|_| plugin(direction)).collect()
}

fn plugin(direction: Direction) -> proto::stats::PluginConfig {
    proto::stats::PluginConfig {
        disable_host_header_fallback: direction != Direction::Outbound,
        ..Default::default()
    }
}

/// The filter of a TCP chain.
pub(super) fn network_filter(config: &proto::stats::PluginConfig) -> envoy::listener::Filter {
    envoy::listener::Filter {
        name: NAME.to_owned(),
        config_type: Some(ConfigType::TypedConfig(proto::pack::any(config))),
    }
}

/// The filter of an HTTP connection manager.
pub(super) fn http_filter(config: &proto::stats::PluginConfig) -> envoy::hcm::HttpFilter {
    crate::hcm::http_filter(NAME, config)
}
