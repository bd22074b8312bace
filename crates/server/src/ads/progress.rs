//! Whether a client takes what it is sent. The body of the stream notes what has gone into the socket, which is as much
//! as the client makes room for; the stream asks whether that has taken too long (reliability specification, 2: slow or stuck
//! proxy).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A client has the time limit for each response, and once more for each further part of it that is so long, so that
/// a large mesh over a thin line is no fault. In bytes.
pub(super) const STEP: usize = 1 << 20;

/// What both ends of a stream know of it.
#[derive(Debug)]
pub(super) struct Progress {
    /// `None` is for ever.
    limit: Option<Duration>,
    opened: Instant,
    /// When the present step began, in microseconds since the stream was opened.
    step: AtomicU64,
    /// Responses that were handed over and are not written yet.
    n_unwritten: AtomicUsize,
}

impl Progress {
    /// Nothing was sent. A limit of zero is none.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit: (!limit.is_zero()).then_some(limit),
            opened: Instant::now(),
            step: AtomicU64::new(0),
            n_unwritten: AtomicUsize::new(0),
        }
    }

    /// A response is about to be handed over.
    pub(super) fn begins(&self) {
        if self.n_unwritten.fetch_add(1, Ordering::AcqRel) == 0 {
            self.steps();
        }
    }

    /// Another step of a response was written.
    pub(super) fn steps(&self) {
        let passed = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.step.store(passed, Ordering::Release);
    }

    /// The rest of a response was written.
    pub(super) fn ends(&self) {
        self.steps();
        self.n_unwritten.fetch_sub(1, Ordering::AcqRel);
    }

    /// When the client will have taken too long, as it looks now.
    fn due(&self) -> Option<Instant> {
        let limit = self.limit.filter(|_| self.n_unwritten.load(Ordering::Acquire) > 0)?;
        self.opened.checked_add(Duration::from_micros(self.step.load(Ordering::Acquire)))?.checked_add(limit)
    }

    /// Whether the client has taken too long.
    pub(super) fn is_stuck(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    /// Waits until the client has taken too long; for ever while there is nothing that it should read.
    pub(super) async fn stuck(&self) {
        loop {
            match self.due() {
                Some(due) if due <= Instant::now() => return,
                Some(due) => sleep_until(due).await,
                None => return std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unread_for_too_long_is_stuck() {
        let (short, long) = (Progress::new(Duration::from_nanos(1)), Progress::new(Duration::from_hours(1)));
        assert!(!short.is_stuck(), "nothing was sent");
        for progress in [&short, &long] {
            progress.begins();
            progress.begins();
            progress.ends();
        }
        assert!(short.is_stuck() && !long.is_stuck());
        short.ends();
        assert!(!short.is_stuck(), "everything was read");
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let progress = Progress::new(Duration::ZERO);
        progress.begins();
        assert!(!progress.is_stuck() && progress.due().is_none());
    }
}
