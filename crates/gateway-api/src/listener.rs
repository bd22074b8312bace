//! Listeners of Gateways and ListenerSets become Gateways of Istio with one server each, so that a route can be bound
//! to a single listener. Such a Gateway selects its proxies by the Services in front of them. A listener whose
//! certificates or protocol are at fault is left out; routes attach to it all the same, as the API wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::gateway_api::{Gateway, Listener, ListenerSet};
use config::{Meta, Object};
use model::Labels;
use proto::istio::networking::{Gateway as IstioGateway, Port, Server};

use crate::class::Class;
use crate::derive::{Made, made};
use crate::fault::Fault;
use crate::grant::Grants;
use crate::lookup::Lookup;
use crate::names::{
    GATEWAY_SEMANTICS, GATEWAY_SERVICE, GroupKind, PARENT_NAMESPACE, PARENTS, SERVICE_ACCOUNT, gateway_name,
};
use crate::namespaces::{admits_listener_set, server_hosts};
use crate::outcome::{GatewayOutcome, ListenerOutcome, ListenerSetOutcome};
use crate::parent::{Parent, Parents, kinds};
use crate::tls;

const NAME_OVERRIDE: &str = "gateway.istio.io/name-override";
const SERVICE_ACCOUNT_OVERRIDE: &str = "gateway.istio.io/service-account";
const SERVICE_TYPE: &str = "networking.istio.io/service-type";

const UNSUPPORTED_PROTOCOL: &str = "UnsupportedProtocol";
const UNSUPPORTED_ADDRESS: &str = "UnsupportedAddress";
const NOT_ALLOWED: &str = "NotAllowed";

/// What Gateways and ListenerSets become.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) made: Vec<Made>,
    pub(crate) parents: Parents,
    pub(crate) gateways: Vec<GatewayOutcome>,
    pub(crate) sets: Vec<ListenerSetOutcome>,
}

/// A Gateway of ours.
struct Served {
    services: Vec<String>,
    fault: Option<Fault>,
    account: String,
}

/// Every Gateway and ListenerSet of ours.
pub(crate) fn convert(lookup: &Lookup<'_>, grants: &Grants<'_>) -> Listeners {
    let mut all = Listeners::default();
    let mut ours: BTreeMap<(&str, &str), (usize, Served)> = BTreeMap::new();
    for gateway in lookup.store.kubernetes_gateways() {
        let Some(class) = Class::find(lookup, &gateway.spec.gateway_class_name) else { continue };
        let served = served(lookup, gateway);
        let remote = class == Class::Remote;
        let mut outcome = GatewayOutcome {
            key: gateway.key(),
            generation: gateway.meta.generation,
            remote,
            services: served.services.clone(),
            fault: served.fault.clone(),
            listeners: Vec::new(),
            ports: Vec::new(),
            listener_sets: 0,
        };
        let is_usable = !served.services.is_empty() || served.fault.is_none();
        if !remote && is_usable {
            let owner = Owner::of_gateway(gateway, &served);
            for listener in &gateway.spec.listeners {
                outcome.listeners.push(owner.convert(lookup, grants, gateway, listener, None, &mut all));
                outcome.ports.push(listener.port);
            }
        }
        if !remote {
            ours.insert((&gateway.meta.namespace, &gateway.meta.name), (all.gateways.len(), served));
        }
        all.gateways.push(outcome);
    }
    for set in lookup.store.listener_sets() {
        let parent = &set.spec.parent_ref;
        let namespace = parent.namespace.as_deref().unwrap_or(&set.meta.namespace);
        if GroupKind(&parent.group, &parent.kind) != GroupKind::GATEWAY {
            continue;
        }
        let Some(gateway) = lookup.store.kubernetes_gateways().get(namespace, &parent.name) else { continue };
        match ours.get(&(namespace, parent.name.as_str())) {
            Some((index, served)) => {
                let outcome = listener_set(lookup, grants, set, gateway, served, &mut all);
                let of_gateway = all.gateways.get_mut(*index);
                if let Some(of_gateway) = of_gateway.filter(|_| !outcome.listeners.is_empty()) {
                    of_gateway.listener_sets += 1;
                    of_gateway.ports.extend(outcome.listeners.iter().map(|listener| listener.port));
                }
                all.sets.push(outcome);
            }
            None if Class::find(lookup, &gateway.spec.gateway_class_name) == Some(Class::Remote) => {
                let class = &gateway.spec.gateway_class_name;
                let message = format!("The \"{class}\" GatewayClass does not support ListenerSet");
                all.sets.push(refused(set, Fault::new(NOT_ALLOWED, message)));
            }
            None => {}
        }
    }
    all
}

