//! How fast new streams come in: a bucket of one token, refilled at a steady rate. A stream waits a second at most
//! (platform specification, 2.1), so that a crowd of reconnecting proxies is spread out and the rest tries again.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

const MAX_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Admission {
    interval: Duration,
    /// When the next stream may come in.
    next: Mutex<Option<Instant>>,
}

impl Admission {
    /// Zero streams per second stands for no limit.
    pub(crate) fn new(streams_per_second: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(streams_per_second).unwrap_or_default();
        Self { interval, next: Mutex::new(None) }
    }

    /// Waits for this stream's turn; `false` if that is too far away.
    pub(crate) async fn admit(&self) -> bool {
        let Some(turn) = self.turn(Instant::now()) else { return false };
        sleep_until(turn).await;
        true
    }

    fn turn(&self, now: Instant) -> Option<Instant> {
        let mut next = self.next.lock();
        let turn = next.map_or(now, |next| next.max(now));
        if turn > now + MAX_WAIT {
            return None;
        }
        *next = Some(turn + self.interval);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_queue_for_a_second_and_no_longer() {
        let admission = Admission::new(2);
        let now = Instant::now();
        let waits: Vec<Option<u128>> =
            (0..4).map(|_| admission.turn(now).map(|turn| (turn - now).as_millis())).collect();
        assert_eq!(waits, [Some(0), Some(500), Some(1000), None]);
        let later = now + Duration::from_mins(1);
        assert_eq!(admission.turn(later), Some(later));
    }

    #[test]
    fn zero_is_no_limit() {
        let admission = Admission::new(0);
        let now = Instant::now();
        assert!((0..100).all(|_| admission.turn(now) == Some(now)));
    }
}
