//! The whole: every object of the Gateway API and every Ingress at once, as objects of Istio's API. Two objects that
//! would have one name cannot both be; the first stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::gateway_api::{BackendReference, ParentReference};
use config::{AnyObject, Change, ConfigKey, ConfigStore, Kind, Meta, Object, Resource};
use model::{Fingerprint, Labels, Namespace, Timestamp};

use crate::grant::Grants;
use crate::lookup::{Asked, Lookup, Settings};
use crate::merge::Parts;
use crate::names::GroupKind;
use crate::outcome::{Outcomes, RouteOutcome};
use crate::parent::OwnerKey;
use crate::policy::Ancestors;
use crate::route::{Attached, Route, RouteContext, attach};
use crate::{grpc, http, ingress, layer4, listener, policy};

/// A made object.
pub(crate) type Made = AnyObject;

/// What was made of a store.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    objects: BTreeMap<ConfigKey, AnyObject>,
    pub(crate) outcomes: Outcomes,
    asked: Asked,
}

impl Derived {
    /// Kinds of which everything is read.
    const FED_BY: &'static [Kind] = &[
        Kind::GatewayClass,
        Kind::KubernetesGateway,
        Kind::ListenerSet,
        Kind::HttpRoute,
        Kind::GrpcRoute,
        Kind::TlsRoute,
        Kind::TcpRoute,
        Kind::ReferenceGrant,
        Kind::BackendTlsPolicy,
        Kind::XBackendTrafficPolicy,
        Kind::Ingress,
        Kind::IngressClass,
    ];

    /// Whether a change can make a difference: one of these kinds, or of an object that was looked up.
    pub fn is_concerned_by(&self, change: &Change) -> bool {
        let is_own = change.key.cluster.is_none();
        is_own && (Self::FED_BY.contains(&change.key.kind) || self.asked.concerns(&change.key))
    }

    /// The objects, by key.
    pub fn objects(&self) -> impl Iterator<Item = (&ConfigKey, &AnyObject)> {
        self.objects.iter()
    }

    /// One object.
    pub fn get(&self, key: &ConfigKey) -> Option<&AnyObject> {
        self.objects.get(key)
    }
}

/// Makes Istio's objects of everything in the store.
pub fn derive(store: &ConfigStore, settings: Settings<'_>) -> Derived {
    let lookup = Lookup::new(store, settings);
    let grants = Grants::of(store);
    let mut listeners = listener::convert(&lookup, &grants);
    let mut all = std::mem::take(&mut listeners.made);
    let mut routes = Routes::default();
    let mut parts = Parts::default();
    for object in store.http_routes() {
        let spec = &object.spec;
        let route = Route::of(object, "HTTPRoute", "v1", &spec.parent_refs, &spec.hostnames);
        let convert = |ctx: &RouteContext<'_>| http::convert(ctx, spec);
        let attached = attach(&lookup, &grants, &listeners.parents, &route, convert);
        parts.add(&lookup, &route, &attached);
        routes.add(&route, &attached, spec.rules.iter().flat_map(|rule| &rule.backend_refs));
    }
    for object in store.grpc_routes() {
        let spec = &object.spec;
        let route = Route::of(object, "GRPCRoute", "v1", &spec.parent_refs, &spec.hostnames);
        let convert = |ctx: &RouteContext<'_>| grpc::convert(ctx, spec);
        let attached = attach(&lookup, &grants, &listeners.parents, &route, convert);
        parts.add(&lookup, &route, &attached);
        routes.add(&route, &attached, spec.rules.iter().flat_map(|rule| &rule.backend_refs));
    }
    all.extend(parts.finish());
    for object in store.tls_routes() {
        let spec = &object.spec;
        let route = Route::of(object, "TLSRoute", "v1", &spec.parent_refs, &spec.hostnames);
        let hosts = route.hosts();
        let convert = |ctx: &RouteContext<'_>| layer4::convert_tls(ctx, &spec.rules, &hosts);
        let attached = attach(&lookup, &grants, &listeners.parents, &route, convert);
        all.extend(layer4::tls(&lookup, &route, &attached));
        routes.add(&route, &attached, spec.rules.iter().flat_map(|rule| &rule.backend_refs));
    }
    for object in store.tcp_routes().iter().filter(|_| settings.alpha) {
        let spec = &object.spec;
        let route = Route::of(object, "TCPRoute", "v1alpha2", &spec.parent_refs, &[]);
        let convert = |ctx: &RouteContext<'_>| layer4::convert_tcp(ctx, &spec.rules);
        let attached = attach(&lookup, &grants, &listeners.parents, &route, convert);
        all.extend(layer4::tcp(&lookup, &route, &attached));
        routes.add(&route, &attached, spec.rules.iter().flat_map(|rule| &rule.backend_refs));
    }
    let policies = policy::convert(&lookup, &routes.ancestors);
    all.extend(policies.made);
    all.extend(ingress::convert(&lookup));
    let mut objects = BTreeMap::new();
    for object in all {
        objects.entry(object.key()).or_insert(object);
    }
    let mut outcomes = Outcomes {
        gateways: listeners.gateways,
        listener_sets: listeners.sets,
        routes: routes.outcomes,
        policies: policies.outcomes,
    };
    routes.attached.count_into(&mut outcomes);
    drop(grants);
    Derived { objects, outcomes, asked: lookup.into_asked() }
}

