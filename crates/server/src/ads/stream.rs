//! One stream from its first request to its end (platform specification, 2.1 to 2.6). The newest snapshot is all it
//! ever sends: what a slow proxy did not read in time it never has to.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ca::Identity;
use prost::Message;
use proto::envoy::core::Node;
use proto::type_url;
use scope::{Proxy, ProxyType, SecretAccess};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Status;
use xds::{Outcome, ResourceType, SessionOptions};

use super::Shared;
use super::progress::Progress;
use super::requests::Requests;
use super::unwritten::Unwritten;
use super::wire::Wire;
use crate::caller::{Caller, Gate};
use crate::debug::Sight;
use crate::listen::Leaving;
use crate::{Connection, Published, Workloads};

/// Types that are not served, of which one stream is answered: enough for any client, not for a malicious one.
const MAX_UNKNOWN_TYPES: usize = 64;

/// How long a client may take to hear why its stream ends.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Who opens a stream.
pub(super) struct Visitor {
    /// From where.
    pub(super) address: Option<SocketAddr>,
    /// `None` where nobody asks for one.
    pub(super) proof: Option<Proof>,
    /// Who wants to know.
    pub(super) workloads: Option<Arc<dyn Workloads>>,
}

/// That somebody is who they are, and who believes it.
pub(super) struct Proof {
    pub(super) caller: Caller,
    pub(super) gate: Arc<Gate>,
}

/// Where responses go.
pub(super) struct Outgoing {
    pub(super) responses: mpsc::Sender<Result<Unwritten, Status>>,
    /// What the client has taken of them.
    pub(super) progress: Arc<Progress>,
}

pub(crate) async fn run<W: Wire>(
    shared: Arc<Shared>,
    visitor: Visitor,
    leaving: Option<Leaving>,
    mut incoming: Requests<W::Request>,
    outgoing: Outgoing,
) {
    let peer = visitor.address;
    if let Err(status) = serve::<W>(&shared, visitor, leaving.clone(), &mut incoming, &outgoing).await {
        tracing::debug!(scope = "ads", ?peer, code = ?status.code(), "stream ends: {}", status.message());
        match leaving {
            // It would not hear why, and what it does not read would be kept for it.
            Some(leaving) if outgoing.progress.is_stuck() => leaving.cut(),
            // The client may have gone already.
            _ => drop(timeout(LAST_WORD, outgoing.responses.send(Err(status))).await),
        }
    }
}

async fn serve<W: Wire>(
    shared: &Arc<Shared>,
    visitor: Visitor,
    mut leaving: Option<Leaving>,
    incoming: &mut Requests<W::Request>,
    outgoing: &Outgoing,
) -> Result<(), Status> {
    let first = tokio::select! {
        () = left(&mut leaving) => return Err(stopping_status()),
        first = first_node::<W>(incoming) => first?,
    };
    let Some(node) = first else { return Ok(()) };
    let proxy = admit(node.as_ref(), shared.options.ambient)?;
    let identity = match &visitor.proof {
        Some(proof) => proof.gate.check_node(&proof.caller, &proxy)?,
        None => None,
    };
    let mut stream = Stream::<W>::open(shared, proxy, visitor.address, identity, outgoing);
    stream.sight = visitor
        .proof
        .as_ref()
        .and_then(|proof| shared.debug.as_ref()?.pages.access().of_caller(&proof.gate, &proof.caller));
    if let Some(workloads) = visitor.workloads {
        stream.join(workloads, &mut leaving).await?;
    }
    let mut snapshots = shared.discovery.connect(stream.connection.id, Arc::clone(&stream.connection.proxy));
    let mut rights = Rights::new(visitor.proof, stream.connection.identity.clone());
    // Who comes back names all that it has, and many come back at once: nothing of that is taken apart before there is
    // something to compare it with.
    while snapshots.borrow_and_update().is_none() {
        tokio::select! {
            () = left(&mut leaving) => return Err(stopping_status()),
            changed = snapshots.changed() => changed.map_err(|_| gone_status())?,
            () = outgoing.responses.closed() => return Ok(()),
        }
    }
    let mut next = None;
    let mut pushed = false;
    loop {
        if outgoing.progress.is_stuck() {
            return Err(stream.unread());
        }
        if let Some(request) = next.take() {
            stream.receive(request).await?;
        }
        if stream.connection.watches(ResourceType::Secret)
            && let Some(access) = rights.settle().await
        {
            // Another right is another class: what it has comes as if the proxy had just connected.
            let proxy = Proxy { secret_access: access, ..(*stream.connection.proxy).clone() };
            snapshots = shared.discovery.connect(stream.connection.id, Arc::new(proxy));
        }
        let published = snapshots.borrow_and_update().clone();
        if let Some(published) = published {
            // A push that has begun is brought to its end, even when the connection has to go.
            stream.push(&published, pushed).await?;
        }
        pushed = false;
        tokio::select! {
            biased;
            () = left(&mut leaving) => return Err(stopping_status()),
            request = incoming.message() => match request? {
                Some(request) => next = Some(request),
                None => return Ok(()),
            },
            changed = snapshots.changed() => match changed {
                Ok(()) => pushed = true,
                Err(_) => return Err(gone_status()),
            },
            () = rights.run_out() => {}
            () = outgoing.progress.stuck() => return Err(stream.unread()),
        }
    }
}

