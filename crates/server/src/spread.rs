//! Spreading what would otherwise happen at one moment: reconnections after a limit of age or at a stop. The golden
//! ratio puts each number as far as can be from those before it, so even a few connections are spread evenly, and
//! nothing random is needed.

use std::time::Duration;

/// How much the age of a connection may differ from what was asked for, as gRPC has it: a tenth up or down.
const JITTER: f64 = 0.1;
/// At a stop connections are let go no faster than one in this time, unless the time for the stop is short.
const PACE: Duration = Duration::from_millis(5);

/// A fraction from 0 to 1 for the connection of that number.
fn fraction(number: u64) -> f64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    number.wrapping_mul(GOLDEN) as f64 / u64::MAX as f64
}

/// The age at which the connection of that number is asked to go.
pub(crate) fn age(limit: Duration, number: u64) -> Duration {
    limit.mul_f64(1.0 - JITTER + 2.0 * JITTER * fraction(number))
}

/// How long after the beginning of a stop the connection of that number is asked to go, when `n_open` are to go
/// within `limit`.
pub(crate) fn departure(limit: Duration, n_open: usize, number: u64) -> Duration {
    let pace = PACE.saturating_mul(u32::try_from(n_open).unwrap_or(u32::MAX));
    pace.min(limit).mul_f64(fraction(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_keep_within_a_tenth_and_never_bunch() {
        let minute = Duration::from_mins(1);
        let mut ages: Vec<Duration> = (0..100).map(|number| age(minute, number)).collect();
        ages.sort();
        assert!(ages[0] >= Duration::from_secs(54) && ages[99] <= Duration::from_secs(66), "{ages:?}");
        let gaps = ages.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        assert!(gaps.max() <= Some(Duration::from_millis(300)), "12 s hold 100 connections: {ages:?}");
    }

    #[test]
    fn a_few_connections_go_at_once_and_many_within_the_limit() {
        let limit = Duration::from_secs(5);
        assert!(departure(limit, 2, 1) <= Duration::from_millis(10));
        let latest = (0..10_000).map(|number| departure(limit, 10_000, number)).max().unwrap_or_default();
        assert!(latest <= limit && latest > limit.mul_f64(0.99), "{latest:?}");
        assert_eq!(departure(Duration::ZERO, 1000, 7), Duration::ZERO);
    }
}
