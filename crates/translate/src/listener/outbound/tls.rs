//! TLS and HTTPS ports to chains told apart by SNI (spec 4.1, rows L05, L08): one for each applicable `tls` match of
//! VirtualServices for the host, or one for the service.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh::{Resolution, Service, VirtualService};
use model::{Host, Protocol};

use super::bind;
use super::chain::{Chain, Content, TcpContent};
use crate::Context;
use crate::listener::tcp_route::{self, Origin, ProtocolFilter};

/// The chains of a TLS port of a service.
pub(crate) fn chains(
    ctx: &Context<'_>,
    service: &Service,
    virtual_services: &[Arc<VirtualService>],
    ranges: &[String],
    origin: &Origin<'_>,
    address: &str,
    protocol: Protocol,
) -> Vec<Chain> {
    let mut ranges = ranges.to_vec();
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
                let Some(proxy) = tcp_route::routed(ctx, vs, &route.route, origin.port) else { continue };
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
            server_names: server_names(ctx, service, &ranges, address),
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
fn server_names(ctx: &Context<'_>, service: &Service, ranges: &[String], address: &str) -> Vec<String> {
    let wildcard = ctx.class().ip_families.wildcard();
    let (own, _) = bind::of_service(ctx, service);
    let shared = own.first().is_some_and(|own| own == wildcard) && address == wildcard;
    if ranges.is_empty() && !shared && resolved_name(service).is_none() {
        return Vec::new();
    }
    let mut names = vec![service.host.to_string()];
    let aliases = ctx.scope.services.iter().filter(|alias| {
        alias.resolution == Resolution::Alias
            && alias.kubernetes.external_name.as_deref() == Some(service.host.as_str())
    });
    for alias in aliases {
        names.push(alias.host.to_string());
        names.push(format!("{}.", alias.host));
        if alias.namespace == *ctx.scope.namespace() {
            names.push(alias.name.clone());
        }
        names.push(format!("{}.{}", alias.name, alias.namespace));
        names.push(format!("{}.{}.svc", alias.name, alias.namespace));
    }
    names
}
