//! Route configurations of gateways (spec 3.5, rows R07, R27, R28, R30): a virtual host for every host that a server
//! and a VirtualService share. Several VirtualServices of one host follow each other; hosts that do the same share
//! one virtual host; plaintext servers may only redirect.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::{MergedDestinationRule, Service, VirtualService};
use model::{Host, Namespace};
use proto::envoy;
use scope::GatewayServer;

use super::configuration::Head;
use super::proxy_headers::{self, ProxyHeaders};
use super::selection::{Asker, Destinations, SelectedRoutes, select};
use super::stateful_session;
use super::virtual_host::{Routes, VirtualHostInput};
use crate::{Context, Resource};

/// `virtual_hosts` of a RouteConfiguration.
const VIRTUAL_HOSTS: u32 = 2;

/// The route configuration of that name; one that no server has is empty.
pub(super) fn generate(ctx: &Context<'_>, name: &str) -> Resource {
    let servers = ctx.scope.gateway.as_ref().and_then(|gateway| gateway.by_route.get(name));
    let hosts = servers.map_or_else(Vec::new, |servers| virtual_hosts(ctx, servers));
    let known = servers.is_some();
    let head = ctx.piece(&Head { name: name.to_owned(), known, ignore_port: true });
    let parts: Vec<_> = hosts.iter().map(|host| ctx.piece(host)).collect();
    ctx.assembled::<envoy::route::RouteConfiguration>(name, "Routes", &head, VIRTUAL_HOSTS, &parts)
}

/// The routes of one VirtualService that came by one Gateway: what tells virtual hosts apart.
type Source = (String, Namespace, String);

/// One host on its way to a virtual host.
struct Served {
    /// The port that the first server with this host declares.
    port: u32,
    redirect: bool,
    sources: Vec<Source>,
    routes: Vec<Arc<SelectedRoutes>>,
    session: Option<stateful_session::Session>,
}

fn virtual_hosts(ctx: &Context<'_>, servers: &[Arc<GatewayServer>]) -> Vec<VirtualHostInput> {
    let headers = proxy_headers::of(ctx);
    let hosts = served(ctx, servers, headers);
    if hosts.is_empty() {
        // A virtual host without routes answers 404.
        let port = servers.first().map_or(0, |server| server.declared_port);
        return vec![VirtualHostInput {
            name: format!("blackhole:{port}"),
            domains: vec!["*".to_owned()],
            routes: Routes::VirtualServices(Vec::new()),
            attempt_count: false,
            require_tls: false,
            session: None,
        }];
    }
    let mut hosts: Vec<(String, Served)> = hosts.into_iter().collect();
    hosts.sort_by(|(a, _), (b, _)| specific_first(a).cmp(&specific_first(b)));
    let collapses = ctx.settings().features.route_collapse;
    let mut known: BTreeMap<Vec<Source>, usize> = BTreeMap::new();
    let mut result: Vec<VirtualHostInput> = Vec::new();
    for (host, served) in hosts {
        let same = known.get(&served.sources).and_then(|index| result.get_mut(*index));
        if let Some(same) = same.filter(|same| collapses && same.require_tls == served.redirect) {
            same.domains.push(host);
            continue;
        }
        known.insert(served.sources, result.len());
        result.push(VirtualHostInput {
            name: format!("{host}:{}", served.port),
            domains: vec![host],
            routes: Routes::VirtualServices(served.routes),
            attempt_count: headers.attempt_count,
            require_tls: served.redirect,
            session: served.session,
        });
    }
    result.sort_by(|a, b| a.name.cmp(&b.name));
    result
}

/// The order in which hosts name the virtual host that they share: exact ones, then wildcards; the longest first.
fn specific_first(host: &str) -> (bool, std::cmp::Reverse<usize>, &str) {
    (host.starts_with('*'), std::cmp::Reverse(host.len()), host)
}

