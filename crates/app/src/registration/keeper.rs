//! The task of one entry: who waits is let in or turned away; then whatever the stored entry does not say yet is
//! written, over the version that was read, again where somebody else was faster, later where it fails.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube_io::{EntryError, WorkloadEntries, Written};
use serde_json::Value;
use server::WorkloadRefusal;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::entry::{self, Due, Report};
use super::{Claim, Inner, Key, Machine, Slot};

/// How often a write is tried at once when others write as well.
const ATTEMPTS: usize = 5;
/// The pauses after writes that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// What is to be done next.
enum Step {
    Admit(u64, Machine),
    Claim(Machine, Claim),
    Report(Report),
    Release(SystemTime),
    Clean,
    Wait(Option<Instant>),
    End,
}

/// Why an entry is not as it should be.
enum Trouble {
    Refused(WorkloadRefusal),
    Failed(String),
}

impl From<EntryError> for Trouble {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Refused(message) => Self::Refused(WorkloadRefusal::Invalid(format!(
                "the API server refuses the WorkloadEntry: {message}"
            ))),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Runs until nobody is connected and nothing is left to be done.
pub(super) async fn run(inner: Arc<Inner>, key: Key, wake: Arc<Notify>) {
    // Whoever has none makes no slots.
    let Some(entries) = &inner.entries else { return };
    let keeper = Keeper { inner: &inner, entries, key: &key };
    loop {
        match keeper.next() {
            Step::Admit(id, machine) => keeper.admit(id, &machine).await,
            Step::Claim(machine, claim) => keeper.claim_again(&machine, claim).await,
            Step::Report(report) => keeper.report(&report).await,
            Step::Release(at) => keeper.release(at).await,
            Step::Clean => keeper.clean().await,
            Step::Wait(None) => wake.notified().await,
            Step::Wait(Some(until)) => {
                let _ = tokio::time::timeout_at(until, wake.notified()).await;
            }
            Step::End => {
                inner.settled.notify_waiters();
                return;
            }
        }
        inner.settled.notify_waiters();
    }
}

struct Keeper<'a> {
    inner: &'a Inner,
    entries: &'a WorkloadEntries,
    key: &'a Key,
}

