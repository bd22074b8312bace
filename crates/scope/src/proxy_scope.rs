//! The scope of a class: everything it may see, resolved once and read by every translator (spec 5.1, 5.2, rows S01
//! to S09, S15, S20).

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use config::Object;
use mesh::{MergedDestinationRule, MeshSettings, Reader, Service, VirtualService};
use model::{Host, Namespace};
use proto::istio;
use proto::istio::networking::outbound_traffic_policy::Mode;

use crate::services::Collected;
use crate::{EgressListener, EnvoyPatches, MergedGateway, ProxyClass, ProxyType};

/// What becomes of traffic to unknown destinations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnknownTraffic {
    /// It is refused (`REGISTRY_ONLY`).
    Blocked,
    /// It goes where it was going (`ALLOW_ANY`).
    Passthrough,
    /// It goes to the cluster of that name (`ALLOW_ANY` with an `egressProxy`).
    EgressProxy(String),
}

impl UnknownTraffic {
    /// The cluster that such connections are sent to.
    pub fn cluster(&self) -> &str {
        match self {
            Self::Blocked => "BlackHoleCluster",
            Self::Passthrough => "PassthroughCluster",
            Self::EgressProxy(cluster) => cluster,
        }
    }
}

fn egress_cluster(proxy: &istio::networking::Destination) -> String {
    let port = proxy.port.as_ref().map_or(0, |port| port.number);
    format!("outbound|{port}|{}|{}", proxy.subset, proxy.host)
}

/// What one class of proxies may see: the class, and what it sees, which it shares with others that see the same.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyScope {
    /// The class.
    pub class: Arc<ProxyClass>,
    seen: Arc<Seen>,
}

impl Deref for ProxyScope {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

/// What a class may see.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Mesh-wide settings.
    pub settings: Arc<MeshSettings>,
    /// The Sidecar that applies; `None` for the default scope and for routers.
    pub sidecar: Option<Arc<Object<istio::networking::Sidecar>>>,
    /// At least one; those with a port first, the catch-all last.
    pub egress: Vec<EgressListener>,
    /// Every service of every listener, once per host, in scope order.
    pub services: Vec<Arc<Service>>,
    /// The same by host.
    pub by_host: BTreeMap<Host, Arc<Service>>,
    /// What a router serves; `None` for everything else, and for routers that no Gateway selects.
    pub gateway: Option<Arc<MergedGateway>>,
    /// What EnvoyFilters change of what is generated.
    pub envoy_patches: Arc<EnvoyPatches>,
}

/// How a scope differs from an earlier one of the same class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Not at all.
    None,
    /// In HTTP routes of sidecars: route tables look at these and nothing else does.
    HttpRoutes,
    /// In anything.
    Any,
}

impl Seen {
    fn difference(&self, old: &Self) -> Difference {
        let streams = |listener: &EgressListener| -> Vec<Arc<VirtualService>> {
            listener.virtual_services.iter().filter(|vs| vs.routes_streams()).cloned().collect()
        };
        let has_same_base = |(new, old): (&EgressListener, &EgressListener)| {
            new.config == old.config && new.services == old.services && streams(new) == streams(old)
        };
        let has_same_routes =
            |(new, old): (&EgressListener, &EgressListener)| new.virtual_services == old.virtual_services;
        // What is known by host follows from the services.
        let has_same_rest = self.settings == old.settings
            && self.sidecar == old.sidecar
            && self.services == old.services
            && self.envoy_patches == old.envoy_patches
            && self.egress.len() == old.egress.len()
            && self.egress.iter().zip(&old.egress).all(has_same_base);
        let all_same_routes = has_same_rest && self.egress.iter().zip(&old.egress).all(has_same_routes);
        if !has_same_rest || self.gateway != old.gateway {
            Difference::Any
        } else if all_same_routes {
            Difference::None
        } else if self.gateway.is_some() {
            Difference::Any
        } else {
            Difference::HttpRoutes
        }
    }
}

impl ProxyScope {
    /// How this differs from what the same class saw before.
    pub fn difference(&self, old: &Self) -> Difference {
        // Servers of gateways are made of routes, too.
        match self.seen.difference(&old.seen) {
            Difference::HttpRoutes if self.class.is_router() => Difference::Any,
            difference => difference,
        }
    }

