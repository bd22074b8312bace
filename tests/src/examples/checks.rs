//! Verdicts on what was measured: equal, a share that chance allows, a duration within bounds.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use testkit::statistics::binomial_bounds;

use crate::report::Check;

/// Measured and promised are the same.
pub(super) fn equal<T: Debug + PartialEq>(what: &str, measured: &T, promised: &T) -> Check {
    Check::new(what, format!("{measured:?}"), format!("{promised:?}"), measured == promised)
}

/// A fact that is not a number.
pub(super) fn holds(what: &str, measured: impl Into<String>, promised: &str, passed: bool) -> Check {
    Check::new(what, measured, promised, passed)
}

/// One outcome's share of `n` is `p`, but for what chance does in all but one of a million runs.
pub(super) fn share(what: &str, counts: &BTreeMap<String, u32>, outcome: &str, n: u32, p: f64) -> Check {
    let measured = counts.get(outcome).copied().unwrap_or_default();
    let bounds = binomial_bounds(n, p);
    let passed = bounds.contains(&measured);
    let text = if passed { format!("{measured} of {n}") } else { format!("{measured} of {n}: {counts:?}") };
    Check::new(what, text, format!("{} to {}", bounds.start(), bounds.end()), passed)
}

/// How early Envoy's timers may be. Its event loop reads the kernel's coarse clock, which moves once a tick and so is up
/// to a tick late when a timer is set. A tick is 10 ms on the slowest Linux (`CONFIG_HZ=100`). Where it is 4 ms, 900
/// requests with a delay of 400 ms took 397.7 ms or more, idle and beside six busy processes, and none took less than
/// 396 ms; Envoy's own histogram has its lowest bucket at 390 to 400 ms.
pub const TICK: Duration = Duration::from_millis(10);

/// At least so long, but for a tick of Envoy's clock.
pub(super) fn at_least(what: &str, measured: Duration, bound: Duration) -> Check {
    let least = bound.saturating_sub(TICK);
    Check::new(what, milliseconds(measured), format!("at least {}", milliseconds(least)), measured >= least)
}

/// At most so long.
pub(super) fn at_most(what: &str, measured: Duration, bound: Duration) -> Check {
    Check::new(what, milliseconds(measured), format!("at most {}", milliseconds(bound)), measured <= bound)
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
