//! Examples of who answers: canary, header routing, mirror, one-way route, delegate, blue-green.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::wait;

use super::checks::{at_most, equal, share};
use super::running::{Running, version};
use crate::report::Check;

pub(super) fn canary(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 400;
    let versions = running.versions(N, "reviews", &[])?;
    let total: u32 = ["v1", "v2"].iter().filter_map(|name| versions.get(*name)).sum();
    Ok(vec![
        share("answers of v1", &versions, "v1", N, 0.9),
        share("answers of v2", &versions, "v2", N, 0.1),
        equal("answers of either", &total, &N),
    ])
}

pub(super) fn header_routing(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 30;
    let with = |headers| running.versions(N, "reviews", headers);
    Ok(vec![
        equal("jason reads", &with(&[("end-user", "jason")])?, &only("v2", N)),
        equal("jane reads", &with(&[("end-user", "jane")])?, &only("v1", N)),
        equal("nobody reads", &with(&[])?, &only("v1", N)),
    ])
}

pub(super) fn mirror(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 50;
    let versions = running.versions(N, "httpbin", &[])?;
    // Copies go their own way and may arrive after the answer.
    let copies = wait::until("all copies", Duration::from_secs(5), || {
        let copies = running.received("httpbin-v2");
        Ok((copies.len() >= N as usize).then_some(copies))
    });
    let copies = copies.unwrap_or_else(|_| running.received("httpbin-v2"));
    let same_host = copies.iter().filter(|copy| copy.header("host") == Some("httpbin"));
    Ok(vec![
        equal("answers", &versions, &only("v1", N)),
        equal("copies that v2 received", &copies.len(), &(N as usize)),
        equal("of them for the same host", &same_host.count(), &(N as usize)),
        equal("requests that v1 received", &running.received("httpbin-v1").len(), &(N as usize)),
    ])
}

pub(super) fn one_way_route(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 60;
    let versions = running.versions(N, "reviews", &[])?;
    let others = running.received("reviews-v2").len() + running.received("reviews-v3").len();
    Ok(vec![
        equal("answers", &versions, &only("v1", N)),
        equal("requests that v2 and v3 received", &others, &0),
    ])
}

pub(super) fn delegate(running: &Running) -> Result<Vec<Check>> {
    let answer = |path: &str| Ok::<_, anyhow::Error>(version(&running.ask("shop", path, &[])?));
    let mut checks = vec![
        equal("/cart", &answer("/cart")?, &"v1".to_owned()),
        equal("/stock", &answer("/stock")?, &"v2".to_owned()),
        equal("/stock/old", &answer("/stock/old")?, &"v2".to_owned()),
        equal("/else", &answer("/else")?, &"404".to_owned()),
    ];
    let paths: Vec<String> = running.received("shop-v2").into_iter().map(|request| request.path).collect();
    checks.push(equal("paths that v2 received", &paths, &vec!["/stock".to_owned(), "/archive".to_owned()]));
    Ok(checks)
}

pub(super) fn blue_green(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 40;
    const MOVE_LIMIT: Duration = Duration::from_secs(2);
    let before = running.versions(N, "shop", &[])?;
    let edited = Instant::now();
    turn_green(running)?;
    let (mut last_blue, mut in_a_row, mut failed) = (Duration::ZERO, 0, 0);
    while in_a_row < N && edited.elapsed() < MOVE_LIMIT * 5 {
        match version(&running.ask("shop", "/", &[])?).as_str() {
            "v2" => in_a_row += 1,
            "v1" => (last_blue, in_a_row) = (edited.elapsed(), 0),
            _ => (failed, in_a_row) = (failed + 1, 0),
        }
    }
    Ok(vec![
        equal("answers before the edit", &before, &only("v1", N)),
        equal("answers of green in a row", &in_a_row, &N),
        at_most("last answer of blue after the edit", last_blue, MOVE_LIMIT),
        equal("failed requests", &failed, &0),
    ])
}

/// As an editor saves: whole, under the old name.
fn turn_green(running: &Running) -> Result<()> {
    let file = running.config.join("routing.yaml");
    let text = std::fs::read_to_string(&file)?;
    let edited = text.replace("subset: v1", "subset: v2");
    ensure!(edited != text, "{} has no subset to change", file.display());
    let beside = file.with_extension("new");
    std::fs::write(&beside, edited)?;
    std::fs::rename(&beside, &file).with_context(|| format!("writing {}", file.display()))
}

fn only(version: &str, n: u32) -> BTreeMap<String, u32> {
    BTreeMap::from([(version.to_owned(), n)])
}
