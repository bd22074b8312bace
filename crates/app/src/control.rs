//! The control thread: one closed list of events, one owner of the engine. It gathers changes until they are quiet,
//! commits them, and hands every proxy whose snapshot moved the new one. A slow proxy finds only the newest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use config::{Changeset, Kind, SourceEvent};
use engine::{Engine, ProxyId, Report};
use mesh::{Base, KeySets};
use scope::Proxy;
use server::{Metrics, Published};
use tokio::sync::watch;

use crate::credentials::Credentials;
use crate::features::Debounce;
use crate::heartbeat::INTERVAL;
use crate::remotes::{Remotes, Said};
use crate::sources::{Origin, Sources};
use crate::state::State;

/// A rotated Secret waits no longer for quiet than this.
const MAX_SECRET_WAIT: Duration = Duration::from_millis(300);
/// What is amiss is gathered after so much quiet,
const TELL_AFTER: Duration = Duration::from_millis(30);
/// and this long after the first change at the latest.
const TELL_MAX: Duration = Duration::from_secs(1);

/// Everything that can happen to the control thread.
pub(crate) enum Event {
    /// A source has something new.
    Source(Origin, SourceEvent),
    /// The reading of a remote cluster with that number says something.
    Remote { id: Arc<str>, number: u64, said: Said },
    /// These are the keys for tokens now.
    Keys(KeySets),
    /// A proxy has come.
    Connect { id: u64, proxy: Arc<Proxy>, snapshots: watch::Sender<Option<Published>> },
    /// A proxy has gone.
    Disconnect { id: u64 },
    /// The process ends.
    Stop,
    /// Blocks the thread until the other end is dropped: the fault that probes must tell.
    #[cfg(test)]
    Stall(Receiver<()>),
}

/// A running control thread.
pub(crate) struct Control {
    events: Sender<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts the thread. `remotes` makes what reads remote clusters, given where events go.
    pub(crate) fn start(
        base: Base,
        sources: Sources,
        remotes: impl FnOnce(Sender<Event>) -> Option<Remotes>,
        debounce: Debounce,
        metrics: Metrics,
        state: Arc<State>,
    ) -> Result<Self> {
        let (events, receiver) = channel();
        let worker = Worker {
            engine: Engine::new(base),
            sources,
            remotes: remotes(events.clone()),
            by_sources: SourceEvent::default(),
            proxies: BTreeMap::new(),
            pending: None,
            debounce,
            metrics,
            state,
            told: Vec::new(),
            credentials: Credentials::default(),
            untold: None,
        };
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                let _end = End(Arc::clone(&worker.state));
                worker.run(&receiver);
            })
            .context("the control thread cannot be started")?;
        Ok(Self { events, thread: Some(thread) })
    }

    /// Where events go.
    pub(crate) fn events(&self) -> Sender<Event> {
        self.events.clone()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Tells that the thread has ended, also when that was a panic.
struct End(Arc<State>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.heartbeat.end();
    }
}

/// Changes that wait for quiet.
struct Pending {
    changes: Changeset,
    first: Instant,
    last: Instant,
    /// When the first Secret among them came: it is not held back as long as others may be.
    secret: Option<Instant>,
}

struct Worker {
    engine: Engine,
    sources: Sources,
    remotes: Option<Remotes>,
    /// What the sources complain of.
    by_sources: SourceEvent,
    proxies: BTreeMap<u64, watch::Sender<Option<Published>>>,
    pending: Option<Pending>,
    debounce: Debounce,
    metrics: Metrics,
    state: Arc<State>,
    told: Vec<String>,
    credentials: Credentials,
    /// What is made has changed since what is amiss was gathered: at first and at last.
    untold: Option<(Instant, Instant)>,
}