fn served(
    ctx: &Context<'_>,
    servers: &[Arc<GatewayServer>],
    headers: ProxyHeaders,
) -> BTreeMap<String, Served> {
    let virtual_services = ctx.scope.egress.first().map_or(&[][..], |all| &all.virtual_services);
    let mut translated: BTreeMap<Source, Option<Arc<SelectedRoutes>>> = BTreeMap::new();
    let mut hosts: BTreeMap<String, Served> = BTreeMap::new();
    for server in servers {
        let redirect = server.redirects_to_https();
        let entry = |session| Served {
            port: server.declared_port,
            redirect,
            sources: Vec::new(),
            routes: Vec::new(),
            session,
        };
        for virtual_service in virtual_services.iter().filter(|vs| vs.gateways.contains(&server.gateway)) {
            let shared = shared_hosts(server, virtual_service);
            if shared.is_empty() {
                continue;
            }
            let source =
                (server.gateway.clone(), virtual_service.namespace.clone(), virtual_service.name.clone());
            // A VirtualService is translated once for a Gateway, for the first of its servers.
            let routes = translated
                .entry(source.clone())
                .or_insert_with(|| selected(ctx, server, virtual_service, headers).map(Arc::new));
            let Some(routes) = routes else { continue };
            for host in shared {
                let served = hosts.entry(host.to_ascii_lowercase()).or_insert_with_key(|host| {
                    let destinations = Reachable { ctx, namespace: &virtual_service.namespace };
                    let service = names(virtual_service, host).then(|| destinations.find(host)).flatten();
                    let features = &ctx.settings().features;
                    entry(service.and_then(|service| stateful_session::of(features, &service)))
                });
                served.redirect |= redirect;
                served.sources.push(source.clone());
                served.routes.push(Arc::clone(routes));
            }
        }
        if redirect {
            for host in &server.server.hosts {
                let host = host.split_once('/').map_or(host.as_str(), |(_, host)| host);
                hosts.entry(host.to_ascii_lowercase()).or_insert_with(|| entry(None)).redirect = true;
            }
        }
    }
    hosts
}

/// Of every two hosts that overlap the more specific one, in the server's order.
fn shared_hosts(server: &GatewayServer, virtual_service: &VirtualService) -> Vec<Host> {
    let mut shared: Vec<Host> = Vec::new();
    for of_server in server.hosts_for(&virtual_service.namespace).map(Host::from) {
        for host in &virtual_service.hosts {
            let narrow = if of_server.subset_of(host) {
                &of_server
            } else if host.subset_of(&of_server) {
                host
            } else {
                continue;
            };
            if !shared.contains(narrow) {
                shared.push(narrow.clone());
            }
        }
    }
    shared
}

fn selected(
    ctx: &Context<'_>,
    server: &GatewayServer,
    virtual_service: &Arc<VirtualService>,
    headers: ProxyHeaders,
) -> Option<SelectedRoutes> {
    let class = ctx.class();
    let asker = Asker {
        gateway: &server.gateway,
        labels: &class.labels,
        namespace: &class.metadata.namespace,
        port: server.declared_port,
    };
    let destinations = Reachable { ctx, namespace: &virtual_service.namespace };
    let mut routes = select(ctx, virtual_service, asker, headers, &destinations)?;
    routes.tls = server.tls().is_some();
    routes.http3_port = server.http3.then_some(server.declared_port);
    Some(routes)
}

/// Whether some route of a VirtualService leads to that host.
fn names(virtual_service: &VirtualService, host: &str) -> bool {
    let targets = virtual_service.spec.http.iter().flat_map(|route| &route.route);
    targets.filter_map(|target| target.destination.as_ref()).any(|destination| destination.host == host)
}

/// Destinations of a gateway's routes: the service in the VirtualService's own namespace if the gateway may see it,
/// else the one that the gateway's scope settles on.
struct Reachable<'a> {
    ctx: &'a Context<'a>,
    namespace: &'a Namespace,
}

impl Reachable<'_> {
    fn find(&self, host: &str) -> Option<Arc<Service>> {
        let own = self.ctx.reader.service(&Host::from(host), self.namespace);
        own.filter(|service| service.export_to.visible_to(&self.ctx.class().namespace))
            .or_else(|| self.ctx.scope.service(host).cloned())
    }
}

impl Destinations for Reachable<'_> {
    fn service(&self, host: &str) -> Option<(Arc<Service>, Option<u32>)> {
        let service = self.find(host)?;
        let only = if let [port] = service.ports.as_slice() { Some(port.number) } else { None };
        Some((service, only))
    }

    fn rule(&self, host: &str) -> Option<Arc<MergedDestinationRule>> {
        let service = self.ctx.scope.service(host)?;
        self.ctx.scope.destination_rule(self.ctx.reader, service)
    }
}
