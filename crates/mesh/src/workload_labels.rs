//! The labels of a proxy's workload as the mesh knows them: those of its pod, or of the endpoint with its address in
//! a ServiceEntry of its namespace. They count instead of what the proxy says.

use std::net::IpAddr;

use config::Kind;
use model::{Labels, Namespace};

use crate::workload_instance::WorkloadInstance;
use crate::{Question, Reader};

impl Reader<'_> {
    /// The labels of the pod of that name or the endpoint with one of these addresses; `None` if there is neither.
    ///
    /// A proxy of a remote cluster is looked for among the pods of that.
    pub fn workload_labels(
        &self,
        cluster: &str,
        pod: &str,
        namespace: &Namespace,
        addresses: &[IpAddr],
    ) -> Option<Labels> {
        self.note(&Question::KindIn(Kind::Pod, namespace.clone()));
        let store = self.store_of(cluster)?;
        if let Some(found) = store.pods().get(namespace, pod) {
            return Some(found.meta.labels.clone());
        }
        if store.cluster().is_some() {
            return None;
        }
        self.note(&Question::KindIn(Kind::ServiceEntry, namespace.clone()));
        self.note(&Question::KindIn(Kind::WorkloadEntry, namespace.clone()));
        let settings = self.settings();
        store.service_entries().in_namespace(namespace).find_map(|entry| {
            let stated = entry.spec.endpoints.iter().find(|endpoint| {
                endpoint.address.parse().is_ok_and(|address: IpAddr| addresses.contains(&address))
            });
            if let Some(stated) = stated {
                return Some(Labels::new(stated.labels.clone()));
            }
            let selector = entry.spec.workload_selector.as_ref()?;
            store
                .workload_entries()
                .in_namespace(namespace)
                .filter_map(|object| WorkloadInstance::of_entry(object, store, settings))
                .find(|instance| {
                    instance.has_address(addresses) && instance.labels().selected_by(&selector.labels)
                })
                .map(|instance| instance.labels().clone())
        })
    }
}
