//! ReferenceGrants: who may refer into a namespace. A reference from one namespace into another holds only when a
//! grant in the other one says so.

use std::collections::BTreeSet;

use config::ConfigStore;

use crate::names::{GATEWAY_GROUP, GroupKind, INFERENCE_GROUP};

/// All grants.
#[derive(Debug, Default)]
pub(crate) struct Grants<'a>(BTreeSet<Grant<'a>>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant<'a> {
    from: GroupKind<'a>,
    from_namespace: &'a str,
    to: GroupKind<'a>,
    to_namespace: &'a str,
    /// None for every object of the kind.
    name: Option<&'a str>,
}

impl<'a> Grants<'a> {
    /// The grants between kinds that are known here.
    pub(crate) fn of(store: &'a ConfigStore) -> Self {
        let mut grants = BTreeSet::new();
        for object in store.reference_grants() {
            for from in &object.spec.from {
                for to in &object.spec.to {
                    let grant = Grant {
                        from: GroupKind(&from.group, &from.kind),
                        from_namespace: &from.namespace,
                        to: GroupKind(&to.group, &to.kind),
                        to_namespace: &object.meta.namespace,
                        name: to.name.as_deref(),
                    };
                    if is_source(grant.from) && is_target(grant.to) {
                        grants.insert(grant);
                    }
                }
            }
        }
        Self(grants)
    }

    /// Whether an object of kind `from` in `from_namespace` may refer to that object.
    pub(crate) fn allow(
        &self,
        from: GroupKind<'_>,
        from_namespace: &str,
        to: GroupKind<'_>,
        to_namespace: &str,
        name: &str,
    ) -> bool {
        [None, Some(name)].into_iter().any(|name| {
            self.0.contains(&Grant { from, from_namespace, to, to_namespace, name } as &Grant<'_>)
        })
    }
}

fn is_source(kind: GroupKind<'_>) -> bool {
    kind.0 == GATEWAY_GROUP
        && matches!(kind.1, "Gateway" | "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute" | "ListenerSet")
}

fn is_target(kind: GroupKind<'_>) -> bool {
    match kind.0 {
        "" => matches!(kind.1, "Secret" | "ConfigMap" | "Service"),
        INFERENCE_GROUP => kind.1 == "InferencePool",
        _ => false,
    }
}
