//! Sidecar resources: which one applies to a workload (spec 5.2, rows S02, S03). In the workload's own namespace
//! those with a selector go before those without, each by age, and the first that fits wins; a namespace where none
//! fits takes the oldest selector-less one of the root namespace.

use std::sync::Arc;

use config::{Kind, Object};
use model::{Labels, Namespace};
use proto::istio::networking::Sidecar;

use crate::Reader;
use crate::reader::Question;

impl Reader<'_> {
    /// The Sidecar for a workload with these labels in this namespace; `None` where the default scope holds.
    pub fn sidecar(&self, namespace: &Namespace, labels: &Labels) -> Option<Arc<Object<Sidecar>>> {
        let root = self.settings().root_namespace();
        self.note(&Question::KindIn(Kind::Sidecar, namespace.clone()));
        let own = oldest(self.store().sidecars().in_namespace(namespace), |sidecar| {
            sidecar
                .spec
                .workload_selector
                .as_ref()
                .is_none_or(|selector| labels.selected_by(&selector.labels))
        });
        if own.is_some() {
            return own;
        }
        self.note(&Question::KindIn(Kind::Sidecar, root.clone()));
        oldest(self.store().sidecars().in_namespace(&root), |sidecar| {
            sidecar.spec.workload_selector.is_none()
        })
    }
}

/// The first that fits: with a selector before without, then by age.
fn oldest<'a>(
    sidecars: impl Iterator<Item = &'a Arc<Object<Sidecar>>>,
    fits: impl Fn(&Object<Sidecar>) -> bool,
) -> Option<Arc<Object<Sidecar>>> {
    sidecars
        .filter(|sidecar| fits(sidecar))
        .min_by_key(|sidecar| {
            let meta = &sidecar.meta;
            (sidecar.spec.workload_selector.is_none(), meta.creation, Arc::clone(&meta.name))
        })
        .cloned()
}
