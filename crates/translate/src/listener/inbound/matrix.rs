//! Which chains a port has, by mTLS mode and protocol (spec 4.2 table, security 1.2; row L11). One table, read from
//! top to bottom as the chains stand in the listener.

use mesh::MtlsMode;
use model::Protocol;

use crate::tls::ServerStack;

/// What a chain matches besides the port, what stands behind it, and whether TLS ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// `tls` or `raw_buffer`.
    pub(super) transport: &'static str,
    pub(super) protocols: Protocols,
    pub(super) stack: ServerStack,
    pub(super) terminates: bool,
}

/// Application protocols that a chain matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocols {
    /// Any.
    Any,
    /// HTTP between sidecars.
    MeshHttp,
    /// Anything between sidecars.
    Mesh,
    /// TCP between sidecars.
    MeshTcp,
    /// HTTP in plain text, sniffed.
    PlainHttp,
}

impl Protocols {
    /// As they are announced.
    pub(super) fn names(self, http10: bool) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Any => &[],
            Self::MeshHttp => &["istio-http/1.0", "istio-http/1.1", "istio-h2"],
            Self::Mesh => &["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"],
            Self::MeshTcp => &["istio-peer-exchange", "istio"],
            Self::PlainHttp if http10 => &["http/1.0", "http/1.1", "h2c"],
            Self::PlainHttp => &["http/1.1", "h2c"],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }
}

const TLS: &str = "tls";
const PLAIN: &str = "raw_buffer";

const fn http(transport: &'static str, protocols: Protocols, terminates: bool) -> Chain {
    Chain { transport, protocols, stack: ServerStack::Http, terminates }
}

const fn tcp(transport: &'static str, protocols: Protocols, terminates: bool) -> Chain {
    Chain { transport, protocols, stack: ServerStack::Tcp, terminates }
}

const STRICT_HTTP: &[Chain] = &[http(TLS, Protocols::Any, true)];
const STRICT_TCP: &[Chain] = &[tcp(TLS, Protocols::Any, true)];
const STRICT_AUTO: &[Chain] = &[http(TLS, Protocols::MeshHttp, true), tcp(TLS, Protocols::Any, true)];

const PERMISSIVE_HTTP: &[Chain] = &[http(TLS, Protocols::Mesh, true), http(PLAIN, Protocols::Any, false)];
const PERMISSIVE_TCP: &[Chain] =
    &[tcp(TLS, Protocols::Mesh, true), tcp(TLS, Protocols::Any, false), tcp(PLAIN, Protocols::Any, false)];
const PERMISSIVE_AUTO: &[Chain] = &[
    http(TLS, Protocols::MeshHttp, true),
    http(PLAIN, Protocols::PlainHttp, false),
    tcp(TLS, Protocols::MeshTcp, true),
    tcp(PLAIN, Protocols::Any, false),
    tcp(TLS, Protocols::Any, false),
];

const PLAIN_HTTP: &[Chain] = &[http(PLAIN, Protocols::Any, false)];
const PLAIN_TCP: &[Chain] = &[tcp(PLAIN, Protocols::Any, false)];
const PLAIN_AUTO: &[Chain] = &[http(PLAIN, Protocols::PlainHttp, false), tcp(PLAIN, Protocols::Any, false)];

/// The chain of a port whose TLS ends by settings of its own; `protocol` is what is spoken inside.
pub(super) fn ended(protocol: Protocol) -> &'static [Chain] {
    if protocol.is_http() { STRICT_HTTP } else { STRICT_TCP }
}

/// The chains of a port.
pub(super) fn chains(mode: MtlsMode, protocol: Protocol) -> &'static [Chain] {
    let (http, auto, tcp) = match mode {
        MtlsMode::Strict => (STRICT_HTTP, STRICT_AUTO, STRICT_TCP),
        MtlsMode::Permissive => (PERMISSIVE_HTTP, PERMISSIVE_AUTO, PERMISSIVE_TCP),
        MtlsMode::Disable | MtlsMode::Unknown => (PLAIN_HTTP, PLAIN_AUTO, PLAIN_TCP),
    };
    if protocol.is_http() {
        http
    } else if protocol.is_unsupported() {
        auto
    } else {
        tcp
    }
}
