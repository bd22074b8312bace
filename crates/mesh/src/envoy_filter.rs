//! EnvoyFilters: which of them hold for a workload, in the order in which they apply (spec 6.1; rows F01, F02). By
//! priority, the root namespace before the workload's own, then by age and name.

use std::sync::Arc;

use config::{Kind, Object};
use model::{Labels, Namespace};
use proto::istio::networking::EnvoyFilter;
use proto::istio::types::WorkloadSelector;

use crate::attachment::{Attachment, attach};
use crate::{Question, Reader};

impl Reader<'_> {
    /// The EnvoyFilters for a proxy with these labels in this namespace, the first to apply first.
    pub fn envoy_filters(&self, namespace: &Namespace, labels: &Labels) -> Vec<Arc<Object<EnvoyFilter>>> {
        let root = self.settings().root_namespace();
        let mut found = self.envoy_filters_in(&root);
        if *namespace != root {
            found.extend(self.envoy_filters_in(namespace));
        }
        found.retain(|filter| {
            // A target is a Gateway beside the filter.
            let reachable = filter.spec.target_refs.is_empty() || filter.meta.namespace == *namespace;
            reachable && is_attached(&filter.spec, labels)
        });
        found.sort_by_key(|filter| filter.spec.priority);
        found
    }

    /// By age, then by name.
    fn envoy_filters_in(&self, namespace: &Namespace) -> Vec<Arc<Object<EnvoyFilter>>> {
        self.note(&Question::KindIn(Kind::EnvoyFilter, namespace.clone()));
        let mut found: Vec<_> = self.store().envoy_filters().in_namespace(namespace).cloned().collect();
        found.sort_by(|a, b| (a.meta.creation, &a.meta.name).cmp(&(b.meta.creation, &b.meta.name)));
        found
    }
}

fn is_attached(spec: &EnvoyFilter, labels: &Labels) -> bool {
    let selector =
        spec.workload_selector.as_ref().map(|s| WorkloadSelector { match_labels: s.labels.clone() });
    attach(selector.as_ref(), &spec.target_refs, labels) != Attachment::None
}
