//! `envoy.filters.http.grpc_stats`: message counts for telemetry (spec 4.4 #10).

use proto::envoy::grpc_stats::{FilterConfig, filter_config::PerMethodStatSpecifier};
use proto::envoy::hcm::HttpFilter;

use super::HcmOptions;

pub(super) fn filter(_options: &HcmOptions) -> Option<HttpFilter> {
    let config = FilterConfig {
        emit_filter_state: true,
        per_method_stat_specifier: Some(PerMethodStatSpecifier::StatsForAllMethods(
            proto::envoy::google::boolean(false),
        )),
        ..Default::default()
    };
    Some(super::http_filter("envoy.filters.http.grpc_stats", &config))
}
