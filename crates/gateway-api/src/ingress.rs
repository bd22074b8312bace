//! Ingresses: one Gateway for each, in the namespace of ingress, with a server for every certificate and one for
//! plaintext; one VirtualService for every host, with the paths of all Ingresses that name it (platform 8.3). None of
//! them has an age, so that they come before what users wrote.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use config::Object;
use config::k8s::{Ingress, IngressBackend, IngressPath, IngressRule, PathType};
use model::{Labels, Namespace, Timestamp};
use proto::istio::mesh::MeshConfig;
use proto::istio::mesh::mesh_config::IngressControllerMode;
use proto::istio::networking as api;
use proto::istio::networking::server_tls_settings::TlSmode;
use proto::istio::networking::string_match::MatchType;

use crate::derive::{Made, made};
use crate::http::text;
use crate::lookup::Lookup;
use crate::names::{INGRESS_SUFFIX, ROUTE_SEMANTICS};

const CLASS: &str = "kubernetes.io/ingress.class";
const CONTROLLER: &str = "istio.io/ingress-controller";
/// The weight of the only destination.
const ALL: i32 = 100;

/// A rule with the Ingress that it is of, and its place there.
type Rule<'a> = (&'a Object<Ingress>, usize, &'a IngressRule);

/// Everything that Ingresses of ours become.
pub(crate) fn convert(lookup: &Lookup<'_>) -> Vec<Made> {
    let ours: Vec<_> = lookup.store.ingresses().iter().filter(|object| is_ours(lookup, object)).collect();
    let mut all: Vec<Made> = ours.iter().map(|object| gateway(lookup, object)).collect();
    let mut by_host: BTreeMap<&str, Vec<Rule<'_>>> = BTreeMap::new();
    for object in ours {
        for (index, rule) in object.spec.rules.iter().enumerate().filter(|(_, rule)| !rule.paths.is_empty()) {
            let host = if rule.host.is_empty() { "*" } else { rule.host.as_str() };
            by_host.entry(host).or_default().push((object, index, rule));
        }
    }
    all.extend(by_host.into_iter().filter_map(|(host, rules)| virtual_service(lookup, host, rules)));
    all
}

/// Whether an Ingress is for this mesh: by its annotation, else by its class, else by the mode of the mesh.
pub(crate) fn is_ours(lookup: &Lookup<'_>, object: &Object<Ingress>) -> bool {
    let mesh = lookup.settings.mesh;
    let mode = mesh.ingress_controller_mode();
    if let Some(class) = object.meta.annotation(CLASS) {
        let counts = matches!(mode, IngressControllerMode::Strict | IngressControllerMode::Default);
        return counts && class == mesh.ingress_class;
    }
    let class = object.spec.ingress_class_name.as_deref();
    match class.and_then(|name| lookup.store.ingress_classes().get("", name)) {
        Some(class) => class.spec.controller == CONTROLLER,
        None => mode == IngressControllerMode::Default,
    }
}

/// The name of the Gateway that an Ingress becomes.
fn gateway_name(object: &Object<Ingress>) -> String {
    format!("{}-{INGRESS_SUFFIX}-{}", object.meta.name, object.meta.namespace)
}

fn gateway(lookup: &Lookup<'_>, object: &Object<Ingress>) -> Made {
    let (name, namespace) = (&object.meta.name, &object.meta.namespace);
    let port = |number, protocol: &str, name| {
        Some(api::Port { number, protocol: protocol.to_owned(), name, ..Default::default() })
    };
    let named = object.spec.tls.iter().enumerate().filter(|(_, tls)| !tls.secret_name.is_empty());
    let mut servers: Vec<api::Server> = named
        .map(|(index, tls)| api::Server {
            port: port(443, "HTTPS", format!("https-443-ingress-{name}-{namespace}-{index}")),
            hosts: if tls.hosts.is_empty() { vec!["*".to_owned()] } else { tls.hosts.clone() },
            tls: Some(api::ServerTlsSettings {
                mode: TlSmode::Simple as i32,
                credential_name: tls.secret_name.clone(),
                ..Default::default()
            }),
            ..Default::default()
        })
        .collect();
    servers.push(api::Server {
        port: port(80, "HTTP", format!("http-80-ingress-{name}-{namespace}")),
        hosts: vec!["*".to_owned()],
        ..Default::default()
    });
    let spec = api::Gateway { servers, selector: selector(lookup.settings.mesh) };
    let of = Namespace::from(lookup.settings.ingress_namespace);
    made(gateway_name(object), &of, Labels::default(), Timestamp::default(), &object.source, spec)
}

