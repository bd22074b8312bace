//! Patches of route configurations, virtual hosts and routes (ROUTE_CONFIGURATION, VIRTUAL_HOST, HTTP_ROUTE; rows
//! F08, F09, F10). A route configuration is chosen by its name or what that says: at gateways the port, which may be
//! the one that the Gateway states, the port's name and the Gateway.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Issue;
use proto::envoy::route::route::Action as Acting;
use proto::envoy::route::{Route, RouteConfiguration, VirtualHost};
use proto::istio::networking::envoy_filter::envoy_config_object_match::ObjectTypes;
use proto::istio::networking::envoy_filter::patch::Operation;
use proto::istio::networking::envoy_filter::route_configuration_match::route_match::Action;
use proto::istio::networking::envoy_filter::route_configuration_match::{RouteMatch, VirtualHostMatch};
use proto::istio::networking::envoy_filter::{ApplyTo, PatchContext, RouteConfigurationMatch};
use scope::{EnvoyPatch, ProxyType};

use super::{Base, Patch, list, merge, patched, sound, value};
use crate::route::refusal_of_configuration;
use crate::{Context, Input, Rendered, Resource};

const KINDS: &[ApplyTo] = &[ApplyTo::RouteConfiguration, ApplyTo::VirtualHost, ApplyTo::HttpRoute];

/// A route configuration, patched.
pub(crate) fn routes(ctx: &Context<'_>, routes: Resource) -> Resource {
    let context = match ctx.class().proxy_type {
        ProxyType::Sidecar => PatchContext::SidecarOutbound,
        ProxyType::Router => PatchContext::Gateway,
        ProxyType::Waypoint | ProxyType::Ztunnel | ProxyType::Agentgateway => return routes,
    };
    let declared = declared_ports(ctx, &routes.name);
    let patches: Vec<Patch> = ctx
        .scope
        .envoy_patches
        .of(context, KINDS)
        .filter(|patch| is_for(patch, context, &routes.name, &declared))
        .cloned()
        .collect();
    if patches.is_empty() || routes.piece.is_refused {
        return routes;
    }
    let input = PatchedRoutes { base: Base(Arc::clone(&routes.piece)), patches };
    // It stays what was asked for by name.
    patched(ctx, &input).map_or_else(
        || routes.clone(),
        |patched| Resource { name: Arc::clone(&routes.name), piece: patched.piece },
    )
}

/// The ports that Gateways state for the port in the name of a route configuration, where they are others.
fn declared_ports(ctx: &Context<'_>, name: &str) -> Vec<u32> {
    let port = gateway_name(name).port;
    let servers = ctx.scope.gateway.iter().flat_map(|gateway| gateway.by_route.values().flatten());
    let ports: BTreeSet<u32> =
        servers.filter(|server| server.port == port).map(|server| server.declared_port).collect();
    ports.into_iter().collect()
}

/// What the name of a gateway's route configuration says.
#[derive(Default)]
struct Said<'a> {
    port: u32,
    port_name: &'a str,
    gateway: String,
}

/// `http.PORT` or `https.PORT.NAME.GATEWAY.NAMESPACE`, perhaps with an address behind.
fn gateway_name(name: &str) -> Said<'_> {
    let mut parts = name.split('.');
    let (scheme, port) = (parts.next(), parts.next().and_then(|port| port.parse().ok()).unwrap_or(0));
    match (scheme, parts.next(), parts.next(), parts.next()) {
        (Some("https"), Some(port_name), Some(gateway), Some(namespace)) => {
            Said { port, port_name, gateway: format!("{namespace}/{gateway}") }
        }
        (Some("http"), ..) => Said { port, ..Said::default() },
        _ => Said::default(),
    }
}

/// Whether a patch is for a route configuration of that name; `declared` are the ports that Gateways state for it.
pub(super) fn is_for(patch: &EnvoyPatch, context: PatchContext, name: &str, declared: &[u32]) -> bool {
    let Some(wanted) = route_configuration_match(patch) else { return true };
    if !wanted.name.is_empty() && wanted.name != name {
        return false;
    }
    if context != PatchContext::Gateway {
        let port = match name.strip_prefix("inbound|") {
            Some(rest) => rest.split('|').next().unwrap_or_default(),
            None => name,
        };
        return wanted.port_number == 0 || port.parse() == Ok(wanted.port_number);
    }
    let said = gateway_name(name);
    let is_port = || match declared {
        [] => said.port == wanted.port_number,
        declared => declared.contains(&wanted.port_number),
    };
    (wanted.port_name.is_empty() || wanted.port_name == said.port_name)
        && (wanted.gateway.is_empty() || wanted.gateway == said.gateway)
        && (wanted.port_number == 0 || is_port())
}

