//! `corsPolicy` as the CORS filter's per-route configuration (row R21).

use proto::envoy;
use proto::envoy::google;
use proto::istio::networking as api;
use proto::istio::networking::cors_policy::UnmatchedPreflights;

use super::matches;
use super::percent;

/// The name of the filter.
pub(super) const FILTER: &str = "envoy.filters.http.cors";

/// The filter's configuration.
pub(super) fn policy(cors: &api::CorsPolicy) -> envoy::cors::CorsPolicy {
    let origins = if cors.allow_origins.is_empty() {
        cors.allow_origin.iter().map(|origin| matches::exact(origin)).collect()
    } else {
        cors.allow_origins.iter().filter_map(matches::string).collect()
    };
    envoy::cors::CorsPolicy {
        allow_origin_string_match: origins,
        allow_methods: cors.allow_methods.join(","),
        allow_headers: cors.allow_headers.join(","),
        expose_headers: cors.expose_headers.join(","),
        max_age: cors.max_age.as_ref().map(|age| age.seconds.to_string()).unwrap_or_default(),
        allow_credentials: cors.allow_credentials.as_ref().map(|allow| google::boolean(allow.value)),
        filter_enabled: Some(percent::runtime(percent::whole(100))),
        forward_not_matching_preflights: Some(google::boolean(
            cors.unmatched_preflights() != UnmatchedPreflights::Ignore,
        )),
        ..Default::default()
    }
}
