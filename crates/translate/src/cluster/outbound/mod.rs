//! One service port, or one subset of it, to the cluster of its callers (spec 1.1 to 1.7). `select` answers what a
//! cluster depends on, `render` makes it of the answers; the order of the latter matters, since later settings depend
//! on what earlier ones chose.

mod render;
mod select;

use std::sync::Arc;

use mesh::{MergedDestinationRule, MeshSettings, MtlsMode, Resolution, Service, ServicePort};
use model::{Protocol, findings};
use scope::Routed;

use super::client::ClientFacts;
use super::dynamic_forward_proxy;
use crate::endpoint::LocalitiesInput;
use crate::{Context, Resource};
use select::{endpoints, is_dynamic, mode, names, passes_through};

/// What a cluster is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Calls of workloads and gateways: `outbound|…`.
    Calls,
    /// Connections that a gateway passes on by SNI, TLS unopened: `outbound_.…`.
    SniForwarding,
}

impl Purpose {
    fn name(self, port: u32, subset: &str, host: &str) -> String {
        match self {
            Self::Calls => name(port, subset, host),
            Self::SniForwarding => sni_name(port, subset, host),
        }
    }
}

/// `outbound|<port>|<subset>|<host>`.
pub fn name(port: u32, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// `outbound_.<port>_.<subset>_.<host>`, also the SNI of mutual TLS towards the service.
pub fn sni_name(port: u32, subset: &str, host: &str) -> String {
    format!("outbound_.{port}_.{subset}_.{host}")
}

#[derive(Hash)]
struct OutboundClusterInput {
    purpose: Purpose,
    client: Arc<ClientFacts>,
    settings: Arc<MeshSettings>,
    service: Arc<Service>,
    port: ServicePort,
    rule: Option<Arc<MergedDestinationRule>>,
    /// The name of a subset of the rule.
    subset: Option<String>,
    /// Accounts behind the service, and names declared for it.
    names: Arc<[String]>,
    mode: MtlsMode,
    /// Whether every endpoint is reached through a tunnel, which carries no metadata exchange.
    tunnelled: bool,
    /// What a cluster of DNS names resolves; `None` for other types.
    endpoints: Option<LocalitiesInput>,
}

/// The clusters of every service port and subset in scope order.
pub(super) fn generate(ctx: &Context<'_>, purpose: Purpose) -> Vec<Resource> {
    let client = Arc::new(ClientFacts::of(ctx));
    let mut clusters = Vec::new();
    // What is forwarded by SNI has no routes to be told by.
    let routed = Routed::of(ctx.scope).filter(|_| purpose == Purpose::Calls);
    for service in &ctx.scope.services {
        if routed.as_ref().is_some_and(|routed| !routed.has(service)) {
            continue;
        }
        let forwarding_stranger = purpose == Purpose::SniForwarding && service.external;
        if service.resolution == Resolution::Alias || forwarding_stranger {
            continue;
        }
        let rule = ctx.scope.destination_rule(ctx.reader, service);
        let names = names(ctx, service, purpose);
        let forwards = is_dynamic(service);
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            if forwards && !dynamic_forward_proxy::serves(port.protocol) {
                continue;
            }
            let default = OutboundClusterInput {
                purpose,
                client: Arc::clone(&client),
                settings: Arc::clone(ctx.settings()),
                service: Arc::clone(service),
                port: port.clone(),
                names: Arc::clone(&names),
                mode: mode(ctx, service, port, rule.as_ref().and_then(|r| r.spec.traffic_policy.as_ref())),
                tunnelled: ctx.reader.is_tunnelled(&service.host, &service.namespace, &port.name),
                endpoints: endpoints(ctx, service, port, rule.as_deref(), ""),
                rule: rule.clone(),
                subset: None,
            };
            if default.endpoints.as_ref().is_some_and(LocalitiesInput::is_empty) {
                ctx.count(findings::DNS_WITHOUT_ENDPOINTS, default.name());
                continue;
            }
            clusters.push(ctx.resource(default.name(), &default));
            let subsets = rule.as_ref().filter(|_| !forwards).map(|rule| &rule.spec.subsets);
            for subset in subsets.into_iter().flatten() {
                let passes = passes_through(subset.traffic_policy.as_ref());
                let resolved = endpoints(ctx, service, port, rule.as_deref(), &subset.name);
                if resolved.as_ref().is_some_and(LocalitiesInput::is_empty) && !passes {
                    let name = purpose.name(port.number, &subset.name, &service.host);
                    ctx.count(findings::DNS_WITHOUT_ENDPOINTS, name);
                    continue;
                }
                let of_subset = OutboundClusterInput {
                    purpose,
                    client: Arc::clone(&client),
                    settings: Arc::clone(ctx.settings()),
                    service: Arc::clone(service),
                    port: port.clone(),
                    names: Arc::clone(&names),
                    mode: mode(ctx, service, port, subset.traffic_policy.as_ref()),
                    tunnelled: false,
                    endpoints: resolved,
                    rule: rule.clone(),
                    subset: Some(subset.name.clone()),
                };
                clusters.push(ctx.resource(of_subset.name(), &of_subset));
            }
        }
    }
    clusters
}
