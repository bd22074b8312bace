//! What the example promises, step by step: each promise is measured over the gateway with real requests and
//! judged against a bound that a right mesh misses once in a million runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::http::{self, Response};
use testkit::statistics::binomial_bounds;
use testkit::wait;

use crate::household::Mesh;
use crate::layout::{GATEWAY, WORKLOADS};
use crate::report::{self, Check};

const FIRST_ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The fault's own delay in routing.yaml, and what the hops around it may add on a busy machine.
const DELAY: Duration = Duration::from_millis(400);
const DELAY_SLACK: Duration = Duration::from_millis(400);
/// From the edit of a file until the last request that went the old way.
const MOVE_LIMIT: Duration = Duration::from_secs(2);

/// All steps; true if every check passed.
pub(crate) fn walk(mesh: &Mesh, config: &Path) -> Result<bool> {
    wait_for_first_answer()?;
    let steps =
        [mutual_tls(mesh)?, split()?, header_match()?, abort()?, delay()?, edit(config)?, overview(mesh)?];
    let passed = steps.iter().all(|passed| *passed);
    report::line("");
    report::line(if passed { "All checks passed." } else { "Some checks FAILED." });
    Ok(passed)
}

/// Ready proxies may still be warming one another's endpoints; the first whole page ends the start-up.
fn wait_for_first_answer() -> Result<()> {
    let what = "a whole page through the gateway";
    wait::until(what, FIRST_ANSWER_LIMIT, || {
        let page = ask(&[])?;
        let body =
            page.json().map_err(|_| std::io::Error::other(format!("{} {}", page.status, page.text())))?;
        let whole = body["calls"]["details"]["version"].is_string()
            && body["calls"]["reviews"]["version"].is_string();
        if whole { Ok(Some(())) } else { Err(std::io::Error::other(body.to_string())) }
    })?;
    Ok(())
}

/// Sidecars answer a peer with a certificate of the mesh and nobody else.
fn mutual_tls(mesh: &Mesh) -> Result<bool> {
    let mut checks = Vec::new();
    for workload in WORKLOADS {
        let outcome = match http::get(workload.inbound(), "/").send() {
            Ok(response) => format!("answered with {}", response.status),
            Err(_) => "refused".to_owned(),
        };
        let refused = outcome == "refused";
        checks.push(Check::new(format!("plain text to {}", workload.name()), outcome, "refused", refused));
    }
    for (name, admin) in &mesh.proxies {
        let page = admin.get("/certs")?.json()?;
        let chains = page["certificates"].as_array().into_iter().flatten().map(|one| &one["cert_chain"][0]);
        let mut names = chains.filter_map(|leaf| leaf["subject_alt_names"][0]["uri"].as_str());
        let identity = names.next_back().unwrap_or("none").to_owned();
        let good = identity.starts_with("spiffe://cluster.local/ns/");
        checks.push(Check::new(format!("identity of {name}"), identity, "of the mesh", good));
    }
    Ok(report::checks("Mutual TLS, strict", &checks))
}

fn split() -> Result<bool> {
    const N: u32 = 500;
    let versions = count(N, &[], reviews_version)?;
    let checks = [
        share("reviews v1", &versions, "v1", N, 0.9),
        share("reviews v3", &versions, "v3", N, 0.1),
        share("anything else", &versions, "", N, 0.0),
    ];
    Ok(report::checks(&format!("Weights 90 to 10, {N} requests"), &checks))
}

fn header_match() -> Result<bool> {
    const N: u32 = 100;
    let versions = count(N, &[("end-user", "jason")], reviews_version)?;
    let checks = [share("reviews v2", &versions, "v2", N, 1.0)];
    Ok(report::checks(&format!("Header end-user: jason, {N} requests"), &checks))
}

fn abort() -> Result<bool> {
    const N: u32 = 300;
    let outcomes = count(N, &[("end-user", "jason"), ("x-fault", "abort")], ratings_outcome)?;
    let checks =
        [share("ratings 503", &outcomes, "503", N, 0.4), share("ratings v1", &outcomes, "v1", N, 0.6)];
    Ok(report::checks(&format!("Fault: abort 40%, {N} requests"), &checks))
}

