//! Remote clusters: Secrets with the label `istio/multiCluster=true` tell of them, each key a cluster ID and its value
//! a kubeconfig. A cluster that can be read is one more source, whose objects are kept under keys of that cluster. This
//! file decides; what runs is in `launch`. Answers "Multicluster" of the platform specification and row K14.
//!
//! A changed kubeconfig starts a second reading, and the first one goes on until the second has told everything. A
//! broken one changes nothing.

mod launch;
mod settings;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use config::k8s::Secret;
use config::{AnyObject, Changeset, ConfigKey, Kind, Object, Rejection, SourceEvent};
use kube_io::{Client, RemoteConfig};
use serde_json::{Value, json};
use server::ClusterMetrics;

pub(crate) use launch::launcher;
pub(crate) use settings::Settings;

/// The label of the Secrets, and its value.
const LABEL: (&str, &str) = ("istio/multiCluster", "true");

/// What a reading of a cluster says.
pub(crate) enum Said {
    /// There is a client; nothing has been asked yet.
    Connected(Client),
    /// There is no client, and why; it is tried again.
    Unusable(String),
    /// The objects: all of them at first.
    Told(SourceEvent),
    /// It took too long.
    TimedOut,
}

/// Starts the reading of a cluster under a number, which ends when what is returned is dropped.
pub(crate) type Launch = Box<dyn Fn(&Arc<str>, u64, RemoteConfig) -> Box<dyn Any + Send> + Send>;

/// As it stands in a Secret.
type Kubeconfig = Arc<[u8]>;

/// All remote clusters.
pub(crate) struct Remotes {
    settings: Settings,
    launch: Launch,
    metrics: ClusterMetrics,
    known: Arc<Known>,
    /// By name.
    secrets: BTreeMap<Arc<str>, Arc<Object<Secret>>>,
    clusters: BTreeMap<Arc<str>, Cluster>,
    /// Keys of Secrets that are passed over, and why.
    passed: Vec<String>,
    n_launched: u64,
}

/// One remote cluster.
struct Cluster {
    /// The name of the Secret that tells of it.
    secret: Arc<str>,
    kubeconfig: Kubeconfig,
    /// Why the kubeconfig is not used.
    refusal: Option<String>,
    /// What its objects are of.
    current: Option<Reading>,
    /// What takes its place as soon as it has told everything.
    next: Option<Reading>,
    keys: BTreeSet<ConfigKey>,
    rejections: Vec<Rejection>,
    warnings: Vec<String>,
    /// The process is not ready without it.
    is_waited_for: bool,
}

struct Reading {
    number: u64,
    client: Option<Client>,
    trouble: Option<String>,
    has_told: bool,
    has_timed_out: bool,
    _running: Box<dyn Any + Send>,
}

impl Remotes {
    /// None yet.
    pub(crate) fn new(
        settings: Settings,
        launch: Launch,
        metrics: ClusterMetrics,
        known: Arc<Known>,
    ) -> Self {
        Self {
            settings,
            launch,
            metrics,
            known,
            secrets: BTreeMap::new(),
            clusters: BTreeMap::new(),
            passed: Vec::new(),
            n_launched: 0,
        }
    }

    /// Whether every cluster that was there at the start has been read, or given up.
    pub(crate) fn are_read(&self) -> bool {
        self.clusters.values().all(|cluster| !cluster.is_waited_for)
    }

    /// Looks for Secrets among the changes of our own cluster. Returns what goes with clusters that are told of no
    /// more. `at_start`: clusters that are new are waited for.
    pub(crate) fn learn(&mut self, changes: &Changeset, at_start: bool) -> Changeset {
        let mut has_changed = false;
        for (key, object) in changes.iter() {
            if key.kind != Kind::Secret || *key.namespace != *self.settings.namespace {
                continue;
            }
            let is_meant = |secret: &Object<Secret>| secret.meta.label(LABEL.0) == Some(LABEL.1);
            let new = match object {
                Some(AnyObject::Secret(secret)) if is_meant(secret) => Some(Arc::clone(secret)),
                _ => None,
            };
            let event = match (self.secrets.contains_key(&key.name), &new) {
                (false, None) => continue,
                (false, Some(_)) => "add",
                (true, Some(_)) => "update",
                (true, None) => "delete",
            };
            self.metrics.secret_event(event);
            has_changed = true;
            match new {
                Some(secret) => self.secrets.insert(Arc::clone(&key.name), secret),
                None => self.secrets.remove(&key.name),
            };
        }
        let mut gone = Changeset::default();
        if has_changed {
            self.settle(at_start, &mut gone);
            self.publish();
        }
        gone
    }

