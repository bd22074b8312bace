//! The labels of a proxy's workload as the mesh knows them: those of its pod, or of the WorkloadEntry with its
//! address, to whose own labels those of its specification are added. They count instead of what the proxy says.

use std::net::IpAddr;

use config::Kind;
use model::{Labels, Namespace};

use crate::{Question, Reader};

impl Reader<'_> {
    /// The labels of the pod of that name or the WorkloadEntry with one of these addresses; `None` if there is
    /// neither.
    pub fn workload_labels(&self, pod: &str, namespace: &Namespace, addresses: &[IpAddr]) -> Option<Labels> {
        self.note(&Question::KindIn(Kind::Pod, namespace.clone()));
        if let Some(found) = self.store().pods().get(namespace, pod) {
            return Some(found.meta.labels.clone());
        }
        self.note(&Question::KindIn(Kind::WorkloadEntry, namespace.clone()));
        let entry = self.store().workload_entries().in_namespace(namespace).find(|entry| {
            entry.spec.address.parse().is_ok_and(|address: IpAddr| addresses.contains(&address))
        })?;
        let mut labels = (*entry.meta.labels).clone();
        labels.extend(entry.spec.labels.clone());
        Some(Labels::new(labels))
    }
}
