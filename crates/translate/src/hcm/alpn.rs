//! `istio.alpn`: what a client announces upstream, by the protocol of the request (spec 4.4 #11). Only Istio's build
//! of Envoy has it; clusters of the stock dialect announce it themselves.

use proto::alpn::{FilterConfig, filter_config::AlpnOverride, filter_config::Protocol};
use proto::envoy::hcm::HttpFilter;
use scope::Dialect;

use super::HcmOptions;
use crate::telemetry::Direction;

pub(super) fn filter(options: &HcmOptions) -> Option<HttpFilter> {
    let defaults = &options.defaults;
    if defaults.dialect == Dialect::Stock || !defaults.alpn || defaults.direction == Direction::Inbound {
        return None;
    }
    let announce = |protocol: Protocol, names: [&str; 3]| AlpnOverride {
        upstream_protocol: protocol as i32,
        alpn_override: names.map(str::to_owned).to_vec(),
    };
    let config = FilterConfig {
        alpn_override: vec![
            announce(Protocol::Http10, ["istio-http/1.0", "istio", "http/1.0"]),
            announce(Protocol::Http11, ["istio-http/1.1", "istio", "http/1.1"]),
            announce(Protocol::Http2, ["istio-h2", "istio", "h2"]),
        ],
    };
    Some(super::http_filter("istio.alpn", &config))
}