/// The Services in front of a Gateway's proxies.
fn served(lookup: &Lookup<'_>, gateway: &Object<Gateway>) -> Served {
    let meta = &gateway.meta;
    let default_name = || format!("{}-{}", meta.name, gateway.spec.gateway_class_name);
    let overridden = |annotation: &str| {
        meta.annotation(annotation).filter(|name| !name.is_empty()).map_or_else(default_name, str::to_owned)
    };
    if is_managed(&gateway.spec) {
        let name = overridden(NAME_OVERRIDE);
        return Served {
            services: vec![lookup.service_host(&meta.namespace, &name)],
            fault: None,
            account: overridden(SERVICE_ACCOUNT_OVERRIDE),
        };
    }
    let (hosts, others): (Vec<_>, Vec<_>) =
        gateway.spec.addresses.iter().partition(|address| address.address_type == "Hostname");
    let full = |name: &str| {
        if name.contains('.') { name.to_owned() } else { lookup.service_host(&meta.namespace, name) }
    };
    let others: Vec<&str> = others.iter().map(|address| address.value.as_str()).collect();
    let fault = if !others.is_empty() {
        let message = format!("only Hostname is supported, ignoring [{}]", others.join(" "));
        Some(Fault::new(UNSUPPORTED_ADDRESS, message))
    } else if meta.annotation(SERVICE_TYPE).is_some() {
        let message =
            format!("annotation {SERVICE_TYPE} is deprecated, use Spec.Infrastructure.Routeability");
        Some(Fault::new("DeprecatedField", message))
    } else {
        None
    };
    // Whoever made the Service also chose the account.
    Served { services: hosts.iter().map(|host| full(&host.value)).collect(), fault, account: String::new() }
}

/// Whether the control plane makes the Service and the proxies: no address, or one IP.
pub(crate) fn is_managed(gateway: &Gateway) -> bool {
    match gateway.addresses.as_slice() {
        [] => true,
        [only] => only.address_type == "IPAddress",
        _ => false,
    }
}

fn refused(set: &Object<ListenerSet>, fault: Fault) -> ListenerSetOutcome {
    ListenerSetOutcome {
        key: set.key(),
        generation: set.meta.generation,
        refused: Some(fault),
        gateway_namespace: String::new(),
        services: Vec::new(),
        fault: None,
        listeners: Vec::new(),
    }
}

fn listener_set(
    lookup: &Lookup<'_>,
    grants: &Grants<'_>,
    set: &Object<ListenerSet>,
    gateway: &Object<Gateway>,
    served: &Served,
    all: &mut Listeners,
) -> ListenerSetOutcome {
    let allowed = gateway.spec.allowed_listeners.as_ref();
    if !admits_listener_set(lookup, &gateway.meta.namespace, allowed, &set.meta.namespace) {
        let message = "The parent Gateway does not allow this reference; check the 'spec.allowedRoutes'";
        return refused(set, Fault::new(NOT_ALLOWED, message));
    }
    let mut outcome = ListenerSetOutcome {
        key: set.key(),
        generation: set.meta.generation,
        refused: None,
        gateway_namespace: gateway.meta.namespace.to_string(),
        services: served.services.clone(),
        fault: served.fault.clone(),
        listeners: Vec::new(),
    };
    if served.services.is_empty() && served.fault.is_some() {
        return outcome;
    }
    let owner = Owner::of_set(set, gateway, served);
    for listener in &set.spec.listeners {
        let mut listener = listener.clone();
        let mut fault = None;
        listener.port = match (listener.port, listener.protocol.as_str()) {
            (0, "HTTP") => 80,
            (0, "HTTPS") => 443,
            (0, protocol) => {
                let message = format!("protocol {protocol} requires a port to be set");
                fault = Some(Fault::new(UNSUPPORTED_PROTOCOL, message));
                0
            }
            (port, _) => port,
        };
        outcome.listeners.push(owner.convert(lookup, grants, gateway, &listener, fault, all));
    }
    outcome
}

/// Whose listeners these are.
struct Owner<'a> {
    kind: GroupKind<'static>,
    meta: &'a Meta,
    source: &'a Arc<str>,
    served: &'a Served,
    /// The Gateway's namespace, where it is not the owner itself.
    gateway_namespace: Option<&'a str>,
}

