//! HTTPRoutes of a VirtualService as Envoy routes: one for each route and match, in order, up to the first that takes
//! everything (spec 3.4). Each field is translated in a file of its own; here they are put together.

use std::sync::Arc;

use mesh::VirtualService;
use model::Issue;
use proto::envoy;
use proto::envoy::core::header_value_option::HeaderAppendAction;
use proto::envoy::google;
use proto::envoy::route::route::Action;
use proto::envoy::route::route_action::{ClusterSpecifier, HostRewriteSpecifier};
use proto::envoy::route::weighted_cluster::{ClusterWeight, cluster_weight};
use proto::istio::networking as api;
use proto::pack;

use super::selection::{SelectedRoute, SelectedRoutes};
use super::{
    cors, decorator, direct_response, fault, hash_policy, headers, matches, mirror, redirect, retry, rewrite,
    soundness, stateful_session, timeout,
};

/// The routes of one VirtualService, and what had to be left out.
pub(super) fn routes(input: &SelectedRoutes, issues: &mut Vec<Issue>) -> Vec<envoy::route::Route> {
    numbered(input, issues).map(|(_, route)| route).collect()
}

/// Which object a route is of, and where in it.
pub(super) fn origin(
    inputs: &[Arc<SelectedRoutes>],
    route: &envoy::route::Route,
) -> Option<(String, String)> {
    inputs.iter().find_map(|input| {
        let (index, _) = numbered(input, &mut Vec::new()).find(|(_, made)| made == route)?;
        let told = issue(&input.virtual_service, index, "");
        Some((told.object, told.path))
    })
}

/// The routes with the number of the HTTPRoute that each is of.
fn numbered(
    input: &SelectedRoutes,
    issues: &mut Vec<Issue>,
) -> impl Iterator<Item = (usize, envoy::route::Route)> + use<> {
    let mut routes = Vec::new();
    for selected in &input.routes {
        let Some(from) = input.virtual_service.spec.http.get(selected.index) else { continue };
        let Some(counting) = &selected.matches else {
            routes.extend(route(input, selected, from, None, issues).map(|made| (selected.index, made)));
            break;
        };
        for wanted in counting.iter().filter_map(|index| from.r#match.get(*index)) {
            let Some(made) = route(input, selected, from, Some(wanted), issues) else { continue };
            let last = made.r#match.as_ref().is_some_and(matches::is_catch_all);
            routes.push((selected.index, made));
            if last {
                return routes.into_iter();
            }
        }
    }
    routes.into_iter()
}

/// One route, for one of its matches.
fn route(
    input: &SelectedRoutes,
    selected: &SelectedRoute,
    from: &api::HttpRoute,
    wanted: Option<&api::HttpMatchRequest>,
    issues: &mut Vec<Issue>,
) -> Option<envoy::route::Route> {
    let virtual_service = &*input.virtual_service;
    let operations = headers::operations(from.headers.as_ref());
    let mut route = envoy::route::Route {
        name: name(from, wanted),
        r#match: Some(matches::route_match(virtual_service.semantics, wanted)),
        metadata: Some(metadata(virtual_service)),
        stat_prefix: wanted.map(|wanted| wanted.stat_prefix.clone()).unwrap_or_default(),
        request_headers_to_add: operations.request_add,
        request_headers_to_remove: operations.request_remove,
        response_headers_to_add: operations.response_add,
        response_headers_to_remove: operations.response_remove,
        ..Default::default()
    };
    if let Some(to) = &from.redirect {
        let Some(action) = redirect::action(to, virtual_service.semantics, input.port, input.tls) else {
            issues.push(issue(virtual_service, selected.index, "no status that redirects"));
            return None;
        };
        route.action = Some(Action::Redirect(action));
    } else if let Some(response) = &from.direct_response {
        route.action = Some(Action::DirectResponse(direct_response::action(response)));
    } else {
        forward(&mut route, input, selected, from, operations.authority);
    }
    route.decorator = Some(decorator::decorator(&route, &virtual_service.name, input.port));
    per_filter(&mut route, selected, from);
    if let Some(port) = input.http3_port {
        let value = format!("h3=\":{port}\"; ma=86400");
        let advertised = headers::option("alt-svc", &value, HeaderAppendAction::AppendIfExistsOrAdd);
        route.response_headers_to_add.push(advertised);
    }
    if let Some(reason) = soundness::refusal(&route) {
        issues.push(issue(virtual_service, selected.index, &reason));
        return None;
    }
    Some(route)
}

fn name(from: &api::HttpRoute, wanted: Option<&api::HttpMatchRequest>) -> String {
    match wanted {
        Some(wanted) if !wanted.name.is_empty() => format!("{}.{}", from.name, wanted.name),
        _ => from.name.clone(),
    }
}

/// Where the route was declared.
fn metadata(of: &VirtualService) -> envoy::core::Metadata {
    let path =
        format!("/apis/networking.istio.io/v1/namespaces/{}/virtual-service/{}", of.namespace, of.name);
    let fields = google::struct_of([("config", google::string_value(path))]);
    envoy::core::Metadata {
        filter_metadata: [("istio".to_owned(), fields)].into_iter().collect(),
        ..Default::default()
    }
}

