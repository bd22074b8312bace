//! Many delta ADS streams from one process, each as pilot-agent would open it for an Envoy: clusters, the endpoints
//! that they name, listeners, the routes that those name, every response acknowledged. Of what comes only names and
//! the moment are kept, so that the swarm costs little beside the control plane that it measures. It works against
//! any ADS server.

mod bodies;
mod event;
mod incoming;
mod names;
mod node;
mod stream;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use proto::envoy::core::Node;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use event::{Event, Kind};
pub use node::{Place, node};

use bodies::Bodies;
use names::Names;

/// How streams behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// `http://host:port` of the ADS server, in plain text.
    pub target: String,
    /// Whether a stream that ended is opened again, after half a second at first and half a minute at most.
    pub reconnect: bool,
    /// Whether a stream that is opened again tells the versions that it has, as an Envoy that lives on does.
    pub resume: bool,
    /// Every response that holds a resource of that name is rejected; for `*` every response.
    pub reject: Option<String>,
    /// Whether responses are acknowledged, or rejected, at all.
    pub answer: bool,
    /// The name of a resource that is told with every response that holds it, however many others there are.
    pub told: Option<String>,
    /// Bytes that the server may send of responses before they are read; what HTTP/2 clients usually allow by default.
    pub window: Option<u32>,
    /// The last streams, as many as this, stop reading while [`Swarm::stall`] says so.
    pub n_slow: usize,
    /// The pause between the opening of two streams.
    pub pause: Duration,
}

impl Options {
    /// Streams that open at once, read all the time and accept everything.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            reconnect: true,
            resume: false,
            reject: None,
            answer: true,
            told: None,
            window: None,
            n_slow: 0,
            pause: Duration::ZERO,
        }
    }
}

/// What all streams share.
struct Shared {
    options: Options,
    bodies: Bodies,
    names: Names,
    events: Sender<Event>,
    stalled: watch::Receiver<bool>,
}

/// Open streams; they end when this is dropped.
pub struct Swarm {
    events: Receiver<Event>,
    stall: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Swarm {
    /// Opens a stream for each node, on that runtime.
    pub fn start(runtime: &Handle, options: Options, nodes: Vec<Node>) -> Self {
        let (sender, events) = channel();
        let (stall, stalled) = watch::channel(false);
        let (n_slow, n_nodes, pause) = (options.n_slow, nodes.len(), options.pause);
        let (bodies, names) = Default::default();
        let shared = Arc::new(Shared { options, bodies, names, events: sender, stalled });
        let open = |(index, node): (usize, Node)| {
            let shared = Arc::clone(&shared);
            let is_slow = index + n_slow >= n_nodes;
            let delay = pause.saturating_mul(u32::try_from(index).unwrap_or(u32::MAX));
            runtime.spawn(async move {
                tokio::time::sleep(delay).await;
                stream::run(shared, index, node, is_slow).await;
            })
        };
        let tasks = nodes.into_iter().enumerate().map(open).collect();
        Self { events, stall, tasks }
    }

    /// What streams tell, as it happens.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Whether slow streams stop reading from now on.
    pub fn stall(&self, stalled: bool) {
        self.stall.send_replace(stalled);
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
