//! `envoy.filters.http.router`, the last filter (spec 4.4 #16).

use proto::envoy::hcm::HttpFilter;

use super::HcmOptions;

pub(super) fn filter(options: &HcmOptions) -> Option<HttpFilter> {
    let debug = options.defaults.headers.envoy_debug_headers.as_ref();
    let config = proto::envoy::router::Router {
        suppress_envoy_headers: debug.and_then(|d| d.disabled.as_ref()).is_some_and(|flag| flag.value),
        ..Default::default()
    };
    Some(super::http_filter("envoy.filters.http.router", &config))
}