impl<'a> Owner<'a> {
    fn of_gateway(gateway: &'a Object<Gateway>, served: &'a Served) -> Self {
        let (meta, source) = (&gateway.meta, &gateway.source);
        Self { kind: GroupKind::GATEWAY, meta, source, served, gateway_namespace: None }
    }

    fn of_set(set: &'a Object<ListenerSet>, gateway: &'a Object<Gateway>, served: &'a Served) -> Self {
        let (meta, source) = (&set.meta, &set.source);
        let gateway_namespace = Some(&*gateway.meta.namespace);
        Self { kind: GroupKind::LISTENER_SET, meta, source, served, gateway_namespace }
    }

    /// Puts what a listener becomes into `all`.
    fn convert(
        &self,
        lookup: &Lookup<'_>,
        grants: &Grants<'_>,
        gateway: &Object<Gateway>,
        listener: &Listener,
        of_port: Option<Fault>,
        all: &mut Listeners,
    ) -> ListenerOutcome {
        let namespace = &self.meta.namespace;
        let owner = tls::Owner { kind: self.kind, namespace, labels: &self.meta.labels };
        let (tls, tls_fault) = tls::server(lookup, grants, &owner, listener, gateway.spec.tls.as_ref());
        let unaccepted = protocol(listener, lookup.settings.alpha).or(of_port);
        let hosts = server_hosts(lookup, namespace, &listener.allowed_routes, &listener.hostname);
        let (kinds, all_known) = kinds(listener);
        let name = gateway_name(&self.meta.name, &listener.name);
        let key = (self.kind, namespace.to_string(), self.meta.name.to_string());
        all.parents.entry(key).or_default().push(Parent {
            gateway: format!("{namespace}/{name}"),
            section: listener.name.clone(),
            port: listener.port,
            protocol: listener.protocol.clone(),
            hostname: listener.hostname.clone(),
            hosts: hosts.clone(),
            kinds: kinds.clone(),
        });
        if unaccepted.is_none() && tls_fault.is_none() {
            let server = Server {
                port: Some(Port {
                    // Every Gateway made here has one server, so that all of them have the same name.
                    name: "default".to_owned(),
                    number: listener.port,
                    protocol: listener.protocol.clone(),
                    ..Default::default()
                }),
                hosts,
                tls,
                ..Default::default()
            };
            let spec = IstioGateway { servers: vec![server], ..Default::default() };
            let annotations = self.annotations(&listener.name);
            let (creation, source) = (self.meta.creation, self.source);
            all.made.push(made(name, namespace, annotations, creation, source, spec));
        }
        ListenerOutcome {
            name: listener.name.clone(),
            port: listener.port,
            kinds,
            has_invalid_kinds: !all_known,
            unaccepted,
            tls: tls_fault,
            attached_routes: 0,
        }
    }

    fn annotations(&self, section: &str) -> Labels {
        let parent = format!("{}/{}/{section}.{}", self.kind.1, self.meta.name, self.meta.namespace);
        let mut all = BTreeMap::from([
            (PARENTS.to_owned(), parent),
            (GATEWAY_SEMANTICS.to_owned(), "gateway".to_owned()),
            (GATEWAY_SERVICE.to_owned(), self.served.services.join(",")),
            (SERVICE_ACCOUNT.to_owned(), self.served.account.clone()),
        ]);
        if let Some(namespace) = self.gateway_namespace {
            all.insert(PARENT_NAMESPACE.to_owned(), namespace.to_owned());
        }
        Labels::new(all)
    }
}

/// Why a listener's protocol cannot be served.
fn protocol(listener: &Listener, alpha: bool) -> Option<Fault> {
    let protocol = listener.protocol.as_str();
    let message = match protocol {
        "HTTP" | "HTTPS" | "TLS" => return None,
        "TCP" if alpha => return None,
        "TCP" => format!(
            "protocol \"{protocol}\" is supported, but only when PILOT_ENABLE_ALPHA_GATEWAY_API=true is configured"
        ),
        "HBONE" => format!("protocol \"{protocol}\" is only supported for waypoint proxies"),
        other => {
            let upper = other.to_uppercase();
            if matches!(upper.as_str(), "HTTP" | "HTTPS" | "TLS" | "TCP" | "HBONE") {
                format!("protocol \"{other}\" is unsupported. hint: \"{upper}\" (uppercase) may be supported")
            } else {
                format!("protocol \"{other}\" is unsupported")
            }
        }
    };
    Some(Fault::new(UNSUPPORTED_PROTOCOL, message))
}
