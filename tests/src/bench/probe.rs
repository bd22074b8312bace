//! A swarm in front of a control plane, and what it sees of a change: who answered when, and who was told something
//! that does not concern the change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use swarm::{Event, Kind, Options, Place, Swarm, node};
use tokio::runtime::Handle;

/// After the last answer that is waited for, answers that nobody waits for may still come for so long.
const QUIET: Duration = Duration::from_millis(300);

/// Open streams.
pub struct Probe {
    swarm: Swarm,
    n: usize,
}

/// How streams came to have everything.
#[derive(Clone, Debug, Default)]
pub struct Synced {
    /// When the first byte of configuration was answered.
    pub first: Option<Instant>,
    /// When the last stream had everything.
    pub last: Option<Instant>,
    /// Streams that were told to come back later.
    pub n_refused: usize,
    /// Bytes that came.
    pub n_bytes: usize,
}

/// What one change did.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// From the change to the answer, by stream that saw it.
    pub latencies: BTreeMap<usize, Duration>,
    /// Responses that do not hold what changed, by type and stream.
    pub others: BTreeMap<(Kind, usize), usize>,
    /// Bytes that came.
    pub n_bytes: usize,
    /// Streams that ended.
    pub n_ended: usize,
}

/// The resource that a change moves.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Its type.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Probe {
    /// Opens a stream for each place.
    pub fn open(runtime: &Handle, options: Options, places: &[Place]) -> Self {
        let nodes = places.iter().map(node).collect();
        Self { swarm: Swarm::start(runtime, options, nodes), n: places.len() }
    }

    /// Waits until every stream has had everything since it was opened last.
    pub fn wait_synced(&self, limit: Duration) -> Result<Synced> {
        let deadline = Instant::now() + limit;
        let mut synced = Synced::default();
        let mut complete = BTreeSet::new();
        let mut last_end = String::new();
        while complete.len() < self.n {
            match self.swarm.events().recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Synced { stream, at }) => {
                    complete.insert(stream);
                    synced.last = synced.last.max(Some(at));
                }
                Ok(Event::Answered { at, n_bytes, .. }) => {
                    synced.first.get_or_insert(at);
                    synced.n_bytes += n_bytes;
                }
                Ok(Event::Ended { stream, refused, reason }) => {
                    synced.n_refused += usize::from(refused);
                    complete.remove(&stream);
                    last_end = reason;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    bail!(
                        "{} of {} streams in sync after {limit:?}; last end: {last_end}",
                        complete.len(),
                        self.n
                    );
                }
            }
        }
        Ok(synced)
    }

    /// Takes in whatever still comes until there is quiet.
    pub fn settle(&self, quiet: Duration) {
        while self.swarm.events().recv_timeout(quiet).is_ok() {}
    }

    /// Whether slow streams stop reading from now on.
    pub fn stall(&self, stalled: bool) {
        self.swarm.stall(stalled);
    }

    /// Makes a change and waits until `n_expected` streams have answered what it moves. `write` returns when the
    /// change was made.
    pub fn change(
        &self,
        moved: &Moved,
        n_expected: usize,
        limit: Duration,
        write: impl FnOnce() -> Result<Instant>,
    ) -> Result<Seen> {
        let mut seen = Seen::default();
        let written = write()?;
        let deadline = written + limit;
        loop {
            let is_complete = seen.latencies.len() >= n_expected;
            let wait = if is_complete { QUIET } else { deadline.saturating_duration_since(Instant::now()) };
            match self.swarm.events().recv_timeout(wait) {
                Ok(Event::Answered { stream, kind, at, n_bytes, names, .. }) => {
                    seen.n_bytes += n_bytes;
                    if kind == moved.kind && names.contains(&moved.name) {
                        seen.latencies.entry(stream).or_insert(at.saturating_duration_since(written));
                    } else {
                        *seen.others.entry((kind, stream)).or_default() += 1;
                    }
                }
                Ok(Event::Synced { .. }) => {}
                Ok(Event::Ended { .. }) => seen.n_ended += 1,
                Err(_) if is_complete => return Ok(seen),
                Err(_) => {
                    let n = seen.latencies.len();
                    bail!("{n} of {n_expected} streams saw {} after {limit:?}", moved.name);
                }
            }
        }
    }
}
