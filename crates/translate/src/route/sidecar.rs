//! Route configurations of sidecars: which virtual hosts there are, and which domain belongs to which (spec 3.2, rows
//! R05 to R08). The first virtual host that asks for a name or domain gets it: those of VirtualServices in their
//! order, then those of services that no VirtualService claims.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh::{MergedDestinationRule, Service, VirtualService};
use model::{Host, Namespace, Protocol, findings};
use proto::envoy;
use scope::EgressListener;

use super::catch_all;
use super::configuration::Head;
use super::default_route::DefaultRoute;
use super::domains::{DomainStyle, Domains, bracketed};
use super::names::RouteName;
use super::proxy_headers::{self, ProxyHeaders};
use super::selection::{Asker, Destinations, SelectedRoutes, select};
use super::services::{ListedService, listed};
use super::virtual_host::{Routes, VirtualHostInput};
use super::{cluster_name, hash_policy, stateful_session};
use crate::{Context, Resource};

/// `virtual_hosts` of a RouteConfiguration.
const VIRTUAL_HOSTS: u32 = 2;

/// The route configuration of that name.
pub(super) fn generate(ctx: &Context<'_>, name: &str) -> Resource {
    let parsed = RouteName::parse(name);
    let ignore_port = ctx.class().metadata.generator != "grpc";
    let head = |known| ctx.piece(&Head { name: name.to_owned(), known, ignore_port });
    let assembled = |known, hosts: &[VirtualHostInput]| {
        let parts: Vec<_> = hosts.iter().map(|host| ctx.piece(host)).collect();
        ctx.assembled::<envoy::route::RouteConfiguration>(name, "Routes", &head(known), VIRTUAL_HOSTS, &parts)
    };
    if parsed == RouteName::Unknown {
        return assembled(false, &[]);
    }
    let headers = proxy_headers::of(ctx);
    let mut hosts = virtual_hosts(ctx, parsed, headers);
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    if let RouteName::Sniffed(host, _) = parsed {
        only_of(&mut hosts, host, name);
    } else {
        // The host `*`, which Istio's validation refuses, would take the place of the catch-all: Envoy takes one alone.
        for host in &mut hosts {
            host.domains.retain(|domain| domain != "*");
        }
        hosts.retain(|host| !host.domains.is_empty());
        let catch_all = catch_all::of(ctx, headers.x_forwarded_host);
        hosts.push(VirtualHostInput {
            name: catch_all.name().to_owned(),
            domains: vec!["*".to_owned()],
            routes: Routes::CatchAll(catch_all),
            attempt_count: headers.attempt_count,
            require_tls: false,
            session: None,
        });
    }
    assembled(true, &hosts)
}

/// Of a port's virtual hosts, the one of a sniffed service, which takes every domain.
fn only_of(hosts: &mut Vec<VirtualHostInput>, host: &str, name: &str) {
    hosts.retain(|known| known.domains.iter().any(|domain| domain == host || domain == name));
    if let [only] = hosts.as_mut_slice() {
        only.domains = vec!["*".to_owned()];
    }
}

/// Destinations of a sidecar's routes: the services of the same listener and port.
struct InListener<'a> {
    ctx: &'a Context<'a>,
    services: &'a BTreeMap<Host, ListedService>,
}

impl Destinations for InListener<'_> {
    fn service(&self, host: &str) -> Option<(Arc<Service>, Option<u32>)> {
        let found = self.services.get(host)?;
        let only = if let [port] = found.ports.as_slice() { Some(port.number) } else { None };
        Some((Arc::clone(&found.service), only))
    }

    fn rule(&self, host: &str) -> Option<Arc<MergedDestinationRule>> {
        let service = self.ctx.scope.service(host)?;
        self.ctx.scope.destination_rule(self.ctx.reader, service)
    }
}

/// Virtual hosts that share their routes.
struct Group {
    /// The port their names end in.
    port: u32,
    /// Hosts that are no service.
    hosts: Vec<Host>,
    /// Services.
    services: Vec<Host>,
    /// What they do.
    routes: Routes,
}

fn virtual_hosts(ctx: &Context<'_>, name: RouteName<'_>, headers: ProxyHeaders) -> Vec<VirtualHostInput> {
    let Some(listener) = ctx.scope.egress_for_route(name.port(), name.bind()) else { return Vec::new() };
    let is_proxy =
        listener.port().is_some_and(|port| Protocol::by_name(&port.protocol) == Protocol::HttpProxy);
    let port = if is_proxy { 0 } else { name.port() };
    let services = listed(listener, port);
    let mut groups = Vec::new();
    let mut claimed = BTreeSet::new();
    let wildcards = Wildcards::of(listener);
    let wild_services: Vec<&Host> = services.keys().filter(|host| host.is_wildcard()).collect();
    for virtual_service in listener.virtual_services.iter().filter(|vs| vs.is_mesh()) {
        // Port 80 alone is also that of hosts that nobody declared.
        if port != 80 && !touches(virtual_service, &services, &wild_services) {
            continue;
        }
        groups.extend(groups_of(ctx, virtual_service, &services, &wildcards, port, headers));
    }
    for group in &groups {
        claimed.extend(group.services.iter().cloned());
    }
    for (host, service) in &services {
        if claimed.contains(host) || service.is_alias() {
            continue;
        }
        groups.extend(service.http_ports().map(|port| Group {
            port: port.number,
            hosts: Vec::new(),
            services: vec![host.clone()],
            routes: Routes::Default(default_route(ctx, service, port.number)),
        }));
    }
    assign(ctx, groups, &services, port, headers)
}

