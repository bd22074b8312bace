//! One filter chain of an outbound listener: when it applies and what it does (spec 4.1). Chains of several services
//! may meet in one listener; `conflicts_with` says when two of them cannot be told apart (row L07).

use std::collections::BTreeSet;

use model::{Host, Namespace};
use proto::envoy;
use proto::envoy::google;
use proto::envoy::listener::{FilterChain, FilterChainMatch};

use crate::listener::cidr::Cidr;
use crate::listener::tcp_proxy::TcpProxy;
use crate::listener::tcp_route::ProtocolFilter;

/// A server name that stands for every one.
const ANY_NAME: &str = "*";

/// One chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Chain {
    /// SNI that it applies to; empty or `*` for any.
    pub(crate) server_names: Vec<String>,
    /// Destinations that it applies to; empty for any.
    pub(crate) ranges: Vec<String>,
    /// Whether it applies to plain HTTP only, by inspection.
    pub(crate) sniffed_http: bool,
    /// The VirtualService it comes from.
    pub(crate) origin: Option<(Namespace, String)>,
    /// What it does.
    pub(crate) content: Content,
}

/// What a chain does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    /// Routes HTTP.
    Http(HttpContent),
    /// Forwards connections.
    Tcp(TcpContent),
}

/// An HTTP chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HttpContent {
    /// Name of its route table.
    pub(crate) route: String,
    /// What the port speaks.
    pub(crate) protocol: model::Protocol,
    /// The wildcard host whose names the proxy resolves itself (DYNAMIC_DNS).
    pub(crate) resolves: Option<Host>,
}

/// A TCP chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TcpContent {
    /// Where connections go.
    pub(crate) proxy: TcpProxy,
    /// What reads the protocol before that.
    pub(crate) protocol: Option<ProtocolFilter>,
    /// The wildcard host and port whose requested server name the proxy resolves itself (DYNAMIC_DNS).
    pub(crate) resolves: Option<(Host, u32)>,
}

impl Chain {
    /// A chain that applies to everything.
    pub(crate) fn of(content: Content) -> Self {
        Self { server_names: Vec::new(), ranges: Vec::new(), sniffed_http: false, origin: None, content }
    }

    /// Whether it applies to everything.
    pub(crate) fn matches_all(&self) -> bool {
        (self.server_names.is_empty() || self.server_names.iter().any(|name| name == ANY_NAME))
            && !self.sniffed_http
            && self.ranges.is_empty()
    }

    /// Whether Envoy could not tell the two apart.
    pub(crate) fn conflicts_with(&self, other: &Self) -> bool {
        let names = |chain: &Self| -> BTreeSet<String> {
            chain.server_names.iter().filter(|name| *name != ANY_NAME).cloned().collect()
        };
        let ranges = |chain: &Self| -> BTreeSet<Cidr> {
            let parsed = chain.ranges.iter().filter_map(|range| Cidr::parse(range));
            parsed.filter(|range| !range.is_unspecified_v4()).map(Cidr::masked).collect()
        };
        self.sniffed_http == other.sniffed_http
            && names(self) == names(other)
            && ranges(self) == ranges(other)
    }

    /// Envoy's match; `None` when it applies to everything.
    fn envoy_match(&self, http10: bool) -> Option<FilterChainMatch> {
        if self.matches_all() {
            return None;
        }
        let mut server_names = self.server_names.clone();
        if server_names.iter().any(|name| name == ANY_NAME) {
            server_names.clear();
        }
        server_names.sort();
        server_names.dedup();
        let mut ranges = self.ranges.clone();
        ranges.sort();
        let mut seen = BTreeSet::new();
        let mut matched = FilterChainMatch {
            server_names,
            prefix_ranges: ranges
                .iter()
                .filter_map(|range| Cidr::parse(range))
                .filter(|range| !range.is_unspecified_v4())
                // Of two that cover the same Envoy would refuse the second, and with it the listener.
                .filter(|range| seen.insert(range.masked()))
                .map(Cidr::range)
                .collect(),
            ..Default::default()
        };
        if self.sniffed_http {
            let protocols = if http10 { &["http/1.0", "http/1.1", "h2c"][..] } else { &["http/1.1", "h2c"] };
            matched.application_protocols = protocols.iter().map(|p| (*p).to_owned()).collect();
            "raw_buffer".clone_into(&mut matched.transport_protocol);
        }
        Some(matched)
    }

    /// The chain around its filters.
    pub(crate) fn around(
        &self,
        filters: Vec<envoy::listener::Filter>,
        http10: bool,
        connect_timeout: Option<google::Duration>,
    ) -> FilterChain {
        FilterChain {
            filter_chain_match: self.envoy_match(http10),
            filters,
            metadata: self.origin.as_ref().map(|(namespace, name)| config_metadata(namespace, name)),
            transport_socket_connect_timeout: connect_timeout,
            ..Default::default()
        }
    }
}

/// Metadata that says which VirtualService a chain comes from.
pub(crate) fn config_metadata(namespace: &str, name: &str) -> envoy::core::Metadata {
    let path = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtual-service/{name}");
    envoy::core::Metadata {
        filter_metadata: [("istio".to_owned(), google::struct_of([("config", google::string_value(path))]))]
            .into(),
        ..Default::default()
    }
}