fn delay() -> Result<bool> {
    const N: u32 = 15;
    let mut elapsed = Vec::new();
    for _ in 0..N {
        elapsed.push(ask(&[("end-user", "jason"), ("x-fault", "delay")])?.elapsed);
    }
    elapsed.sort();
    let fastest = elapsed[0];
    let median = elapsed[elapsed.len() / 2];
    let ms = |duration: Duration| format!("{} ms", duration.as_millis());
    let least = DELAY.saturating_sub(::tests::examples::TICK);
    let most = DELAY + DELAY_SLACK;
    let checks = [
        Check::new("fastest page", ms(fastest), format!("at least {}", ms(least)), fastest >= least),
        Check::new("median page", ms(median), format!("at most {}", ms(most)), median <= most),
    ];
    Ok(report::checks(&format!("Fault: delay {}, {N} requests", ms(DELAY)), &checks))
}

/// Moves all traffic to reviews v3 by an edit of the watched file while requests run.
fn edit(config: &Path) -> Result<bool> {
    /// So many new answers in a row are no luck: before the edit one in ten is new.
    const IN_A_ROW: u32 = 40;
    let edited = Instant::now();
    rewrite(&config.join("routing.yaml"))?;
    let written = edited.elapsed();
    let mut last_old = Duration::ZERO;
    let mut in_a_row = 0;
    let mut n_requests = 0;
    let mut n_failed = 0;
    while in_a_row < IN_A_ROW && edited.elapsed() < MOVE_LIMIT * 5 {
        let version = ask(&[]).map(|page| reviews_version(&page));
        n_requests += 1;
        match version.as_deref() {
            Ok("v3") => in_a_row += 1,
            Ok("v1") => {
                last_old = edited.elapsed();
                in_a_row = 0;
            }
            _ => {
                n_failed += 1;
                in_a_row = 0;
            }
        }
    }
    let moved = in_a_row >= IN_A_ROW;
    let measured = if moved {
        format!("{} ms (file written at {} ms)", last_old.as_millis(), written.as_millis())
    } else {
        "never".to_owned()
    };
    let checks = [
        Check::new(
            "last request the old way",
            measured,
            format!("at most {} ms", MOVE_LIMIT.as_millis()),
            moved && last_old <= MOVE_LIMIT,
        ),
        Check::new("failed requests", format!("{n_failed} of {n_requests}"), "none", n_failed == 0),
    ];
    Ok(report::checks("Edit of routing.yaml: all to reviews v3, while requests run", &checks))
}

/// As an editor saves: whole, under the old name. Readers see the old file or the new one.
fn rewrite(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let edited = moved_to_v3(&text);
    anyhow::ensure!(edited != text, "{} has no weights 90 and 10 to edit", file.display());
    let beside = file.with_extension("yaml.new");
    std::fs::write(&beside, edited)?;
    std::fs::rename(&beside, file).with_context(|| format!("writing {}", file.display()))
}

fn moved_to_v3(text: &str) -> String {
    text.replace("weight: 90\n", "weight: 0\n").replace("weight: 10\n", "weight: 100\n")
}

/// What every proxy was sent and has taken, by the control plane's account and by its own.
fn overview(mesh: &Mesh) -> Result<bool> {
    let page = http::get(mesh.monitoring, "/debug/syncz").send()?.json()?;
    let mut rows = Vec::new();
    let mut passed = true;
    for (name, admin) in &mesh.proxies {
        let status = page.as_array().into_iter().flatten().find(|status| status["proxy"] == name.as_str());
        let kinds: Vec<String> = ["cluster", "listener", "route", "endpoint"]
            .iter()
            .map(|kind| status.map_or("MISSING", |status| sync_state(status, kind)).to_owned())
            .collect();
        let version = status.and_then(|status| status["proxy_version"].as_str()).unwrap_or_default();
        let n_rejected = admin.n_rejected()?;
        let good = n_rejected == 0 && kinds.iter().all(|state| state == "SYNCED" || state == "IGNORED");
        passed &= good;
        let verdict = if good { "PASS" } else { "FAIL" };
        let mut row = vec![name.clone(), version.to_owned()];
        row.extend(kinds);
        row.extend([n_rejected.to_string(), verdict.to_owned()]);
        rows.push(row);
    }
    let header = ["proxy", "version", "CDS", "LDS", "RDS", "EDS", "rejected", ""];
    report::table("Proxies, by /debug/syncz and their own counters", &header, &rows);
    Ok(passed)
}

