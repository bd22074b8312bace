//! One filter chain of a gateway's listener. Envoy refuses a listener two of whose chains match the same, so later
//! chains lose what earlier ones match, and the whole chain if nothing is left.

use std::collections::BTreeSet;

use model::Protocol;
use proto::envoy;

use crate::Sealed;
use crate::listener::tcp_proxy::TcpProxy;
use crate::listener::tcp_route::ProtocolFilter;

/// One chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    /// Server names that it applies to, sorted; empty for any.
    pub(super) server_names: Vec<String>,
    /// Protocols inside TLS that it applies to; empty for any.
    pub(super) application_protocols: Vec<String>,
    /// Whether something must look for TLS first.
    pub(super) inspected: bool,
    /// The context, where TLS ends here.
    pub(super) tls: Option<Sealed<envoy::tls::DownstreamTlsContext>>,
    /// What it does.
    pub(super) content: Content,
}

/// What a chain does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    /// Routes HTTP.
    Http(HttpContent),
    /// Forwards connections.
    Tcp(TcpContent),
}

/// An HTTP chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HttpContent {
    /// The name of its route configuration.
    pub(super) route: String,
    /// What the port speaks.
    pub(super) protocol: Protocol,
    /// The server's own prefix of statistics; empty for the listener's.
    pub(super) stat_prefix: String,
    /// Whether it stands on a QUIC listener.
    pub(super) http3: bool,
}

/// A TCP chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TcpContent {
    /// Where connections go.
    pub(super) proxy: TcpProxy,
    /// What reads the protocol before that.
    pub(super) protocol: Option<ProtocolFilter>,
    /// Whether the peer is of the mesh and talks to the gateway itself.
    pub(super) from_mesh: bool,
    /// Whether the policies of the gateway hold for it.
    pub(super) authorized: bool,
}

impl Chain {
    /// A chain that applies to everything.
    pub(super) fn of(content: Content) -> Self {
        Self {
            server_names: Vec::new(),
            application_protocols: Vec::new(),
            inspected: false,
            tls: None,
            content,
        }
    }
}

/// What the chains of one listener match already: server name (empty for any) and application protocol (likewise).
#[derive(Debug, Default)]
pub(super) struct Matches(BTreeSet<(String, String)>);

impl Matches {
    /// The chain without what is matched already; nothing if nothing remains. Says what was taken away.
    pub(super) fn admit(&mut self, mut chain: Chain) -> (Option<Chain>, Option<String>) {
        let any = [String::new()];
        let or_any = |list: &[String]| if list.is_empty() { any.to_vec() } else { list.to_vec() };
        let protocols = or_any(&chain.application_protocols);
        let (free, taken): (Vec<String>, Vec<String>) =
            or_any(&chain.server_names).into_iter().partition(|name| {
                let name = name.to_ascii_lowercase();
                protocols.iter().all(|protocol| !self.0.contains(&(name.clone(), protocol.clone())))
            });
        for name in &free {
            self.0.extend(protocols.iter().map(|protocol| (name.to_ascii_lowercase(), protocol.clone())));
        }
        let reason = (!taken.is_empty()).then(|| {
            let names = taken.iter().map(|name| if name.is_empty() { "every server name" } else { name });
            format!(
                "an older server or route of the same listener takes {} already, so this one does not",
                names.collect::<Vec<_>>().join(", ")
            )
        });
        if free.is_empty() {
            return (None, reason);
        }
        let mut seen = BTreeSet::new();
        chain.server_names.retain(|name| free.contains(name) && seen.insert(name.to_ascii_lowercase()));
        (Some(chain), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(names: &[&str], protocols: &[&str]) -> Chain {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let http = HttpContent {
            route: "http.80".to_owned(),
            protocol: Protocol::Http,
            stat_prefix: String::new(),
            http3: false,
        };
        Chain {
            server_names: own(names),
            application_protocols: own(protocols),
            ..Chain::of(Content::Http(http))
        }
    }

    #[test]
    fn a_later_chain_loses_the_server_names_that_an_earlier_one_has() {
        let mut matches = Matches::default();
        assert_eq!(matches.admit(chain(&["a.test", "b.test"], &[])).1, None);
        let (left, reason) = matches.admit(chain(&["B.test", "c.test"], &[]));
        assert_eq!(left.expect("c.test is free").server_names, ["c.test"]);
        assert!(reason.expect("a reason").contains("B.test"));
    }

    #[test]
    fn a_second_chain_for_everything_goes() {
        let mut matches = Matches::default();
        assert!(matches.admit(chain(&[], &[])).0.is_some());
        assert!(matches.admit(chain(&[], &[])).0.is_none());
        assert!(matches.admit(chain(&[], &["istio"])).0.is_some());
    }
}
