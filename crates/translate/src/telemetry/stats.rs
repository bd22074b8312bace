//! The `istio.stats` filter of HTTP and TCP chains (spec 7.2; rows T01-T05).

use std::collections::{BTreeMap, BTreeSet};

use proto::envoy;
use proto::envoy::listener::filter::ConfigType;
use proto::istio::mesh::mesh_config::extension_provider::Provider;
use proto::istio::telemetry::metric_selector::{IstioMetric, MetricMatch};
use proto::istio::telemetry::metrics_overrides::{TagOverride, tag_override::Operation};
use proto::istio::telemetry::{MetricSelector, Metrics, MetricsOverrides};
use proto::wkt::Duration;

use super::{Direction, TelemetryObjects, names, provider};
use crate::Context;

const NAME: &str = "istio.stats";

/// What is overridden about one metric.
#[derive(Clone, Debug, Default)]
struct Override {
    drop: bool,
    tags: BTreeMap<String, TagOverride>,
}

/// What is said about one provider, for one direction.
#[derive(Clone, Debug, Default)]
struct OfProvider {
    disabled: bool,
    reporting_interval: Option<Duration>,
    /// By the metric's name in the API.
    overrides: BTreeMap<String, Override>,
}

/// One filter configuration for each provider of metrics that yields one, in the order of their names.
pub(super) fn select(
    ctx: &Context<'_>,
    direction: Direction,
    objects: &TelemetryObjects,
) -> Vec<proto::stats::PluginConfig> {
    let config = &ctx.settings().config;
    let default = config.default_providers.as_ref().map_or(&[][..], |providers| &providers.metrics);
    let entries: Vec<&Metrics> = objects.iter().flat_map(|object| &object.spec.metrics).collect();
    let is_prometheus = |name: &str| match provider::named(config, name) {
        Some(provider) => matches!(provider, Provider::Prometheus(_)),
        None => name.eq_ignore_ascii_case("prometheus"),
    };
    merged(default, &entries, direction)
        .into_iter()
        .filter(|(name, of)| !of.disabled && is_prometheus(name))
        .map(|(_, of)| plugin(direction, of))
        .collect()
}

/// The last entry that names providers decides which count; overrides of any entry add up for those that count.
fn merged(default: &[String], entries: &[&Metrics], direction: Direction) -> BTreeMap<String, OfProvider> {
    let mut inherited: Vec<String> = default.to_vec();
    let last = entries.iter().rev().map(|entry| names(&entry.providers)).find(|names| !names.is_empty());
    let counting: BTreeSet<String> = last.unwrap_or_else(|| inherited.clone()).into_iter().collect();
    let mut providers: BTreeMap<String, OfProvider> = BTreeMap::new();
    if entries.is_empty() {
        return counting.into_iter().map(|name| (name, OfProvider::default())).collect();
    }
    for entry in entries {
        let named = names(&entry.providers);
        if !named.is_empty() {
            inherited = named;
        }
        for name in inherited.iter().filter(|name| counting.contains(*name)) {
            let of = providers.entry(name.clone()).or_default();
            if entry.reporting_interval.is_some() {
                of.reporting_interval = entry.reporting_interval;
            }
            for change in &entry.overrides {
                apply(of, change, direction);
            }
        }
    }
    providers
}

fn apply(of: &mut OfProvider, change: &MetricsOverrides, direction: Direction) {
    let selector = change.r#match.as_ref();
    if !selector.is_none_or(|selector| direction.is_in(selector.mode())) {
        return;
    }
    let drop = change.disabled.as_ref().map(|flag| flag.value);
    if is_all(selector) && drop == Some(true) {
        of.disabled = true;
        return;
    }
    // Whatever is said about a metric afterwards wants the filter back.
    of.disabled = false;
    for metric in metrics(selector) {
        let known = of.overrides.entry(metric).or_default();
        known.drop = drop.unwrap_or(known.drop);
        known.tags.extend(change.tag_overrides.iter().map(|(tag, change)| (tag.clone(), change.clone())));
    }
}

fn is_all(selector: Option<&MetricSelector>) -> bool {
    match selector.and_then(|selector| selector.metric_match.as_ref()) {
        None => true,
        Some(MetricMatch::Metric(metric)) => *metric == IstioMetric::AllMetrics as i32,
        Some(MetricMatch::CustomMetric(_)) => false,
    }
}

/// The names of the metrics that a selector means, as the API has them; the proxy's own names come last.
fn metrics(selector: Option<&MetricSelector>) -> Vec<String> {
    match selector.and_then(|selector| selector.metric_match.as_ref()) {
        Some(MetricMatch::CustomMetric(name)) => vec![name.clone()],
        Some(MetricMatch::Metric(metric)) if *metric != IstioMetric::AllMetrics as i32 => {
            let known = IstioMetric::try_from(*metric).ok();
            known.map(|metric| metric.as_str_name().to_owned()).into_iter().collect()
        }
        Some(MetricMatch::Metric(_)) | None => {
            PROMETHEUS_NAMES.iter().map(|(metric, _)| metric.as_str_name().to_owned()).collect()
        }
    }
}

const PROMETHEUS_NAMES: &[(IstioMetric, &str)] = &[
    (IstioMetric::RequestCount, "requests_total"),
    (IstioMetric::RequestDuration, "request_duration_milliseconds"),
    (IstioMetric::RequestSize, "request_bytes"),
    (IstioMetric::ResponseSize, "response_bytes"),
    (IstioMetric::TcpOpenedConnections, "tcp_connections_opened_total"),
    (IstioMetric::TcpClosedConnections, "tcp_connections_closed_total"),
    (IstioMetric::TcpSentBytes, "tcp_sent_bytes_total"),
    (IstioMetric::TcpReceivedBytes, "tcp_received_bytes_total"),
    (IstioMetric::GrpcRequestMessages, "request_messages_total"),
    (IstioMetric::GrpcResponseMessages, "response_messages_total"),
];

fn prometheus_name(metric: &str) -> String {
    let known = PROMETHEUS_NAMES.iter().find(|(known, _)| known.as_str_name() == metric);
    known.map_or(metric, |(_, name)| name).to_owned()
}

fn plugin(direction: Direction, of: OfProvider) -> proto::stats::PluginConfig {
    let metrics = of.overrides.into_iter().map(|(metric, change)| {
        let mut config = proto::stats::MetricConfig {
            name: prometheus_name(&metric),
            drop: change.drop,
            ..Default::default()
        };
        for (tag, change) in change.tags {
            match change.operation() {
                Operation::Upsert => {
                    config.dimensions.insert(tag, change.value);
                }
                Operation::Remove => config.tags_to_remove.push(tag),
            }
        }
        config
    });
    proto::stats::PluginConfig {
        disable_host_header_fallback: direction != Direction::Outbound,
        tcp_reporting_duration: of.reporting_interval.map(Into::into),
        metrics: metrics.collect(),
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
