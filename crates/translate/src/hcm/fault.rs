//! `envoy.filters.http.fault`: the place where routes put their faults (spec 4.4 #12).

use proto::envoy::hcm::HttpFilter;

use super::HcmOptions;

pub(super) fn filter(_options: &HcmOptions) -> Option<HttpFilter> {
    Some(super::http_filter("envoy.filters.http.fault", &proto::envoy::fault::HttpFault::default()))
}
