//! TCP ports to chains told apart by destination (spec 4.1, row L08): `tcp` routes of VirtualServices for the host,
//! then the service, unless a route took everything.

use super::chain::{Chain, Content, TcpContent};
use super::stream_port::StreamPort;
use crate::Context;
use crate::listener::tcp_proxy::TcpProxy;
use crate::listener::tcp_route::{self, ProtocolFilter};

/// The chains of a TCP port of a service.
pub(crate) fn chains(ctx: &Context<'_>, port: &StreamPort<'_>) -> Vec<Chain> {
    let StreamPort { service, protocol, virtual_services, ranges, origin, .. } = *port;
    let content = |proxy: TcpProxy| {
        Content::Tcp(TcpContent { proxy, protocol: ProtocolFilter::of(ctx, protocol), resolves: None })
    };
    let mut chains = Vec::new();
    let mut covered = false;
    for vs in virtual_services {
        for route in &vs.spec.tcp {
            let Some(proxy) = tcp_route::routed(ctx, vs, &route.route, origin.port, origin.port_name) else {
                continue;
            };
            let mut fitting = route.r#match.iter().filter(|m| origin.fits_tcp(m)).peekable();
            if !route.r#match.is_empty() && fitting.peek().is_none() {
                continue;
            }
            // A match without subnets takes whatever reaches the service; nothing after it can be reached. On a
            // socket there are no subnets to tell.
            let subnets: Vec<_> = fitting.map(|m| &m.destination_subnets).collect();
            if origin.port == 0 || subnets.iter().any(|list| list.is_empty()) || route.r#match.is_empty() {
                chains.push(Chain {
                    ranges: ranges.to_vec(),
                    origin: Some((vs.namespace.clone(), vs.name.clone())),
                    ..Chain::of(content(proxy))
                });
                return chains;
            }
            let subnets: Vec<String> = subnets.into_iter().flatten().cloned().collect();
            covered |= sorted(&subnets) == sorted(ranges);
            chains.push(Chain { ranges: subnets, ..Chain::of(content(proxy)) });
        }
    }
    if !covered {
        chains.push(Chain {
            ranges: ranges.to_vec(),
            ..Chain::of(content(tcp_route::direct(ctx, service, origin.port)))
        });
    }
    chains
}

fn sorted(list: &[String]) -> Vec<&String> {
    let mut list: Vec<_> = list.iter().collect();
    list.sort();
    list
}
