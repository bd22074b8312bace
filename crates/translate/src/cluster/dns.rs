//! Clusters whose endpoints the proxy resolves (spec 1.2, 2.6, rows C02, C04): how it looks their names up.

use envoy::cluster::cluster::DnsLookupFamily;
use mesh::{MeshSettings, Service};
use proto::envoy;
use proto::envoy::google;
use scope::IpFamilies;

/// Whether connections to the first of all addresses that answers are wanted.
pub(super) fn races(service: &Service) -> bool {
    service
        .annotations
        .get("istio.io/connect-strategy")
        .is_some_and(|value| value == "RACE_FIRST_TCP_CONNECT")
}

/// The families that a proxy looks up.
fn lookup_family(families: IpFamilies, dual_stack: bool) -> DnsLookupFamily {
    if families.only_v6() {
        DnsLookupFamily::V6Only
    } else if families.dual() && dual_stack {
        DnsLookupFamily::All
    } else {
        DnsLookupFamily::V4Only
    }
}

/// How the names are looked up.
pub(super) fn apply(
    cluster: &mut envoy::cluster::Cluster,
    families: IpFamilies,
    settings: &MeshSettings,
    service: &Service,
) {
    let features = &settings.features;
    let family =
        if races(service) { DnsLookupFamily::All } else { lookup_family(families, features.dual_stack) };
    cluster.set_dns_lookup_family(family);
    let resolver = envoy::cares_dns::CaresDnsResolverConfig {
        udp_max_queries: Some(google::uint32(features.dns_cares_udp_max_queries)),
        ..Default::default()
    };
    cluster.typed_dns_resolver_config = Some(envoy::core::TypedExtensionConfig {
        name: "envoy.network.dns_resolver.cares".to_owned(),
        typed_config: Some(proto::pack::any(&resolver)),
    });
    #[allow(deprecated, reason = "what istiod sends and every supported Envoy reads")]
    {
        cluster.dns_jitter = Some(google::duration(features.dns_jitter));
        cluster.dns_refresh_rate = settings.config.dns_refresh_rate.map(Into::into);
        cluster.respect_dns_ttl = true;
    }
}
