//! Controllers that only one replica runs. Each stands for a lock of its own; while this process holds it the
//! controller runs, and when it is lost the controller is ended first. At a graceful stop controllers end, then the
//! locks are given back, so that another replica need not wait for them to run out (platform specification, 1.4).

use std::future::Future;

use kube_io::{Client, Election, Lock, LockKind, Timing};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Who stands for locks, and for which.
pub(crate) struct Leadership {
    client: Client,
    namespace: String,
    identity: String,
    /// Off, every replica acts as leader.
    is_elected: bool,
    controllers: Vec<Controller>,
}

struct Controller {
    /// Leads or not, and ends the controller when dropped.
    task: JoinHandle<()>,
    election: Option<Election>,
}

impl Leadership {
    /// Nobody stands for anything yet. `identity` is the name of the pod.
    pub(crate) fn new(client: Client, namespace: String, identity: String, is_elected: bool) -> Self {
        Self { client, namespace, identity, is_elected, controllers: Vec::new() }
    }

    /// Runs a controller while this process holds a lock: `start` makes its future anew each time. A controller that
    /// ends by itself has nothing left to do.
    pub(crate) fn run<F>(&mut self, kind: LockKind, name: &str, start: impl Fn(Client) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let client = self.client.clone();
        let election = self.is_elected.then(|| {
            let lock = Lock { kind, namespace: self.namespace.clone(), name: name.to_owned() };
            Election::start(client.clone(), lock, self.identity.as_str(), Timing::default())
        });
        let (_, always) = watch::channel(true);
        let is_leader = election.as_ref().map_or(always, Election::is_leader);
        let task = tokio::spawn(while_leading(is_leader, move || start(client.clone())));
        self.controllers.push(Controller { task, election });
    }

    /// Ends all controllers and gives the locks back.
    pub(crate) async fn release(self) {
        let mut elections = Vec::new();
        for Controller { task, election } in self.controllers {
            task.abort();
            // Over only when it is: a write under way must not come after the lock is somebody else's.
            let _ = task.await;
            elections.extend(election);
        }
        let mut releases = tokio::task::JoinSet::new();
        for election in elections {
            releases.spawn(election.release());
        }
        while releases.join_next().await.is_some() {}
    }
}

/// Runs what `start` makes for as long as the channel says so, again and again.
async fn while_leading<F>(mut is_leader: watch::Receiver<bool>, start: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    loop {
        if is_leader.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        let controller = start();
        tokio::pin!(controller);
        let mut has_ended = false;
        loop {
            tokio::select! {
                () = &mut controller, if !has_ended => has_ended = true,
                is_lost = async { is_leader.wait_for(|leads| !*leads).await.is_ok() } => {
                    if is_lost {
                        break;
                    }
                    // Nobody will ever say otherwise.
                    if !has_ended {
                        controller.await;
                    }
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;

    /// Counts who runs: up when made, down when dropped.
    struct Runs(Arc<watch::Sender<(usize, usize)>>);

    impl Drop for Runs {
        fn drop(&mut self) {
            self.0.send_modify(|(_, ended)| *ended += 1);
        }
    }

    #[tokio::test]
    async fn a_controller_runs_while_its_process_leads_and_not_otherwise() {
        let (leads, is_leader) = watch::channel(false);
        let (runs, mut seen) = watch::channel((0, 0));
        let runs = Arc::new(runs);
        let started = Arc::clone(&runs);
        let task = tokio::spawn(while_leading(is_leader, move || {
            let run = Runs(Arc::clone(&started));
            async move {
                run.0.send_modify(|(started, _)| *started += 1);
                std::future::pending::<()>().await;
            }
        }));
        leads.send_replace(true);
        seen.wait_for(|runs| *runs == (1, 0)).await.unwrap();
        leads.send_replace(false);
        seen.wait_for(|runs| *runs == (1, 1)).await.unwrap();
        leads.send_replace(true);
        seen.wait_for(|runs| *runs == (2, 1)).await.unwrap();
        task.abort();
        seen.wait_for(|runs| *runs == (2, 2)).await.unwrap();
    }
}
