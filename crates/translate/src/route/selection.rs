//! Which routes of a VirtualService are for a proxy, and where they lead: the facts from which `http_route` renders.
//! Matches for other ports, gateways, labels or namespaces are left out here, so that classes that differ in nothing
//! else share the result (rows R14, R15).

use std::sync::Arc;

use mesh::{Fact, MergedDestinationRule, Service, VirtualService};
use model::Labels;
use proto::istio::networking as api;

use super::hash_policy::{self, ConsistentHash};
use super::proxy_headers::ProxyHeaders;
use super::stateful_session::{self, Session};
use super::{cluster_name, mirror};
use crate::Context;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    /// `mesh`, or the Gateway's `namespace/name`.
    pub gateway: &'a str,
    /// Labels of the workload.
    pub labels: &'a Labels,
    /// Its namespace.
    pub namespace: &'a str,
    /// The port of the listener, or the one that the Gateway's server declares.
    pub port: u32,
}

/// The HTTP routes of one VirtualService, as far as they are for one proxy.
#[derive(Clone, Debug, Hash)]
pub(super) struct SelectedRoutes {
    /// The VirtualService.
    pub virtual_service: Arc<VirtualService>,
    /// Its routes that have a match for the proxy, in order; never empty.
    pub routes: Vec<SelectedRoute>,
    /// The port of the listener.
    pub port: u32,
    /// Whether the listener ends TLS.
    pub tls: bool,
    /// The port that responses advertise for HTTP/3.
    pub http3_port: Option<u32>,
    /// The mesh's own retry policy.
    pub mesh_retry: Option<api::HttpRetry>,
    /// `proxyHeaders.xForwardedHost`.
    pub x_forwarded_host: bool,
    /// Mirrored requests keep their host as it is.
    pub plain_shadow_host: bool,
}

/// One of them.
#[derive(Clone, Debug, Hash)]
pub(super) struct SelectedRoute {
    /// Its position in the VirtualService.
    pub index: usize,
    /// The positions of its matches that count; `None` if it has no matches at all.
    pub matches: Option<Vec<usize>>,
    /// Where its destinations lead, in order.
    pub targets: Vec<Target>,
    /// The clusters of its mirrors, in order.
    pub mirrors: Vec<String>,
}

/// Where a destination leads.
#[derive(Clone, Debug, Hash)]
pub(super) struct Target {
    /// The cluster.
    pub cluster: String,
    /// Consistent hashing, from the DestinationRule of the destination.
    pub hash: Option<Arc<Fact<ConsistentHash>>>,
    /// Sticky sessions of the destination.
    pub session: Option<Session>,
}

/// How destinations are looked up.
pub(super) trait Destinations {
    /// The service of that host, trimmed to `ports` ports that count.
    fn service(&self, host: &str) -> Option<(Arc<Service>, Option<u32>)>;

    /// The DestinationRule for calls to that host.
    fn rule(&self, host: &str) -> Option<Arc<MergedDestinationRule>>;
}

/// The routes of `virtual_service` for `asker`; `None` when none is left.
pub(super) fn select(
    ctx: &Context<'_>,
    virtual_service: &Arc<VirtualService>,
    asker: Asker<'_>,
    headers: ProxyHeaders,
    destinations: &dyn Destinations,
) -> Option<SelectedRoutes> {
    let routes: Vec<SelectedRoute> = virtual_service
        .spec
        .http
        .iter()
        .enumerate()
        .filter_map(|(index, route)| {
            let matches = matches_for(route, asker)?;
            let targets =
                route.route.iter().map(|to| target(ctx, to.destination.as_ref(), asker, destinations));
            let mirrors =
                mirror::destinations(route).into_iter().map(|(to, _)| cluster(to, asker.port, destinations));
            Some(SelectedRoute { index, matches, targets: targets.collect(), mirrors: mirrors.collect() })
        })
        .collect();
    if routes.is_empty() {
        return None;
    }
    let settings = ctx.settings();
    Some(SelectedRoutes {
        virtual_service: Arc::clone(virtual_service),
        routes,
        port: asker.port,
        tls: false,
        http3_port: None,
        mesh_retry: settings.config.default_http_retry_policy.clone(),
        x_forwarded_host: headers.x_forwarded_host,
        plain_shadow_host: settings.features.disable_shadow_host_suffix,
    })
}

/// The positions of the matches that count; the outer `None` if there are matches and none counts.
#[expect(
    clippy::option_option,
    reason = "a route without matches differs from one that is not for the proxy"
)]
fn matches_for(route: &api::HttpRoute, asker: Asker<'_>) -> Option<Option<Vec<usize>>> {
    if route.r#match.is_empty() {
        return Some(None);
    }
    let counting: Vec<usize> = route
        .r#match
        .iter()
        .enumerate()
        .filter(|(_, wanted)| is_for(wanted, asker))
        .map(|(index, _)| index)
        .collect();
    (!counting.is_empty()).then_some(Some(counting))
}

fn is_for(wanted: &api::HttpMatchRequest, asker: Asker<'_>) -> bool {
    if wanted.port != 0 && wanted.port != asker.port {
        return false;
    }
    if !wanted.gateways.is_empty() {
        // A list of gateways stands in for every condition on the source.
        return wanted.gateways.iter().any(|gateway| gateway == asker.gateway);
    }
    asker.labels.selected_by(&wanted.source_labels)
        && (wanted.source_namespace.is_empty() || wanted.source_namespace == asker.namespace)
}

fn target(
    ctx: &Context<'_>,
    destination: Option<&api::Destination>,
    asker: Asker<'_>,
    destinations: &dyn Destinations,
) -> Target {
    let nowhere = api::Destination::default();
    let destination = destination.unwrap_or(&nowhere);
    let port = destination.port.as_ref().map(|port| port.number);
    let hash = destinations
        .rule(&destination.host)
        .and_then(|rule| hash_policy::of_destination(&rule, &destination.subset, port));
    let session = destinations
        .service(&destination.host)
        .and_then(|(service, _)| stateful_session::of(&ctx.settings().features, &service));
    Target { cluster: cluster(destination, asker.port, destinations), hash, session }
}

/// The cluster of a destination: the port it states, else the service's only port, else the listener's.
fn cluster(destination: &api::Destination, listener_port: u32, destinations: &dyn Destinations) -> String {
    if destination.host.is_empty() {
        return "UnknownService".to_owned();
    }
    let found = destinations.service(&destination.host);
    let stated = destination.port.as_ref().map(|port| port.number);
    let only = found.as_ref().and_then(|(_, only)| *only);
    let host = found
        .as_ref()
        .and_then(|(service, _)| service.kubernetes.external_name.as_ref())
        .map_or(destination.host.as_str(), |name| name.as_str());
    cluster_name::outbound(stated.or(only).unwrap_or(listener_port), &destination.subset, host)
}
