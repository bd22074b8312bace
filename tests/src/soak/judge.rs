//! What a soak measured of the process, and whether that is what a process looks like that could go on for ever.

use std::fmt;

use serde::Serialize;

/// Open files, threads and tasks that may come and go without anything being wrong.
const SLACK: f64 = 16.0;

/// The process at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sample {
    /// Seconds since the start.
    pub at_s: f64,
    /// Memory held, in MiB.
    pub rss_mib: f64,
    /// Processor seconds used so far.
    pub cpu_s: f64,
    /// Open files and sockets.
    pub files: f64,
    /// Threads.
    pub threads: f64,
    /// Tasks of its runtime.
    pub tasks: f64,
    /// Streams of proxies.
    pub streams: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MiB, {:.1} CPU s, {} open files, {} threads, {} tasks, {} streams",
            self.rss_mib, self.cpu_s, self.files, self.threads, self.tasks, self.streams
        )
    }
}

/// By how many percent memory grew in the second half, by the trend: the median of the slopes between all pairs of
/// samples there (Theil and Sen), over the length of the half, in percent of the half's median. Single peaks move it
/// hardly at all. `None` where there are too few samples to say.
pub fn growth(samples: &[Sample]) -> Option<f64> {
    const ENOUGH: usize = 8;
    let end = samples.last()?.at_s;
    let half: Vec<&Sample> = samples.iter().filter(|sample| sample.at_s * 2.0 >= end).collect();
    if half.len() < ENOUGH {
        return None;
    }
    let mut slopes = Vec::new();
    for (number, a) in half.iter().enumerate() {
        slopes.extend(half[number + 1..].iter().map(|b| (b.rss_mib - a.rss_mib) / (b.at_s - a.at_s)));
    }
    let length = end - half.first()?.at_s;
    let held = median(half.iter().map(|sample| sample.rss_mib).collect());
    Some(median(slopes) * length / held * 100.0)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What the process holds that it did not hold before, the same proxies being connected.
pub(super) fn leaks(before: &Sample, after: &Sample) -> Vec<String> {
    [
        ("open files", before.files, after.files),
        ("threads", before.threads, after.threads),
        ("tasks", before.tasks, after.tasks),
    ]
    .into_iter()
    .filter(|(_, before, after)| *after > before + SLACK)
    .map(|(what, before, after)| format!("{after} {what} are left where there were {before}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rss: impl Fn(usize) -> f64) -> Vec<Sample> {
        (0..100).map(|n| Sample { at_s: n as f64 * 5.0, rss_mib: rss(n), ..Sample::default() }).collect()
    }

    #[test]
    fn a_rise_in_the_second_half_is_seen_whatever_the_first_did() {
        let growth = growth(&samples(|n| if n < 50 { 500.0 } else { 100.0 + (n - 50) as f64 * 0.2 }));
        assert!(growth.is_some_and(|growth| (8.0..11.0).contains(&growth)), "{growth:?}");
    }

    #[test]
    fn growing_to_full_size_in_the_first_half_and_single_peaks_are_no_rise() {
        let growth = growth(&samples(|n| (n.min(40) * 3) as f64 + if n % 11 == 0 { 80.0 } else { 0.0 }));
        assert!(growth.is_some_and(|growth| growth.abs() < 0.5), "{growth:?}");
    }

    #[test]
    fn a_few_samples_say_nothing() {
        assert_eq!(growth(&samples(|_| 1.0)[..10]), None);
    }

    #[test]
    fn what_is_left_over_is_told_by_its_kind() {
        let before = Sample { files: 100.0, tasks: 50.0, threads: 8.0, ..Sample::default() };
        assert!(leaks(&before, &Sample { files: 110.0, ..before }).is_empty());
        let leaks = leaks(&before, &Sample { tasks: 90.0, ..before });
        assert_eq!(leaks, ["90 tasks are left where there were 50"]);
    }
}
