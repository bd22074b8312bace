//! TCP and TLS routes of VirtualServices behind a gateway's server (spec 4.3; row L20). Of a match only port and
//! gateways count here: whoever comes from outside has no labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh::VirtualService;
use proto::istio::networking::server_tls_settings::TlSmode;
use scope::GatewayServer;

use super::chain::{Chain, Content, TcpContent};
use crate::Context;
use crate::listener::tcp_route::{self, ProtocolFilter};

/// The chain content of a server of opaque streams: the first TCP route of the first VirtualService that has one for
/// it.
pub(super) fn tcp(ctx: &Context<'_>, server: &GatewayServer) -> Option<TcpContent> {
    let from_mesh = server.tls_mode() == Some(TlSmode::IstioMutual);
    bound(ctx, server).find_map(|virtual_service| {
        let tcp = virtual_service.spec.tcp.iter().filter(|route| {
            route.r#match.is_empty()
                || route.r#match.iter().any(|wanted| fits(server, wanted.port, &wanted.gateways))
        });
        // A TLSRoute also says where streams go that come without their TLS.
        let tls = virtual_service.spec.tls.iter().filter(|route| {
            virtual_service.is_tls_route
                && route.r#match.iter().any(|wanted| fits(server, wanted.port, &wanted.gateways))
        });
        let destinations = tcp.map(|route| &route.route).chain(tls.map(|route| &route.route));
        let to = destinations.into_iter().find(|to| !to.is_empty())?;
        let proxy = tcp_route::routed(ctx, virtual_service, to, server.declared_port)?;
        Some(TcpContent {
            proxy,
            protocol: ProtocolFilter::of(ctx, server.protocol),
            from_mesh,
            authorized: true,
        })
    })
}

/// The chains of a passthrough server: one for every match of a TLS route. A match with a server name that another
/// match of the port has (`taken`) is passed over as a whole.
pub(super) fn passthrough(
    ctx: &Context<'_>,
    server: &GatewayServer,
    taken: &mut BTreeSet<String>,
) -> Vec<Chain> {
    let mut chains = Vec::new();
    for virtual_service in bound(ctx, server) {
        for route in virtual_service.spec.tls.iter().filter(|route| !route.route.is_empty()) {
            for wanted in route.r#match.iter().filter(|wanted| fits(server, wanted.port, &wanted.gateways)) {
                let known = wanted.sni_hosts.iter().filter(|host| !taken.insert((*host).clone())).count();
                if known > 0 {
                    continue;
                }
                let Some(proxy) = tcp_route::routed(ctx, virtual_service, &route.route, server.declared_port)
                else {
                    continue;
                };
                let protocol = ProtocolFilter::of(ctx, server.protocol);
                let mut server_names = wanted.sni_hosts.clone();
                server_names.sort();
                if server_names.iter().any(|name| name == "*") {
                    server_names.clear();
                }
                chains.push(Chain {
                    server_names,
                    inspected: true,
                    ..Chain::of(Content::Tcp(TcpContent {
                        proxy,
                        protocol,
                        from_mesh: false,
                        authorized: true,
                    }))
                });
            }
        }
    }
    chains
}

/// The VirtualServices that are bound to the server's Gateway and have a host of the server.
fn bound<'a>(
    ctx: &'a Context<'_>,
    server: &'a GatewayServer,
) -> impl Iterator<Item = &'a Arc<VirtualService>> {
    let all = ctx.scope.egress.first().map_or(&[][..], |listener| &listener.virtual_services);
    all.iter().filter(|vs| vs.gateways.contains(&server.gateway)).filter(|vs| {
        let mut hosts = server.hosts_for(&vs.namespace);
        hosts.any(|host| vs.hosts.iter().any(|of_vs| of_vs.matches(host)))
    })
}

fn fits(server: &GatewayServer, port: u32, gateways: &[String]) -> bool {
    (port == 0 || port == server.declared_port) && (gateways.is_empty() || gateways.contains(&server.gateway))
}