/// The labels of the proxies of ingress.
pub(crate) fn selector(mesh: &MeshConfig) -> BTreeMap<String, String> {
    let value = match (mesh.ingress_selector.as_str(), mesh.ingress_service.as_str()) {
        ("", "" | "istio-ingressgateway") => "ingressgateway",
        ("", service) => service,
        (selector, _) => selector,
    };
    BTreeMap::from([("istio".to_owned(), value.to_owned())])
}

fn virtual_service(lookup: &Lookup<'_>, host: &str, mut rules: Vec<Rule<'_>>) -> Option<Made> {
    rules.sort_by_key(|(object, index, _)| {
        (object.meta.creation, &object.meta.name, &object.meta.namespace, *index)
    });
    let paths = rules.iter().flat_map(|(object, _, rule)| rule.paths.iter().map(|path| (*object, path)));
    let mut routes: Vec<api::HttpRoute> =
        paths.filter_map(|(object, path)| route(lookup, &object.meta.namespace, path)).collect();
    routes.sort_by_key(precedence);
    let (first, ..) = rules.first()?;
    let spec = api::VirtualService {
        hosts: vec![host.to_owned()],
        gateways: vec![format!("{}/{}", lookup.settings.ingress_namespace, gateway_name(first))],
        http: routes,
        ..Default::default()
    };
    let name = format!("{}-{}-{INGRESS_SUFFIX}", host.replace('.', "-"), first.meta.name);
    let annotations = Labels::from([(ROUTE_SEMANTICS, "ingress")]);
    let source = Arc::clone(&first.source);
    Some(made(name, &first.meta.namespace, annotations, Timestamp::default(), &source, spec))
}

/// Longer paths first; of equally long ones the exact.
fn precedence(route: &api::HttpRoute) -> Reverse<(usize, bool)> {
    let uri = route.r#match.first().and_then(|wanted| wanted.uri.as_ref()?.match_type.as_ref());
    Reverse(match uri {
        Some(MatchType::Exact(path)) => (path.len(), true),
        Some(MatchType::Prefix(path)) => (path.len(), false),
        _ => (0, false),
    })
}

fn route(lookup: &Lookup<'_>, namespace: &str, path: &IngressPath) -> Option<api::HttpRoute> {
    let wanted = match path.path_type {
        PathType::Exact => Some(MatchType::Exact(path.path.clone())),
        PathType::Prefix => Some(MatchType::Prefix(path.path.clone())),
        PathType::ImplementationSpecific => by_habit(&path.path),
    };
    let destination = api::Destination {
        host: lookup.service_host(namespace, &path.backend.service_name),
        port: Some(api::PortSelector { number: port(lookup, namespace, &path.backend)? }),
        ..Default::default()
    };
    let wanted = wanted.map(|uri| api::HttpMatchRequest { uri: Some(text(uri)), ..Default::default() });
    Some(api::HttpRoute {
        r#match: wanted.into_iter().collect(),
        route: vec![api::HttpRouteDestination { destination: Some(destination), weight: ALL, headers: None }],
        ..Default::default()
    })
}

/// The port of a backend; none if it is no Service, or has no such port.
fn port(lookup: &Lookup<'_>, namespace: &str, backend: &IngressBackend) -> Option<u32> {
    if backend.service_name.is_empty() {
        return None;
    }
    if backend.port.number > 0 {
        return Some(backend.port.number);
    }
    let service = lookup.service(namespace, &backend.service_name)?;
    let port = service.spec.ports.iter().find(|port| port.name == backend.port.name)?;
    Some(port.port)
}

/// A path of no stated type: a star at the end stands for anything, all else is exact.
fn by_habit(path: &str) -> Option<MatchType> {
    if matches!(path, "" | "*" | "/*" | ".*") {
        return None;
    }
    let prefix = path.strip_suffix(".*").or_else(|| path.strip_suffix("/*"));
    Some(match prefix {
        Some(prefix) => MatchType::Prefix(prefix.to_owned()),
        None => MatchType::Exact(path.to_owned()),
    })
}