    /// Which Secret tells of each cluster: the one that did before, else the first by name.
    fn wanted(&mut self) -> BTreeMap<Arc<str>, (Arc<str>, Kubeconfig)> {
        let mut candidates: BTreeMap<&str, Vec<(&Arc<str>, &Kubeconfig)>> = BTreeMap::new();
        for (name, secret) in &self.secrets {
            for (id, kubeconfig) in &secret.spec.data {
                if *id == self.settings.own_cluster {
                    tracing::debug!("the Secret {name} tells of our own cluster {id}, which is passed over");
                } else {
                    candidates.entry(id).or_default().push((name, kubeconfig));
                }
            }
        }
        let mut passed = Vec::new();
        let mut wanted = BTreeMap::new();
        for (id, candidates) in candidates {
            let holder = self.clusters.get(id).map(|cluster| &cluster.secret);
            let held = candidates.iter().find(|(name, _)| Some(*name) == holder).or(candidates.first());
            let Some((name, kubeconfig)) = held else { continue };
            for (other, _) in candidates.iter().filter(|(other, _)| other != name) {
                let place = self.settings.place(other, id);
                passed.push(format!("{place}: passed over, as the Secret {name} tells of that cluster"));
            }
            wanted.insert(Arc::from(id), (Arc::clone(name), Arc::clone(kubeconfig)));
        }
        self.passed = passed;
        wanted
    }

    fn settle(&mut self, at_start: bool, gone: &mut Changeset) {
        let wanted = self.wanted();
        let metrics = &self.metrics;
        self.clusters.retain(|id, cluster| {
            let is_wanted = wanted.contains_key(id);
            if !is_wanted {
                tracing::info!("cluster {id} is told of no more; its {} objects go", cluster.keys.len());
                metrics.is_in_state(id, "closed");
                for key in std::mem::take(&mut cluster.keys) {
                    gone.delete(key);
                }
            }
            is_wanted
        });
        for (id, (secret, kubeconfig)) in wanted {
            let is_new = !self.clusters.contains_key(&id);
            let cluster = self.clusters.entry(Arc::clone(&id)).or_insert_with(|| Cluster::new(&secret));
            if !is_new && cluster.secret == secret && cluster.kubeconfig == kubeconfig {
                continue;
            }
            let is_same = !is_new && cluster.kubeconfig == kubeconfig;
            cluster.secret = Arc::clone(&secret);
            cluster.kubeconfig = kubeconfig;
            if is_same {
                continue;
            }
            match RemoteConfig::read(&cluster.kubeconfig, &self.settings.allowed) {
                Err(fault) => {
                    let place = self.settings.place(&secret, &id);
                    let stays = if is_new { "" } else { "; what was known of the cluster stays" };
                    cluster.refusal = Some(format!("{place}: {fault}{stays}"));
                }
                Ok(config) => {
                    tracing::info!("cluster {id} is read by the Secret {secret}");
                    self.n_launched += 1;
                    let running = (self.launch)(&id, self.n_launched, config);
                    cluster.start(Reading::new(self.n_launched, running));
                    cluster.refusal = None;
                    cluster.is_waited_for |= is_new && at_start;
                }
            }
        }
    }

    /// Takes in what the reading of a cluster says. Returns what changes by it.
    pub(crate) fn take_in(&mut self, id: &Arc<str>, number: u64, said: Said) -> Changeset {
        let timeout = self.settings.timeout;
        let mut changes = Changeset::default();
        // The last words of a reading that was ended count for nothing.
        let Some(cluster) = self.clusters.get_mut(id) else { return changes };
        let place = self.settings.place(&cluster.secret, id);
        let Some(reading) = cluster.reading(number) else { return changes };
        match said {
            Said::Connected(client) => {
                reading.client = Some(client);
                reading.trouble = None;
            }
            Said::Unusable(reason) => {
                reading.trouble = Some(format!("{place}: {reason}"));
            }
            Said::TimedOut if reading.has_told => {}
            Said::TimedOut => {
                reading.has_timed_out = true;
                tracing::warn!("cluster {id} could not be read within {timeout:?}; it is tried further");
                self.metrics.timed_out(id);
                cluster.is_waited_for = false;
            }
            Said::Told(event) => changes = cluster.told(id, number, event),
        }
        self.publish();
        changes
    }

    /// All that is rejected in remote clusters.
    pub(crate) fn rejections(&self) -> impl Iterator<Item = Rejection> {
        self.clusters.values().flat_map(|cluster| cluster.rejections.iter().cloned())
    }

