//! The thread that watches a folder and says what became of it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use config::{Changeset, Rejection, SourceEvent};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::catalog::{Catalog, Outcome};
use crate::scan::scan;

/// A folder is read once it has been quiet for so long: writers take several steps.
const QUIET: Duration = Duration::from_millis(50);
/// But it is read after so long at the latest.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a folder cannot be a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder could not be listed at the start.
    #[error("the folder {} cannot be read", folder.display())]
    ReadFolder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder could not be watched.
    #[error("the folder {} cannot be watched", folder.display())]
    WatchFolder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: notify::Error,
    },
    /// The thread could not be started.
    #[error("the thread that watches {} cannot be started", folder.display())]
    StartThread {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A folder being watched, until this is dropped.
pub struct FolderSource {
    folder: PathBuf,
    to_thread: Sender<Message>,
    thread: Option<JoinHandle<()>>,
    _watcher: RecommendedWatcher,
}

enum Message {
    Changed,
    WatchFailed(String),
    Stop,
}

impl FolderSource {
    /// Reads the folder and hands the whole of it to `on_event`, before returning; from then on what changes, on a
    /// thread of its own. No event is empty, but for the first one of an empty folder.
    pub fn start(
        folder: impl Into<PathBuf>,
        mut on_event: impl FnMut(SourceEvent) + Send + 'static,
    ) -> Result<Self, FolderError> {
        let folder = folder.into();
        let (to_thread, messages) = channel();
        // Watching starts before reading, so that nothing falls between the two.
        let watcher = watch(&folder, to_thread.clone())
            .map_err(|source| FolderError::WatchFolder { folder: folder.clone(), source })?;
        let first = scan(&folder, |_| None)
            .map_err(|source| FolderError::ReadFolder { folder: folder.clone(), source })?;
        let mut catalog = Catalog::default();
        let Outcome { changes, rejections, warnings } = catalog.advance(first);
        on_event(SourceEvent { changes, rejections: rejections.clone(), warnings: warnings.clone() });

        let follower = Follower { folder: folder.clone(), catalog, rejections, warnings, on_event };
        let thread = thread::Builder::new()
            .name("folder-source".to_owned())
            .spawn(move || follower.run(&messages))
            .map_err(|source| FolderError::StartThread { folder: folder.clone(), source })?;
        Ok(Self { folder, to_thread, thread: Some(thread), _watcher: watcher })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl fmt::Debug for FolderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderSource").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Drop for FolderSource {
    fn drop(&mut self) {
        // A failure means that the thread is gone already.
        let _ = self.to_thread.send(Message::Stop);
        // The callback may own this value, and a thread cannot wait for itself.
        let thread = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!(folder = %self.folder.display(), "the thread that watched the folder had panicked");
        }
    }
}

fn watch(folder: &Path, to_thread: Sender<Message>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let message = match event {
            // Our own reading must not count.
            Ok(event) if is_reading(&event.kind) => return,
            Ok(_) => Message::Changed,
            Err(error) => Message::WatchFailed(error.to_string()),
        };
        // A failure means that the source was dropped.
        let _ = to_thread.send(message);
    })?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}

fn is_reading(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

/// What lives on the thread.
struct Follower<F> {
    folder: PathBuf,
    catalog: Catalog,
    rejections: Vec<Rejection>,
    warnings: Vec<String>,
    on_event: F,
}

impl<F: FnMut(SourceEvent)> Follower<F> {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let Some(failures) = gather(first, messages) else { return };
            self.read(failures);
        }
    }

    fn read(&mut self, mut warnings: Vec<String>) {
        let changes = match scan(&self.folder, |path| self.catalog.stamp(path)) {
            Ok(found) => {
                let outcome = self.catalog.advance(found);
                warnings.extend(outcome.warnings);
                if outcome.changes.is_empty()
                    && outcome.rejections == self.rejections
                    && warnings == self.warnings
                {
                    return;
                }
                self.rejections = outcome.rejections;
                outcome.changes
            }
            Err(error) => {
                let folder = self.folder.display();
                warnings
                    .push(format!("the folder {folder} cannot be read: {error}; everything stays as it was"));
                if warnings == self.warnings {
                    return;
                }
                Changeset::default()
            }
        };
        self.warnings = warnings;
        (self.on_event)(SourceEvent {
            changes,
            rejections: self.rejections.clone(),
            warnings: self.warnings.clone(),
        });
    }
}

/// Waits until the folder is quiet. Returns what the watcher complained of, or none if it is time to stop.
fn gather(first: Message, messages: &Receiver<Message>) -> Option<Vec<String>> {
    let latest = Instant::now() + PATIENCE;
    let mut failures = Vec::new();
    let mut next = first;
    loop {
        match next {
            Message::Changed => {}
            Message::WatchFailed(error) => failures.push(format!("watching fails: {error}")),
            Message::Stop => return None,
        }
        let wait = latest.saturating_duration_since(Instant::now()).min(QUIET);
        next = match messages.recv_timeout(wait) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return Some(failures),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
    }
}
