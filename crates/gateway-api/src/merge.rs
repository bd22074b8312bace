//! HTTPRoutes and GRPCRoutes of one host at one listener become one VirtualService: the Gateway API orders matches over
//! all of them, by path, method, headers and query, where a VirtualService has them in the order that is written.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Namespace, Timestamp};
use proto::istio::networking::string_match::MatchType;
use proto::istio::networking::{HttpMatchRequest, HttpRoute, VirtualService};

use crate::attach::{Attachment, MESH};
use crate::derive::{Made, made};
use crate::lookup::Lookup;
use crate::names::GATEWAY_SUFFIX;
use crate::route::{Attached, Route, annotations, mesh_hosts};

/// The routes of one object for one host at one listener.
struct Part {
    creation: Timestamp,
    namespace: Namespace,
    /// The name that it would have alone, which decides among equally old ones.
    name: String,
    parent: String,
    gateway: String,
    host: String,
    source: Arc<str>,
    routes: Vec<HttpRoute>,
}

/// Parts by listener and host.
#[derive(Default)]
pub(crate) struct Parts(BTreeMap<String, Vec<Part>>);

impl Parts {
    /// Adds a route, for every host at every parent that takes it.
    pub(crate) fn add(&mut self, lookup: &Lookup<'_>, route: &Route<'_>, attached: &Attached<'_, HttpRoute>) {
        let mut count = 0;
        for attachment in &attached.taken_by {
            let (key, hosts, routes) = if attachment.is_mesh() {
                let port = attachment.reference.port;
                let key = port
                    .map_or_else(|| route.namespace.to_owned(), |port| format!("{}/{port}", route.namespace));
                (key, mesh_hosts(lookup, attachment), for_port(&attached.mesh.routes, port))
            } else {
                (attachment.gateway.clone(), route.hosts(), attached.gateway.routes.clone())
            };
            if routes.is_empty() {
                continue;
            }
            for host in hosts.into_iter().filter(|host| attachment.serves(host)) {
                self.0.entry(format!("{key}/{host}")).or_default().push(part(
                    route,
                    attachment,
                    count,
                    host,
                    routes.clone(),
                ));
                count += 1;
            }
        }
    }

    /// The VirtualServices.
    pub(crate) fn finish(self) -> Vec<Made> {
        self.0.into_iter().filter_map(|(key, parts)| merged(&key, parts)).collect()
    }
}

fn part(
    route: &Route<'_>,
    attachment: &Attachment<'_>,
    count: usize,
    host: String,
    routes: Vec<HttpRoute>,
) -> Part {
    Part {
        creation: route.meta.creation,
        namespace: route.meta.namespace.clone(),
        name: format!("{}~{count}~{GATEWAY_SUFFIX}", route.meta.name),
        parent: route.parent_name(),
        gateway: if attachment.is_mesh() { MESH.to_owned() } else { attachment.gateway.clone() },
        host,
        source: Arc::clone(route.source),
        routes,
    }
}

/// Routes that hold at one port of their Service only.
fn for_port(routes: &[HttpRoute], port: Option<u32>) -> Vec<HttpRoute> {
    let mut routes = routes.to_vec();
    for route in &mut routes {
        if let Some(port) = port {
            if route.r#match.is_empty() {
                route.r#match.push(HttpMatchRequest::default());
            }
            route.r#match.iter_mut().for_each(|wanted| wanted.port = port);
        }
    }
    routes
}

fn merged(key: &str, mut parts: Vec<Part>) -> Option<Made> {
    parts.sort_by(|a, b| (a.creation, &a.namespace, &a.name).cmp(&(b.creation, &b.namespace, &b.name)));
    let parents: Vec<&str> = parts.iter().map(|part| part.parent.as_str()).collect();
    let annotations = annotations(&parents.join(","));
    let mut routes: Vec<HttpRoute> = parts.iter().flat_map(|part| part.routes.iter().cloned()).collect();
    routes.sort_by_key(precedence);
    let first = parts.into_iter().next()?;
    let spec = VirtualService {
        hosts: vec![first.host],
        gateways: vec![first.gateway],
        http: routes,
        ..Default::default()
    };
    Some(made(key.replace('/', "~"), &first.namespace, annotations, first.creation, &first.source, spec))
}

/// Kind of path, its length, whether there is a method, numbers of headers and parameters.
type Precision = (i8, usize, bool, usize, usize);

/// What comes first: exact paths, then prefixes, then expressions; the longer; those with a method; those with more
/// headers, then with more parameters. What matches everything comes last.
fn precedence(route: &HttpRoute) -> (bool, Reverse<Precision>) {
    let Some(wanted) = route.r#match.first() else { return (true, Reverse((0, 0, false, 0, 0))) };
    let (rank, length) = match wanted.uri.as_ref().and_then(|uri| uri.match_type.as_ref()) {
        Some(MatchType::Exact(path)) => (3, path.len()),
        Some(MatchType::Prefix(path)) => (2, path.len()),
        Some(MatchType::Regex(path)) => (1, path.len()),
        None => (-1, 0),
    };
    let numbers = (wanted.headers.len(), wanted.query_params.len());
    (false, Reverse((rank, length, wanted.method.is_some(), numbers.0, numbers.1)))
}