/// Which Secrets the proxy of a stream may have. Nobody is asked before the first one is wanted.
struct Rights {
    asks: Option<(Arc<Gate>, Identity)>,
    access: SecretAccess,
    is_settled: bool,
    until: Option<Instant>,
}

impl Rights {
    fn new(proof: Option<Proof>, identity: Option<Identity>) -> Self {
        let asks = proof.zip(identity).map(|(proof, identity)| (proof.gate, identity));
        Self { asks, access: SecretAccess::default(), is_settled: false, until: None }
    }

    /// Asks if it is time to; what is allowed now, if that differs. Where nobody answers all stays as it was.
    async fn settle(&mut self) -> Option<SecretAccess> {
        let (gate, identity) = self.asks.as_ref()?;
        if self.is_settled && self.until.is_none_or(|until| until > Instant::now()) {
            return None;
        }
        let ruling = gate.secret_access(identity).await;
        (self.is_settled, self.until) = (true, ruling.until);
        let access = ruling.access.filter(|access| *access != self.access)?;
        self.access = access.clone();
        Some(access)
    }

    /// Waits until it is time to ask again.
    async fn run_out(&self) {
        match self.until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

/// The node that the first request names, which is left to be read. Whatever is said of health before anything was
/// asked for is dropped.
async fn first_node<W: Wire>(incoming: &mut Requests<W::Request>) -> Result<Option<Option<Node>>, Status> {
    while let Some(introduction) = incoming.peek::<W::Introduction>().await? {
        let (node, type_url) = W::introduced(introduction);
        if type_url != type_url::HEALTH_INFORMATION {
            return Ok(Some(node));
        }
        incoming.message().await?;
    }
    Ok(None)
}

fn admit(node: Option<&Node>, ambient: bool) -> Result<Proxy, Status> {
    let node = node.filter(|node| !node.id.is_empty());
    let node =
        node.ok_or_else(|| Status::invalid_argument("the first request of a stream must name its node"))?;
    let proxy = Proxy::parse(&scope::Node::from(node))
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    if proxy.proxy_type == ProxyType::Ztunnel && !ambient {
        return Err(Status::invalid_argument("ztunnel is not served: ambient mode is off"));
    }
    Ok(proxy)
}

/// Waits until the connection has to go: never, where nobody says so.
async fn left(leaving: &mut Option<Leaving>) {
    match leaving {
        Some(leaving) => leaving.wait().await,
        None => std::future::pending().await,
    }
}

fn gone_status() -> Status {
    Status::unavailable("the proxy's configuration is no longer served here")
}

/// Tells proxies to come back elsewhere.
pub(crate) fn stopping_status() -> Status {
    Status::unavailable("this connection has to go, please connect again")
}

/// An open stream; closes its connection when dropped.
struct Stream<'a, W: Wire> {
    shared: &'a Shared,
    connection: Arc<Connection>,
    outgoing: &'a Outgoing,
    unknown_types: BTreeSet<String>,
    /// What it may see of debug pages.
    sight: Option<Sight>,
    /// Who was told that it has come.
    workloads: Option<Arc<dyn Workloads>>,
    wire: PhantomData<fn() -> W>,
}

impl<'a, W: Wire> Stream<'a, W> {
    fn open(
        shared: &'a Shared,
        proxy: Proxy,
        peer: Option<SocketAddr>,
        identity: Option<Identity>,
        outgoing: &'a Outgoing,
    ) -> Self {
        let options = SessionOptions {
            protocol: W::PROTOCOL,
            nonce_prefix: shared.options.nonce_prefix.clone(),
            always_full: proxy.is_proxyless(),
        };
        let connection = shared.connections.open(Arc::new(proxy), peer, identity, options);
        shared.metrics.proxies.with_label_values(&[version(&connection)]).inc();
        tracing::info!(scope = "ads", connection = connection.name(), ?peer, "proxy connected");
        Self {
            shared,
            connection,
            outgoing,
            unknown_types: BTreeSet::new(),
            sight: None,
            workloads: None,
            wire: PhantomData,
        }
    }

    /// Has the machine behind the proxy registered, if it is one that registers.
    async fn join(
        &mut self,
        workloads: Arc<dyn Workloads>,
        leaving: &mut Option<Leaving>,
    ) -> Result<(), Status> {
        let answer = workloads.connect(&self.connection);
        self.workloads = Some(workloads);
        tokio::select! {
            () = left(leaving) => Err(stopping_status()),
            answer = answer => answer.map_err(|refusal| {
                let connection = self.connection.name();
                tracing::warn!(scope = "ads", connection, "proxy turned away: {refusal}");
                refusal.status()
            }),
        }
    }

