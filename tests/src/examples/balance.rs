//! Examples of how pods share requests: random, round robin, session affinity.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::checks::{equal, holds, share};
use super::running::{Running, version};
use crate::report::Check;

const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

pub(super) fn random(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 300;
    let (order, counts) = in_order(running, N)?;
    let mut checks: Vec<Check> = VERSIONS
        .iter()
        .map(|version| share(&format!("answers of {version}"), &counts, version, N, 1.0 / 3.0))
        .collect();
    let repeats = order.windows(2).filter(|pair| pair[0] == pair[1]).count();
    checks.push(holds("the same pod twice in a row", repeats.to_string(), "at least once", repeats > 0));
    Ok(checks)
}

pub(super) fn round_robin(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 60;
    let (order, counts) = in_order(running, N)?;
    let turns = order.windows(3).filter(|three| three.iter().collect::<BTreeSet<_>>().len() == 3).count();
    let promised = VERSIONS.iter().map(|version| ((*version).to_owned(), N / 3)).collect();
    Ok(vec![
        equal("answers", &counts, &promised),
        equal("three in a row by three pods", &turns, &(N as usize - 2)),
    ])
}

pub(super) fn session_affinity(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 20;
    let first = running.ask("httpbin", "/", &[])?;
    let set_cookie = first.header("set-cookie").unwrap_or_default().to_owned();
    let cookie = set_cookie.split(';').next().unwrap_or_default();
    let same = running.versions(N, "httpbin", &[("cookie", cookie)])?;
    let fresh = running.versions(N, "httpbin", &[])?;
    let promised = BTreeMap::from([(version(&first), N)]);
    Ok(vec![
        holds("set-cookie", set_cookie.as_str(), "user=…", set_cookie.starts_with("user=")),
        equal("answers to that cookie", &same, &promised),
        holds("answers to new cookies", format!("{fresh:?}"), "at least two pods", fresh.len() >= 2),
    ])
}

/// Who answered, one after the other, and how often each.
fn in_order(running: &Running, n: u32) -> Result<(Vec<String>, BTreeMap<String, u32>)> {
    let mut order = Vec::new();
    let mut counts = BTreeMap::new();
    for _ in 0..n {
        let version = version(&running.ask("httpbin", "/", &[])?);
        *counts.entry(version.clone()).or_default() += 1;
        order.push(version);
    }
    Ok((order, counts))
}
