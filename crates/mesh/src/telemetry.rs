//! Telemetry objects: which of them hold for a workload (spec 7.1; row T02).

use std::sync::Arc;

use config::{Kind, Object};
use model::{Labels, Namespace};
use proto::istio::telemetry::Telemetry;
use proto::istio::types::PolicyTargetReference;

use crate::attachment::{Attachment, attach};
use crate::{Question, Reader};

impl Reader<'_> {
    /// The Telemetry objects that hold for a workload, the least specific first: the oldest of the mesh, the oldest
    /// of the namespace, and all that select the workload, by age.
    pub fn telemetries(&self, namespace: &Namespace, labels: &Labels) -> Vec<Arc<Object<Telemetry>>> {
        let root = self.settings().root_namespace();
        let mut found: Vec<_> = self.wide_telemetry(&root).into_iter().collect();
        if *namespace != root {
            found.extend(self.wide_telemetry(namespace));
        }
        let mut selected: Vec<_> = self.telemetries_in(namespace);
        selected.retain(|object| of(object, labels) == Attachment::Selected);
        found.extend(selected);
        found
    }

    fn wide_telemetry(&self, namespace: &Namespace) -> Option<Arc<Object<Telemetry>>> {
        let nobody = Labels::default();
        self.telemetries_in(namespace).into_iter().find(|object| of(object, &nobody) == Attachment::Wide)
    }

    /// By age.
    fn telemetries_in(&self, namespace: &Namespace) -> Vec<Arc<Object<Telemetry>>> {
        self.note(&Question::KindIn(Kind::Telemetry, namespace.clone()));
        let mut found: Vec<_> = self.store().telemetries().in_namespace(namespace).cloned().collect();
        found.sort_by(|a, b| (a.meta.creation, &a.meta.name).cmp(&(b.meta.creation, &b.meta.name)));
        found
    }
}

fn of(object: &Object<Telemetry>, labels: &Labels) -> Attachment {
    let spec = &object.spec;
    let targets: Vec<PolicyTargetReference> =
        spec.target_refs.iter().chain(&spec.target_ref).cloned().collect();
    attach(spec.selector.as_ref(), &targets, labels)
}
