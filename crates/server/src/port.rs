//! What the shells need of the rest, as traits, so that they can be tested before and without it.

use std::collections::BTreeMap;
use std::sync::Arc;

use scope::Proxy;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use xds::Snapshot;

/// A snapshot and when it came about.
#[derive(Clone, Debug)]
pub struct Published {
    /// What the proxy should have.
    pub snapshot: Arc<Snapshot>,
    /// When the first change in it was seen; `None` when it was made because the proxy connected.
    pub since: Option<Instant>,
    /// When it was ready to be sent.
    pub published: Instant,
}

impl Published {
    /// A snapshot that is ready now and follows from no change.
    pub fn now(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, since: None, published: Instant::now() }
    }
}

/// Who knows what each proxy should have.
pub trait Discovery: Send + Sync + 'static {
    /// Whether every source was read once. Before that no proxy is answered.
    fn is_ready(&self) -> bool;

    /// Whether whoever answers is alive: `false` calls for a restart of the process.
    fn is_live(&self) -> bool {
        true
    }

    /// A proxy has come. `None` stands in the channel until there is a first snapshot; a closed channel sends the
    /// proxy away. `id` is unique among connections.
    fn connect(&self, id: u64, proxy: Arc<Proxy>) -> watch::Receiver<Option<Published>>;

    /// It has gone.
    fn disconnect(&self, id: u64);
}

/// Who knows which trust domains are ours.
pub trait Trust: Send + Sync + 'static {
    /// The one that identities are issued in.
    fn trust_domain(&self) -> Arc<str>;

    /// Whether identities of this one are taken for ours: it is ours, or an alias of it.
    fn is_trusted(&self, trust_domain: &str) -> bool {
        *self.trust_domain() == *trust_domain
    }
}

/// One fixed trust domain.
impl Trust for Arc<str> {
    fn trust_domain(&self) -> Arc<str> {
        Arc::clone(self)
    }
}

/// Who knows the debug pages that are not about connections.
pub trait DebugSource: Send + Sync + 'static {
    /// Names of its pages, each with a line of help.
    fn pages(&self) -> Vec<(&'static str, &'static str)>;

    /// The content of a page, without secrets; `None` if there is no such page.
    fn page(&self, name: &str, query: &BTreeMap<String, String>) -> Option<Value>;
}

/// No pages.
impl DebugSource for () {
    fn pages(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    fn page(&self, _: &str, _: &BTreeMap<String, String>) -> Option<Value> {
        None
    }
}
