//! `envoy.filters.http.dynamic_forward_proxy`: resolves the requested host of a wildcard ServiceEntry (spec 4.4 #15).

use proto::envoy;
use proto::envoy::hcm::HttpFilter;
use proto::envoy::http_dynamic_forward_proxy::{FilterConfig, filter_config::ImplementationSpecifier};

use super::HcmOptions;

pub(super) fn filter(options: &HcmOptions) -> Option<HttpFilter> {
    let cache = options.dynamic_forward_proxy.as_ref()?;
    let config = FilterConfig {
        implementation_specifier: Some(ImplementationSpecifier::DnsCacheConfig(
            envoy::dynamic_forward_proxy::DnsCacheConfig {
                name: cache.name.clone(),
                dns_lookup_family: cache.lookup_family,
                ..Default::default()
            },
        )),
        ..Default::default()
    };
    Some(super::http_filter("envoy.filters.http.dynamic_forward_proxy", &config))
}
