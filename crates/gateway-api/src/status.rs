//! Statuses: what objects of the Gateway API and Ingresses are told about themselves, as values. Whoever leads among
//! the replicas writes them; [`ObjectStatus::document`] lays one over what the object has already, so that words of
//! other controllers and the times of unchanged conditions stay (platform specification 8.4 "Status").

mod condition;
mod document;
mod gateway;
mod ingress;
mod instances;
mod policy;
mod route;

use config::gateway_api::{ParentReference, RouteGroupKind};
use config::{ConfigKey, ConfigStore};

pub use condition::Condition;
pub use instances::{Instances, ServiceInstances};

use crate::lookup::Settings;
use crate::{Derived, class};

/// The status of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectStatus {
    /// The object.
    pub key: ConfigKey,
    /// The generation of it that was looked at.
    pub generation: i64,
    /// What there is to say.
    pub body: StatusBody,
}

/// What there is to say of an object, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusBody {
    /// A GatewayClass.
    Class(Vec<Condition>),
    /// A Gateway.
    Gateway(GatewayStatus),
    /// A ListenerSet: conditions and listeners.
    ListenerSet(Vec<Condition>, Vec<ListenerStatus>),
    /// A route: what each of its parents says.
    Route(Vec<ParentStatus>),
    /// A policy: what everything that it is for says.
    Policy(Vec<ParentStatus>),
    /// An Ingress: the addresses of the proxies that serve it.
    Ingress(Vec<String>),
}

/// The status of a Gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayStatus {
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Addresses, each with its type; empty while there are none, and then those of before stay.
    pub addresses: Vec<(String, String)>,
    /// Listeners.
    pub listeners: Vec<ListenerStatus>,
    /// How many ListenerSets are attached.
    pub listener_sets: usize,
}

/// The status of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// How many routes are attached.
    pub attached_routes: usize,
    /// Kinds of routes that may be.
    pub kinds: Vec<RouteGroupKind>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// What one parent of a route, or ancestor of a policy, says.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentStatus {
    /// The parent, as the object names it.
    pub reference: ParentReference,
    /// The controller that speaks for it.
    pub controller: &'static str,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

impl Derived {
    /// The statuses of all objects that are ours, by key.
    pub fn statuses(
        &self,
        store: &ConfigStore,
        settings: Settings<'_>,
        instances: &dyn Instances,
    ) -> Vec<ObjectStatus> {
        let annotations = |key: &ConfigKey| {
            let object = store.kubernetes_gateways().get(&key.namespace, &key.name);
            object
                .map(|object| (object.meta.annotations.clone(), object.spec.addresses.clone()))
                .unwrap_or_default()
        };
        let mut all: Vec<ObjectStatus> = class::statuses(store);
        for outcome in &self.outcomes.gateways {
            let (annotations, addresses) = annotations(&outcome.key);
            all.push(gateway::of(outcome, &annotations, &addresses, instances));
        }
        all.extend(self.outcomes.listener_sets.iter().map(|outcome| gateway::of_set(outcome, instances)));
        all.extend(self.outcomes.routes.iter().map(route::of));
        all.extend(self.outcomes.policies.iter().map(policy::of));
        all.extend(ingress::all(store, settings));
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }
}

#[cfg(test)]
mod tests;