impl Worker {
    fn run(mut self, events: &Receiver<Event>) {
        loop {
            self.state.heartbeat.beat(Instant::now());
            let wait = self.due().map_or(INTERVAL, |due| due.min(INTERVAL));
            let wait = self.telling().map_or(wait, |telling| telling.min(wait));
            match events.recv_timeout(wait) {
                Ok(Event::Source(origin, event)) => self.source(origin, event),
                Ok(Event::Remote { id, number, said }) => self.remote(&id, number, said),
                Ok(Event::Keys(keys)) => self.learn(keys),
                Ok(Event::Connect { id, proxy, snapshots }) => self.connect(id, &proxy, snapshots),
                Ok(Event::Disconnect { id }) => {
                    self.proxies.remove(&id);
                    self.engine.disconnect(ProxyId(id));
                    self.must_tell();
                }
                #[cfg(test)]
                Ok(Event::Stall(other)) => {
                    let _ = other.recv();
                }
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.due().is_some_and(|wait| wait.is_zero()) {
                self.commit();
            }
            if self.telling().is_some_and(|wait| wait.is_zero()) {
                self.untold = None;
                self.found();
            }
        }
    }

    /// How long until what is amiss must be gathered again; `None` when that is known. It takes a look at the whole
    /// mesh, which neither a push nor a proxy that comes back among a thousand should wait for.
    fn telling(&self) -> Option<Duration> {
        let (first, last) = self.untold?;
        let at = (last + TELL_AFTER).min(first + TELL_MAX);
        Some(at.saturating_duration_since(Instant::now()))
    }

    fn must_tell(&mut self) {
        let now = Instant::now();
        self.untold = Some((self.untold.map_or(now, |(first, _)| first), now));
    }

    /// How long until what is pending must be committed; `None` when nothing is.
    fn due(&self) -> Option<Duration> {
        let pending = self.pending.as_ref()?;
        // Half of the configuration would take away what the other half holds.
        if !self.sources.have_spoken() || self.remotes.as_ref().is_some_and(|remotes| !remotes.are_read()) {
            return None;
        }
        if pending.changes.is_endpoint_only() || !self.state.has_committed() {
            return Some(Duration::ZERO);
        }
        let mut at = (pending.last + self.debounce.after).min(pending.first + self.debounce.max);
        if let Some(secret) = pending.secret {
            at = at.min(secret + MAX_SECRET_WAIT);
        }
        Some(at.saturating_duration_since(Instant::now()))
    }

    fn source(&mut self, origin: Origin, event: SourceEvent) {
        let at_start = !self.state.has_committed();
        let gone = match &mut self.remotes {
            Some(remotes) if origin == Origin::Kubernetes => remotes.learn(&event.changes, at_start),
            _ => Changeset::default(),
        };
        let mut event = self.sources.take_in(origin, event);
        let mut changes = std::mem::take(&mut event.changes);
        changes.merge(gone);
        self.by_sources = event;
        self.take_in(changes);
    }

    fn remote(&mut self, id: &Arc<str>, number: u64, said: Said) {
        if let Some(remotes) = &mut self.remotes {
            let changes = remotes.take_in(id, number, said);
            self.take_in(changes);
        }
    }

    /// Takes in changes, wherever they come from, and what is complained of now.
    fn take_in(&mut self, changes: Changeset) {
        let mut event = SourceEvent { changes, ..self.by_sources.clone() };
        if let Some(remotes) = &self.remotes {
            event.rejections.extend(remotes.rejections());
            event.warnings.extend(remotes.warnings());
        }
        self.tell(&event);
        self.state.rejected(event.rejections);
        for (key, object) in event.changes.iter() {
            self.metrics.updated(match (key.kind, object) {
                (Kind::EndpointSlice, _) => "eds",
                (Kind::Service, Some(_)) => "svc",
                (Kind::Service, None) => "svcdelete",
                _ => "config",
            });
        }
        if event.changes.is_empty() && self.state.has_committed() {
            return;
        }
        let now = Instant::now();
        let pending = self.pending.get_or_insert_with(|| Pending {
            changes: Changeset::default(),
            first: now,
            last: now,
            secret: None,
        });
        if event.changes.iter().any(|(key, _)| key.kind == Kind::Secret) {
            pending.secret.get_or_insert(now);
        }
        pending.changes.merge(event.changes);
        pending.last = now;
    }

    /// Logs what is newly wrong, each message once for as long as it stays wrong.
    fn tell(&mut self, event: &SourceEvent) {
        let rejections = event.rejections.iter().map(ToString::to_string);
        let now: Vec<String> = rejections.chain(event.warnings.iter().cloned()).collect();
        for message in now.iter().filter(|message| !self.told.contains(message)) {
            tracing::warn!("{message}");
        }
        for rejection in event.rejections.iter().filter(|r| !self.told.contains(&r.to_string())) {
            match &rejection.key {
                Some(key) => {
                    let name = format!("{}/{}", key.namespace, key.name);
                    self.metrics.rejected_config(key.kind.name(), &name);
                }
                None => self.metrics.rejected_config("unknown", &rejection.source),
            }
        }
        self.told = now;
    }

    fn connect(&mut self, id: u64, proxy: &Proxy, snapshots: watch::Sender<Option<Published>>) {
        let (snapshot, report) = self.engine.connect(ProxyId(id), proxy.clone());
        self.panicked(&report);
        self.secrets(&report);
        snapshots.send_replace(Some(Published::now(snapshot)));
        self.proxies.insert(id, snapshots);
        self.must_tell();
    }

    fn commit(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        let started = Instant::now();
        self.metrics.debounced(started.saturating_duration_since(pending.first));
        let reason = reason(&pending.changes);
        let report = self.engine.commit(pending.changes);
        self.metrics.committed(started.elapsed());
        self.state.committed(self.engine.mesh().clone());
        self.publish(&report, reason, pending.first);
        let mesh = self.engine.mesh();
        self.metrics.holds(mesh.all_services().len(), mesh.store().virtual_services().len());
        self.must_tell();
        self.panicked(&report);
        self.secrets(&report);
        if !report.changed.is_empty() {
            tracing::info!(
                "took in {} changed objects in {:.1} ms: rendered {} messages, {} of {} proxies have something new",
                report.changed.len(),
                started.elapsed().as_secs_f64() * 1e3,
                report.n_rendered(),
                report.pushed.len(),
                self.proxies.len(),
            );
        }
    }

    /// Keys come one source after the other and rarely: there is nothing to wait for.
    fn learn(&mut self, keys: KeySets) {
        let started = Instant::now();
        let report = self.engine.learn(keys);
        self.publish(&report, "global", started);
        self.must_tell();
        self.panicked(&report);
    }

    /// Hands every proxy that has something new the newest.
    fn publish(&mut self, report: &Report, reason: &'static str, since: Instant) {
        if report.pushed.is_empty() {
            return;
        }
        self.metrics.triggered(reason);
        let since = Some(tokio::time::Instant::from_std(since));
        let published = tokio::time::Instant::now();
        for (ProxyId(id), snapshot) in &report.pushed {
            if let Some(proxy) = self.proxies.get(id) {
                let snapshot = Arc::clone(snapshot);
                proxy.send_replace(Some(Published { snapshot, since, published }));
            }
        }
    }

    /// Tells and counts what is amiss.
    fn found(&self) {
        self.metrics.found(&self.engine.counted());
        self.state.issues(self.engine.issues());
    }

    fn secrets(&mut self, report: &Report) {
        self.metrics.secret_errors(report.n_withheld);
        if report.n_secrets > 0 || !report.pushed.is_empty() {
            self.credentials.note(&self.engine, &self.metrics);
        }
    }

    fn panicked(&self, report: &Report) {
        for message in &report.panics {
            self.metrics.internal_error();
            tracing::error!(
                "building the configuration of a class of proxies failed, its last one stays: {message}"
            );
        }
    }
}

/// What a push is counted under.
fn reason(changes: &Changeset) -> &'static str {
    if changes.is_endpoint_only() {
        return "endpoint";
    }
    let kinds = || changes.iter().map(|(key, _)| key.kind);
    if kinds().any(|kind| kind == Kind::ConfigMap) {
        "global"
    } else if kinds().all(|kind| matches!(kind, Kind::Service | Kind::EndpointSlice | Kind::Pod)) {
        "service"
    } else {
        "config"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::heartbeat::LIMIT;

    #[test]
    fn a_thread_that_is_stuck_or_ended_is_neither_live_nor_ready() {
        let state = Arc::new(State::default());
        let debounce = Debounce { after: Duration::ZERO, max: Duration::ZERO };
        let metrics = Metrics::new("test").expect("metrics");
        let sources = Sources::new(BTreeSet::from([Origin::Folder]));
        let control =
            Control::start(Base::default(), sources, |_| None, debounce, metrics, Arc::clone(&state));
        let control = control.expect("a thread");
        let events = control.events();
        // Whoever is answered knows that all events before were taken in.
        let answered = || {
            let proxy = Proxy::parse(&scope::Node {
                id: "sidecar~10.0.0.1~a.b~b.svc.cluster.local".into(),
                ..scope::Node::default()
            });
            let (snapshots, mut published) = watch::channel(None);
            events
                .send(Event::Connect { id: 1, proxy: Arc::new(proxy.expect("a node")), snapshots })
                .expect("sent");
            while published.borrow_and_update().is_none() {
                std::thread::yield_now();
            }
        };
        events.send(Event::Source(Origin::Folder, SourceEvent::default())).expect("sent");
        answered();
        let now = Instant::now();
        assert!(state.is_live(now) && state.is_ready_at(now));

        let (release, stall) = channel();
        events.send(Event::Stall(stall)).expect("sent");
        let later = Instant::now() + LIMIT;
        assert!(!state.is_live(later) && !state.is_ready_at(later), "nothing has moved for {LIMIT:?}");
        drop(release);
        answered();
        assert!(state.is_live(Instant::now()), "it gets on again");

        drop(control);
        assert!(!state.is_live(Instant::now()), "it has ended");
    }
}
