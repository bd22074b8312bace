//! Machines that register themselves: a proxy that names a WorkloadGroup gets a WorkloadEntry by its template, one that
//! names an entry speaks for it. For each entry one task of this process brings what is stored in line with who is
//! connected here, so a stream waits once, for the answer whether it may come in, and pushes wait for nothing
//! (platform specification, 8.3; `docs/decisions/2026-11-21-machines-register-by-entry.md`).

mod entry;
mod keeper;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ca::Identity;
use kube_io::{WorkloadEntries, is_object_name};
use parking_lot::Mutex;
use scope::Proxy;
use server::{Answer, Connection, RegistrationMetrics, WorkloadRefusal, Workloads};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::features::Source;
use entry::Report;
pub(crate) use upkeep::{LOCK, sweep};

/// How long a proxy waits to be registered. An API server that is slow keeps nobody from being served.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the environment says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// What this replica calls itself: `POD_NAME`.
    pub(crate) controller: String,
    /// `PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION`
    pub(crate) registers: bool,
    /// `PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS`
    pub(crate) takes_reports: bool,
    /// `ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY`
    pub(crate) checks_identity: bool,
    /// `PILOT_WORKLOAD_ENTRY_GRACE_PERIOD`: how long a proxy that has gone may take to come back.
    pub(crate) grace: Duration,
    /// How long a connection lasts at most.
    pub(crate) max_age: Option<Duration>,
}

impl Options {
    /// Slips are returned with the defaults.
    pub(crate) fn read(
        controller: String,
        max_connection_age: Option<Duration>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> (Self, Vec<String>) {
        let mut source = Source { variable, problems: Vec::new() };
        let mut options = Self {
            controller,
            registers: true,
            takes_reports: true,
            checks_identity: true,
            grace: Duration::from_secs(10),
            // Connections are asked to go a tenth later at most, and take some time.
            max_age: max_connection_age.map(|age| age + age / 2),
        };
        source.flag("PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION", &mut options.registers);
        source.flag("PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS", &mut options.takes_reports);
        source.flag("ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY", &mut options.checks_identity);
        source.duration("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", &mut options.grace);
        (options, source.problems)
    }
}

/// Keeps the entries of those who are connected to this replica.
#[derive(Clone)]
pub(crate) struct Registrar(Arc<Inner>);

struct Inner {
    /// `None` where configuration comes from files alone.
    entries: Option<WorkloadEntries>,
    options: Options,
    metrics: RegistrationMetrics,
    slots: Mutex<Slots>,
    /// Some entry has come to rest.
    settled: Notify,
    has_told: AtomicBool,
}

/// Namespace and name of an entry.
type Key = (String, String);

#[derive(Default)]
struct Slots {
    by_key: BTreeMap<Key, Slot>,
    by_connection: HashMap<u64, Key>,
}

/// What is known of one entry; a task brings the stored one in line.
#[derive(Default)]
struct Slot {
    wake: Arc<Notify>,
    /// Those who wait for an answer.
    waiting: BTreeMap<u64, (Machine, oneshot::Sender<Result<(), WorkloadRefusal>>)>,
    /// Those who are served.
    served: BTreeMap<u64, Machine>,
    /// The entry says that its proxy is connected here.
    is_held: bool,
    /// It is to be said (again).
    claim: Option<Claim>,
    report: Option<Report>,
    /// When the last one left.
    left: Option<SystemTime>,
    clean: Option<Instant>,
    /// No write before then: the last has failed.
    retry: Option<Instant>,
    n_failures: u32,
    /// What has failed, told once for as long as it lasts.
    told: String,
}

/// How an entry is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// For a connection since then.
    Since(SystemTime),
    /// For one that lasts although the entry does not say so.
    Again,
}

/// A proxy that stands for an entry.
#[derive(Clone)]
struct Machine {
    proxy: Arc<Proxy>,
    identity: Option<Identity>,
    /// The group that it registers with; `None` if it names an entry that somebody wrote.
    group: Option<String>,
    since: SystemTime,
}