    /// Resolves the scope of a class.
    pub fn build(class: Arc<ProxyClass>, reader: &Reader<'_>) -> Self {
        let settings = Arc::clone(reader.settings());
        let services = reader.services_visible_to(&class.namespace);
        let virtual_services = reader.virtual_services_visible_to(&class.namespace);
        let envoy_patches = Arc::new(EnvoyPatches::build(&class, reader));
        let mut collected = Collected::default();
        // Gateways look at everything they may see, and know no Sidecar (row S09).
        if class.proxy_type != ProxyType::Sidecar {
            for service in &services {
                collected.add(service);
            }
            let (unique, by_host) = collected.finish();
            let egress = vec![EgressListener { config: None, services, virtual_services }];
            let gateway = class.is_router().then(|| MergedGateway::build(&class, reader)).flatten();
            let seen =
                Seen { settings, sidecar: None, egress, services: unique, by_host, gateway, envoy_patches };
            return Self { class, seen: Arc::new(seen) };
        }
        let virtual_services: Vec<_> = virtual_services.into_iter().filter(|vs| vs.is_mesh()).collect();
        let sidecar = reader.sidecar(&class.namespace, &class.labels);
        let entries = sidecar.as_ref().map_or(&[][..], |sidecar| &sidecar.spec.egress);
        let resolve =
            |config| EgressListener::resolve(config, &class.namespace, &services, &virtual_services);
        let egress: Vec<_> = if entries.is_empty() {
            vec![resolve(None)]
        } else {
            entries.iter().map(|entry| resolve(Some(entry))).collect()
        };
        for listener in &egress {
            listener.services.iter().for_each(|service| collected.add(service));
            collected.add_destinations(listener, &class.namespace, reader);
        }
        let (unique, by_host) = collected.finish();
        let seen =
            Seen { settings, sidecar, egress, services: unique, by_host, gateway: None, envoy_patches };
        Self { class, seen: Arc::new(seen) }
    }

    /// The same for a class that sees the same, as [`ProxyClass::outbound`] tells.
    pub fn with_class(&self, class: Arc<ProxyClass>) -> Self {
        Self { class, seen: Arc::clone(&self.seen) }
    }

    /// The egress listener whose services and VirtualServices a route table of that port (or, for port 0, of that
    /// socket) is made of: the first one declared for it, else the one without a port.
    pub fn egress_for_route(&self, port: u32, bind: &str) -> Option<&EgressListener> {
        self.egress.iter().find(|listener| match listener.port() {
            None => true,
            Some(declared) => declared.number == port && (port != 0 || listener.bind() == bind),
        })
    }

    /// The service of that host in this scope.
    pub fn service(&self, host: &str) -> Option<&Arc<Service>> {
        self.by_host.get(host)
    }

    /// The DestinationRule for calls of this class to `service`.
    pub fn destination_rule(
        &self,
        reader: &Reader<'_>,
        service: &Service,
    ) -> Option<Arc<MergedDestinationRule>> {
        reader.destination_rule(&self.class.namespace, &self.class.labels, service)
    }

    /// What becomes of traffic to destinations that the scope does not know (rows S20, L10, R25, R26): the Sidecar's
    /// `outboundTrafficPolicy`, else the mesh's.
    pub fn unknown_traffic(&self) -> UnknownTraffic {
        if let Some(policy) = self.sidecar.as_ref().and_then(|s| s.spec.outbound_traffic_policy.as_ref()) {
            return match (policy.mode(), &policy.egress_proxy) {
                (Mode::RegistryOnly, _) => UnknownTraffic::Blocked,
                (_, Some(proxy)) => UnknownTraffic::EgressProxy(egress_cluster(proxy)),
                (_, None) => UnknownTraffic::Passthrough,
            };
        }
        // The two modes have the same numbers in both enums.
        match self.settings.config.outbound_traffic_policy.as_ref().map(|policy| policy.mode) {
            Some(mode) if mode == Mode::RegistryOnly as i32 => UnknownTraffic::Blocked,
            _ => UnknownTraffic::Passthrough,
        }
    }

    /// The namespace whose configuration the class gets.
    pub fn namespace(&self) -> &Namespace {
        &self.class.namespace
    }
}
