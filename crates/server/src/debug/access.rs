//! Who may see what on debug pages (platform specification, 4.1 and 4.2): whoever is on this machine, the namespace of
//! the control plane and those that operators name see everything; other workloads what proxies of their own namespace
//! were sent; nobody else anything.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Connection;
use crate::caller::{Caller, Credentials, Gate};

/// Pages that workloads may see, of proxies of their own namespace.
const OWN: &[&str] = &["config_dump", "edsz", "ndsz"];

/// Who may see debug pages.
#[derive(Clone, Default)]
pub struct DebugAccess {
    /// Asks who calls over HTTP; without it only this machine may.
    pub gate: Option<Arc<Gate>>,
    /// Namespaces whose workloads see everything.
    pub namespaces: Vec<String>,
    /// Whether workloads of all other namespaces do, too: `ENABLE_DEBUG_ENDPOINT_AUTH=false`.
    pub everybody: bool,
}

/// What somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// All pages.
    All,
    /// Some pages, about proxies of these namespaces.
    Namespaces(Vec<String>),
}

impl Sight {
    /// Whether this page can be seen at all.
    pub(crate) fn has_page(&self, name: &str) -> bool {
        *self == Self::All || OWN.contains(&name)
    }

    /// Whether this proxy can be seen.
    pub(crate) fn has(&self, connection: &Connection) -> bool {
        match self {
            Self::All => true,
            Self::Namespaces(own) => {
                own.iter().any(|namespace| namespace == connection.proxy.config_namespace.as_str())
            }
        }
    }
}

impl DebugAccess {
    /// What a caller over HTTP sees; nothing if nobody believes them.
    pub(super) async fn of_request(&self, peer: SocketAddr, credentials: &Credentials) -> Option<Sight> {
        if peer.ip().to_canonical().is_loopback() {
            return Some(Sight::All);
        }
        let gate = self.gate.as_ref()?;
        self.of_caller(gate, &gate.authenticate(credentials).await.ok()?)
    }

    /// What somebody sees who has passed a gate; nothing if all their identities are of strangers.
    pub(crate) fn of_caller(&self, gate: &Gate, caller: &Caller) -> Option<Sight> {
        let trusted = caller.identities.iter().filter(|identity| gate.is_trusted(identity));
        let own: Vec<String> = trusted.map(|identity| identity.namespace().to_owned()).collect();
        if own.is_empty() {
            return None;
        }
        let sees_all = self.everybody || own.iter().any(|namespace| self.namespaces.contains(namespace));
        Some(if sees_all { Sight::All } else { Sight::Namespaces(own) })
    }
}
