//! `Sidecar.ingress`: ports that the user declares in place of those that services give (spec 4.2, 5.2; row L16).

use std::net::IpAddr;

use model::Protocol;
use proto::istio::networking::server_tls_settings::TlSmode;
use proto::istio::networking::{CaptureMode, ServerTlsSettings};

use crate::Context;

/// One declared port.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) bind: String,
    pub(super) port: u32,
    pub(super) port_name: String,
    pub(super) protocol: Protocol,
    /// How TLS of clients outside the mesh ends here, where that is switched on.
    pub(super) tls: Option<ServerTlsSettings>,
    /// Whether it wants a listener of its own.
    pub(super) bound: bool,
    /// The name that stands for the declared port in traces.
    pub(super) host: String,
    /// The path of the Sidecar.
    pub(super) config: String,
}

/// The declared ports, in order; those without a number are left out.
pub(super) fn entries(ctx: &Context<'_>) -> Vec<Entry> {
    let Some(sidecar) = &ctx.scope.sidecar else {
        return Vec::new();
    };
    let meta = &sidecar.meta;
    let ends_tls = ctx.settings().features.tls_on_sidecar_ingress;
    let entries = sidecar.spec.ingress.iter().filter_map(|listener| {
        let port = listener.port.as_ref().filter(|port| port.number != 0)?;
        Some(Entry {
            bind: if listener.bind.is_empty() { default_bind(ctx) } else { listener.bind.clone() },
            port: port.number,
            port_name: port.name.clone(),
            protocol: Protocol::by_name(&port.protocol),
            tls: listener.tls.clone().filter(|tls| ends_tls && is_served(tls)),
            bound: listener.capture_mode() == CaptureMode::None,
            host: format!("{}.{}", meta.name, meta.namespace),
            config: format!(
                "/apis/networking.istio.io/v1/namespaces/{}/sidecar/{}",
                meta.namespace, meta.name
            ),
        })
    });
    entries.collect()
}

/// Whether these settings can end TLS at a sidecar, whose certificates are files beside it.
fn is_served(tls: &ServerTlsSettings) -> bool {
    matches!(tls.mode(), TlSmode::Simple | TlSmode::Mutual | TlSmode::OptionalMutual)
        && tls.credential_name.is_empty()
        && tls.credential_names.is_empty()
}

/// The pod's own address, so that loopback stays the workload's.
fn default_bind(ctx: &Context<'_>) -> String {
    let class = ctx.class();
    let global = class.ip_addresses.iter().find(|ip| is_global_unicast(ip));
    global.map_or_else(|| class.ip_families.wildcard().to_owned(), ToString::to_string)
}

fn is_global_unicast(ip: &IpAddr) -> bool {
    let is_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(is_local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}