/// Whether some host of a VirtualService is a service of the listener, or overlaps one.
fn touches(
    virtual_service: &VirtualService,
    services: &BTreeMap<Host, ListedService>,
    wild_services: &[&Host],
) -> bool {
    virtual_service.hosts.iter().any(|host| {
        services.contains_key(host)
            || host.is_wildcard() && services.keys().any(|of| host.matches(of))
            || wild_services.iter().any(|of| host.matches(of))
    })
}

fn groups_of(
    ctx: &Context<'_>,
    virtual_service: &Arc<VirtualService>,
    services: &BTreeMap<Host, ListedService>,
    wildcards: &Wildcards<'_>,
    port: u32,
    headers: ProxyHeaders,
) -> Vec<Group> {
    let class = ctx.class();
    let asker = Asker { gateway: "mesh", labels: &class.labels, namespace: &class.metadata.namespace, port };
    let destinations = InListener { ctx, services };
    let Some(selected) = select(ctx, virtual_service, asker, headers, &destinations) else {
        return Vec::new();
    };
    let selected = Arc::new(selected);
    let (hosts, matched) = separate(virtual_service, services, wildcards, &class.namespace);
    let Some(matched) = matched else { return Vec::new() };
    let mut by_port: BTreeMap<u32, Vec<Host>> = BTreeMap::new();
    for host in &matched {
        for port in services.get(host).into_iter().flat_map(ListedService::http_ports) {
            by_port.entry(port.number).or_default().push(host.clone());
        }
    }
    if by_port.is_empty() && port == 80 {
        by_port.insert(80, Vec::new());
    }
    let group = |(port, services): (u32, Vec<Host>)| Group {
        port,
        hosts: hosts.clone(),
        services,
        routes: Routes::VirtualServices(vec![Arc::clone(&selected) as Arc<SelectedRoutes>]),
    };
    by_port.into_iter().map(group).collect()
}

/// The hosts of a VirtualService that are no services, and the services that it claims: exact hosts always, those of
/// a wildcard when no other VirtualService has a more specific host. No services at all (`None`) means that the
/// VirtualService says nothing here.
fn separate(
    virtual_service: &VirtualService,
    services: &BTreeMap<Host, ListedService>,
    wildcards: &Wildcards<'_>,
    namespace: &Namespace,
) -> (Vec<Host>, Option<Vec<Host>>) {
    let gateway_api = virtual_service.semantics.is_gateway_api();
    let (mut others, mut matched) = (Vec::new(), Vec::new());
    for host in virtual_service.hosts.iter().filter(|host| !host.is_wildcard()) {
        if services.contains_key(host) { matched.push(host.clone()) } else { others.push(host.clone()) }
    }
    for host in virtual_service.hosts.iter().filter(|host| host.is_wildcard()) {
        let covered: Vec<&Host> = services.keys().filter(|of| !gateway_api && of.matches(host)).collect();
        if covered.is_empty() {
            others.push(host.clone());
        }
        let claims = |of: &&Host| wildcards.owner(of).is_some_and(|owner| owner == virtual_service);
        matched.extend(covered.into_iter().filter(claims).cloned());
    }
    if gateway_api {
        // Such routes hold for callers in their own namespace, or for services of it.
        matched.retain(|host| {
            virtual_service.namespace == *namespace
                || services.get(host).is_some_and(|s| s.service.namespace == virtual_service.namespace)
        });
        if matched.is_empty() {
            return (others, None);
        }
    }
    (others, Some(matched))
}

/// Hosts of the listener's VirtualServices, each with the first that has it.
struct Wildcards<'a> {
    exact: BTreeMap<&'a Host, &'a VirtualService>,
    wild: BTreeMap<&'a Host, &'a VirtualService>,
}

impl<'a> Wildcards<'a> {
    fn of(listener: &'a EgressListener) -> Self {
        let (mut exact, mut wild) = (BTreeMap::new(), BTreeMap::new());
        for virtual_service in &listener.virtual_services {
            for host in &virtual_service.hosts {
                let hosts = if host.is_wildcard() { &mut wild } else { &mut exact };
                hosts.entry(host).or_insert(&**virtual_service);
            }
        }
        Self { exact, wild }
    }

