//! The streams that are open now: what debug pages show of proxies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use ca::Identity;
use parking_lot::Mutex;
use scope::Proxy;
use xds::{
    Outcome, Request, Resource, ResourceType, Response, Session, SessionOptions, Snapshot, TypeStatus,
};

/// One stream of one proxy.
#[derive(Debug)]
pub struct Connection {
    /// Unique among the connections of this process.
    pub id: u64,
    /// Who is connected.
    pub proxy: Arc<Proxy>,
    /// From where.
    pub peer: Option<SocketAddr>,
    /// Who it has proved to be; `None` where nobody asked.
    pub identity: Option<Identity>,
    /// Since when.
    pub connected_at: SystemTime,
    session: Mutex<Session>,
    sent_at: Mutex<BTreeMap<ResourceType, SystemTime>>,
}

impl Connection {
    /// `<proxy id>-<number>`, as debug pages name connections.
    pub fn name(&self) -> String {
        format!("{}-{}", self.proxy.id, self.id)
    }

    /// Where the stream stands with each type.
    pub fn status(&self) -> Vec<TypeStatus> {
        self.session.lock().status()
    }

    /// When something of each type was last sent.
    pub fn sent_at(&self) -> BTreeMap<ResourceType, SystemTime> {
        self.sent_at.lock().clone()
    }

    /// What was sent of a type and is still subscribed to.
    pub fn sent(&self, resource_type: ResourceType) -> Vec<Resource> {
        self.session.lock().sent(resource_type)
    }

    pub(crate) fn watches(&self, resource_type: ResourceType) -> bool {
        self.session.lock().watches(resource_type)
    }

    pub(crate) fn n_names(&self) -> usize {
        self.session.lock().n_names()
    }

    pub(crate) fn on_request(&self, request: Request) -> Outcome {
        self.session.lock().on_request(request)
    }

    pub(crate) fn next(&self, snapshot: &Snapshot) -> Vec<Response> {
        let responses = self.session.lock().next(snapshot);
        if !responses.is_empty() {
            let now = SystemTime::now();
            let mut sent_at = self.sent_at.lock();
            sent_at.extend(responses.iter().map(|response| (response.resource_type, now)));
        }
        responses
    }
}

/// All streams.
#[derive(Debug, Default)]
pub struct Connections {
    next_id: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
}

impl Connections {
    /// Those that are open, oldest first.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.open.lock().values().cloned().collect()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest of those that can be seen whose name holds this text, so that `pod.namespace` finds a proxy.
    pub(crate) fn find(&self, part: &str, is_seen: impl Fn(&Connection) -> bool) -> Option<Arc<Connection>> {
        let fits = |connection: &&Arc<Connection>| is_seen(connection) && connection.name().contains(part);
        self.open.lock().values().find(fits).cloned()
    }

    pub(crate) fn open(
        &self,
        proxy: Arc<Proxy>,
        peer: Option<SocketAddr>,
        identity: Option<Identity>,
        mut options: SessionOptions,
    ) -> Arc<Connection> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        options.nonce_prefix = format!("{}{id}-", options.nonce_prefix);
        let connection = Arc::new(Connection {
            id,
            proxy,
            peer,
            identity,
            connected_at: SystemTime::now(),
            session: Mutex::new(Session::new(options)),
            sent_at: Mutex::default(),
        });
        self.open.lock().insert(id, Arc::clone(&connection));
        connection
    }

    pub(crate) fn close(&self, id: u64) {
        self.open.lock().remove(&id);
    }
}
