//! GatewayClasses: which Gateways are ours, and what belongs to their class (platform specification 8.4).

use config::ConfigStore;

use crate::lookup::Lookup;
use crate::status::{Condition, ObjectStatus, StatusBody};

/// The controller of Gateways that are served here.
pub(crate) const GATEWAY_CONTROLLER: &str = "istio.io/gateway-controller";
/// The controller of Gateways that another cluster serves.
pub(crate) const UNMANAGED_CONTROLLER: &str = "istio.io/unmanaged-gateway";
/// Stands for the mesh in the status of policies.
pub(crate) const MESH_CONTROLLER: &str = "istio.io/mesh-controller";

/// What Gateways of a class are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Served by proxies that the control plane configures.
    Served,
    /// Of another cluster: they have a status and nothing else.
    Remote,
}

impl Class {
    /// The class of that name; none for classes of other controllers. The built-in classes need no object.
    pub(crate) fn find(lookup: &Lookup<'_>, name: &str) -> Option<Self> {
        let stated = lookup.store.gateway_classes().get("", name);
        let controller = match (stated, name) {
            (Some(class), _) => class.spec.controller_name.as_str(),
            (None, "istio") => GATEWAY_CONTROLLER,
            (None, "istio-remote") => UNMANAGED_CONTROLLER,
            (None, _) => return None,
        };
        match controller {
            GATEWAY_CONTROLLER => Some(Self::Served),
            UNMANAGED_CONTROLLER => Some(Self::Remote),
            _ => None,
        }
    }
}

/// The status of every GatewayClass of ours.
pub(crate) fn statuses(store: &ConfigStore) -> Vec<ObjectStatus> {
    let is_ours = |controller: &str| matches!(controller, GATEWAY_CONTROLLER | UNMANAGED_CONTROLLER);
    let ours = store.gateway_classes().iter().filter(|class| is_ours(&class.spec.controller_name));
    let accepted = Condition {
        kind: "Accepted",
        holds: true,
        reason: "Accepted".to_owned(),
        message: "Handled by Istio controller".to_owned(),
    };
    ours.map(|class| ObjectStatus {
        key: class.key(),
        generation: class.meta.generation,
        body: StatusBody::Class(vec![accepted.clone()]),
    })
    .collect()
}
