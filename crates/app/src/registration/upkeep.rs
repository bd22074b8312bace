//! What time brings: entries that are gone or say that nobody is connected although somebody is are claimed again, by
//! each replica for its own; entries whose replica has ended before it could tell are cleaned up by the leader.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::Object;
use kube_io::{Client, EntryError, WorkloadEntries, Written};
use mesh::Mesh;
use proto::istio::networking::WorkloadEntry;
use serde_json::Value;
use server::RegistrationMetrics;

use super::entry::{self, Due};
use super::{Claim, Key, Options, Registrar};
use crate::state::State;

/// The lock of whoever cleans up.
pub(crate) const LOCK: &str = "istio-workload-entry-cleanup";
/// Between two rounds no less, whatever the grace period.
const SHORTEST: Duration = Duration::from_secs(1);

impl Registrar {
    /// Follows the mesh until dropped.
    pub(crate) async fn follow(self, state: Arc<State>) {
        let mut commits = state.commits();
        loop {
            commits.borrow_and_update();
            if let Some(mesh) = state.mesh() {
                self.compare(&mesh);
            }
            if commits.changed().await.is_err() {
                return;
            }
        }
    }

    /// A group that is there again, an entry that somebody deleted, another replica whose clock goes ahead: what is
    /// stored does not say what is so. The mesh may lag behind, so whoever claims reads the entry first.
    fn compare(&self, mesh: &Mesh) {
        let store = mesh.store();
        let mut slots = self.0.slots.lock();
        for ((namespace, name), slot) in &mut slots.by_key {
            let Some((_, machine)) = slot.served.last_key_value() else { continue };
            let is_lost = match store.workload_entries().get(namespace, name) {
                Some(found) => {
                    found.meta.annotation(entry::CONNECTED).is_none()
                        && found.meta.annotation(entry::DISCONNECTED).is_some()
                }
                None => machine
                    .group
                    .as_ref()
                    .is_some_and(|group| store.workload_groups().get(namespace, group).is_some()),
            };
            if is_lost && slot.claim.is_none() {
                slot.claim = Some(Claim::Again);
                slot.wake.notify_one();
            }
        }
    }
}

/// Cleans up until dropped: entries whose proxy left long ago, and those whose proxy must have come anew by now.
pub(crate) async fn sweep(client: Client, state: Arc<State>, options: Options, metrics: RegistrationMetrics) {
    let entries = WorkloadEntries::new(client);
    let pause = options.grace.saturating_mul(10).max(SHORTEST);
    let due = |found: &Value| {
        let annotation = |name: &str| entry::annotation(found, name);
        entry::due(annotation, SystemTime::now(), options.grace, options.max_age)
    };
    loop {
        tokio::time::sleep(pause).await;
        for (namespace, name) in state.mesh().map(|mesh| candidates(&mesh, &options)).unwrap_or_default() {
            let outcome = async {
                // The mesh may lag behind.
                let Some(mut found) = entries.entry(&namespace, &name).await? else { return Ok(false) };
                let written = match due(&found) {
                    Due::Delete => {
                        let written = entries.delete(&found).await?;
                        metrics.deletes.inc_by((written == Written::Done).into());
                        written
                    }
                    Due::Forget if entry::forget(&mut found) => entries.update_status(&found).await?,
                    Due::Forget | Due::Nothing => return Ok(false),
                };
                Ok::<_, EntryError>(written == Written::Done)
            };
            match outcome.await {
                Ok(true) => {
                    tracing::info!("WorkloadEntry {namespace}/{name} is cleaned up: its replica did not");
                }
                Ok(false) => {}
                Err(error) => {
                    metrics.errors.inc();
                    tracing::warn!("WorkloadEntry {namespace}/{name} cannot be cleaned up: {error}");
                }
            }
        }
    }
}

/// Namespaces and names of the entries that are due as far as the mesh knows.
fn candidates(mesh: &Mesh, options: &Options) -> Vec<Key> {
    let now = SystemTime::now();
    let is_due = |found: &&Arc<Object<WorkloadEntry>>| {
        let annotation = |name: &str| found.meta.annotation(name);
        match entry::due(annotation, now, options.grace, options.max_age) {
            Due::Nothing => false,
            Due::Delete => true,
            Due::Forget => found.status.as_ref().is_some_and(entry::is_reported),
        }
    };
    let key =
        |found: &Arc<Object<WorkloadEntry>>| (found.meta.namespace.to_string(), found.meta.name.to_string());
    mesh.store().workload_entries().iter().filter(is_due).map(key).collect()
}
