//! AuthorizationPolicies: which of them hold for a workload (security 4.1): those of the root namespace and of its
//! own that are attached to it. Unlike with other policies all of them count.

use std::sync::Arc;

use config::{Kind, Object};
use model::{Labels, Namespace};
use proto::istio::security::AuthorizationPolicy;

use crate::attachment::{Attachment, attach, targets};
use crate::{Question, Reader};

impl Reader<'_> {
    /// The AuthorizationPolicies for a workload: the root namespace's first, each namespace's by age.
    pub fn authorization_policies(
        &self,
        namespace: &Namespace,
        labels: &Labels,
    ) -> Vec<Arc<Object<AuthorizationPolicy>>> {
        let root = self.settings().root_namespace();
        let mut found = self.authorization_policies_in(&root);
        if *namespace != root {
            found.extend(self.authorization_policies_in(namespace));
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

    fn authorization_policies_in(&self, namespace: &Namespace) -> Vec<Arc<Object<AuthorizationPolicy>>> {
        self.note(&Question::KindIn(Kind::AuthorizationPolicy, namespace.clone()));
        let mut found: Vec<_> =
            self.store().authorization_policies().in_namespace(namespace).cloned().collect();
        found.sort_by(|a, b| (a.meta.creation, &a.meta.name).cmp(&(b.meta.creation, &b.meta.name)));
        found
    }
}