/// Sends the route to its destinations.
fn forward(
    route: &mut envoy::route::Route,
    input: &SelectedRoutes,
    selected: &SelectedRoute,
    from: &api::HttpRoute,
    mut authority: String,
) {
    let mut action = envoy::route::RouteAction::default();
    timeout::apply(&mut action, from.timeout.as_ref());
    if input.virtual_service.semantics.is_gateway_api() {
        action.cluster_not_found_response_code =
            envoy::route::route_action::ClusterNotFoundResponseCode::InternalServerError as i32;
    }
    if let Some(to) = &from.rewrite {
        rewrite::apply(&mut action, to, input.virtual_service.semantics, route.r#match.as_ref());
        action.append_x_forwarded_host = input.x_forwarded_host;
        if !to.authority.is_empty() {
            authority.clone_from(&to.authority);
        }
    }
    if !authority.is_empty() {
        action.host_rewrite_specifier = Some(HostRewriteSpecifier::HostRewriteLiteral(authority));
    }
    action.request_mirror_policies = mirror::destinations(from)
        .into_iter()
        .zip(&selected.mirrors)
        .map(|((_, share), cluster)| mirror::policy(cluster, share, input.plain_shadow_host))
        .collect();
    let retries = from.retries.as_ref().or(input.mesh_retry.as_ref());
    let mut hashed = false;
    if let ([destination], [target]) = (from.route.as_slice(), selected.targets.as_slice()) {
        action.cluster_specifier = Some(ClusterSpecifier::Cluster(target.cluster.clone()));
        single_destination(route, &mut action, destination);
        action.hash_policy = target.hash.iter().filter_map(|hash| hash_policy::policy(hash)).collect();
        hashed = target.hash.is_some();
    } else {
        let counting: Vec<_> = from
            .route
            .iter()
            .zip(&selected.targets)
            .filter(|(destination, _)| destination.weight != 0)
            .collect();
        action.hash_policy =
            counting.iter().filter_map(|(_, target)| hash_policy::policy(target.hash.as_deref()?)).collect();
        action.cluster_specifier = Some(ClusterSpecifier::WeightedClusters(envoy::route::WeightedCluster {
            clusters: counting.iter().map(|(to, target)| cluster_weight(to, &target.cluster)).collect(),
            ..Default::default()
        }));
    }
    action.retry_policy = retry::policy(retries, hashed);
    route.action = Some(Action::Route(action));
}

/// Headers of the only destination follow those of the route, whose authority goes first.
fn single_destination(
    route: &mut envoy::route::Route,
    action: &mut envoy::route::RouteAction,
    destination: &api::HttpRouteDestination,
) {
    let operations = headers::operations(destination.headers.as_ref());
    route.request_headers_to_add.extend(operations.request_add);
    route.request_headers_to_remove.extend(operations.request_remove);
    route.response_headers_to_add.extend(operations.response_add);
    route.response_headers_to_remove.extend(operations.response_remove);
    if !operations.authority.is_empty() && action.host_rewrite_specifier.is_none() {
        action.host_rewrite_specifier = Some(HostRewriteSpecifier::HostRewriteLiteral(operations.authority));
    }
}

fn cluster_weight(destination: &api::HttpRouteDestination, cluster: &str) -> ClusterWeight {
    let operations = headers::operations(destination.headers.as_ref());
    ClusterWeight {
        name: cluster.to_owned(),
        weight: Some(google::uint32(u32::try_from(destination.weight).unwrap_or_default())),
        request_headers_to_add: operations.request_add,
        request_headers_to_remove: operations.request_remove,
        response_headers_to_add: operations.response_add,
        response_headers_to_remove: operations.response_remove,
        host_rewrite_specifier: Some(operations.authority)
            .filter(|authority| !authority.is_empty())
            .map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
        ..Default::default()
    }
}

/// What single filters do on the route.
fn per_filter(route: &mut envoy::route::Route, selected: &SelectedRoute, from: &api::HttpRoute) {
    let mut add = |filter: &str, config| route.typed_per_filter_config.insert(filter.to_owned(), config);
    if let Some(injected) = &from.fault {
        add(fault::FILTER, pack::any(&fault::http_fault(injected)));
    }
    if let Some(policy) = &from.cors_policy {
        add(cors::FILTER, pack::any(&cors::policy(policy)));
    }
    let forwards = from.redirect.is_none() && from.direct_response.is_none();
    let session = selected.targets.iter().filter(|_| forwards).find_map(|target| target.session.as_ref());
    if let Some(session) = session {
        add(stateful_session::FILTER, stateful_session::per_route(session));
    }
}

fn issue(of: &VirtualService, index: usize, message: &str) -> Issue {
    Issue {
        object: format!("VirtualService {}/{}", of.namespace, of.name),
        path: format!("spec.http[{index}]"),
        message: format!("{message}; the route is left out"),
    }
}
