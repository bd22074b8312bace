//! Which workloads a policy is attached to: by selector, or by target references of a Gateway (security 4.1).

use std::collections::BTreeMap;

use model::Labels;
use proto::istio::types::{PolicyTargetReference, WorkloadSelector};

/// The label by which a proxy of the Gateway API knows its Gateway.
const GATEWAY_NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// How a policy of the workload's own namespace or of the root namespace stands to a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Attachment {
    /// Not at all.
    None,
    /// It is attached to the whole namespace (or mesh).
    Wide,
    /// It is attached to this workload among others.
    Selected,
}

/// The targets of a policy; the older field counts only without the newer one.
pub(crate) fn targets<'p>(
    many: &'p [PolicyTargetReference],
    one: Option<&'p PolicyTargetReference>,
) -> &'p [PolicyTargetReference] {
    match one {
        Some(one) if many.is_empty() => std::slice::from_ref(one),
        _ => many,
    }
}

/// Attaches a policy to the workload with `labels`. Target references go before the selector; they mean proxies of
/// the Gateway API alone.
pub(crate) fn attach(
    selector: Option<&WorkloadSelector>,
    target_refs: &[PolicyTargetReference],
    labels: &Labels,
) -> Attachment {
    if !target_refs.is_empty() {
        let gateway = labels.value(GATEWAY_NAME_LABEL);
        let is_own = |target: &PolicyTargetReference| {
            target.kind == "Gateway" && target.group == GATEWAY_GROUP && gateway == Some(target.name.as_str())
        };
        return if target_refs.iter().any(is_own) { Attachment::Selected } else { Attachment::None };
    }
    let none = BTreeMap::new();
    let wanted = selector.map_or(&none, |selector| &selector.match_labels);
    if wanted.is_empty() {
        Attachment::Wide
    } else if labels.selected_by(wanted) {
        Attachment::Selected
    } else {
        Attachment::None
    }
}
