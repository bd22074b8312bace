//! `envoy.filters.http.cors`: the place where routes put their CORS policies (spec 4.4 #12).

use proto::envoy::hcm::HttpFilter;

use super::HcmOptions;

pub(super) fn filter(_options: &HcmOptions) -> Option<HttpFilter> {
    Some(super::http_filter("envoy.filters.http.cors", &proto::envoy::cors::Cors::default()))
}
