//! The types of resources that are served: their URLs, their short names in metrics, and how subscriptions to them
//! behave (platform specification, 2.3 and 2.4).

use proto::type_url;

/// A type of resources. The order of the variants is the order of responses within a push (2.6): a cluster arrives
/// before its endpoints, and both before the listener or route that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// Clusters, CDS.
    Cluster,
    /// Load assignments, EDS.
    Endpoint,
    /// Listeners, LDS.
    Listener,
    /// Route configurations, RDS.
    Route,
    /// Secrets, SDS.
    Secret,
    /// Extension configurations, ECDS.
    ExtensionConfig,
    /// The agent's table of names, NDS.
    NameTable,
    /// Proxy settings for the agent, PCDS.
    ProxyConfig,
}

impl ResourceType {
    /// Every type, in the order of a push.
    pub const ALL: [Self; 8] = [
        Self::Cluster,
        Self::Endpoint,
        Self::Listener,
        Self::Route,
        Self::Secret,
        Self::ExtensionConfig,
        Self::NameTable,
        Self::ProxyConfig,
    ];

    /// The URL by which clients ask for it.
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => type_url::CLUSTER,
            Self::Endpoint => type_url::ENDPOINT,
            Self::Listener => type_url::LISTENER,
            Self::Route => type_url::ROUTE,
            Self::Secret => type_url::SECRET,
            Self::ExtensionConfig => type_url::EXTENSION_CONFIG,
            Self::NameTable => type_url::NAME_TABLE,
            Self::ProxyConfig => type_url::PROXY_CONFIG,
        }
    }

    /// The type of that URL, if it is served.
    pub fn of_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource_type| resource_type.type_url() == url)
    }

    /// Its name in metrics.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Cluster => "cds",
            Self::Endpoint => "eds",
            Self::Listener => "lds",
            Self::Route => "rds",
            Self::Secret => "sds",
            Self::ExtensionConfig => "ecds",
            Self::NameTable => "nds",
            Self::ProxyConfig => "pcds",
        }
    }

    /// Whether naming nothing asks for everything. For the others it ends the subscription.
    pub fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener | Self::NameTable | Self::ProxyConfig)
    }

    /// Whether a state-of-the-world response must hold all that is subscribed, because what it leaves out is deleted
    /// by the client. For the others a response may hold just what changed.
    pub fn is_full_state(self) -> bool {
        self.is_wildcard()
    }

    /// Whether a delta response may name removed resources; an extension configuration stays until its listener goes.
    pub fn is_removable(self) -> bool {
        self != Self::ExtensionConfig
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}
