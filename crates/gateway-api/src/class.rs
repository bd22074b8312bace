//! GatewayClasses: which Gateways are ours, and what belongs to their class (platform specification 8.4).

use crate::lookup::Lookup;

/// The controller of Gateways that are served here.
pub(crate) const GATEWAY_CONTROLLER: &str = "istio.io/gateway-controller";
/// The controller of Gateways that another cluster serves.
pub(crate) const UNMANAGED_CONTROLLER: &str = "istio.io/unmanaged-gateway";
#[allow(dead_code, reason = "read by the status, which is to come")]
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
