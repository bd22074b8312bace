//! RequestAuthentications: which of them hold for a workload (security 3.1): those of the root namespace and of its
//! own that are attached to it. All of them count; their rules add up.

use std::sync::Arc;

use config::{Kind, Object};
use model::{Labels, Namespace};
use proto::istio::security::RequestAuthentication;

use crate::attachment::{Attachment, attach, targets};
use crate::{Question, Reader};

impl Reader<'_> {
    /// The RequestAuthentications for a workload: the root namespace's first, each namespace's by age.
    pub fn request_authentications(
        &self,
        namespace: &Namespace,
        labels: &Labels,
    ) -> Vec<Arc<Object<RequestAuthentication>>> {
        let root = self.settings().root_namespace();
        let mut found = self.request_authentications_in(&root);
        if *namespace != root {
            found.extend(self.request_authentications_in(namespace));
        }
        found.retain(|policy| {
            let spec = &policy.spec;
            let targets = targets(&spec.target_refs, spec.target_ref.as_ref());
            // A target is a Gateway beside the policy.
            let reachable = targets.is_empty() || policy.meta.namespace == *namespace;
            reachable && attach(spec.selector.as_ref(), targets, labels) != Attachment::None
        });
        found
    }

    fn request_authentications_in(&self, namespace: &Namespace) -> Vec<Arc<Object<RequestAuthentication>>> {
        self.note(&Question::KindIn(Kind::RequestAuthentication, namespace.clone()));
        let mut found: Vec<_> =
            self.store().request_authentications().in_namespace(namespace).cloned().collect();
        found.sort_by(|a, b| (a.meta.creation, &a.meta.name).cmp(&(b.meta.creation, &b.meta.name)));
        found
    }
}
