//! What was decided about an object while it was converted, as far as its status tells: a record for every Gateway,
//! ListenerSet, route and policy. Endpoints are not known here; the status adds what depends on them.

use config::gateway_api::{ParentReference, PolicyTarget, RouteGroupKind};
use config::{ConfigKey, ConfigKey as Key};

use crate::fault::Fault;

/// The records of all objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcomes {
    pub(crate) gateways: Vec<GatewayOutcome>,
    pub(crate) listener_sets: Vec<ListenerSetOutcome>,
    pub(crate) routes: Vec<RouteOutcome>,
    pub(crate) policies: Vec<PolicyOutcome>,
}

/// A Gateway of ours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewayOutcome {
    pub(crate) key: Key,
    pub(crate) generation: i64,
    /// Another cluster serves it: nothing below is known.
    pub(crate) remote: bool,
    /// Hosts of the Services whose workloads serve it.
    pub(crate) services: Vec<String>,
    /// What is wrong with the Gateway as a whole.
    pub(crate) fault: Option<Fault>,
    pub(crate) listeners: Vec<ListenerOutcome>,
    /// Ports of its listeners and those of its ListenerSets.
    pub(crate) ports: Vec<u32>,
    /// How many ListenerSets are attached.
    pub(crate) listener_sets: usize,
}

/// A ListenerSet of a Gateway of ours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListenerSetOutcome {
    pub(crate) key: Key,
    pub(crate) generation: i64,
    /// Why the Gateway does not take it.
    pub(crate) refused: Option<Fault>,
    /// The Gateway's namespace and Services.
    pub(crate) gateway_namespace: String,
    pub(crate) services: Vec<String>,
    /// What is wrong with the Gateway.
    pub(crate) fault: Option<Fault>,
    pub(crate) listeners: Vec<ListenerOutcome>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListenerOutcome {
    pub(crate) name: String,
    pub(crate) port: u32,
    /// Kinds of routes that may attach.
    pub(crate) kinds: Vec<RouteGroupKind>,
    /// Whether it names kinds that may not.
    pub(crate) has_invalid_kinds: bool,
    /// Why it is not accepted.
    pub(crate) unaccepted: Option<Fault>,
    /// What is wrong with its certificates.
    pub(crate) tls: Option<Fault>,
    /// How many routes are attached.
    pub(crate) attached_routes: usize,
}

/// A route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteOutcome {
    pub(crate) key: ConfigKey,
    pub(crate) generation: i64,
    /// For every parent reference, each listener it may mean.
    pub(crate) parents: Vec<RouteParent>,
    /// What is wrong with rules towards the mesh, and towards Gateways.
    pub(crate) mesh_fault: Option<Fault>,
    pub(crate) gateway_fault: Option<Fault>,
}

/// A parent of a route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteParent {
    pub(crate) reference: ParentReference,
    pub(crate) is_mesh: bool,
    /// Why it does not take the route.
    pub(crate) denied: Option<Fault>,
}

/// A policy for backends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyOutcome {
    pub(crate) key: ConfigKey,
    pub(crate) generation: i64,
    /// What it is for, each with what is wrong about acceptance and references.
    pub(crate) targets: Vec<PolicyAncestor>,
    /// Names of Gateways whose routes lead to a target, with the faults of the last one.
    pub(crate) gateways: Vec<String>,
    /// A word beside "Configuration is valid".
    pub(crate) warning: String,
}

/// What is wrong with what a policy refers to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum References {
    /// It refers to nothing.
    None,
    /// Nothing.
    Sound,
    /// That.
    Broken(Fault),
}

/// What a policy is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyAncestor {
    pub(crate) target: PolicyTarget,
    pub(crate) unaccepted: Option<Fault>,
    /// Only BackendTLSPolicy has references.
    pub(crate) references: References,
}