/// The words of `istioctl proxy-status`.
fn sync_state(status: &Value, kind: &str) -> &'static str {
    let of = |what: &str| status[format!("{kind}_{what}")].as_str().unwrap_or_default();
    match (of("sent"), of("acked")) {
        ("", _) => "IGNORED",
        (sent, acked) if sent == acked => "SYNCED",
        _ => "STALE",
    }
}

fn ask(headers: &[(&str, &str)]) -> std::io::Result<Response> {
    let mut request = http::get(GATEWAY, "/productpage").header("host", "bookinfo.example.com");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send()
}

/// How often each outcome came in so many requests.
fn count(
    n: u32,
    headers: &[(&str, &str)],
    outcome: fn(&Response) -> String,
) -> Result<BTreeMap<String, u32>> {
    let mut counts = BTreeMap::new();
    for _ in 0..n {
        let page = ask(headers).context("asking the gateway")?;
        *counts.entry(outcome(&page)).or_default() += 1;
    }
    Ok(counts)
}

/// The version of reviews that a page shows, or what went wrong.
fn reviews_version(page: &Response) -> String {
    let body = page.json().unwrap_or_default();
    outcome(&body["calls"]["reviews"], page.status)
}

/// The version of ratings that a page's reviews show, or the status or error in its place.
fn ratings_outcome(page: &Response) -> String {
    let body = page.json().unwrap_or_default();
    outcome(&body["calls"]["reviews"]["calls"]["ratings"], page.status)
}

fn outcome(answer: &Value, page_status: u16) -> String {
    if let Some(version) = answer["version"].as_str() {
        return version.to_owned();
    }
    match (answer["status"].as_u64(), answer["error"].as_str()) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => error.to_owned(),
        (None, None) => format!("page {page_status}"),
    }
}

/// Judges one outcome's share; the empty name stands for all outcomes but versions 1 and 3.
fn share(what: &str, counts: &BTreeMap<String, u32>, name: &str, n: u32, p: f64) -> Check {
    let matches =
        |outcome: &str| if name.is_empty() { outcome != "v1" && outcome != "v3" } else { outcome == name };
    let measured: u32 = counts.iter().filter(|(outcome, _)| matches(outcome)).map(|(_, count)| count).sum();
    let bounds = binomial_bounds(n, p);
    let percent = |count: u32| format!("{:.1}%", f64::from(count) * 100.0 / f64::from(n));
    let passed = bounds.contains(&measured);
    let mut text = percent(measured);
    if !passed {
        text = format!("{text} of {counts:?}");
    }
    let bound = if bounds.start() == bounds.end() {
        percent(*bounds.start())
    } else {
        format!("{} to {}", percent(*bounds.start()), percent(*bounds.end()))
    };
    Check::new(what, text, bound, passed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_edit_finds_its_weights_in_the_example() {
        let file = testkit::workspace().join("examples/bookinfo/routing.yaml");
        let text = std::fs::read_to_string(file).unwrap();
        let moved = moved_to_v3(&text);
        assert_eq!(moved.matches("weight: 100\n").count(), 1);
        assert_eq!(moved.matches("weight: 0\n").count(), 1);
        assert!(!moved.contains("weight: 90"));
    }

    #[test]
    fn shares_are_judged_by_chance() {
        let counts = BTreeMap::from([("v1".to_owned(), 452), ("v3".to_owned(), 48)]);
        assert!(share("v1", &counts, "v1", 500, 0.9).passed);
        assert!(!share("v1", &counts, "v1", 500, 0.7).passed);
        assert!(share("else", &counts, "", 500, 0.0).passed);
        assert_eq!(share("v3", &counts, "v3", 500, 0.1).measured, "9.6%");
    }

    #[test]
    fn an_outcome_is_a_version_a_status_or_an_error() {
        assert_eq!(outcome(&json!({"version": "v2"}), 200), "v2");
        assert_eq!(outcome(&json!({"status": 503}), 200), "503");
        assert_eq!(outcome(&json!({"error": "refused"}), 200), "refused");
        assert_eq!(outcome(&Value::Null, 404), "page 404");
    }

    #[test]
    fn a_proxy_is_synced_when_it_has_taken_what_was_sent() {
        let status =
            json!({"cluster_sent": "a", "cluster_acked": "a", "route_sent": "b", "route_acked": "a"});
        assert_eq!(sync_state(&status, "cluster"), "SYNCED");
        assert_eq!(sync_state(&status, "route"), "STALE");
        assert_eq!(sync_state(&status, "endpoint"), "IGNORED");
    }
}