fn route_configuration_match(patch: &EnvoyPatch) -> Option<&RouteConfigurationMatch> {
    match &patch.subject {
        Some(ObjectTypes::RouteConfiguration(matched)) => Some(matched),
        _ => None,
    }
}

fn virtual_host_match(patch: &EnvoyPatch) -> Option<&VirtualHostMatch> {
    route_configuration_match(patch)?.vhost.as_ref()
}

fn route_match(patch: &EnvoyPatch) -> Option<&RouteMatch> {
    virtual_host_match(patch)?.route.as_ref()
}

#[derive(Hash)]
struct PatchedRoutes {
    base: Base,
    patches: Vec<Patch>,
}

impl Input for PatchedRoutes {
    type Output = RouteConfiguration;
    const TAG: &'static str = "PatchedRoutes";

    fn render(&self) -> Rendered<RouteConfiguration> {
        let mut issues = self.base.issues();
        let laid = |patches: &[Patch], issues: &mut Vec<Issue>| {
            let mut routes: RouteConfiguration = self.base.message();
            let patches: Vec<&EnvoyPatch> = patches.iter().map(AsRef::as_ref).collect();
            apply(&mut routes, &patches, issues);
            routes
        };
        let routes = sound(&self.patches, &mut issues, laid, refusal_of_configuration);
        Rendered { message: routes, references: self.base.0.references.to_vec(), issues }
    }
}

/// Applies patches that are for this route configuration.
pub(super) fn apply(routes: &mut RouteConfiguration, patches: &[&EnvoyPatch], issues: &mut Vec<Issue>) {
    let of = |kind: ApplyTo| patches.iter().copied().filter(move |patch| patch.apply_to == kind);
    for patch in of(ApplyTo::RouteConfiguration).filter(|patch| patch.operation == Operation::Merge) {
        merge(routes, patch, issues);
    }
    let mut removed = BTreeSet::new();
    for host in &mut routes.virtual_hosts {
        for patch in of(ApplyTo::VirtualHost) {
            if !is_for_host(patch, host) {
                continue;
            }
            match patch.operation {
                Operation::Remove => {
                    removed.insert(host.name.clone());
                    break;
                }
                Operation::Merge => merge(host, patch, issues),
                Operation::Replace => *host = value(patch),
                _ => {}
            }
        }
        let of_host: Vec<&EnvoyPatch> =
            of(ApplyTo::HttpRoute).filter(|patch| is_for_host(patch, host)).collect();
        apply_to_routes(&mut host.routes, &of_host, issues);
    }
    routes.virtual_hosts.retain(|host| !removed.contains(&host.name));
    let added = of(ApplyTo::VirtualHost).filter(|patch| patch.operation == Operation::Add);
    routes.virtual_hosts.extend(added.map(value::<VirtualHost>));
}

fn is_for_host(patch: &EnvoyPatch, host: &VirtualHost) -> bool {
    virtual_host_match(patch).is_none_or(|wanted| {
        (wanted.name.is_empty() || wanted.name == host.name)
            && (wanted.domain_name.is_empty() || host.domains.contains(&wanted.domain_name))
    })
}

fn apply_to_routes(routes: &mut Vec<Route>, patches: &[&EnvoyPatch], issues: &mut Vec<Issue>) {
    routes.retain_mut(|route| {
        for patch in patches {
            if !is_for_route(patch, route) {
                continue;
            }
            match patch.operation {
                Operation::Remove => return false,
                Operation::Merge => merge(route, patch, issues),
                _ => {}
            }
        }
        true
    });
    for patch in patches {
        let anchored = route_match(patch).is_some();
        let hits = |route: &Route| is_for_route(patch, route);
        match patch.operation {
            // Even first of all, a route is inserted only where the one that it names is.
            Operation::InsertFirst if anchored && !routes.iter().any(hits) => {}
            Operation::Add | Operation::InsertFirst | Operation::InsertBefore | Operation::InsertAfter => {
                list::apply(routes, patch.operation, anchored, hits, || value(patch));
            }
            Operation::Invalid | Operation::Merge | Operation::Remove | Operation::Replace => {}
        }
    }
}

fn is_for_route(patch: &EnvoyPatch, route: &Route) -> bool {
    let Some(wanted) = route_match(patch) else { return true };
    let acts = match wanted.action() {
        Action::Any => true,
        Action::Route => matches!(route.action, Some(Acting::Route(_))),
        Action::Redirect => matches!(route.action, Some(Acting::Redirect(_))),
        Action::DirectResponse => matches!(route.action, Some(Acting::DirectResponse(_))),
    };
    acts && (wanted.name.is_empty() || wanted.name == route.name)
}
