//! Policies that add up: those of the root namespace and of the workload's own that are attached to it, the root
//! namespace's first, each namespace's by age. AuthorizationPolicies (security specification, 4.1) and
//! RequestAuthentications (3.1) are found so.

use std::sync::Arc;

use config::{ConfigStore, Object, ObjectMap, Resource};
use model::{Labels, Namespace};
use proto::istio::security::{AuthorizationPolicy, RequestAuthentication};
use proto::istio::types::{PolicyTargetReference, WorkloadSelector};

use crate::attachment::{Attachment, attach, targets};
use crate::{Question, Reader};

/// A policy that is attached to workloads by selector or target.
trait WorkloadPolicy: Resource {
    fn all(store: &ConfigStore) -> &ObjectMap<Self>;
    fn selector(&self) -> Option<&WorkloadSelector>;
    fn targets(&self) -> &[PolicyTargetReference];
}

impl WorkloadPolicy for AuthorizationPolicy {
    fn all(store: &ConfigStore) -> &ObjectMap<Self> {
        store.authorization_policies()
    }

    fn selector(&self) -> Option<&WorkloadSelector> {
        self.selector.as_ref()
    }

    fn targets(&self) -> &[PolicyTargetReference] {
        targets(&self.target_refs, self.target_ref.as_ref())
    }
}

impl WorkloadPolicy for RequestAuthentication {
    fn all(store: &ConfigStore) -> &ObjectMap<Self> {
        store.request_authentications()
    }

    fn selector(&self) -> Option<&WorkloadSelector> {
        self.selector.as_ref()
    }

    fn targets(&self) -> &[PolicyTargetReference] {
        targets(&self.target_refs, self.target_ref.as_ref())
    }
}

impl Reader<'_> {
    /// The AuthorizationPolicies for a workload.
    pub fn authorization_policies(
        &self,
        namespace: &Namespace,
        labels: &Labels,
    ) -> Vec<Arc<Object<AuthorizationPolicy>>> {
        self.policies_for(namespace, labels)
    }

    /// The RequestAuthentications for a workload. Their rules add up.
    pub fn request_authentications(
        &self,
        namespace: &Namespace,
        labels: &Labels,
    ) -> Vec<Arc<Object<RequestAuthentication>>> {
        self.policies_for(namespace, labels)
    }

    fn policies_for<P: WorkloadPolicy>(&self, namespace: &Namespace, labels: &Labels) -> Vec<Arc<Object<P>>> {
        let root = self.settings().root_namespace();
        let mut found = self.policies_in::<P>(&root);
        if *namespace != root {
            found.extend(self.policies_in::<P>(namespace));
        }
        found.retain(|policy| {
            let targets = policy.spec.targets();
            // A target is a Gateway beside the policy.
            let reachable = targets.is_empty() || policy.meta.namespace == *namespace;
            reachable && attach(policy.spec.selector(), targets, labels) != Attachment::None
        });
        found
    }

    fn policies_in<P: WorkloadPolicy>(&self, namespace: &Namespace) -> Vec<Arc<Object<P>>> {
        self.note(&Question::KindIn(<P as Resource>::KIND, namespace.clone()));
        let mut found: Vec<_> = P::all(self.store()).in_namespace(namespace).cloned().collect();
        found.sort_by(|a, b| (a.meta.creation, &a.meta.name).cmp(&(b.meta.creation, &b.meta.name)));
        found
    }
}
