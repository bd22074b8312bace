//! TLSRoutes and TCPRoutes: streams by server name, or by nothing but the listener they came by.

use config::gateway_api::Layer4RouteRule;
use proto::istio::networking::{L4MatchAttributes, TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService};

use crate::attach::{Attachment, MESH};
use crate::backend;
use crate::derive::{Made, made};
use crate::lookup::Lookup;
use crate::names::GATEWAY_SUFFIX;
use crate::route::{Attached, Converted, Route, RouteContext, annotations, intersection, mesh_hosts};

/// The rules of a TLSRoute.
pub(crate) fn convert_tls(
    ctx: &RouteContext<'_>,
    rules: &[Layer4RouteRule],
    hosts: &[String],
) -> Converted<TlsRoute> {
    let mut converted = Converted::default();
    for rule in rules {
        let route = backend::streams(ctx, &rule.backend_refs).map(|(route, fault)| {
            let wanted = TlsMatchAttributes { sni_hosts: hosts.to_vec(), ..Default::default() };
            (TlsRoute { r#match: vec![wanted], route }, fault)
        });
        if !converted.add(route) {
            break;
        }
    }
    converted
}

/// The rules of a TCPRoute.
pub(crate) fn convert_tcp(ctx: &RouteContext<'_>, rules: &[Layer4RouteRule]) -> Converted<TcpRoute> {
    let mut converted = Converted::default();
    for rule in rules {
        let route = backend::streams(ctx, &rule.backend_refs);
        if !converted.add(route.map(|(route, fault)| (TcpRoute { r#match: Vec::new(), route }, fault))) {
            break;
        }
    }
    converted
}

/// The VirtualServices of a TLSRoute: one for every host at every parent that takes it.
pub(crate) fn tls(lookup: &Lookup<'_>, route: &Route<'_>, attached: &Attached<'_, TlsRoute>) -> Vec<Made> {
    let mut all = Vec::new();
    for attachment in &attached.taken_by {
        let (hosts, routes) = if attachment.is_mesh() {
            let hosts = mesh_hosts(lookup, attachment);
            let routes = tls_of_mesh(&attached.mesh.routes, attachment.reference.port, &hosts);
            (hosts, routes)
        } else if attachment.hostname.is_empty() {
            (route.hosts(), attached.gateway.routes.clone())
        } else {
            let hosts = intersection(&route.hosts(), &attachment.hostname);
            (hosts, tls_of_listener(&attached.gateway.routes, &attachment.hostname))
        };
        for host in hosts {
            let mut routes = routes.clone();
            if attachment.is_mesh() {
                routes.retain_mut(|route| only_names_of(route, &host));
            }
            let name = format!("{}~tls~{}~{GATEWAY_SUFFIX}", route.meta.name, all.len());
            let spec = VirtualService { tls: routes, ..bound(attachment, host) };
            all.push(of(route, name, spec));
        }
    }
    all
}

/// The VirtualServices of a TCPRoute: one for every parent that takes it.
pub(crate) fn tcp(lookup: &Lookup<'_>, route: &Route<'_>, attached: &Attached<'_, TcpRoute>) -> Vec<Made> {
    let mut all = Vec::new();
    for attachment in &attached.taken_by {
        let (hosts, mut routes) = if attachment.is_mesh() {
            (mesh_hosts(lookup, attachment), attached.mesh.routes.clone())
        } else {
            (vec!["*".to_owned()], attached.gateway.routes.clone())
        };
        if let Some(port) = attachment.reference.port.filter(|_| attachment.is_mesh()) {
            for route in &mut routes {
                route.r#match = vec![L4MatchAttributes { port, ..Default::default() }];
            }
        }
        for host in hosts {
            let name = format!("{}~tcp~{}~{GATEWAY_SUFFIX}", route.meta.name, all.len());
            let spec = VirtualService { tcp: routes.clone(), ..bound(attachment, host) };
            all.push(of(route, name, spec));
        }
    }
    all
}

fn bound(attachment: &Attachment<'_>, host: String) -> VirtualService {
    let gateway = if attachment.is_mesh() { MESH } else { &attachment.gateway };
    VirtualService { hosts: vec![host], gateways: vec![gateway.to_owned()], ..Default::default() }
}

fn of(route: &Route<'_>, name: String, spec: VirtualService) -> Made {
    let (meta, annotations) = (route.meta, annotations(&route.parent_name()));
    made(name, &meta.namespace, annotations, meta.creation, route.source, spec)
}

/// In the mesh a route without hosts is for those of its parent.
fn tls_of_mesh(routes: &[TlsRoute], port: Option<u32>, hosts: &[String]) -> Vec<TlsRoute> {
    let mut routes = routes.to_vec();
    for wanted in routes.iter_mut().flat_map(|route| &mut route.r#match) {
        if wanted.sni_hosts == ["*"] {
            wanted.sni_hosts = hosts.to_vec();
        }
        wanted.port = port.unwrap_or(wanted.port);
    }
    routes
}

/// Of several server names those of one host. Says whether there are some.
fn only_names_of(route: &mut TlsRoute, host: &str) -> bool {
    let host = model::Host::from(host);
    for wanted in route.r#match.iter_mut().filter(|wanted| wanted.sni_hosts.len() > 1) {
        wanted.sni_hosts.retain(|name| host.matches(name));
    }
    route.r#match.iter().any(|wanted| !wanted.sni_hosts.is_empty())
}

/// Routes with the server names that a listener has too.
fn tls_of_listener(routes: &[TlsRoute], hostname: &str) -> Vec<TlsRoute> {
    let mut routes = routes.to_vec();
    for wanted in routes.iter_mut().flat_map(|route| &mut route.r#match) {
        wanted.sni_hosts = intersection(&wanted.sni_hosts, hostname);
    }
    routes.retain(|route| route.r#match.iter().any(|wanted| !wanted.sni_hosts.is_empty()));
    routes
}
