//! One stream: opened, subscribed as Envoy subscribes, answered, opened again when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::encoding::{bytes, string};
use proto::envoy::core::Node;
use proto::envoy::discovery::DeltaDiscoveryRequest;
use proto::envoy::google;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::incoming::{Head, Incoming, Resource, framed};
use crate::names::Id;
use crate::{Event, Kind, Shared};

const PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// Names of responses with more resources are not told.
const FEW: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Versions by name, of one type.
type Versions = BTreeMap<Id, Id>;

pub(crate) async fn run(shared: Arc<Shared>, index: usize, node: Node, is_slow: bool) {
    let mut pause = FIRST_PAUSE;
    let mut kept = Memory::default();
    loop {
        let mut stream = Stream::new(&shared, index, std::mem::take(&mut kept));
        let ended = stream.follow(&node, is_slow).await;
        if stream.is_synced {
            pause = FIRST_PAUSE;
        }
        kept = if shared.options.resume { stream.memory } else { Memory::default() };
        let status = ended.err().unwrap_or_else(|| Status::ok("the server closed the stream"));
        let refused = status.code() == Code::ResourceExhausted;
        let reason = format!("{:?}: {}", status.code(), status.message());
        tell(&shared, Event::Ended { stream: index, reason, refused });
        if !shared.options.reconnect {
            return;
        }
        // Half to all of the pause, another part for each stream and each attempt.
        let part = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64;
        tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * part)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What an Envoy knows and asked for, which outlives its stream.
#[derive(Default)]
struct Memory {
    versions: [Versions; 4],
    /// Load assignments and route configurations that are subscribed to.
    names: [BTreeSet<Id>; 4],
}

fn tell(shared: &Shared, event: Event) {
    // A failure means that nobody listens any more.
    let _ = shared.events.send(event);
}

/// What is kept of the resources of one response.
#[derive(Default)]
struct Seen {
    references: Vec<Arc<[Id]>>,
    versions: Vec<(Id, Id)>,
    /// The first names.
    few: Vec<String>,
    /// The name that is always told, if it was there.
    told: Option<String>,
    /// Whether the name was there that is rejected.
    is_bad: bool,
}

impl Seen {
    fn note(&mut self, shared: &Shared, resource: Resource<'_>) {
        let options = &shared.options;
        if self.few.len() <= FEW {
            self.few.push(resource.name.to_owned());
        }
        if options.told.as_deref() == Some(resource.name) {
            self.told = Some(resource.name.to_owned());
        }
        self.is_bad |= options.reject.as_deref() == Some(resource.name);
        if options.resume {
            self.versions.push((shared.names.id(resource.name), shared.names.id(resource.version)));
        }
        let references = shared.bodies.references(resource.body, &shared.names);
        if !references.is_empty() {
            self.references.push(references);
        }
    }
}

/// The requests of a stream.
struct Outgoing(mpsc::UnboundedReceiver<Bytes>);

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// The task of a connection, which ends when this is dropped.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Stream<'a> {
    shared: &'a Shared,
    index: usize,
    requests: mpsc::UnboundedSender<Bytes>,
    outgoing: Option<mpsc::UnboundedReceiver<Bytes>>,
    asked: [bool; 4],
    answered: [bool; 4],
    is_synced: bool,
    memory: Memory,
}

impl<'a> Stream<'a> {
    fn new(shared: &'a Shared, index: usize, memory: Memory) -> Self {
        let (requests, outgoing) = mpsc::unbounded_channel();
        Self {
            shared,
            index,
            requests,
            outgoing: Some(outgoing),
            asked: [false; 4],
            answered: [false; 4],
            is_synced: false,
            memory,
        }
    }

    async fn follow(&mut self, node: &Node, is_slow: bool) -> Result<(), Status> {
        self.ask(Kind::Cluster, Some(node), Vec::new(), Vec::new());
        let kept = |kind: Kind| self.memory.names[kind as usize].iter().copied().collect::<Vec<_>>();
        let (endpoints, routes) = (kept(Kind::Endpoint), kept(Kind::Route));
        if !endpoints.is_empty() {
            // One that lives on asks for all it had at once.
            self.ask(Kind::Endpoint, None, endpoints, Vec::new());
            self.ask(Kind::Listener, None, Vec::new(), Vec::new());
            self.ask(Kind::Route, None, routes, Vec::new());
        }
        let (mut responses, _connection) = self.open().await?;
        let mut stalled = self.shared.stalled.clone();
        loop {
            if is_slow && stalled.wait_for(|stalled| !stalled).await.is_err() {
                return Ok(());
            }
            let mut seen = Seen::default();
            match responses.next(|resource| seen.note(self.shared, resource)).await? {
                Some(head) => self.take_in(head, seen),
                None => return Ok(()),
            }
        }
    }

