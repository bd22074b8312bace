//! TCP and TLS routes of VirtualServices behind a gateway's server (spec 4.3; row L20). Of a match only port and
//! gateways count here: whoever comes from outside has no labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::VirtualService;
use proto::istio::networking::server_tls_settings::TlSmode;
use scope::GatewayServer;

use super::chain::{Chain, Content, TcpContent};
use crate::Context;
use crate::listener::tcp_route::{self, ProtocolFilter};

/// Server names that matches of one port have, each with the address where it was seen last.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<String, String>);

impl Taken {
    /// Takes all of them; false, and nothing is taken, if one is not free.
    fn take(&mut self, names: &[String], bind: &str) -> bool {
        let are_free = names.iter().all(|name| self.0.get(name).is_none_or(|known| known != bind));
        if are_free {
            self.0.extend(names.iter().map(|name| (name.clone(), bind.to_owned())));
        }
        are_free
    }
}

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
        let proxy = tcp_route::routed(ctx, virtual_service, to, server.declared_port, port_name(server))?;
        Some(TcpContent {
            proxy,
            protocol: ProtocolFilter::of(ctx, server.protocol),
            from_mesh,
            authorized: true,
        })
    })
}

/// The chains of a passthrough server: one for every match of a TLS route. A match with a server name that another
/// match of the port and address has (`taken`) is passed over as a whole.
pub(super) fn passthrough(ctx: &Context<'_>, server: &GatewayServer, taken: &mut Taken) -> Vec<Chain> {
    let mut chains = Vec::new();
    for virtual_service in bound(ctx, server) {
        for route in virtual_service.spec.tls.iter().filter(|route| !route.route.is_empty()) {
            for wanted in route.r#match.iter().filter(|wanted| fits(server, wanted.port, &wanted.gateways)) {
                if !taken.take(&wanted.sni_hosts, &server.server.bind) {
                    continue;
                }
                let (port, name) = (server.declared_port, port_name(server));
                let Some(proxy) = tcp_route::routed(ctx, virtual_service, &route.route, port, name) else {
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

fn port_name(server: &GatewayServer) -> &str {
    server.server.port.as_ref().map_or("", |port| &port.name)
}

fn fits(server: &GatewayServer, port: u32, gateways: &[String]) -> bool {
    (port == 0 || port == server.declared_port) && (gateways.is_empty() || gateways.contains(&server.gateway))
}
