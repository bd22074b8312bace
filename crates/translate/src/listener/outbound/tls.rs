//! TLS and HTTPS ports to chains told apart by SNI (spec 4.1, rows L05, L08): one for each applicable `tls` match of
//! VirtualServices for the host, or one for the service.

use std::collections::BTreeSet;

use mesh::{Resolution, Service};
use model::Host;

use super::bind;
use super::chain::{Chain, Content, TcpContent};
use super::stream_port::StreamPort;
use crate::listener::tcp_route::{self, ProtocolFilter};
use crate::{Context, route};

/// The chains of a TLS port of a service.
pub(crate) fn chains(ctx: &Context<'_>, port: &StreamPort<'_>) -> Vec<Chain> {
    let StreamPort { service, protocol, virtual_services, origin, .. } = *port;
    let mut ranges = port.ranges.to_vec();
    let mut seen = BTreeSet::new();
    let mut chains = Vec::new();
    for vs in virtual_services {
        for route in &vs.spec.tls {
            for m in route.r#match.iter().filter(|m| origin.fits_tls(m)) {
                // Subnets of a match hold for those that follow, too, until others are given.
                if !m.destination_subnets.is_empty() && origin.port > 0 {
                    ranges.clone_from(&m.destination_subnets);
                }
                if !seen.insert((m.sni_hosts.clone(), m.destination_subnets.clone())) {
                    continue;
                }
                let Some(proxy) = tcp_route::routed(ctx, vs, &route.route, origin.port, origin.port_name)
                else {
                    continue;
                };
                chains.push(Chain {
                    server_names: m.sni_hosts.clone(),
                    ranges: ranges.clone(),
                    sniffed_http: false,
                    origin: Some((vs.namespace.clone(), vs.name.clone())),
                    content: Content::Tcp(TcpContent {
                        proxy,
                        protocol: ProtocolFilter::of(ctx, protocol),
                        resolves: None,
                    }),
                });
            }
        }
    }
    if chains.is_empty() {
        let resolves = resolved_name(service).map(|host| (host, origin.port));
        let chain = Chain {
            server_names: server_names(ctx, port, &ranges),
            ranges,
            ..Chain::of(Content::Tcp(TcpContent {
                proxy: tcp_route::direct(ctx, service, origin.port),
                protocol: ProtocolFilter::of(ctx, protocol),
                resolves,
            }))
        };
        chains.push(chain);
    }
    chains
}

/// The wildcard host that the proxy resolves itself.
pub(crate) fn resolved_name(service: &Service) -> Option<Host> {
    (service.host.is_wildcard() && service.resolution == Resolution::DynamicDns).then(|| service.host.clone())
}

/// SNI tells services apart that share an address. One with an address of its own needs none, unless its names are
/// resolved by SNI.
fn server_names(ctx: &Context<'_>, port: &StreamPort<'_>, ranges: &[String]) -> Vec<String> {
    let wildcard = ctx.class().ip_families.wildcard();
    let service = port.service;
    let (own, _) = bind::of_service(ctx, service);
    let shared = own.first().is_some_and(|own| own == wildcard) && port.address == wildcard;
    if ranges.is_empty() && !shared && resolved_name(service).is_none() {
        return Vec::new();
    }
    let mut names = vec![service.host.to_string()];
    let absolute = ctx.settings().features.absolute_fqdn_domain;
    for (alias, _) in port.aliases.iter().filter(|(_, concrete)| **concrete == service.host) {
        names.extend(route::names_of(alias, &ctx.class().dns_domain, absolute));
    }
    names
}