    /// The VirtualService with the most specific host for a service: the same host, else the longest wildcard.
    fn owner(&self, service: &Host) -> Option<&'a VirtualService> {
        let hosts = if service.is_wildcard() { &self.wild } else { &self.exact };
        let covering = || {
            let wild = self.wild.iter().filter(|(host, _)| service.subset_of(host));
            wild.max_by_key(|(host, _)| host.len()).map(|(_, owner)| owner)
        };
        hosts.get(service).or_else(covering).copied()
    }
}

fn default_route(ctx: &Context<'_>, service: &ListedService, port: u32) -> DefaultRoute {
    let host = &service.service.host;
    let rule = ctx.scope.service(host).and_then(|service| ctx.scope.destination_rule(ctx.reader, service));
    DefaultRoute {
        cluster: cluster_name::outbound(port, "", host),
        authority: format!("{host}:{port}"),
        hash: rule.and_then(|rule| hash_policy::of_service(&rule, port)),
        mesh_retry: ctx.settings().config.default_http_retry_policy.clone(),
    }
}

/// Gives every virtual host its domains. `port` is the listener's, 0 for those of every port.
fn assign(
    ctx: &Context<'_>,
    groups: Vec<Group>,
    services: &BTreeMap<Host, ListedService>,
    port: u32,
    headers: ProxyHeaders,
) -> Vec<VirtualHostInput> {
    let features = &ctx.settings().features;
    let full_name = |host: &str, port: u32| format!("{}:{port}", bracketed(host));
    let known: BTreeSet<String> = groups
        .iter()
        .flat_map(|group| group.services.iter().map(|host| (host, group.port)))
        .flat_map(|(host, port)| [host.to_string(), full_name(host, port)])
        .collect();
    let mut names: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let mut result = Vec::new();
    for group in groups {
        if port != 0 && group.port != port {
            continue;
        }
        let style = DomainStyle {
            proxy_domain: &ctx.class().dns_domain,
            port: (port == 0).then_some(group.port),
            absolute: features.absolute_fqdn_domain,
            dual_stack: features.dual_stack,
        };
        let hosts = group.hosts.iter().map(|host| (host, None));
        for (host, service) in hosts.chain(group.services.iter().map(|host| (host, services.get(host)))) {
            let name = full_name(host, group.port);
            let owner = owner(&group.routes);
            if let Some(known) = names.get(&name) {
                if *known != owner {
                    duplicate(ctx, &group.routes, host, &name, known.as_deref());
                }
                continue;
            }
            names.insert(name.clone(), owner);
            let domains = match service {
                Some(service) => style.service(service, ctx.class()),
                None => Domains::of_host(host),
            };
            let is_free = |domain: &String| {
                let stolen = known.contains(domain) && domains.short.contains(domain);
                !stolen && taken.insert(domain.to_ascii_lowercase())
            };
            let mut free: Vec<String> = domains.all.clone();
            free.retain(is_free);
            if free.len() < domains.all.len() {
                ctx.count(findings::DUPLICATE_DOMAINS, &*name);
            }
            if port == 0 && group.port != 80 {
                // A proxy for every port can only tell them apart by the port in the host.
                free.retain(|domain| domain.contains(':'));
            }
            if free.is_empty() {
                continue;
            }
            result.push(VirtualHostInput {
                name,
                domains: free,
                routes: group.routes.clone(),
                attempt_count: headers.attempt_count,
                require_tls: false,
                session: service.and_then(|s| stateful_session::of(features, &s.service)),
            });
        }
    }
    result
}

/// `VirtualService namespace/name` whose routes these are.
fn owner(routes: &Routes) -> Option<String> {
    let Routes::VirtualServices(list) = routes else { return None };
    let of = &list.first()?.virtual_service;
    Some(format!("VirtualService {}/{}", of.namespace, of.name))
}

/// A VirtualService has a host that is routed already.
fn duplicate(ctx: &Context<'_>, routes: &Routes, host: &Host, name: &str, by: Option<&str>) {
    ctx.count(findings::DUPLICATE_DOMAINS, name);
    let Routes::VirtualServices(list) = routes else { return };
    let by = by.unwrap_or("another object");
    for of in list.iter().map(|selected| &selected.virtual_service) {
        let named = of.hosts.iter().position(|known| known == host);
        let index = named.or_else(|| of.hosts.iter().position(|known| known.matches(host)));
        let path = index.map_or_else(|| "spec.hosts".to_owned(), |index| format!("spec.hosts[{index}]"));
        let message =
            format!("{by} is older and routes {host} for sidecars, so these routes do not hold there");
        ctx.tell(format!("VirtualService {}/{}", of.namespace, of.name), path, message);
    }
}
