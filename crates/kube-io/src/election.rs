//! Who of several replicas does what only one may do. A candidate takes a lock that is free, or whose holder has not
//! renewed it for as long as a lease lasts, by this process' own clock; a holder renews it, and gives it back when it
//! stops. Answers "Leader election" of the platform specification, but for prioritised locks.

use std::time::Duration;

use kube::Client;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::lock::{Held, Lock, Record};

/// How long a lock lasts and how often it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A lock that was not renewed for so long may be taken.
    pub lease: Duration,
    /// A holder that could not renew for so long holds it no more. Less than `lease`, so that there are no two.
    pub renew: Duration,
    /// The pause between two attempts.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renew: Duration::from_secs(15),
            retry: Duration::from_millis(7500),
        }
    }
}

/// A candidature. Dropping it without [`Election::release`] lets the lease run out.
#[derive(Debug)]
pub struct Election {
    is_leader: watch::Receiver<bool>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Election {
    /// Stands for a lock, on the runtime of the caller.
    pub fn start(client: Client, lock: Lock, identity: impl Into<String>, timing: Timing) -> Self {
        let (sender, is_leader) = watch::channel(false);
        let (stop, stopped) = oneshot::channel();
        let candidate = Candidate {
            client,
            lock,
            identity: identity.into(),
            timing,
            seen: None,
            renewed: None,
            told: String::new(),
        };
        let task = tokio::spawn(candidate.run(sender, stopped));
        Self { is_leader, stop: Some(stop), task: Some(task) }
    }

    /// Whether this process leads, now and whenever that changes.
    pub fn is_leader(&self) -> watch::Receiver<bool> {
        self.is_leader.clone()
    }

    /// Stops, and gives the lock back if it is held, so that another need not wait for it to run out.
    pub async fn release(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Candidate {
    client: Client,
    lock: Lock,
    identity: String,
    timing: Timing,
    /// The record of somebody else, and since when it has not moved.
    seen: Option<(Record, Instant)>,
    /// When we renewed last.
    renewed: Option<Instant>,
    /// The failure that was told last.
    told: String,
}

impl Candidate {
    async fn run(mut self, is_leader: watch::Sender<bool>, mut stopped: oneshot::Receiver<()>) {
        loop {
            // An attempt that hangs must not hide that the lease runs out.
            match tokio::time::timeout(self.timing.renew, self.attempt()).await {
                Ok(Ok(is_ours)) => {
                    self.renewed = is_ours.then(Instant::now);
                    self.told.clear();
                }
                Ok(Err(fault)) => self.tell(fault.message()),
                Err(_) => self.tell("no answer"),
            }
            let leads = self.renewed.is_some_and(|at| at.elapsed() < self.timing.renew);
            if is_leader.send_if_modified(|now| std::mem::replace(now, leads) != leads) {
                let what = if leads { "leads" } else { "leads no more" };
                tracing::info!("{} {what} by {}", self.identity, self.lock);
            }
            // Whoever leads looks again before that ends.
            let last =
                self.renewed.map(|at| (at + self.timing.renew).saturating_duration_since(Instant::now()));
            let pause = last.filter(|_| leads).map_or(self.timing.retry, |last| last.min(self.timing.retry));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = &mut stopped => break,
            }
        }
        // First nobody leads, then the lock is free.
        is_leader.send_replace(false);
        if self.renewed.is_some() {
            let given_back = tokio::time::timeout(self.timing.retry, self.give_back()).await;
            if !matches!(given_back, Ok(Ok(()))) {
                tracing::warn!("{} could not be given back; it will run out", self.lock);
            }
        }
    }

    /// Says once for each reason why the lock cannot be asked for: nobody else would say that nothing is written.
    fn tell(&mut self, reason: &str) {
        if self.told != reason {
            tracing::warn!("{} cannot be had or kept at present: {reason}", self.lock);
            reason.clone_into(&mut self.told);
        }
    }

    /// Takes or renews the lock. Whether it is ours now.
    async fn attempt(&mut self) -> Result<bool, Fault> {
        let Some(Held { object, record }) = self.lock.read(&self.client).await? else {
            let record = Record::new(&self.identity, self.timing.lease, 0);
            return self.lock.create(&self.client, &record).await;
        };
        let is_ours = record.holder == self.identity;
        if !is_ours && !record.holder.is_empty() && !self.has_run_out(&record) {
            return Ok(false);
        }
        let mut next = Record::new(&self.identity, self.timing.lease, record.transitions);
        if is_ours {
            next.acquired.clone_from(&record.acquired);
        } else {
            next.transitions += 1;
        }
        self.lock.replace(&self.client, object, &next).await
    }

    /// Whether the record of somebody else has not moved for as long as a lease lasts. Clocks of others are not asked.
    fn has_run_out(&mut self, record: &Record) -> bool {
        match &self.seen {
            Some((seen, since)) if seen == record => since.elapsed() >= self.timing.lease,
            _ => {
                self.seen = Some((record.clone(), Instant::now()));
                false
            }
        }
    }

    async fn give_back(&self) -> Result<(), Fault> {
        if let Some(Held { object, record }) = self.lock.read(&self.client).await?
            && record.holder == self.identity
        {
            let free = Record::new("", Duration::from_secs(1), record.transitions);
            self.lock.replace(&self.client, object, &free).await?;
        }
        Ok(())
    }
}
