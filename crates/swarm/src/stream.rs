//! One stream: opened, subscribed as Envoy subscribes, answered, opened again when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use proto::envoy::core::Node;
use proto::envoy::discovery::DeltaDiscoveryRequest;
use proto::envoy::google;
use proto::raw::RawDeltaDiscoveryResponse;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::{Event, Kind, Shared};

const PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// Names of responses with more resources are not told.
const FEW: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Versions by name, of one type.
type Versions = BTreeMap<Arc<str>, String>;

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
    names: [BTreeSet<Arc<str>>; 4],
}

fn tell(shared: &Shared, event: Event) {
    // A failure means that nobody listens any more.
    let _ = shared.events.lock().send(event);
}

struct Stream<'a> {
    shared: &'a Shared,
    index: usize,
    requests: mpsc::UnboundedSender<DeltaDiscoveryRequest>,
    outgoing: Option<mpsc::UnboundedReceiver<DeltaDiscoveryRequest>>,
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
        let kept = |kind: Kind| self.memory.names[kind as usize].iter().cloned().collect::<Vec<_>>();
        let (endpoints, routes) = (kept(Kind::Endpoint), kept(Kind::Route));
        if !endpoints.is_empty() {
            // One that lives on asks for all it had at once.
            self.ask(Kind::Endpoint, None, endpoints, Vec::new());
            self.ask(Kind::Listener, None, Vec::new(), Vec::new());
            self.ask(Kind::Route, None, routes, Vec::new());
        }
        let mut responses = self.open().await?;
        let mut stalled = self.shared.stalled.clone();
        loop {
            if is_slow && stalled.wait_for(|stalled| !stalled).await.is_err() {
                return Ok(());
            }
            match responses.message().await? {
                Some(response) => self.take_in(response),
                None => return Ok(()),
            }
        }
    }

    async fn open(&mut self) -> Result<Streaming<RawDeltaDiscoveryResponse>, Status> {
        let failed = |error: tonic::transport::Error| Status::unavailable(format!("{error:?}"));
        let endpoint = Endpoint::from_shared(self.shared.options.target.clone()).map_err(failed)?;
        let endpoint = endpoint.initial_stream_window_size(self.shared.options.window);
        let channel = endpoint.tcp_nodelay(true).connect().await.map_err(failed)?;
        let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX);
        grpc.ready().await.map_err(failed)?;
        let outgoing = self.outgoing.take().ok_or_else(|| Status::internal("a stream is opened once"))?;
        let codec = ProstCodec::<DeltaDiscoveryRequest, RawDeltaDiscoveryResponse>::default();
        let path = PATH.parse().map_err(|_| Status::internal("no path"))?;
        let request = Request::new(UnboundedReceiverStream::new(outgoing));
        Ok(grpc.streaming(request, path, codec).await?.into_inner())
    }

    /// Subscribes, with what is known from an earlier stream at the first time.
    fn ask(&mut self, kind: Kind, node: Option<&Node>, subscribe: Vec<Arc<str>>, unsubscribe: Vec<Arc<str>>) {
        let is_first = !std::mem::replace(&mut self.asked[kind as usize], true);
        let strings = |names: Vec<Arc<str>>| names.iter().map(ToString::to_string).collect();
        let known = &self.memory.versions[kind as usize];
        self.send(DeltaDiscoveryRequest {
            node: node.cloned(),
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: strings(subscribe),
            resource_names_unsubscribe: strings(unsubscribe),
            initial_resource_versions: if is_first && self.shared.options.resume {
                known.iter().map(|(name, version)| (name.to_string(), version.clone())).collect()
            } else {
                Default::default()
            },
            ..DeltaDiscoveryRequest::default()
        });
    }

    fn send(&self, request: DeltaDiscoveryRequest) {
        // A failure means that the stream has ended, which reading tells.
        let _ = self.requests.send(request);
    }

    fn take_in(&mut self, response: RawDeltaDiscoveryResponse) {
        let Some(kind) = Kind::of(&response.type_url) else { return };
        let is_bad = |name: &str| name == "*" || response.resources.iter().any(|one| one.name == name);
        let error_detail = self.shared.options.reject.as_ref().filter(|name| is_bad(name)).map(|name| {
            google::Status { code: 13, message: format!("{name}: rejected as asked"), ..Default::default() }
        });
        let is_rejected = error_detail.is_some();
        if self.shared.options.answer {
            self.send(DeltaDiscoveryRequest {
                type_url: response.type_url.clone(),
                response_nonce: response.nonce.clone(),
                error_detail,
                ..DeltaDiscoveryRequest::default()
            });
        }
        let at = Instant::now();
        let n_resources = response.resources.len();
        let told = self.shared.options.told.as_ref();
        let is_told = |name: &String| n_resources <= FEW || told == Some(name);
        let names = response.resources.iter().map(|resource| &resource.name).filter(|name| is_told(name));
        tell(
            self.shared,
            Event::Answered {
                stream: self.index,
                kind,
                at,
                n_bytes: response.encoded_len(),
                n_resources,
                names: names.cloned().collect(),
            },
        );
        if is_rejected && kind == Kind::Cluster && !self.asked[Kind::Listener as usize] {
            // Without clusters there are no endpoints to ask for first.
            self.ask(Kind::Listener, None, Vec::new(), Vec::new());
        }
        if !is_rejected {
            self.subscribe_further(kind, &response);
            self.remember(kind, response);
        }
        self.answered[kind as usize] = true;
        self.note_synced(at);
    }

    /// A cluster makes Envoy ask for its endpoints, the first endpoints for listeners, a listener for its routes.
    fn subscribe_further(&mut self, kind: Kind, response: &RawDeltaDiscoveryResponse) {
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
        let mut new = Vec::new();
        for resource in &response.resources {
            for name in self.shared.bodies.references(kind, &resource.resource).iter() {
                if known.insert(Arc::clone(name)) {
                    new.push(Arc::clone(name));
                }
            }
        }
        // A load assignment goes with the cluster of its name; routes of a listener that is gone are kept.
        let is_cluster = kind == Kind::Cluster;
        let removed = response.removed_resources.iter().filter(|_| is_cluster);
        let gone: Vec<Arc<str>> = removed.filter_map(|name| known.take(name.as_str())).collect();
        if !new.is_empty() || !gone.is_empty() {
            self.ask(next, None, new, gone);
        } else if is_cluster && !self.asked[Kind::Listener as usize] {
            self.ask(Kind::Listener, None, Vec::new(), Vec::new());
        }
    }

    fn remember(&mut self, kind: Kind, response: RawDeltaDiscoveryResponse) {
        if !self.shared.options.resume {
            return;
        }
        let versions = &mut self.memory.versions[kind as usize];
        for name in response.removed_resources {
            versions.remove(name.as_str());
        }
        versions.extend(response.resources.into_iter().map(|one| (one.name.into(), one.version)));
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
