//! Statuses of policies for backends: what each target says, on behalf of the mesh, and each Gateway whose routes lead
//! to one. No more than sixteen are told, as the API wants.

use config::gateway_api::ParentReference;

use super::{Condition, ObjectStatus, ParentStatus, StatusBody};
use crate::class::{GATEWAY_CONTROLLER, MESH_CONTROLLER};
use crate::names::GroupKind;
use crate::outcome::{PolicyAncestor, PolicyOutcome, References};

const VALID: &str = "Configuration is valid";
const MAX_ANCESTORS: usize = 16;

/// The status of a policy.
pub(super) fn of(outcome: &PolicyOutcome) -> ObjectStatus {
    let of_target = |ancestor: &PolicyAncestor| ParentStatus {
        reference: ParentReference {
            group: ancestor.target.group.clone(),
            kind: ancestor.target.kind.clone(),
            name: ancestor.target.name.clone(),
            section_name: ancestor.target.section_name.clone(),
            ..ParentReference::default()
        },
        controller: MESH_CONTROLLER,
        conditions: conditions(ancestor, &outcome.warning),
    };
    let mut ancestors: Vec<ParentStatus> = outcome.targets.iter().map(of_target).collect();
    if let Some(last) = outcome.targets.last() {
        let conditions = conditions(last, &outcome.warning);
        ancestors.extend(outcome.gateways.iter().map(|name| ParentStatus {
            reference: ParentReference {
                group: GroupKind::GATEWAY.0.to_owned(),
                kind: GroupKind::GATEWAY.1.to_owned(),
                name: name.clone(),
                ..ParentReference::default()
            },
            controller: GATEWAY_CONTROLLER,
            conditions: conditions.clone(),
        }));
    }
    ancestors.truncate(MAX_ANCESTORS);
    ObjectStatus {
        key: outcome.key.clone(),
        generation: outcome.generation,
        body: StatusBody::Policy(ancestors),
    }
}

fn conditions(ancestor: &PolicyAncestor, warning: &str) -> Vec<Condition> {
    let message = format!("{VALID}{warning}");
    let mut all = vec![Condition::unless(ancestor.unaccepted.as_ref(), "Accepted", "Accepted", message)];
    let fault = match &ancestor.references {
        References::None => return all,
        References::Sound => None,
        References::Broken(fault) => Some(fault),
    };
    all.push(Condition::unless(fault, "ResolvedRefs", "ResolvedRefs", VALID));
    all
}
