//! Gateways: which of them a router serves (spec 4.3). The selector is a subset of the router's labels, in whatever
//! namespace the Gateway is unless `PILOT_SCOPE_GATEWAY_TO_NAMESPACE` binds it to its own; the oldest comes first.

use std::sync::Arc;

use config::{Kind, Object};
use model::{Labels, Namespace};
use proto::istio::networking::Gateway;

use crate::Reader;
use crate::reader::Question;

impl Reader<'_> {
    /// The Gateways for a router with these labels in this namespace, by age. One without a selector is for all.
    pub fn gateways(&self, namespace: &Namespace, labels: &Labels) -> Vec<Arc<Object<Gateway>>> {
        let scoped = self.settings().features.scope_gateway_to_namespace;
        self.note(&Question::Kind(Kind::Gateway));
        let mut found: Vec<_> = self
            .store()
            .gateways()
            .iter()
            .filter(|gateway| !scoped || gateway.meta.namespace == *namespace)
            .filter(|gateway| labels.selected_by(&gateway.spec.selector))
            .cloned()
            .collect();
        found.sort_by(|a, b| {
            let (a, b) = (&a.meta, &b.meta);
            (a.creation, &a.name, &a.namespace).cmp(&(b.creation, &b.name, &b.namespace))
        });
        found
    }
}
