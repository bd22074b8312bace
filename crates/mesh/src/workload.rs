//! A proxy's own workload: where its pod runs, and which services it is behind (spec section 8 "Proxy's services").

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use config::{ConfigStore, Kind, Object, k8s};
use model::{Labels, Locality, Namespace};

use crate::{Question, Reader, Service, ServicePort, TargetPort};

/// A service that the proxy's workload is behind, at one of its ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnService {
    /// The service.
    pub service: Arc<Service>,
    /// The service port.
    pub port: ServicePort,
    /// The workload's port.
    pub target_port: u32,
}

/// What the mesh knows of a proxy's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkloadFacts {
    /// From the pod's labels or its node.
    pub locality: Locality,
    /// The pod's labels.
    pub labels: Labels,
    /// The node it runs on.
    pub node_name: String,
}

impl Reader<'_> {
    /// What the mesh knows of the pod of that name, or of the one with that address.
    pub fn workload(&self, pod: &str, namespace: &Namespace, addresses: &[IpAddr]) -> Option<WorkloadFacts> {
        self.note(&Question::KindIn(Kind::Pod, namespace.clone()));
        self.note(&Question::Kind(Kind::Node));
        let found = find_pod(self.store(), pod, namespace, addresses)?;
        Some(WorkloadFacts {
            locality: Locality::parse(&crate::topology::pod_locality(found, self.store())),
            labels: found.meta.labels.clone(),
            node_name: found.spec.node_name.clone(),
        })
    }

    /// The services that the proxy's workload is behind, by age of the service; a target port and protocol that two
    /// of them share is listed once for each service.
    pub fn own_services(
        &self,
        pod: &str,
        namespace: &Namespace,
        addresses: &[IpAddr],
        labels: &Labels,
    ) -> Vec<OwnService> {
        self.note(&Question::KindIn(Kind::Pod, namespace.clone()));
        self.note(&Question::Services);
        let found = find_pod(self.store(), pod, namespace, addresses);
        let labels = found.map_or(labels, |pod| &pod.meta.labels);
        let mut own = Vec::new();
        let services = self.mesh().all_services();
        for service in services.iter().filter(|s| s.namespace == *namespace && s.is_kubernetes()) {
            if !labels.selected_by_service(&service.selector) {
                continue;
            }
            for port in &service.ports {
                let number = match (&port.target, found) {
                    (TargetPort::Number(number), _) => Some(*number),
                    (target @ TargetPort::Name(_), Some(pod)) => {
                        crate::workload_endpoints::target_port(target, &pod.spec)
                    }
                    (TargetPort::Name(_), None) => None,
                };
                if let Some(target_port) = number {
                    own.push(OwnService { service: Arc::clone(service), port: port.clone(), target_port });
                }
            }
        }
        own
    }
}

fn find_pod<'s>(
    store: &'s ConfigStore,
    name: &str,
    namespace: &'s Namespace,
    addresses: &[IpAddr],
) -> Option<&'s Arc<Object<k8s::Pod>>> {
    store.pods().get(namespace, name).or_else(|| {
        store.pods().in_namespace(namespace).find(|pod| {
            pod.spec.pod_ips.iter().any(|ip| ip.parse().is_ok_and(|ip: IpAddr| addresses.contains(&ip)))
        })
    })
}
