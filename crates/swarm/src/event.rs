//! What a stream tells of itself.

use std::time::Instant;

/// A type of resources that Envoy subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoint,
    /// LDS.
    Listener,
    /// RDS.
    Route,
}

impl Kind {
    /// All, in the order in which Envoy asks.
    pub const ALL: [Self; 4] = [Self::Cluster, Self::Endpoint, Self::Listener, Self::Route];

    pub(crate) fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => proto::type_url::CLUSTER,
            Self::Endpoint => proto::type_url::ENDPOINT,
            Self::Listener => proto::type_url::LISTENER,
            Self::Route => proto::type_url::ROUTE,
        }
    }

    pub(crate) fn of(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }
}

/// What happened on a stream, by its index.
#[derive(Clone, Debug)]
pub enum Event {
    /// A response came, and its answer is on the way.
    Answered {
        /// Which stream.
        stream: usize,
        /// What it was about.
        kind: Kind,
        /// When the answer was handed to the socket.
        at: Instant,
        /// Bytes of the response.
        n_bytes: usize,
        /// Resources in it.
        n_resources: usize,
        /// Names in it, if there are only a few; the one of [`crate::Options::told`] always.
        names: Vec<String>,
    },
    /// Everything that was subscribed to has been answered, for the first time since the stream was opened.
    Synced {
        /// Which stream.
        stream: usize,
        /// When.
        at: Instant,
    },
    /// The stream ended, or never came to be.
    Ended {
        /// Which stream.
        stream: usize,
        /// What the server or the network said.
        reason: String,
        /// Whether the server said that it has no room for more.
        refused: bool,
    },
}