/// What is kept of routes beside their VirtualServices.
#[derive(Default)]
struct Routes {
    outcomes: Vec<RouteOutcome>,
    attached: Attachments,
    ancestors: Ancestors,
}

/// Listeners, each with the routes that attach.
#[derive(Default)]
struct Attachments(BTreeMap<(OwnerKey, String), BTreeSet<ConfigKey>>);

impl Routes {
    fn add<'b, R>(
        &mut self,
        route: &Route<'_>,
        attached: &Attached<'_, R>,
        backends: impl Iterator<Item = &'b BackendReference>,
    ) {
        for listener in attached.listeners() {
            self.attached.0.entry(listener.clone()).or_default().insert(route.key.clone());
        }
        self.outcomes.push(attached.outcome.clone());
        let namespace = |stated: &Option<String>| stated.as_deref().unwrap_or(route.namespace).to_owned();
        let is_gateway =
            |parent: &&ParentReference| GroupKind(&parent.group, &parent.kind) == GroupKind::GATEWAY;
        let gateways: Vec<_> = route.parents.iter().filter(is_gateway).collect();
        for backend in backends {
            let key = (backend.kind.clone(), namespace(&backend.namespace), backend.name.clone());
            let known = self.ancestors.entry(key).or_default();
            known.extend(gateways.iter().map(|p| (namespace(&p.namespace), p.name.clone())));
        }
    }
}

impl Attachments {
    /// Says of every listener how many routes attach.
    fn count_into(self, outcomes: &mut Outcomes) {
        let count = |kind, key: &ConfigKey, name: &str| {
            let owner = (kind, key.namespace.to_string(), key.name.to_string());
            self.0.get(&(owner, name.to_owned())).map_or(0, BTreeSet::len)
        };
        for gateway in &mut outcomes.gateways {
            for listener in &mut gateway.listeners {
                listener.attached_routes = count(GroupKind::GATEWAY, &gateway.key, &listener.name);
            }
        }
        for set in &mut outcomes.listener_sets {
            for listener in &mut set.listeners {
                listener.attached_routes = count(GroupKind::LISTENER_SET, &set.key, &listener.name);
            }
        }
    }
}

/// An object of Istio's API.
pub(crate) fn made<T: Resource + prost::Message + prost::Name>(
    name: String,
    namespace: &Namespace,
    annotations: Labels,
    creation: Timestamp,
    source: &Arc<str>,
    spec: T,
) -> Made {
    let meta =
        Meta { name: name.into(), namespace: namespace.clone(), annotations, creation, ..Meta::default() };
    let fingerprint = Fingerprint::of_hash(&(T::KIND, &meta, &*proto::pack::bytes(&spec)));
    T::into_any(Arc::new(Object { meta, spec, status: None, fingerprint, source: Arc::clone(source) }))
}
