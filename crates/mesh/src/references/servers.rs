//! Gateways and Sidecars as users write them: servers that serve nothing, VirtualServices whose hosts no Gateway has,
//! listeners of Sidecars that clash. Servers that clash are told by who merges them (`scope::gateway`).

use std::collections::BTreeSet;

use config::Object;
use model::{Findings, Host, Namespace, Protocol};
use proto::istio::networking as api;
use proto::istio::networking::server_tls_settings::TlSmode;

use super::owner;
use crate::Mesh;
use crate::virtual_service::MESH_GATEWAY;

impl Mesh {
    /// Servers whose settings do not fit their protocol.
    pub(super) fn servers(&self, found: &mut Findings) {
        for object in self.store().gateways() {
            let is_made = self.derived().get(&object.key()).is_some();
            for (index, server) in object.spec.servers.iter().enumerate().filter(|_| !is_made) {
                let mut tell = |field: &str, message: &str| {
                    let path = format!("spec.servers[{index}]{field}");
                    found.tell(owner("Gateway", &object.meta), path, message);
                };
                if server.hosts.is_empty() {
                    tell(".hosts", "there is no host, so the server serves nothing");
                }
                let declared = server.port.as_ref().map_or("", |port| port.protocol.as_str());
                let protocol = Protocol::by_name(declared);
                let Some(tls) = &server.tls else {
                    if protocol.is_tls() {
                        let message = format!(
                            "a server of {declared} needs TLS settings; without them it ends no TLS and serves TCP routes alone"
                        );
                        tell(".tls", &message);
                    }
                    continue;
                };
                let ends_tls =
                    matches!(tls.mode(), TlSmode::Simple | TlSmode::Mutual | TlSmode::OptionalMutual);
                if protocol.is_http() {
                    if ends_tls || has_certificate(tls) {
                        let message = format!(
                            "a server of {declared} ends no TLS; of these settings only httpsRedirect counts"
                        );
                        tell(".tls", &message);
                    }
                } else if ends_tls && !has_certificate(tls) {
                    tell(
                        ".tls",
                        "there is no certificate, so no handshake succeeds; credentialName names one",
                    );
                }
            }
        }
    }

    /// VirtualServices bound to Gateways of which none has a host of theirs.
    pub(super) fn hosts_of_gateways(&self, found: &mut Findings) {
        for object in self.store().virtual_services().iter().filter(|object| !object.spec.hosts.is_empty()) {
            if self.derived().get(&object.key()).is_some() {
                continue;
            }
            let namespace = &object.meta.namespace;
            let hosts: Vec<Host> =
                object.spec.hosts.iter().map(|host| self.host_of(host, namespace)).collect();
            let mut served = BTreeSet::new();
            let mut is_elsewhere = false;
            for (index, gateway) in object.spec.gateways.iter().enumerate() {
                let found_gateway =
                    if gateway == MESH_GATEWAY { None } else { self.gateway_of(gateway, namespace) };
                let Some(gateway) = found_gateway else {
                    // Those of the mesh need no server, and of one that is not there something else is told.
                    is_elsewhere = true;
                    continue;
                };
                let has = |host: &Host| has_host(gateway, namespace, host);
                let before = served.len();
                served.extend((0..hosts.len()).filter(|at| has(&hosts[*at])));
                if served.len() == before && !hosts.iter().any(has) {
                    is_elsewhere = true;
                    let message = format!(
                        "no server of Gateway {}/{} has a host of this VirtualService, so it serves nothing there",
                        gateway.meta.namespace, gateway.meta.name
                    );
                    found.tell(
                        owner("VirtualService", &object.meta),
                        format!("spec.gateways[{index}]"),
                        message,
                    );
                }
            }
            if is_elsewhere || object.spec.gateways.is_empty() {
                continue;
            }
            for at in (0..hosts.len()).filter(|at| !served.contains(at)) {
                let message = format!("no Gateway of this VirtualService has a server for {}", hosts[at]);
                found.tell(owner("VirtualService", &object.meta), format!("spec.hosts[{at}]"), message);
            }
        }
    }

    /// The Gateway that a VirtualService of `namespace` names so.
    pub(super) fn gateway_of(&self, name: &str, namespace: &Namespace) -> Option<&Object<api::Gateway>> {
        let (namespace, name) = match name.split_once('/') {
            Some((".", name)) => (&**namespace, name),
            Some(parts) => parts,
            None => (&**namespace, name),
        };
        self.store().gateways().get(namespace, name).map(|gateway| &**gateway)
    }

    /// Listeners of Sidecars of which one takes what another has.
    pub(super) fn sidecar_listeners(&self, found: &mut Findings) {
        for object in self.store().sidecars() {
            let own = || owner("Sidecar", &object.meta);
            let spec = &object.spec;
            for (index, ingress) in spec.ingress.iter().enumerate() {
                let path = format!("spec.ingress[{index}].port.number");
                let Some(number) = number(ingress.port.as_ref()) else {
                    found.tell(own(), path, "there is no port, so the entry is left out");
                    continue;
                };
                let is_bound = |entry: &api::IstioIngressListener| {
                    (entry.capture_mode() == api::CaptureMode::None).then(|| entry.bind.clone())
                };
                let taken = spec.ingress[..index].iter().position(|earlier| {
                    self::number(earlier.port.as_ref()) == Some(number)
                        && is_bound(earlier) == is_bound(ingress)
                });
                if let Some(at) = taken {
                    let message = format!("port {number} stands at spec.ingress[{at}] already, which holds");
                    found.tell(own(), path, message);
                }
            }
            for (index, egress) in spec.egress.iter().enumerate() {
                let Some(number) = number(egress.port.as_ref()) else {
                    if index + 1 < spec.egress.len() && egress.port.is_none() && egress.bind.is_empty() {
                        let message =
                            "an entry without a port is for what no other takes and should be the last";
                        found.tell(own(), format!("spec.egress[{index}]"), message);
                    }
                    continue;
                };
                let taken = spec.egress[..index].iter().position(|earlier| {
                    self::number(earlier.port.as_ref()) == Some(number) && earlier.bind == egress.bind
                });
                if let Some(at) = taken {
                    let message =
                        format!("port {number} stands at spec.egress[{at}] already, whose hosts hold for it");
                    found.tell(own(), format!("spec.egress[{index}].port.number"), message);
                }
            }
        }
    }
}

fn number(port: Option<&api::SidecarPort>) -> Option<u32> {
    port.map(|port| port.number).filter(|number| *number != 0)
}

fn has_certificate(tls: &api::ServerTlsSettings) -> bool {
    !(tls.credential_name.is_empty()
        && tls.credential_names.is_empty()
        && tls.server_certificate.is_empty()
        && tls.tls_certificates.is_empty())
}

/// Whether a server of the Gateway serves some name of a VirtualService's host.
fn has_host(gateway: &Object<api::Gateway>, namespace: &Namespace, host: &Host) -> bool {
    let hosts = gateway.spec.servers.iter().flat_map(|server| &server.hosts);
    let mut for_namespace = hosts.filter_map(|text| match text.split_once('/') {
        None | Some(("*", _)) => Some(text.rsplit('/').next().unwrap_or(text)),
        Some((".", name)) => (gateway.meta.namespace == *namespace).then_some(name),
        Some((only, name)) => (*only == **namespace).then_some(name),
    });
    for_namespace.any(|of_server| host.matches(&of_server.to_lowercase()))
}
