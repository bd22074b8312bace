//! Statuses of Gateways, ListenerSets and their listeners.

use std::collections::BTreeSet;
use std::net::IpAddr;

use config::gateway_api::GatewayAddress;
use model::Labels;

use super::instances::{Found, find};
use super::{Condition, GatewayStatus, Instances, ListenerStatus, ObjectStatus, StatusBody};
use crate::fault::Fault;
use crate::outcome::{GatewayOutcome, ListenerOutcome, ListenerSetOutcome};

/// Chooses which addresses are shown.
const ADDRESS_TYPE: &str = "networking.istio.io/address-type";
const NO_ERRORS: &str = "No errors found";

/// The status of a Gateway.
pub(super) fn of(
    outcome: &GatewayOutcome,
    annotations: &Labels,
    asked: &[GatewayAddress],
    instances: &dyn Instances,
) -> ObjectStatus {
    let (key, generation) = (outcome.key.clone(), outcome.generation);
    if outcome.remote {
        let programmed = "This Gateway is remote; Istio will not program it";
        let status = GatewayStatus {
            conditions: vec![
                Condition::holding("Accepted", "Accepted", "Resource accepted"),
                Condition::holding("Programmed", "Programmed", programmed),
            ],
            addresses: asked.iter().map(|a| (a.address_type.clone(), a.value.clone())).collect(),
            ..GatewayStatus::default()
        };
        return ObjectStatus { key, generation, body: StatusBody::Gateway(status) };
    }
    let found = find(instances, &key.namespace, &outcome.services, &outcome.ports);
    let status = GatewayStatus {
        conditions: vec![accepted(outcome.fault.as_ref(), ""), programmed(&outcome.services, &found)],
        addresses: addresses(&found, annotations.value(ADDRESS_TYPE)),
        listeners: outcome.listeners.iter().map(listener).collect(),
        listener_sets: outcome.listener_sets,
    };
    ObjectStatus { key, generation, body: StatusBody::Gateway(status) }
}

/// The status of a ListenerSet.
pub(super) fn of_set(outcome: &ListenerSetOutcome, instances: &dyn Instances) -> ObjectStatus {
    let (conditions, listeners) = match &outcome.refused {
        Some(fault) => {
            let refused = |kind| Condition::unless(Some(fault), kind, "", "");
            (vec![refused("Accepted"), refused("Programmed")], Vec::new())
        }
        None => {
            let ports: Vec<u32> = outcome.listeners.iter().map(|listener| listener.port).collect();
            let found = find(instances, &outcome.gateway_namespace, &outcome.services, &ports);
            let accepted = accepted(outcome.fault.as_ref(), "Parent not accepted: ");
            let conditions = vec![accepted, programmed(&outcome.services, &found)];
            (conditions, outcome.listeners.iter().map(listener).collect())
        }
    };
    let body = StatusBody::ListenerSet(conditions, listeners);
    ObjectStatus { key: outcome.key.clone(), generation: outcome.generation, body }
}

fn accepted(fault: Option<&Fault>, before: &str) -> Condition {
    let fault = fault.map(|fault| Fault::new(fault.reason, format!("{before}{}", fault.message)));
    Condition::unless(fault.as_ref(), "Accepted", "Accepted", "Resource accepted")
}

fn programmed(services: &[String], found: &Found) -> Condition {
    let internal: Vec<&str> = found.internal.iter().map(String::as_str).collect();
    let assigned = joined(&internal);
    let fault = if services.is_empty() {
        Some(Fault::new("UnsupportedAddress", "Failed to assign to any requested addresses"))
    } else if found.warnings.is_empty() {
        None
    } else {
        let warnings = found.warnings.join("; ");
        let message = if internal.is_empty() {
            format!("Failed to assign to any requested addresses: {warnings}")
        } else {
            format!(
                "Assigned to service(s) {assigned}, but failed to assign to all requested addresses: {warnings}"
            )
        };
        let reason = if found.is_unusable { "AddressNotUsable" } else { "AddressNotAssigned" };
        Some(Fault::new(reason, message))
    };
    let message = if internal.is_empty() {
        "Resource programmed".to_owned()
    } else {
        format!("Resource programmed, assigned to service(s) {assigned}")
    };
    Condition::unless(fault.as_ref(), "Programmed", "Programmed", message)
}

/// `a`, `a and b`, `a, b, and c`.
fn joined(parts: &[&str]) -> String {
    match parts {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
    }
}

/// Addresses outside, else host names in the cluster, unless an annotation asks for IPs, or (empty) for both.
fn addresses(found: &Found, wanted: Option<&str>) -> Vec<(String, String)> {
    let mut shown: Vec<String> = found.external.iter().cloned().collect();
    if shown.is_empty() {
        let wanted = wanted.unwrap_or("Hostname");
        if wanted != "Hostname" {
            shown.extend(found.internal_ips.iter().cloned());
        }
        if wanted != "IPAddress" {
            let hosts = found.internal.iter().filter_map(|at| at.rsplit_once(':')).map(|(host, _)| host);
            let known: BTreeSet<&str> = hosts.filter(|host| !found.pending.contains(*host)).collect();
            shown.extend(known.into_iter().map(str::to_owned));
        }
    }
    let typed = |address: String| {
        let kind = if address.parse::<IpAddr>().is_ok() { "IPAddress" } else { "Hostname" };
        (kind.to_owned(), address)
    };
    shown.into_iter().map(typed).collect()
}

fn listener(outcome: &ListenerOutcome) -> ListenerStatus {
    let bad_tls = outcome.tls.as_ref().map(|_| Fault::new("Invalid", "Bad TLS configuration"));
    let bad_kinds = outcome.has_invalid_kinds.then(|| Fault::new("InvalidRouteKinds", "Invalid route kinds"));
    let unresolved = bad_kinds.as_ref().or(outcome.tls.as_ref());
    let conflicts = Condition { holds: false, ..Condition::holding("Conflicted", "NoConflicts", NO_ERRORS) };
    ListenerStatus {
        name: outcome.name.clone(),
        attached_routes: outcome.attached_routes,
        kinds: outcome.kinds.clone(),
        conditions: vec![
            Condition::unless(outcome.unaccepted.as_ref(), "Accepted", "Accepted", NO_ERRORS),
            conflicts,
            Condition::unless(bad_tls.as_ref(), "Programmed", "Programmed", NO_ERRORS),
            Condition::unless(unresolved, "ResolvedRefs", "ResolvedRefs", NO_ERRORS),
        ],
    }
}
