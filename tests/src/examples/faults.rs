//! Examples of what happens when things go wrong: circuit breaking, timeout, abort, delay, retries.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use testkit::wait;

use super::checks::{at_least, at_most, equal, holds, share};
use super::running::Running;
use crate::report::Check;

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(1);

pub(super) fn circuit_breaking(running: &Running) -> Result<Vec<Check>> {
    const N: usize = 8;
    let answers: Vec<(u16, bool)> = std::thread::scope(|scope| {
        let ask = || running.ask("httpbin", "/slow/400", &[]);
        let callers: Vec<_> = (0..N).map(|_| scope.spawn(ask)).collect();
        callers
            .into_iter()
            .filter_map(|caller| caller.join().ok()?.ok())
            .map(|answer| (answer.status, answer.header("x-envoy-overloaded").is_some()))
            .collect()
    });
    let count = |wanted: (u16, bool)| answers.iter().filter(|answer| **answer == wanted).count();
    let (served, refused) = (count((200, false)), count((503, true)));
    let overflows: u64 = running.admin("client")?.stats("upstream_rq_pending_overflow$")?.values().sum();
    // The access log is written a moment after the answer.
    let logged = wait::until("the flag UO in the access log", Duration::from_secs(5), || {
        let log = running.log("client").map_err(std::io::Error::other)?;
        let n = log.lines().filter(|line| line.contains(" 503 UO ")).count();
        Ok((n >= refused).then_some(n))
    });
    let refused_text = refused.to_string();
    Ok(vec![
        holds("answered 200", served.to_string(), "at least 1", served >= 1),
        holds("answered 503 with x-envoy-overloaded", refused_text, "at least 1", refused >= 1),
        equal("answered in all", &(served + refused), &N),
        equal("overflows counted", &overflows, &(refused as u64)),
        equal("lines of the access log with UO", &logged.ok(), &Some(refused)),
    ])
}

pub(super) fn timeout(running: &Running) -> Result<Vec<Check>> {
    let slow = running.ask("httpbin", "/slow/2000", &[])?;
    let quick = running.ask("httpbin", "/", &[])?;
    let limit = Duration::from_millis(500);
    Ok(vec![
        equal("a request of 2 s", &slow.status, &504),
        at_least("its answer after", slow.elapsed, limit),
        at_most("its answer after", slow.elapsed, limit + SLACK),
        equal("a quick request", &quick.status, &200),
    ])
}

pub(super) fn fault_abort(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 300;
    let outcomes = running.versions(N, "ratings", &[])?;
    let passed = outcomes.get("v1").copied().unwrap_or_default();
    let total: u32 = outcomes.values().sum();
    let kinds: Vec<&str> = outcomes.keys().map(String::as_str).collect();
    Ok(vec![
        share("answered 503", &outcomes, "503", N, 0.4),
        equal("kinds of answers", &kinds, &vec!["503", "v1"]),
        equal("answers", &total, &N),
        equal("requests that the pod received", &running.received("ratings-v1").len(), &(passed as usize)),
    ])
}

pub(super) fn delay(running: &Running) -> Result<Vec<Check>> {
    let wait = Duration::from_millis(400);
    let (mut slow, mut quick, mut statuses) = (Vec::new(), Vec::new(), BTreeMap::new());
    for _ in 0..5 {
        let answers = [running.ask("ratings", "/", &[("x-slow", "yes")])?, running.ask("ratings", "/", &[])?];
        for answer in &answers {
            *statuses.entry(answer.status).or_default() += 1;
        }
        slow.push(answers[0].elapsed);
        quick.push(answers[1].elapsed);
    }
    slow.sort();
    quick.sort();
    Ok(vec![
        equal("statuses", &statuses, &BTreeMap::from([(200, 10)])),
        at_least("fastest with the header", slow[0], wait),
        at_most("median with the header", slow[2], wait + SLACK),
        at_most("median without", quick[2], wait),
    ])
}

pub(super) fn retries(running: &Running) -> Result<Vec<Check>> {
    let failing = running.ask("httpbin", "/status/503", &[])?;
    let flaky = running.ask("httpbin", "/flaky/once/2", &[])?;
    let count =
        |path: &str| running.received("httpbin-v1").iter().filter(|request| request.path == path).count();
    Ok(vec![
        equal("a request that always fails", &failing.status, &503),
        equal("times that the pod received it", &count("/status/503"), &4),
        equal("a request that fails twice", &flaky.status, &200),
        equal("times that the pod received it", &count("/flaky/once/2"), &3),
    ])
}
