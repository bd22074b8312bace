//! Which servers of Gateways speak HTTP/3 beside TCP (spec 4.3): HTTPS ones that terminate TLS, where a Service of the
//! gateway has a UDP port of the same number. Not every supported Envoy can ask a client for its certificate over QUIC
//! (1.37 refuses such a listener), so a server that demands one stays with TCP: HTTP/3 would let in whom it refuses.

use mesh::{BoundGateway, OwnService};
use model::Protocol;
use proto::istio::networking::Server;
use proto::istio::networking::server_tls_settings::TlSmode;

/// What the bind of a Unix domain socket begins with.
const UNIX_PREFIX: &str = "unix://";

/// Whether the server terminates TLS for HTTP, and callers reach its port over UDP.
pub(super) fn is_wanted(bound: &BoundGateway, server: &Server, own: &[OwnService]) -> bool {
    let Some((port, tls)) = server.port.as_ref().zip(server.tls.as_ref()) else { return false };
    let services = bound.services.as_deref().unwrap_or(own);
    Protocol::by_name(&port.protocol) == Protocol::Https
        && !matches!(tls.mode(), TlSmode::Passthrough | TlSmode::AutoPassthrough)
        && !server.bind.starts_with(UNIX_PREFIX)
        && services.iter().any(|own| own.port.number == port.number && own.port.protocol == Protocol::Udp)
}

/// Why a server that should speak HTTP/3 does not.
pub(super) fn refusal(server: &Server) -> Option<&'static str> {
    let mode = server.tls.as_ref()?.mode();
    matches!(mode, TlSmode::Mutual | TlSmode::IstioMutual).then_some(
        "clients cannot be asked for certificates over QUIC, which the server demands, so it is served over TCP alone; \
         HTTP/3 needs tls.mode SIMPLE or OPTIONAL_MUTUAL",
    )
}
