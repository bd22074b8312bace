//! The reading of one remote cluster as a task: a client, then lists and watches. Everything it has to say goes to the
//! control thread under its number.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use kube_io::{KubernetesSource, Options, RemoteConfig};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{Launch, Said, Settings};
use crate::control::Event;

/// The first pause after a client could not be made; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Starts readings on that runtime.
pub(crate) fn launcher(
    settings: &Settings,
    revision: &str,
    runtime: Handle,
    events: Sender<Event>,
) -> Launch {
    let (timeout, kinds) = (settings.timeout, settings.kinds.clone());
    let revision = revision.to_owned();
    Box::new(move |id, number, config| {
        let options =
            Options { revision: revision.clone(), cluster: Some(Arc::clone(id)), kinds: kinds.clone() };
        let (id, events) = (Arc::clone(id), events.clone());
        let say = move |said: Said| {
            // When the control thread is gone the process ends, and this task with it.
            let _ = events.send(Event::Remote { id: Arc::clone(&id), number, said });
        };
        let mut tasks = vec![Task(runtime.spawn(read(config, options, say.clone())))];
        if !timeout.is_zero() {
            tasks.push(Task(runtime.spawn(async move {
                tokio::time::sleep(timeout).await;
                say(Said::TimedOut);
            })));
        }
        Box::new(tasks)
    })
}

/// Ends when dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read(config: RemoteConfig, options: Options, say: impl Fn(Said) + Clone + Send + 'static) {
    let mut pause = FIRST_PAUSE;
    let client = loop {
        match config.connect().await {
            Ok(client) => break client,
            Err(fault) => say(Said::Unusable(fault.to_string())),
        }
        // A file or plugin may be there later.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    say(Said::Connected(client.clone()));
    let _source = KubernetesSource::start(client, options, move |event| say(Said::Told(event)));
    std::future::pending::<()>().await;
}
