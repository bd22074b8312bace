//! Whether the control thread gets on: it beats each time it is through with an event, and now and then when there
//! is none. A thread that has not beaten for long is stuck and one that has ended is dead; in both cases probes say
//! so, and the process is restarted while its replicas serve (fault "replica restart" of the reliability
//! specification).

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often an idle thread beats.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// Whoever has not beaten for so long is stuck.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// The pulse of one thread.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat(Mutex<Pulse>);

#[derive(Clone, Copy, Debug, Default)]
enum Pulse {
    #[default]
    NotStarted,
    Beaten(Instant),
    Ended,
}

impl Heartbeat {
    /// The thread is well at this moment.
    pub(crate) fn beat(&self, now: Instant) {
        *self.0.lock() = Pulse::Beaten(now);
    }

    /// The thread has ended, however.
    pub(crate) fn end(&self) {
        *self.0.lock() = Pulse::Ended;
    }

    /// Whether the thread is well, seen at this moment. One that has not started yet is.
    pub(crate) fn is_well(&self, now: Instant) -> bool {
        match *self.0.lock() {
            Pulse::NotStarted => true,
            Pulse::Beaten(last) => now.saturating_duration_since(last) < LIMIT,
            Pulse::Ended => false,
        }
    }
}
