//! `virtualOutbound`, where redirected connections arrive and are handed to the listener of their original
//! destination; what no listener takes is unknown traffic (spec 4.1, rows L09, L10).

use std::sync::Arc;

use mesh::Fact;
use proto::constraints::Violation;
use proto::envoy::core::TrafficDirection;
use proto::envoy::google;
use proto::envoy::listener::{FilterChain, FilterChainMatch, Listener};
use scope::InterceptionMode;

use super::Common;
use super::bind::listen_port;
use crate::listener::address::{additional_addresses, address};
use crate::listener::soundness;
use crate::listener::tcp_proxy::TcpProxy;
use crate::{Context, Input, Rendered, Resource};

const NAME: &str = "virtualOutbound";

/// The listener that everything outbound arrives at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct VirtualOutboundInput {
    common: Arc<Fact<Common>>,
    addresses: Vec<String>,
    port: u32,
    transparent: bool,
}

/// The listener, unless traffic is not redirected at all.
pub(super) fn generate(ctx: &Context<'_>, common: &Arc<Fact<Common>>) -> Option<Resource> {
    let class = ctx.class();
    let mode = class.metadata.interception_mode;
    if mode == InterceptionMode::None {
        return None;
    }
    let mut addresses = super::bind::wildcards(class);
    if !ctx.settings().features.dual_stack {
        addresses.truncate(1);
    }
    let input = VirtualOutboundInput {
        common: Arc::clone(common),
        addresses,
        port: listen_port(ctx),
        transparent: mode == InterceptionMode::Tproxy,
    };
    Some(ctx.resource(NAME, &input))
}

impl Input for VirtualOutboundInput {
    type Output = Listener;
    const TAG: &'static str = "VirtualOutboundInput";

    fn render(&self) -> Rendered<Listener> {
        let common = &self.common;
        // Connections made to this very port would come back for ever.
        let blackhole = FilterChain {
            name: format!("{NAME}-blackhole"),
            filter_chain_match: Some(FilterChainMatch {
                destination_port: Some(google::uint32(self.port)),
                ..Default::default()
            }),
            filters: common.tcp_filters([TcpProxy::to("BlackHoleCluster").filter(Vec::new())]),
            ..Default::default()
        };
        let unknown = FilterChain {
            name: format!("{NAME}-catchall-tcp"),
            filters: common.tcp_filters([common.unknown.filter(common.telemetry.tcp_access_log())]),
            ..Default::default()
        };
        let (first, rest) = self.addresses.split_at(self.addresses.len().min(1));
        Rendered::plain(Listener {
            name: NAME.to_owned(),
            address: first.first().map(|bind| address(bind, self.port)),
            additional_addresses: additional_addresses(rest, self.port),
            traffic_direction: TrafficDirection::Outbound as i32,
            use_original_dst: Some(google::boolean(true)),
            transparent: self.transparent.then(|| google::boolean(true)),
            max_connections_to_accept_per_socket_event: common.max_connections_per_event(),
            access_log: common.telemetry.listener_access_log(),
            filter_chains: vec![blackhole, unknown],
            ..Default::default()
        })
    }

    fn refusal(&self, message: &Listener) -> Option<Violation> {
        soundness::refusal(message)
    }
}