    /// What else is amiss.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let of_clusters = self.clusters.values().flat_map(|cluster| {
            let readings = cluster.current.iter().chain(&cluster.next);
            let troubles = readings.filter_map(|reading| reading.trouble.as_ref());
            cluster.refusal.iter().chain(troubles).chain(&cluster.warnings)
        });
        self.passed.iter().chain(of_clusters).cloned()
    }

    fn publish(&self) {
        let mut known = Vec::new();
        for (id, cluster) in &self.clusters {
            let Some(current) = &cluster.current else { continue };
            let status = current.status();
            self.metrics.is_in_state(id, status);
            let secret = format!("{}/{}", self.settings.namespace, cluster.secret);
            known.push(KnownCluster { id: Arc::clone(id), secret, status, client: current.client.clone() });
        }
        self.metrics.manages(known.len());
        self.known.0.store(Arc::new(known));
    }
}

impl Cluster {
    fn new(secret: &Arc<str>) -> Self {
        Self {
            secret: Arc::clone(secret),
            kubeconfig: Arc::from([]),
            refusal: None,
            current: None,
            next: None,
            keys: BTreeSet::new(),
            rejections: Vec::new(),
            warnings: Vec::new(),
            is_waited_for: false,
        }
    }

    /// A new reading waits behind one that has told something, and takes the place of any other.
    fn start(&mut self, reading: Reading) {
        if self.current.as_ref().is_some_and(|current| current.has_told) {
            self.next = Some(reading);
        } else {
            self.current = Some(reading);
        }
    }

    fn reading(&mut self, number: u64) -> Option<&mut Reading> {
        self.current.iter_mut().chain(&mut self.next).find(|reading| reading.number == number)
    }

    fn told(&mut self, id: &Arc<str>, number: u64, event: SourceEvent) -> Changeset {
        if let Some(next) = self.next.take_if(|next| next.number == number) {
            self.current = Some(next);
        }
        let Some(current) = &mut self.current else { return Changeset::default() };
        let is_first = !current.has_told;
        (current.has_told, current.trouble) = (true, None);
        self.is_waited_for = false;
        self.warnings = event.warnings;
        let of_cluster = |key: ConfigKey| key.in_cluster(id);
        let rejections = event.rejections.into_iter();
        self.rejections = rejections
            .map(|rejection| Rejection { key: rejection.key.map(of_cluster), ..rejection })
            .collect();
        let mut changes = event.changes.in_cluster(id);
        if is_first {
            tracing::info!("cluster {id} has been read: {} objects", changes.len());
            let told: BTreeSet<&ConfigKey> = changes.iter().map(|(key, _)| key).collect();
            let gone: Vec<ConfigKey> = self.keys.iter().filter(|key| !told.contains(key)).cloned().collect();
            for key in gone {
                changes.delete(key);
            }
        }
        for (key, object) in changes.iter() {
            match object {
                Some(_) => self.keys.insert(key.clone()),
                None => self.keys.remove(key),
            };
        }
        changes
    }
}

impl Reading {
    fn new(number: u64, running: Box<dyn Any + Send>) -> Self {
        Self { number, client: None, trouble: None, has_told: false, has_timed_out: false, _running: running }
    }

    /// As `/debug/clusterz` and a metric say it.
    fn status(&self) -> &'static str {
        match (self.has_told, self.has_timed_out) {
            (true, _) => "synced",
            (false, true) => "timeout",
            (false, false) => "syncing",
        }
    }
}

/// The remote clusters as others see them.
#[derive(Default)]
pub(crate) struct Known(ArcSwap<Vec<KnownCluster>>);

struct KnownCluster {
    id: Arc<str>,
    /// Namespace and name.
    secret: String,
    status: &'static str,
    client: Option<Client>,
}

impl Known {
    /// A client of a remote cluster.
    pub(crate) fn client(&self, id: &str) -> Option<Client> {
        self.0.load().iter().find(|known| *known.id == *id)?.client.clone()
    }

    /// Their IDs.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.load().iter().map(|known| known.id.to_string()).collect()
    }

    /// `/debug/clusterz`, with our own cluster first.
    pub(crate) fn page(&self, own: &str, is_ready: bool) -> Value {
        let entry = |id: &str, secret: &str, status: &str| json!({"id": id, "secretName": secret, "syncStatus": status});
        let own = entry(own, "", if is_ready { "synced" } else { "syncing" });
        let all = self.0.load();
        let remote = all.iter().map(|known| entry(&known.id, &known.secret, known.status));
        std::iter::once(own).chain(remote).collect()
    }
}
