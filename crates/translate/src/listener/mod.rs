//! Listeners (LDS, spec section 4): outbound ones, the two that redirected traffic arrives at, inbound ones;
//! those of gateways.

pub mod address;
pub mod cidr;
mod gateway;
mod inbound;
pub mod inspector;
mod outbound;
pub(crate) mod soundness;
pub mod tcp_proxy;
pub mod tcp_route;

use std::sync::Arc;

use proto::envoy::listener::listener::ConnectionBalanceConfig;
use proto::envoy::listener::listener::connection_balance_config::{BalanceType, ExactBalance};
use proto::istio::networking::envoy_filter::PatchContext;
use scope::ProxyType;

use crate::{Context, Resource, patch};

/// Every listener of the class, in Istio's order; of two with one name, as patches can make them, the first stays.
pub fn generate(ctx: &Context<'_>) -> Vec<Resource> {
    let mut listeners = match ctx.class().proxy_type {
        ProxyType::Sidecar => {
            let mut listeners = patch::listeners(ctx, PatchContext::SidecarOutbound, outbound::generate(ctx));
            listeners.extend(patch::listeners(ctx, PatchContext::SidecarInbound, inbound::generate(ctx)));
            listeners
        }
        ProxyType::Router => patch::listeners(ctx, PatchContext::Gateway, gateway::generate(ctx)),
        ProxyType::Waypoint | ProxyType::Ztunnel | ProxyType::Agentgateway => Vec::new(),
    };
    let mut seen = std::collections::BTreeSet::new();
    listeners.retain(|listener| seen.insert(Arc::clone(&listener.name)));
    listeners
}

/// Connections spread evenly over the workers.
pub(crate) fn exact_balance() -> ConnectionBalanceConfig {
    ConnectionBalanceConfig { balance_type: Some(BalanceType::ExactBalance(ExactBalance {})) }
}
