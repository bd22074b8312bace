//! Clusters whose endpoints the proxy resolves (spec 1.2, 2.6, rows C02, C04): which names it looks up and how, and
//! the load assignment that such a cluster carries itself.

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
pub(crate) fn lookup_family(families: IpFamilies, dual_stack: bool) -> DnsLookupFamily {
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

/// The load assignment of a cluster that resolves names, by locality.
pub(super) fn load_assignment(
    name: &str,
    endpoints: &[mesh::Endpoint],
) -> envoy::endpoint::ClusterLoadAssignment {
    use envoy::endpoint::{Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier};
    let mut groups: std::collections::BTreeMap<String, (model::Locality, Vec<LbEndpoint>, u32)> =
        Default::default();
    for endpoint in endpoints {
        let address = match &endpoint.address {
            mesh::EndpointAddress::Ip(host, port) | mesh::EndpointAddress::Host(host, port) => {
                super::inbound::socket_address(host, *port)
            }
            mesh::EndpointAddress::Pipe(path) => super::inbound::pipe(path),
            mesh::EndpointAddress::Network(_) => continue,
        };
        let weight = endpoint.weight.max(1);
        let group = groups
            .entry(format!(
                "{}/{}/{}",
                endpoint.locality.region, endpoint.locality.zone, endpoint.locality.subzone
            ))
            .or_insert_with(|| (endpoint.locality.clone(), Vec::new(), 0));
        group.2 = group.2.saturating_add(weight);
        group.1.push(LbEndpoint {
            load_balancing_weight: Some(google::uint32(weight)),
            host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
                address: Some(address),
                ..Default::default()
            })),
            ..Default::default()
        });
    }
    let endpoints = groups
        .into_values()
        .map(|(locality, lb_endpoints, weight)| LocalityLbEndpoints {
            locality: Some(envoy::core::Locality {
                region: locality.region,
                zone: locality.zone,
                sub_zone: locality.subzone,
            }),
            lb_endpoints,
            load_balancing_weight: Some(google::uint32(weight)),
            ..Default::default()
        })
        .collect();
    envoy::endpoint::ClusterLoadAssignment { cluster_name: name.to_owned(), endpoints, ..Default::default() }
}
