//! Listeners (LDS, spec section 4): outbound ones, the two that redirected traffic arrives at, inbound ones;
//! those of gateways.

pub mod address;
pub mod cidr;
mod gateway;
mod inbound;
pub mod inspector;
mod outbound;
pub mod tcp_proxy;
pub mod tcp_route;

use proto::envoy::listener::listener::ConnectionBalanceConfig;
use proto::envoy::listener::listener::connection_balance_config::{BalanceType, ExactBalance};
use proto::istio::networking::envoy_filter::PatchContext;
use scope::ProxyType;

use crate::{Context, Resource, patch};

/// Every listener of the class, in Istio's order.
pub fn generate(ctx: &Context<'_>) -> Vec<Resource> {
    match ctx.class().proxy_type {
        ProxyType::Sidecar => {
            let mut listeners = patch::listeners(ctx, PatchContext::SidecarOutbound, outbound::generate(ctx));
            listeners.extend(patch::listeners(ctx, PatchContext::SidecarInbound, inbound::generate(ctx)));
            listeners
        }
        ProxyType::Router => patch::listeners(ctx, PatchContext::Gateway, gateway::generate(ctx)),
        ProxyType::Waypoint | ProxyType::Ztunnel | ProxyType::Agentgateway => Vec::new(),
    }
}

/// Connections spread evenly over the workers.
pub(crate) fn exact_balance() -> ConnectionBalanceConfig {
    ConnectionBalanceConfig { balance_type: Some(BalanceType::ExactBalance(ExactBalance {})) }
}
