//! Objects of the Gateway API and Ingresses stand for objects of Istio's API (crate `gateway-api`). These join the
//! others before any index is built, so that nothing above knows the difference. What a user wrote under the same name
//! goes first.

use std::collections::BTreeSet;
use std::sync::Arc;

use config::{Change, Changeset, ConfigKey, ConfigStore};
use gateway_api::status::{Instances, ObjectStatus, ServiceInstances};
use gateway_api::{Derived, Settings};
use model::Host;

use crate::{Endpoint, EndpointAddress, Mesh, MeshSettings, ServicePort, UNSPECIFIED_V4};

/// A label of what the control plane makes for Gateways.
const MANAGED: &str = "gateway.istio.io/managed";

/// What the objects of a store stand for.
pub(crate) fn of(seen: &ConfigStore, settings: &MeshSettings) -> Derived {
    gateway_api::derive(seen, of_mesh(settings))
}

/// The settings that matter there.
fn of_mesh(settings: &MeshSettings) -> Settings<'_> {
    Settings {
        mesh: &settings.config,
        domain: &settings.domain,
        ingress_namespace: &settings.features.ingress_namespace,
        alpha: settings.features.alpha_gateway_api,
    }
}

impl Mesh {
    /// The statuses of objects of the Gateway API and of Ingresses, by key, for whoever writes them.
    pub fn statuses(&self) -> Vec<ObjectStatus> {
        self.derived().statuses(self.store(), of_mesh(self.settings()), self)
    }
}

impl Instances for Mesh {
    fn service(&self, host: &str, namespace: &str) -> Option<ServiceInstances> {
        let host = Host::from(host);
        let service = self.services().by_host(&host).find(|service| *service.namespace == *namespace)?;
        let endpoints = self.endpoints().get(&service.host, &service.namespace).endpoints;
        let behind = |port: &ServicePort| -> BTreeSet<u32> {
            let of_port = |endpoint: &&Endpoint| match endpoint.service_port {
                0 => endpoint.port_name == port.name,
                number => number == port.number,
            };
            let number = |endpoint: &Endpoint| match endpoint.address {
                EndpointAddress::Ip(_, port) | EndpointAddress::Host(_, port) => port,
                EndpointAddress::Network(port) => port,
                EndpointAddress::Pipe(_) => 0,
            };
            endpoints.iter().filter(of_port).map(number).collect()
        };
        let addresses = service.addresses.iter().filter(|address| *address != UNSPECIFIED_V4);
        Some(ServiceInstances {
            ports: service.ports.iter().map(|port| (port.number, behind(port))).collect(),
            addresses: addresses.cloned().collect(),
            external: service.kubernetes.external_addresses.clone(),
            is_load_balancer: service.kubernetes.service_type == "LoadBalancer",
            is_managed: service.labels.value(MANAGED).is_some(),
        })
    }

    fn namespaces(&self, host: &str) -> Vec<String> {
        self.services().by_host(&Host::from(host)).map(|service| service.namespace.to_string()).collect()
    }
}

/// The objects of a store and what they stand for.
pub(crate) fn all(seen: &ConfigStore, derived: &Derived) -> ConfigStore {
    let mut all = seen.clone();
    let more = derived.objects().filter(|(key, _)| seen.get(key).is_none()).map(|(_, object)| object.clone());
    all.apply(more.collect());
    all
}

/// What is to be done to bring all objects up to date. `changes` are those of the objects that are seen; it costs
/// nothing more as long as what they stand for is the same.
pub(crate) fn difference(
    changes: &[Change],
    old: &Arc<Derived>,
    new: &Arc<Derived>,
    seen: &ConfigStore,
) -> Changeset {
    let mut difference = Changeset::default();
    let mut settle = |key: &ConfigKey| {
        let object = seen.get(key).or_else(|| new.get(key).cloned());
        difference.set(key.clone(), object);
    };
    for change in changes {
        settle(&change.key);
    }
    if !Arc::ptr_eq(old, new) {
        for (key, _) in old.objects().chain(new.objects()) {
            settle(key);
        }
    }
    difference
}
