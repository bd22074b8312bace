//! Egress listeners of a scope: which services and VirtualServices traffic of one port (or of all others) may use.

use std::sync::Arc;

use mesh::{Service, VirtualService};
use proto::istio;

/// One egress listener: an entry of a Sidecar, or the one that stands for having no Sidecar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EgressListener {
    /// The Sidecar's entry; `None` for the default.
    pub config: Option<istio::networking::IstioEgressListener>,
    /// Services in scope order, trimmed to what the listener admits.
    pub services: Vec<Arc<Service>>,
    /// VirtualServices in precedence order: private, exported, public; each by age.
    pub virtual_services: Vec<Arc<VirtualService>>,
}

impl EgressListener {
    /// The listener's port, when it was declared with one.
    pub fn port(&self) -> Option<&istio::networking::SidecarPort> {
        self.config.as_ref().and_then(|c| c.port.as_ref())
    }
}
