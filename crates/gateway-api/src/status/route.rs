//! Statuses of routes: one word for every parent reference, though it may mean many listeners. If one of them takes
//! the route, it is accepted; else the gravest reason counts.

use std::cmp::Reverse;

use config::gateway_api::ParentReference;

use super::{Condition, ObjectStatus, ParentStatus, StatusBody};
use crate::attach::shown;
use crate::class::GATEWAY_CONTROLLER;
use crate::fault::Fault;
use crate::outcome::{RouteOutcome, RouteParent};

/// The status of a route.
pub(super) fn of(outcome: &RouteOutcome) -> ObjectStatus {
    let mut references: Vec<&ParentReference> = Vec::new();
    for parent in &outcome.parents {
        if !references.contains(&&parent.reference) {
            references.push(&parent.reference);
        }
    }
    references.sort_by_key(|reference| Reverse(shown(reference, &outcome.key.namespace)));
    let parents = references.into_iter().map(|reference| {
        let meant: Vec<&RouteParent> = outcome.parents.iter().filter(|p| p.reference == *reference).collect();
        let is_mesh = meant.iter().any(|parent| parent.is_mesh);
        let fault = if is_mesh { &outcome.mesh_fault } else { &outcome.gateway_fault };
        ParentStatus {
            reference: reference.clone(),
            controller: GATEWAY_CONTROLLER,
            conditions: vec![
                accepted(&meant),
                Condition::unless(fault.as_ref(), "ResolvedRefs", "ResolvedRefs", "All references resolved"),
            ],
        }
    });
    let body = StatusBody::Route(parents.collect());
    ObjectStatus { key: outcome.key.clone(), generation: outcome.generation, body }
}

fn accepted(meant: &[&RouteParent]) -> Condition {
    let n_taken = meant.iter().filter(|parent| parent.denied.is_none()).count();
    let message = match n_taken {
        0 | 1 => "Route was valid".to_owned(),
        n => format!("Route was valid, bound to {n} parents"),
    };
    let mut fault: Option<Fault> = None;
    if n_taken == 0 {
        for denied in meant.iter().filter_map(|parent| parent.denied.as_ref()) {
            fault = match fault.take() {
                Some(graver) if gravity(&graver) < gravity(denied) => Some(graver),
                Some(equal) if gravity(&equal) == gravity(denied) => {
                    Fault::joined(Some(equal), Some(denied.clone()))
                }
                _ => Some(denied.clone()),
            };
        }
    }
    Condition::unless(fault.as_ref(), "Accepted", "Accepted", message)
}

/// What is told first.
fn gravity(fault: &Fault) -> usize {
    let order = ["NotAllowedByListeners", "NoMatchingListenerHostname", "ParentRefConflict"];
    order.iter().position(|reason| *reason == fault.reason).unwrap_or(order.len())
}
