//! RouteConfigurations (RDS, spec section 3). `sidecar` decides which virtual hosts a port has and what their domains
//! are; `virtual_host` renders one; `http_route` turns one VirtualService's HTTP routes into Envoy's, with one file
//! for each field. Every virtual host is a piece of its own, so a changed VirtualService renders only those it
//! touches.

mod catch_all;
mod claims;
mod cluster_name;
mod configuration;
mod cors;
mod decorator;
mod default_route;
mod direct_response;
mod domains;
mod fault;
mod gateway;
mod hash_policy;
mod headers;
mod http_route;
mod inbound;
mod matches;
mod mirror;
mod names;
mod percent;
mod proxy_headers;
mod redirect;
mod retry;
mod rewrite;
mod selection;
mod services;
mod sidecar;
mod soundness;
mod stateful_session;
mod timeout;
mod virtual_host;

pub(crate) use domains::names_of;
pub use inbound::{InboundRoute, inbound};
pub(crate) use services::aliases;
pub(crate) use soundness::refusal_of_configuration;

use crate::{Context, Resource, patch};

/// The route configuration of that name; an unknown one is empty.
pub fn generate(ctx: &Context<'_>, name: &str) -> Option<Resource> {
    let routes =
        if ctx.class().is_router() { gateway::generate(ctx, name) } else { sidecar::generate(ctx, name) };
    Some(patch::routes(ctx, routes))
}
