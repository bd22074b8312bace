//! The scope of a class: everything it may see, resolved once and read by every translator.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Object;
use mesh::{MergedDestinationRule, MeshSettings, Reader, Service};
use model::{Host, Namespace};
use proto::istio;

use crate::{EgressListener, ProxyClass, ProxyType};

/// What one class of proxies may see.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyScope {
    /// The class.
    pub class: Arc<ProxyClass>,
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
}

impl ProxyScope {
    /// Resolves the scope of a class.
    pub fn build(class: Arc<ProxyClass>, reader: &Reader<'_>) -> Self {
        let settings = Arc::clone(reader.settings());
        let services = reader.services_visible_to(&class.namespace);
        let virtual_services = reader.virtual_services_visible_to(&class.namespace);
        let egress = vec![EgressListener { config: None, services: services.clone(), virtual_services }];
        let mut by_host = BTreeMap::new();
        let mut unique = Vec::new();
        for service in services {
            if !by_host.contains_key(&service.host) {
                by_host.insert(service.host.clone(), Arc::clone(&service));
                unique.push(service);
            }
        }
        Self { class, settings, sidecar: None, egress, services: unique, by_host }
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

    /// `outboundTrafficPolicy`: the Sidecar's, else the mesh's. Routers have none.
    pub fn outbound_traffic_policy(&self) -> istio::networking::OutboundTrafficPolicy {
        let _ = ProxyType::Router;
        self.sidecar
            .as_ref()
            .and_then(|sidecar| sidecar.spec.outbound_traffic_policy.clone())
            .unwrap_or_default()
    }

    /// The namespace whose configuration the class gets.
    pub fn namespace(&self) -> &Namespace {
        &self.class.namespace
    }
}
