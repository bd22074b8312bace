//! AUTO_PASSTHROUGH servers (spec 4.3; row L21): traffic from another network names the cluster that it wants as its
//! server name. A chain for every cluster of the mesh takes it, and only as mutual TLS: the protocols that a chain
//! matches are those that nobody but a client of the mesh offers.

use mesh::{Resolution, Service};
use model::Protocol;
use scope::GatewayServer;

use super::chain::{Chain, Content, TcpContent};
use crate::Context;
use crate::listener::tcp_proxy::TcpDestination;
use crate::listener::tcp_route::{self, ProtocolFilter};

/// What a client of the mesh offers.
const MESH_PROTOCOLS: &[&str] =
    &["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// The chains of a server.
pub(super) fn chains(ctx: &Context<'_>, server: &GatewayServer) -> Vec<Chain> {
    let is_served = |service: &Service| {
        let mut hosts =
            server.server.hosts.iter().map(|host| host.split_once('/').map_or(&**host, |(_, host)| host));
        !service.external
            && service.resolution != Resolution::Alias
            && hosts.any(|host| service.host.subset_of(host))
    };
    let mut chains = Vec::new();
    for service in ctx.scope.services.iter().filter(|service| is_served(service)) {
        let rule = ctx.scope.destination_rule(ctx.reader, service);
        let subsets = rule.iter().flat_map(|rule| &rule.spec.subsets).map(|subset| subset.name.as_str());
        let subsets: Vec<&str> = std::iter::once("").chain(subsets).collect();
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            for subset in &subsets {
                let cluster = format!("outbound_.{}_.{subset}_.{}", port.number, service.host);
                let mut proxy = tcp_route::direct(ctx, service, port.number);
                let stat_prefix = tcp_route::stat_prefix(ctx, service, subset, port.number, &port.name);
                proxy.stat_prefix = stat_prefix.unwrap_or_else(|| cluster.clone());
                proxy.destination = TcpDestination::Cluster(cluster.clone());
                proxy.tunnel = None;
                let content = TcpContent {
                    proxy,
                    protocol: ProtocolFilter::of(ctx, port.protocol),
                    from_mesh: false,
                    authorized: false,
                };
                chains.push(Chain {
                    server_names: vec![cluster],
                    application_protocols: MESH_PROTOCOLS.iter().map(|name| (*name).to_owned()).collect(),
                    inspected: true,
                    ..Chain::of(Content::Tcp(content))
                });
            }
        }
    }
    chains
}