    /// The responses of a stream over a connection of its own, which ends with what is returned beside them.
    async fn open(&mut self) -> Result<(Incoming, Connection), Status> {
        let failed = |error: &dyn std::fmt::Debug| Status::unavailable(format!("{error:?}"));
        let target = &self.shared.options.target;
        let authority = target.strip_prefix("http://").unwrap_or(target);
        let socket = TcpStream::connect(authority).await.map_err(|error| failed(&error))?;
        socket.set_nodelay(true).map_err(|error| failed(&error))?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(self.shared.options.window);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(socket)).await.map_err(|error| failed(&error))?;
        let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
        let outgoing = self.outgoing.take().ok_or_else(|| Status::internal("a stream is opened once"))?;
        let request = http::Request::post(format!("{target}{PATH}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Outgoing(outgoing))
            .map_err(|error| failed(&error))?;
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok((Incoming::new(response.into_body()), connection)),
        }
    }

    /// Subscribes, with what is known from an earlier stream at the first time.
    fn ask(&mut self, kind: Kind, node: Option<&Node>, subscribe: Vec<Id>, unsubscribe: Vec<Id>) {
        let is_first = !std::mem::replace(&mut self.asked[kind as usize], true);
        let names = &self.shared.names;
        let mut lists = Vec::new();
        names.texts(subscribe, |name| string::encode(3, &name.to_owned(), &mut lists));
        names.texts(unsubscribe, |name| string::encode(4, &name.to_owned(), &mut lists));
        if is_first && self.shared.options.resume {
            let mut pair = Vec::new();
            for (name, version) in &self.memory.versions[kind as usize] {
                pair.clear();
                let mut number = 0;
                names.texts([*name, *version], |text| {
                    number += 1;
                    string::encode(number, &text.to_owned(), &mut pair);
                });
                bytes::encode(5, &pair, &mut lists);
            }
        }
        let request = DeltaDiscoveryRequest {
            node: node.cloned(),
            type_url: kind.type_url().to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        self.send(&request, &lists);
    }

    /// `lists` are further fields.
    fn send(&self, request: &DeltaDiscoveryRequest, lists: &[u8]) {
        // A failure means that the stream has ended, which reading tells.
        let _ = self.requests.send(framed(request, lists));
    }

    fn take_in(&mut self, head: Head, seen: Seen) {
        let Some(kind) = Kind::of(&head.type_url) else { return };
        let reject = self.shared.options.reject.as_ref();
        let error_detail = reject.filter(|name| *name == "*" || seen.is_bad).map(|name| google::Status {
            code: 13,
            message: format!("{name}: rejected as asked"),
            ..Default::default()
        });
        let is_rejected = error_detail.is_some();
        if self.shared.options.answer {
            let request = DeltaDiscoveryRequest {
                type_url: head.type_url,
                response_nonce: head.nonce,
                error_detail,
                ..DeltaDiscoveryRequest::default()
            };
            self.send(&request, &[]);
        }
        let at = Instant::now();
        let mut names = if head.n_resources <= FEW { seen.few } else { Vec::new() };
        names.extend(seen.told.filter(|told| !names.contains(told)));
        tell(
            self.shared,
            Event::Answered {
                stream: self.index,
                kind,
                at,
                n_bytes: head.n_bytes,
                n_resources: head.n_resources,
                names,
            },
        );
        if is_rejected && kind == Kind::Cluster && !self.asked[Kind::Listener as usize] {
            // Without clusters there are no endpoints to ask for first.
            self.ask(Kind::Listener, None, Vec::new(), Vec::new());
        }
        if !is_rejected {
            let removed: Vec<Id> = head.removed.iter().map(|name| self.shared.names.id(name)).collect();
            self.subscribe_further(kind, &seen.references, &removed);
            if self.shared.options.resume {
                let versions = &mut self.memory.versions[kind as usize];
                versions.retain(|name, _| !removed.contains(name));
                versions.extend(seen.versions);
            }
        }
        self.answered[kind as usize] = true;
        self.note_synced(at);
    }

    /// A cluster makes Envoy ask for its endpoints, the first endpoints for listeners, a listener for its routes.
    fn subscribe_further(&mut self, kind: Kind, references: &[Arc<[Id]>], removed: &[Id]) {
        let next = match kind {
            Kind::Cluster => Kind::Endpoint,
            Kind::Listener => Kind::Route,
            Kind::Endpoint | Kind::Route => {
                if !self.asked[Kind::Listener as usize] {
                    self.ask(Kind::Listener, None, Vec::new(), Vec::new());
                }
                return;
            }
        };
        let known = &mut self.memory.names[next as usize];
        let all = references.iter().flat_map(|names| names.iter());
        let new: Vec<Id> = all.copied().filter(|name| known.insert(*name)).collect();
        // A load assignment goes with the cluster of its name; routes of a listener that is gone are kept.
        let is_cluster = kind == Kind::Cluster;
        let gone: Vec<Id> = removed.iter().copied().filter(|name| is_cluster && known.remove(name)).collect();
        if !new.is_empty() || !gone.is_empty() {
            self.ask(next, None, new, gone);
        } else if is_cluster && !self.asked[Kind::Listener as usize] {
            self.ask(Kind::Listener, None, Vec::new(), Vec::new());
        }
    }

    fn note_synced(&mut self, at: Instant) {
        let is_due = |kind: Kind| self.asked[kind as usize] && !self.answered[kind as usize];
        let has_listeners = self.answered[Kind::Listener as usize];
        if !self.is_synced && has_listeners && !Kind::ALL.into_iter().any(is_due) {
            self.is_synced = true;
            tell(self.shared, Event::Synced { stream: self.index, at });
        }
    }
}