    async fn receive(&mut self, request: W::Request) -> Result<(), Status> {
        let metrics = &self.shared.metrics;
        let size = request.encoded_len() as i64;
        if size > metrics.largest_request.get() {
            metrics.largest_request.set(size);
        }
        let url = W::type_url(&request);
        if url == type_url::HEALTH_INFORMATION {
            if let Some(workloads) = &self.workloads {
                workloads.health(self.connection.id, W::failure(&request).map(str::to_owned));
            }
            return Ok(());
        }
        let Some(resource_type) = ResourceType::of_type_url(url) else {
            let url = url.to_owned();
            return self.receive_other(url, W::names(&request)).await;
        };
        let short = resource_type.short_name();
        match self.connection.on_request(W::request(resource_type, request)) {
            Outcome::Rejected(rejection) => {
                metrics.rejects.with_label_values(&[short]).inc();
                if let Some((_, gauge)) = metrics.last_rejects.iter().find(|(name, _)| *name == short) {
                    let code = tonic::Code::from(rejection.error.code);
                    gauge.with_label_values(&[&self.connection.proxy.id, &format!("{code:?}")]).inc();
                }
                tracing::warn!(
                    scope = "ads",
                    connection = self.connection.name(),
                    r#type = short,
                    nonce = rejection.nonce,
                    resources = ?rejection.names,
                    "proxy rejects: {}", rejection.error.message
                );
            }
            Outcome::Stale => metrics.expired_nonces.with_label_values(&[short]).inc(),
            Outcome::Subscribed | Outcome::Acknowledged | Outcome::Unsubscribed => {}
        }
        if self.connection.n_names() > self.shared.options.max_names {
            return Err(Status::resource_exhausted("the stream subscribes to too many names"));
        }
        Ok(())
    }

    /// Debug types are answered each time; any other that is not served once, with nothing, so that whoever asks
    /// does not wait for ever.
    async fn receive_other(&mut self, url: String, names: &[String]) -> Result<(), Status> {
        if url.is_empty() {
            return Err(Status::invalid_argument("a request must name a type"));
        }
        let nonce = format!("{}other", self.shared.options.nonce_prefix);
        if url.starts_with(type_url::DEBUG) {
            let (Some(debug), Some(sight)) = (&self.shared.debug, &self.sight) else {
                return Err(Status::unauthenticated("debug types need an authenticated connection"));
            };
            let (resources, identifier) = debug.answer(&url, names, sight)?;
            return self.send(W::other(url, nonce, resources, identifier)).await;
        }
        if self.unknown_types.len() < MAX_UNKNOWN_TYPES && self.unknown_types.insert(url.clone()) {
            self.send(W::other(url, nonce, Vec::new(), None)).await?;
        }
        Ok(())
    }

    /// Sends what the client has not yet. The throttle bounds how many streams make responses at once; it is not
    /// held while one waits for its client to read.
    async fn push(&self, published: &Published, pushed: bool) -> Result<(), Status> {
        let metrics = &self.shared.metrics;
        let responses = {
            let _permit = self.shared.throttle.acquire().await;
            let start = Instant::now();
            if pushed {
                metrics.queue_time.observe((start - published.published).as_secs_f64());
            }
            let responses = self.connection.next(&published.snapshot);
            let time = start.elapsed().as_secs_f64() / responses.len().max(1) as f64;
            for response in &responses {
                metrics.push_time.with_label_values(&[response.resource_type.short_name()]).observe(time);
            }
            responses
        };
        let sent = !responses.is_empty();
        for response in responses {
            let resource_type = response.resource_type;
            let short = resource_type.short_name();
            let response = W::response(response);
            metrics
                .config_size
                .with_label_values(&[resource_type.type_url()])
                .observe(response.whole_len() as f64);
            let start = Instant::now();
            self.send(response).await?;
            metrics.send_time.with_label_values(&[short]).observe(start.elapsed().as_secs_f64());
            metrics.pushes.with_label_values(&[short]).inc();
        }
        if let Some(since) = published.since.filter(|_| pushed && sent) {
            metrics.convergence_time.observe(since.elapsed().as_secs_f64());
        }
        Ok(())
    }

    async fn send(&self, response: Unwritten) -> Result<(), Status> {
        self.outgoing.progress.begins();
        tokio::select! {
            biased;
            sent = self.outgoing.responses.send(Ok(response)) => {
                sent.map_err(|_| Status::cancelled("the client has gone"))
            }
            () = self.outgoing.progress.stuck() => Err(self.unread()),
        }
    }

    /// Counts that the client did not read, and says so.
    fn unread(&self) -> Status {
        self.shared.metrics.write_timeouts.inc();
        Status::deadline_exceeded("the client does not read")
    }
}

impl<W: Wire> Drop for Stream<'_, W> {
    fn drop(&mut self) {
        self.shared.connections.close(self.connection.id);
        self.shared.discovery.disconnect(self.connection.id);
        if let Some(workloads) = &self.workloads {
            workloads.disconnect(self.connection.id);
        }
        self.shared.metrics.proxies.with_label_values(&[version(&self.connection)]).dec();
        tracing::info!(scope = "ads", connection = self.connection.name(), "proxy gone");
    }
}

fn version(connection: &Connection) -> &str {
    match connection.proxy.metadata.istio_version.as_str() {
        "" => "unknown",
        version => version,
    }
}
