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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proto::envoy::listener::listener::ConnectionBalanceConfig;
use proto::envoy::listener::listener::connection_balance_config::{BalanceType, ExactBalance};
use proto::istio::networking::envoy_filter::PatchContext;
use scope::ProxyType;

use crate::{Context, Resource, patch};

/// Every listener of the class, in Istio's order. Of two with one name, as patches can make them, the first stays, and
/// of two with one address, for Envoy refuses the second.
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
    let mut names = BTreeSet::new();
    let mut places: BTreeMap<address::Place, Arc<str>> = BTreeMap::new();
    listeners.retain(|listener| {
        if !names.insert(Arc::clone(&listener.name)) {
            return false;
        }
        if listener.piece.is_refused {
            return true;
        }
        let own = address::places(&listener.piece.bytes.whole());
        if let Some((place, first)) = own.iter().find_map(|place| places.get_key_value(place)) {
            let message =
                format!("listener {first} has the address {place} already, so this one is left out");
            ctx.tell(format!("Listener {}", listener.name), "address", message);
            return false;
        }
        places.extend(own.into_iter().map(|place| (place, Arc::clone(&listener.name))));
        true
    });
    listeners
}

/// Connections spread evenly over the workers.
pub(crate) fn exact_balance() -> ConnectionBalanceConfig {
    ConnectionBalanceConfig { balance_type: Some(BalanceType::ExactBalance(ExactBalance {})) }
}
