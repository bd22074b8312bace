//! The proxies of a soak: those that do all they should, which must see every change; those that come and go; and those
//! that do not do their part.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use proto::envoy::core::Node;
use serde_json::{Value, json};
use swarm::{Event, Kind, Options, Place, Swarm, node};
use testkit::ads::SimulatedProxy;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::careless::{self, Manner};
use crate::bench::mesh::slice;
use crate::bench::world::World;
use crate::churn::random::Random;

/// The service whose endpoints tell whether a change was missed.
const HOT: usize = 1;
/// Nothing takes longer, however busy the machine.
pub(super) const LIMIT: Duration = Duration::from_mins(2);
/// Between a change that everybody has seen and the next.
const PAUSE: Duration = Duration::from_secs(1);

fn hot() -> String {
    format!("outbound|80||svc-{HOT}.ns-0.svc.cluster.local")
}

/// Streams that stay open and accept everything. Each must be told of every change of one service's endpoints.
pub(super) struct Steady {
    swarm: Swarm,
    n: usize,
    n_endpoints: usize,
    changed: Instant,
    /// Who has not seen the last change.
    waiting: BTreeSet<usize>,
    /// How long each took to answer each change.
    pub(super) latencies: Vec<Duration>,
    pub(super) n_changes: usize,
    pub(super) failures: Vec<String>,
}

impl Steady {
    /// Opens the streams and waits until each has everything.
    pub(super) fn open(runtime: &Handle, target: &str, places: &[Place], n_endpoints: usize) -> Result<Self> {
        let options = Options { told: Some(hot()), ..Options::new(target) };
        let swarm = Swarm::start(runtime, options, places.iter().map(node).collect());
        let mut missing: BTreeSet<usize> = (0..places.len()).collect();
        let deadline = Instant::now() + LIMIT;
        while !missing.is_empty() {
            match swarm.events().recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Synced { stream, .. }) => drop(missing.remove(&stream)),
                Ok(Event::Answered { .. }) => {}
                Ok(Event::Ended { reason, .. }) => anyhow::bail!("a stream ended: {reason}"),
                Err(_) => anyhow::bail!("{} proxies have not everything after {LIMIT:?}", missing.len()),
            }
        }
        Ok(Self {
            swarm,
            n: places.len(),
            n_endpoints,
            changed: Instant::now(),
            waiting: BTreeSet::new(),
            latencies: Vec::new(),
            n_changes: 0,
            failures: Vec::new(),
        })
    }

    /// The endpoints after so many changes, of which the last was never there before. Were it the one before the last
    /// again, two changes that are read together would be none, and nobody would be told.
    fn endpoints(&self) -> Value {
        let mut slice = slice(HOT, self.n_endpoints, false);
        let n = self.n_changes;
        let address = format!("10.{}.{}.{}", 246 + n / 62_500, n / 250 % 250, n % 250 + 1);
        if let Some(last) = slice["endpoints"].as_array_mut().and_then(|all| all.last_mut()) {
            last["addresses"] = json!([address]);
        }
        slice
    }

    /// Takes in what came, and makes the next change when everybody has seen the last one and `goes_on`. Whether
    /// everybody has.
    pub(super) fn step(&mut self, world: &World, goes_on: bool) -> Result<bool> {
        while let Ok(event) = self.swarm.events().try_recv() {
            match event {
                Event::Answered { stream, kind: Kind::Endpoint, at, names, .. } if names.contains(&hot()) => {
                    // What was answered before the change tells of an earlier one.
                    if at >= self.changed && self.waiting.remove(&stream) {
                        self.latencies.push(at - self.changed);
                    }
                }
                Event::Ended { stream, reason, .. } => {
                    self.failures.push(format!("stream {stream} of a healthy proxy ended: {reason}"));
                }
                Event::Answered { .. } | Event::Synced { .. } => {}
            }
        }
        if self.waiting.is_empty() && goes_on && self.changed.elapsed() > PAUSE {
            self.waiting = (0..self.n).collect();
            // Set before writing: an answer may come while the write returns.
            self.changed = Instant::now();
            self.n_changes += 1;
            world.put(&self.endpoints())?;
        } else if !self.waiting.is_empty() && self.changed.elapsed() > LIMIT {
            let (missed, n) = (std::mem::take(&mut self.waiting), self.n);
            self.failures.push(format!(
                "{} of {n} healthy proxies missed change {}: {missed:?}",
                missed.len(),
                self.n_changes
            ));
        }
        Ok(self.waiting.is_empty())
    }
}

/// A few streams that come together, and go at some moment.
struct Cohort {
    swarm: Swarm,
    missing: BTreeSet<usize>,
    opened: Instant,
    lasts: Duration,
}

/// Streams that come and go at random. Each must have everything before it goes, unless that is at once.
pub(super) struct Comers {
    target: String,
    runtime: Handle,
    places: Vec<Place>,
    random: Random,
    cohorts: Vec<Option<Cohort>>,
    pub(super) n_opened: usize,
    pub(super) n_synced: usize,
    pub(super) failures: Vec<String>,
}

/// Streams of a cohort.
const PER_COHORT: usize = 5;

