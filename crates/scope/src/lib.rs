//! Classes of proxies and what one class may see.
//!
//! `node` reads what a proxy says of itself; `class` keeps of it what can change its configuration, so that replicas
//! share one class; `proxy_scope` and its neighbours answer, once per class, which services, VirtualServices and
//! rules apply (spec section 5).

mod class;
mod egress;
mod envoy_patches;
mod gateway;
mod node;
mod proxy_scope;
mod routed;
mod secret_access;
mod services;
#[cfg(test)]
mod tests;

pub use class::{IpFamilies, ProxyClass};
pub use egress::EgressListener;
pub use envoy_patches::{EnvoyPatch, EnvoyPatches};
pub use gateway::{GatewayServer, MergedGateway, ServerGroup};
pub use node::*;
pub use proxy_scope::{Difference, ProxyScope, Seen, UnknownTraffic};
pub use routed::Routed;
pub use secret_access::SecretAccess;