impl Registrar {
    /// Nobody is connected yet.
    pub(crate) fn new(
        client: Option<kube_io::Client>,
        options: Options,
        metrics: RegistrationMetrics,
    ) -> Self {
        Self(Arc::new(Inner {
            entries: client.map(WorkloadEntries::new),
            options,
            metrics,
            slots: Mutex::default(),
            settled: Notify::new(),
            has_told: AtomicBool::new(false),
        }))
    }

    /// Waits until no entry says any more that its proxy is connected here: at a stop, when all go.
    pub(crate) async fn settle(&self) {
        loop {
            let settled = self.0.settled.notified();
            if !self.0.slots.lock().by_key.values().any(|slot| slot.is_held) {
                return;
            }
            settled.await;
        }
    }
}

impl Inner {
    /// What a connection stands for, and which entry that is; `None` for nearly all.
    fn machine(&self, connection: &Connection) -> Result<Option<(Key, Machine)>, WorkloadRefusal> {
        let proxy = &connection.proxy;
        let (group, name) = (&proxy.metadata.auto_register_group, &proxy.metadata.workload_entry);
        let registers = self.options.registers && !group.is_empty();
        if !registers && (!self.options.takes_reports || name.is_empty()) {
            return Ok(None);
        }
        if self.entries.is_none() {
            if !self.has_told.swap(true, Ordering::Relaxed) {
                let id = &proxy.id;
                tracing::warn!(
                    "{id} and others like it want a WorkloadEntry kept for them, which needs an API server; \
                     configuration comes from files, so write their entries there"
                );
            }
            return Ok(None);
        }
        let namespace = proxy.config_namespace.to_string();
        if !is_object_name(&namespace) {
            let message = format!("{} names no namespace: {namespace:?}", proxy.id);
            return Err(WorkloadRefusal::Invalid(message));
        }
        let machine = Machine {
            proxy: Arc::clone(proxy),
            identity: connection.identity.clone(),
            group: registers.then(|| group.clone()),
            since: connection.connected_at,
        };
        let name = if registers { entry::name(group, proxy)? } else { name.clone() };
        Ok(Some(((namespace, name), machine)))
    }
}

impl Workloads for Registrar {
    fn connect(&self, connection: &Arc<Connection>) -> Answer<'static, Result<(), WorkloadRefusal>> {
        let (key, machine) = match self.0.machine(connection) {
            Ok(Some(found)) => found,
            Ok(None) => return Box::pin(std::future::ready(Ok(()))),
            Err(refusal) => {
                self.0.metrics.errors.inc();
                return Box::pin(std::future::ready(Err(refusal)));
            }
        };
        let (answer, answered) = oneshot::channel();
        {
            let mut slots = self.0.slots.lock();
            slots.by_connection.insert(connection.id, key.clone());
            let slot = slots.by_key.entry(key.clone()).or_insert_with(|| {
                let slot = Slot::default();
                tokio::spawn(keeper::run(Arc::clone(&self.0), key, Arc::clone(&slot.wake)));
                slot
            });
            slot.waiting.insert(connection.id, (machine, answer));
            slot.wake.notify_one();
        }
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, answered).await {
                Ok(Ok(answer)) => answer,
                // It is served meanwhile; its task goes on.
                _ => Ok(()),
            }
        })
    }

    fn health(&self, id: u64, failure: Option<String>) {
        if !self.0.options.takes_reports {
            return;
        }
        let mut slots = self.0.slots.lock();
        let Some(key) = slots.by_connection.get(&id).cloned() else { return };
        let Some(slot) = slots.by_key.get_mut(&key) else { return };
        // Only the newest counts.
        slot.report = Some(Report { failure, at: SystemTime::now() });
        slot.wake.notify_one();
    }

    fn disconnect(&self, id: u64) {
        let mut slots = self.0.slots.lock();
        let Some(key) = slots.by_connection.remove(&id) else { return };
        let Some(slot) = slots.by_key.get_mut(&key) else { return };
        slot.waiting.remove(&id);
        if slot.served.remove(&id).is_some() && slot.served.is_empty() {
            slot.left = Some(SystemTime::now());
        }
        slot.wake.notify_one();
    }
}