impl Comers {
    /// Nobody has come yet.
    pub(super) fn new(runtime: &Handle, target: &str, places: &[Place], seed: u64) -> Self {
        Self {
            target: target.to_owned(),
            runtime: runtime.clone(),
            places: places.to_vec(),
            random: Random::new(seed),
            cohorts: (0..places.len() / PER_COHORT).map(|_| None).collect(),
            n_opened: 0,
            n_synced: 0,
            failures: Vec::new(),
        }
    }

    /// Lets come and go who is due.
    pub(super) fn step(&mut self) {
        for index in 0..self.cohorts.len() {
            let Some(cohort) = &mut self.cohorts[index] else {
                self.cohorts[index] = Some(self.cohort(index));
                self.n_opened += PER_COHORT;
                continue;
            };
            while let Ok(event) = cohort.swarm.events().try_recv() {
                match event {
                    Event::Synced { stream, .. } if cohort.missing.remove(&stream) => self.n_synced += 1,
                    Event::Ended { reason, .. } => {
                        self.failures.push(format!("a stream that came anew was ended: {reason}"));
                    }
                    Event::Answered { .. } | Event::Synced { .. } => {}
                }
            }
            let age = cohort.opened.elapsed();
            // Some leave in the middle of what they are sent.
            let is_hasty = cohort.lasts < Duration::from_secs(1);
            if age > LIMIT && !cohort.missing.is_empty() {
                self.failures.push(format!("{:?} came anew and have not everything", cohort.missing));
                self.cohorts[index] = None;
            } else if age > cohort.lasts && (is_hasty || cohort.missing.is_empty()) {
                self.cohorts[index] = None;
            }
        }
    }

    fn cohort(&mut self, index: usize) -> Cohort {
        let places = &self.places[index * PER_COHORT..][..PER_COHORT];
        let swarm = Swarm::start(
            &self.runtime,
            Options { reconnect: false, ..Options::new(&self.target) },
            places.iter().map(node).collect(),
        );
        let longest = if self.random.one_in(4) { 200 } else { 12_000 };
        Cohort {
            swarm,
            missing: (0..PER_COHORT).collect(),
            opened: Instant::now(),
            lasts: Duration::from_millis(self.random.below(longest) as u64),
        }
    }

    /// Everybody goes.
    pub(super) fn leave(&mut self) {
        self.cohorts.clear();
    }
}

/// Those that do not do their part.
pub(super) struct Bad {
    swarms: Vec<Swarm>,
    last: watch::Sender<bool>,
    careless: Vec<JoinHandle<()>>,
}

impl Bad {
    /// Opens their streams: a fifth rejects everything, a fifth acknowledges nothing, a fifth stops reading while it
    /// answers pings, and two fifths are [`careless`].
    pub(super) fn open(runtime: &Handle, target: &str, server: SocketAddr, places: &[Place]) -> Self {
        let fifth = places.len().div_ceil(5).max(1);
        let mut parts = places.chunks(fifth);
        let mut part = || -> Vec<Node> { parts.next().unwrap_or_default().iter().map(node).collect() };
        let (rejecting, silent, stalled) = (part(), part(), part());
        let swarms = vec![
            Swarm::start(
                runtime,
                Options { reject: Some("*".to_owned()), ..Options::new(target) },
                rejecting,
            ),
            Swarm::start(runtime, Options { answer: false, ..Options::new(target) }, silent),
            Swarm::start(
                runtime,
                Options { n_slow: stalled.len(), window: Some(1024), ..Options::new(target) },
                stalled,
            ),
        ];
        swarms[2].stall(true);
        let (last, is_last) = watch::channel(false);
        let mut careless = Vec::new();
        for (number, node) in part().into_iter().chain(part()).enumerate() {
            let manner = match number % 3 {
                0 => Manner::Slow,
                n => Manner::Deaf { large: n == 2 },
            };
            careless.push(runtime.spawn(careless::run(server, node, manner, is_last.clone())));
        }
        Self { swarms, last, careless }
    }

    /// Forgets what streams told.
    pub(super) fn step(&self) {
        for swarm in &self.swarms {
            while swarm.events().try_recv().is_ok() {}
        }
    }

    /// Those that answer pings go; the others stay as long as the server lets them, and do not come again.
    pub(super) fn come_no_more(&mut self) {
        self.swarms.clear();
        self.last.send_replace(true);
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        for task in &self.careless {
            task.abort();
        }
    }
}

/// Proxies that keep what they are sent: those of the churn, and two in the mesh.
pub(super) fn observers(runtime: &Handle, server: SocketAddr) -> Result<Vec<SimulatedProxy>> {
    let in_mesh = |service: usize| -> (String, String, Value) {
        let (app, namespace) = (format!("svc-{service}"), crate::bench::mesh::namespace_of(service));
        (
            format!("sidecar~10.245.0.{}~{app}-x.{namespace}~{namespace}.svc.cluster.local", service + 1),
            format!("{app}.{namespace}"),
            json!({"CLUSTER_ID": "Kubernetes", "NAMESPACE": namespace, "ISTIO_VERSION": "1.30.0",
                   "LABELS": {"app": app}, "DNS_CAPTURE": "true"}),
        )
    };
    let _inside = runtime.enter();
    crate::replica::nodes()
        .into_iter()
        .chain([in_mesh(0), in_mesh(HOT)])
        .map(|(id, cluster, metadata)| SimulatedProxy::start(server, &id, &cluster, &metadata))
        .collect()
}