impl Keeper<'_> {
    fn next(&self) -> Step {
        let mut slots = self.inner.slots.lock();
        let Some(slot) = slots.by_key.get_mut(self.key) else { return Step::End };
        if let Some((id, (machine, _))) = slot.waiting.first_key_value() {
            return Step::Admit(*id, machine.clone());
        }
        let now = Instant::now();
        if let Some(retry) = slot.retry.filter(|retry| *retry > now) {
            return Step::Wait(Some(retry));
        }
        if let Some((_, newest)) = slot.served.last_key_value() {
            return match (slot.claim, &slot.report) {
                (Some(claim), _) => Step::Claim(newest.clone(), claim),
                (None, Some(report)) => Step::Report(report.clone()),
                (None, None) => Step::Wait(None),
            };
        }
        if slot.is_held {
            return Step::Release(slot.left.unwrap_or_else(SystemTime::now));
        }
        match slot.clean {
            Some(at) if at > now => Step::Wait(Some(at)),
            Some(_) => Step::Clean,
            None => {
                slots.by_key.remove(self.key);
                Step::End
            }
        }
    }

    /// Changes what is known, unless the entry is nobody's any more.
    fn note(&self, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.inner.slots.lock().by_key.get_mut(self.key) {
            change(slot);
        }
    }

    fn succeeded(&self, change: impl FnOnce(&mut Slot)) {
        self.note(|slot| {
            (slot.retry, slot.n_failures) = (None, 0);
            slot.told.clear();
            change(slot);
        });
    }

    fn failed(&self, message: &str) {
        self.inner.metrics.errors.inc();
        self.note(|slot| {
            let pause = FIRST_PAUSE.saturating_mul(1 << slot.n_failures.min(16)).min(LAST_PAUSE);
            slot.retry = Some(Instant::now() + pause);
            slot.n_failures += 1;
            if slot.told != message {
                tracing::warn!("WorkloadEntry {} cannot be kept for now: {message}", self.shown());
                message.clone_into(&mut slot.told);
            }
        });
    }

    fn shown(&self) -> String {
        format!("{}/{}", self.key.0, self.key.1)
    }

    /// Answers one who waits.
    async fn admit(&self, id: u64, machine: &Machine) {
        let outcome = self.claim(machine, Claim::Since(machine.since)).await;
        if let Err(Trouble::Failed(message)) = &outcome {
            self.failed(message);
        }
        if matches!(outcome, Err(Trouble::Refused(_))) {
            self.inner.metrics.errors.inc();
        }
        self.note(|slot| {
            let waits = slot.waiting.remove(&id);
            if let Ok(true) = outcome {
                (slot.is_held, slot.clean, slot.claim) = (true, None, None);
                if waits.is_none() && slot.served.is_empty() {
                    slot.left = Some(SystemTime::now());
                }
            }
            let Some((machine, answer)) = waits else { return };
            let answered = match outcome {
                Err(Trouble::Refused(refusal)) => Err(refusal),
                Err(Trouble::Failed(_)) => {
                    slot.claim = Some(Claim::Since(machine.since));
                    Ok(())
                }
                Ok(_) => Ok(()),
            };
            if answered.is_ok() {
                let one = slot.served.values().find(|other| other.proxy.id != machine.proxy.id);
                if let Some(other) = one {
                    let (shown, id, other) = (self.shown(), &machine.proxy.id, &other.proxy.id);
                    tracing::warn!("{id} and {other} are connected as one: WorkloadEntry {shown}");
                }
                slot.served.insert(id, machine);
            }
            // It may have gone meanwhile; then it is told gone.
            let _ = answer.send(answered);
        });
    }

    /// Makes good for what failed, or for what others undid.
    async fn claim_again(&self, machine: &Machine, claim: Claim) {
        match self.claim(machine, claim).await {
            Ok(is_held) => self.succeeded(|slot| {
                slot.is_held |= is_held;
                if slot.claim == Some(claim) {
                    slot.claim = None;
                }
            }),
            Err(Trouble::Refused(refusal)) => {
                self.inner.metrics.errors.inc();
                tracing::warn!("{} is served without its WorkloadEntry: {refusal}", machine.proxy.id);
                self.succeeded(|slot| slot.claim = None);
            }
            Err(Trouble::Failed(message)) => self.failed(&message),
        }
    }

    /// Has the entry say that the proxy is connected here. False if it is not for this replica to say.
    async fn claim(&self, machine: &Machine, claim: Claim) -> Result<bool, Trouble> {
        let (namespace, name) = self.key;
        for _ in 0..ATTEMPTS {
            let written = match (self.entries.entry(namespace, name).await?, &machine.group) {
                (Some(entry), _) => match self.joined(entry, machine, claim)? {
                    Joined::Is(is_held) => return Ok(is_held),
                    Joined::Becomes(entry) => {
                        let written = self.entries.update(&entry).await?;
                        if written == Written::Done {
                            self.inner.metrics.updates.inc();
                            tracing::info!("WorkloadEntry {} is connected again", self.shown());
                        }
                        written
                    }
                },
                (None, Some(group)) => {
                    let written = self.entries.create(&self.made(group, machine, claim).await?).await?;
                    if written == Written::Done {
                        self.inner.metrics.success.inc();
                        tracing::info!("WorkloadEntry {} is made for {}", self.shown(), machine.proxy.id);
                    }
                    written
                }
                (None, None) => {
                    return Err(Trouble::Refused(WorkloadRefusal::Missing(format!(
                        "{} says that it is WorkloadEntry {}, which does not exist",
                        machine.proxy.id,
                        self.shown()
                    ))));
                }
            };
            if written == Written::Done {
                return Ok(true);
            }
        }
        Err(overtaken())
    }

    async fn made(&self, group: &str, machine: &Machine, claim: Claim) -> Result<Value, Trouble> {
        let (namespace, name) = self.key;
        let found = self.entries.group(namespace, group).await?.filter(|found| !entry::is_going(found));
        let Some(found) = found else {
            return Err(Trouble::Refused(WorkloadRefusal::Missing(format!(
                "auto-registration of {} failed: there is no WorkloadGroup {namespace}/{group}",
                machine.proxy.id
            ))));
        };
        let mut made = entry::made(name, namespace, &found, &machine.proxy);
        self.may_speak(&made, machine)?;
        entry::connect(&mut made, &self.inner.options.controller, claim.since());
        Ok(made)
    }

    /// What an entry that is there is, or becomes, by the proxy that has come.
    fn joined(&self, mut found: Value, machine: &Machine, claim: Claim) -> Result<Joined, Trouble> {
        self.may_speak(&found, machine)?;
        if let Some(group) = &machine.group
            && entry::annotation(&found, entry::GROUP) != Some(group)
        {
            return Err(Trouble::Refused(WorkloadRefusal::Missing(format!(
                "auto-registration of {} failed: WorkloadEntry {} is there, and was not made for WorkloadGroup {group}",
                machine.proxy.id,
                self.shown()
            ))));
        }
        if machine.group.is_none() && !entry::takes_reports(&found) {
            return Ok(Joined::Is(false));
        }
        if entry::is_going(&found) {
            return Err(Trouble::Failed("it is being deleted".to_owned()));
        }
        let controller = &self.inner.options.controller;
        match claim {
            Claim::Since(at) if entry::is_connected(&found, controller, at) => return Ok(Joined::Is(true)),
            Claim::Since(at) if entry::is_overtaken(&found, at) => return Ok(Joined::Is(false)),
            Claim::Again if entry::annotation(&found, entry::CONNECTED).is_some() => {
                let is_ours = entry::annotation(&found, entry::CONTROLLER) == Some(controller);
                return Ok(Joined::Is(is_ours));
            }
            Claim::Since(_) | Claim::Again => {}
        }
        entry::connect(&mut found, controller, claim.since());
        Ok(Joined::Becomes(found))
    }

    fn may_speak(&self, entry: &Value, machine: &Machine) -> Result<(), Trouble> {
        if !self.inner.options.checks_identity {
            return Ok(());
        }
        entry::may_speak(entry, machine.identity.as_ref(), &machine.proxy.id).map_err(Trouble::Refused)
    }

    /// Reads the entry, changes it, writes it; again where others write. True if it was written, false if `change`
    /// found nothing to do.
    async fn rewrite<F>(
        &self,
        mut change: impl FnMut(&mut Value) -> bool,
        write: impl Fn(Value) -> F,
    ) -> Result<bool, Trouble>
    where
        F: Future<Output = Result<Written, EntryError>>,
    {
        let (namespace, name) = self.key;
        for _ in 0..ATTEMPTS {
            let Some(mut found) = self.entries.entry(namespace, name).await? else { return Ok(false) };
            let is_ours =
                entry::annotation(&found, entry::CONTROLLER) == Some(&self.inner.options.controller);
            if !is_ours || !change(&mut found) {
                return Ok(false);
            }
            if write(found).await? == Written::Done {
                return Ok(true);
            }
        }
        Err(overtaken())
    }

    /// What was refused stays refused.
    fn done(&self, outcome: Result<bool, Trouble>, change: impl FnOnce(&mut Slot, bool)) {
        match outcome {
            Ok(is_written) => self.succeeded(|slot| change(slot, is_written)),
            Err(Trouble::Refused(refusal)) => {
                self.inner.metrics.errors.inc();
                tracing::warn!("WorkloadEntry {} stays as it is: {refusal}", self.shown());
                self.succeeded(|slot| change(slot, false));
            }
            Err(Trouble::Failed(message)) => self.failed(&message),
        }
    }

    async fn report(&self, report: &Report) {
        let change = |found: &mut Value| entry::report(found, report);
        let write = |found: Value| async move { self.entries.update_status(&found).await };
        let outcome = self.rewrite(change, write).await;
        self.done(outcome, |slot, _| {
            if slot.report.as_ref() == Some(report) {
                slot.report = None;
            }
        });
    }

    /// Has the entry say that its proxy is no longer connected.
    async fn release(&self, at: SystemTime) {
        let mut is_made = false;
        let change = |found: &mut Value| {
            is_made = entry::annotation(found, entry::GROUP).is_some();
            entry::disconnect(found, at);
            true
        };
        let write = |found: Value| async move { self.entries.update(&found).await };
        let outcome = self.rewrite(change, write).await;
        let grace = self.inner.options.grace;
        self.done(outcome, |slot, is_written| {
            slot.is_held = false;
            (slot.claim, slot.report) = (None, None);
            if is_written {
                self.inner.metrics.unregistered.inc_by(is_made.into());
                tracing::info!("WorkloadEntry {} is disconnected", self.shown());
                slot.clean = Some(Instant::now() + grace);
            }
        });
    }

    /// Removes what nobody came back for.
    async fn clean(&self) {
        let grace = self.inner.options.grace;
        let mut is_made = false;
        let change = |found: &mut Value| {
            let due = entry::due(|name| entry::annotation(found, name), SystemTime::now(), grace, None);
            is_made = due == Due::Delete;
            is_made || due == Due::Forget && entry::forget(found)
        };
        let write = |found: Value| async move {
            if entry::annotation(&found, entry::GROUP).is_some() {
                self.entries.delete(&found).await
            } else {
                self.entries.update_status(&found).await
            }
        };
        let outcome = self.rewrite(change, write).await;
        self.done(outcome, |slot, is_written| {
            slot.clean = None;
            if is_written {
                self.inner.metrics.deletes.inc_by(is_made.into());
                tracing::info!("WorkloadEntry {} is cleaned up: its proxy did not come back", self.shown());
            }
        });
    }
}

/// What an entry has to do with the proxy that has come.
enum Joined {
    /// It needs no change; whether it is this replica's.
    Is(bool),
    Becomes(Value),
}

impl Claim {
    fn since(self) -> SystemTime {
        match self {
            Self::Since(at) => at,
            Self::Again => SystemTime::now(),
        }
    }
}

fn overtaken() -> Trouble {
    Trouble::Failed("somebody else writes it again and again".to_owned())
}
