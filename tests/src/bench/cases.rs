//! The cases of the performance specification, 4, that are measured from outside. Each returns its figures beside the
//! goals that stand for it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;
use swarm::{Kind, Options};

use super::figures::Figures;
use super::mesh::{Size, objects, places, slice, virtual_service};
use super::plane::Usage;
use super::probe::{Moved, Seen};
use super::stage::{Bench, LIMIT, Stage};

/// Names of all cases, in the order of `all`.
pub const NAMES: &[&str] = &["startup", "B1", "B2", "B3", "B6", "B7", "B8", "B9", "B11", "B12", "B15", "B16"];

/// Runs one case.
pub fn run(bench: &Bench, name: &str) -> Result<Vec<Figures>> {
    Ok(match name {
        "startup" => vec![startup(bench)?],
        "B1" => vec![endpoint(bench)?],
        "B2" => vec![route(bench)?],
        "B3" => scoped(bench)?,
        "B6" => storm(bench)?,
        "B7" => slopes(bench)?,
        "B8" => memory(bench)?,
        "B9" | "ca" => super::authority::measure(bench)?,
        "B11" => vec![ready(bench)?],
        "B12" => vec![footprint(bench)?],
        "B15" => vec![slow_readers(bench)?],
        "B16" => vec![rejecting(bench)?],
        other => bail!("there is no case {other}; there are {}", NAMES.join(", ")),
    })
}

/// The service whose endpoints change: one port, no rules.
const HOT: usize = 1;

fn endpoints_moved() -> Moved {
    Moved { kind: Kind::Endpoint, name: format!("outbound|80||svc-{HOT}.ns-0.svc.cluster.local") }
}

fn routes_moved() -> Moved {
    Moved { kind: Kind::Route, name: "80".to_owned() }
}

fn slice_of(size: Size) -> impl Fn(bool) -> Value {
    move |swapped| slice(HOT, size.endpoints, swapped)
}

fn weights(flipped: bool) -> Value {
    virtual_service(0, if flipped { 10 } else { 90 })
}

fn what(bench: &Bench, size: Size, n_proxies: usize, change: &str) -> String {
    let place = if bench.over_api || bench.kubeconfig.is_some() { "API server" } else { "files" };
    format!(
        "{change}, {} services of {} endpoints, {n_proxies} proxies, {place}",
        size.services, size.endpoints
    )
}

/// What a series of changes shows.
fn of_changes(figures: &mut Figures, stage: &Stage, seen: &[Seen], usage: Usage) -> Result<()> {
    figures.latencies(seen.iter().flat_map(|one| one.latencies.values().copied()).collect());
    let n_deliveries: usize = seen.iter().map(|one| one.latencies.len()).sum();
    let thousands = n_deliveries.max(1) as f64 / 1e3;
    figures.add("cpu_per_1000_deliveries_s", usage.total() / thousands);
    figures.add("of_it_system_s", usage.system / thousands);
    figures.add("cpu_per_change_s", usage.total() / seen.len().max(1) as f64);
    let n_bytes: usize = seen.iter().map(|one| one.n_bytes).sum();
    figures.add("per_change_MB", n_bytes as f64 / 1e6 / seen.len().max(1) as f64);
    figures.add("messages_beside_n", seen.iter().flat_map(|one| one.others.values()).sum::<usize>() as f64);
    figures.add("ended_n", seen.iter().map(|one| one.n_ended).sum::<usize>() as f64);
    figures.add("rss_MiB", stage.plane.rss()?);
    Ok(())
}

fn endpoint(bench: &Bench) -> Result<Figures> {
    let (size, n_proxies) = (bench.size(1000, 10), bench.n(1000));
    let stage = bench.stage(size, n_proxies, |_| {})?;
    let (seen, usage) = stage.changes(bench.n_changes, n_proxies, &endpoints_moved(), slice_of(size))?;
    let mut figures = Figures::new("B1", what(bench, size, n_proxies, "endpoint change"));
    of_changes(&mut figures, &stage, &seen, usage)?;
    figures.goal("p99_ms", 60.0);
    figures.goal("cpu_per_1000_deliveries_s", 0.1);
    Ok(figures)
}

fn route(bench: &Bench) -> Result<Figures> {
    let (size, n_proxies) = (bench.size(1000, 10), bench.n(1000));
    let stage = bench.stage(size, n_proxies, |_| {})?;
    let (seen, usage) = stage.changes(bench.n_changes, n_proxies, &routes_moved(), weights)?;
    let mut figures = Figures::new("B2", what(bench, size, n_proxies, "weights of a VirtualService"));
    of_changes(&mut figures, &stage, &seen, usage)?;
    let of = |kind: Kind| seen.iter().flat_map(|one| &one.others).filter(move |((k, _), _)| *k == kind);
    figures.add("clusters_sent_n", of(Kind::Cluster).count() as f64);
    figures.add("listeners_sent_n", of(Kind::Listener).count() as f64);
    figures.goal("cpu_per_1000_deliveries_s", 1.2);
    figures.goal("p99_ms", 1500.0);
    figures.goal("clusters_sent_n", 0.0);
    figures.goal("listeners_sent_n", 0.0);
    Ok(figures)
}

fn scoped(bench: &Bench) -> Result<Vec<Figures>> {
    let size = Size { scoped: true, ..bench.size(1000, 10) };
    let mut all = Vec::new();
    for n_proxies in [100, 300, 1000].map(|n| bench.n(n)) {
        let stage = bench.stage(size, n_proxies, |_| {})?;
        let own = places(size, n_proxies).iter().filter(|place| place.namespace == "ns-0").count();
        let (seen, usage) = stage.changes(bench.n_changes, own, &routes_moved(), weights)?;
        let mut figures = Figures::new("B3", what(bench, size, n_proxies, "weights seen by one namespace"));
        of_changes(&mut figures, &stage, &seen, usage)?;
        figures.add("written_to_n", own as f64);
        figures.goal("messages_beside_n", 0.0);
        all.push(figures);
    }
    Ok(all)
}

fn storm(bench: &Bench) -> Result<Vec<Figures>> {
    let (size, n_proxies) = (bench.size(1000, 10), bench.n(1000));
    let mut all = Vec::new();
    for resume in [false, true] {
        let mut stage = bench.stage(size, n_proxies, |options| options.resume = resume)?;
        let opening = stage.opening;
        stage.plane.kill();
        let started = stage.plane.start(LIMIT)?;
        let synced = stage.probe.wait_synced(LIMIT)?;
        let usage = stage.plane.usage()?;
        let known = if resume { "that know what they had" } else { "that know nothing" };
        let words = format!("killed and started again, all come back, {known}");
        let mut figures = Figures::new("B6", what(bench, size, n_proxies, &words));
        let since = |at: Option<Instant>| at.map_or(f64::NAN, |at| (at - started.at).as_secs_f64());
        figures.add("all_synced_s", since(synced.last));
        figures.add("first_answer_s", since(synced.first));
        figures.add("ready_s", started.ready.as_secs_f64());
        figures.add("cpu_s", usage.total());
        figures.add("of_it_system_s", usage.system);
        figures.add("refused_n", synced.n_refused as f64);
        figures.add("sent_MB", synced.n_bytes as f64 / 1e6);
        figures.add("peak_rss_MiB", stage.plane.peak_rss()?);
        stage.probe.settle(Duration::from_secs(5));
        figures.add("rss_after_MiB", stage.plane.rss()?);
        figures.add("first_opening_s", opening.as_secs_f64());
        figures.goal("all_synced_s", 6.0);
        figures.goal("refused_n", 0.0);
        all.push(figures);
    }
    Ok(all)
}

/// The slope of a line through the logarithms.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.max(1e-6).ln())).collect();
    let n = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let (over, under) = logs.iter().fold((0.0, 0.0), |(over, under), (x, y)| {
        (over + (x - mean_x) * (y - mean_y), under + (x - mean_x).powi(2))
    });
    over / under
}

fn slopes(bench: &Bench) -> Result<Vec<Figures>> {
    let n_changes = bench.n_changes;
    let cost = |size: Size, n_proxies: usize| -> Result<f64> {
        let stage = bench.stage(size, n_proxies, |_| {})?;
        let (seen, usage) = stage.changes(n_changes, n_proxies, &endpoints_moved(), slice_of(size))?;
        Ok(usage.total() / seen.len().max(1) as f64)
    };
    let (mut by_mesh, mut by_proxies) = (Vec::new(), Vec::new());
    for services in [100, 300, 1000, 3000].map(|n| bench.n(n)) {
        by_mesh.push((services as f64, cost(Size::new(services, 10), bench.n(100))?));
    }
    for n_proxies in [100, 300, 1000].map(|n| bench.n(n)) {
        by_proxies.push((n_proxies as f64, cost(bench.size(1000, 10), n_proxies)?));
    }
    let mut in_mesh = Figures::new("B7", format!("endpoint change by size of mesh, {by_mesh:?}"));
    in_mesh.add("slope_n", slope(&by_mesh));
    in_mesh.goal("slope_n", 0.15);
    let mut in_proxies = Figures::new("B7", format!("endpoint change by affected proxies, {by_proxies:?}"));
    in_proxies.add("slope_n", slope(&by_proxies));
    in_proxies.goal("slope_n", 1.05);
    Ok(vec![in_mesh, in_proxies])
}

fn memory(bench: &Bench) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    let mut held = Vec::new();
    for (services, n_proxies) in [(0, 0), (1000, 0), (1000, 100), (1000, 1000)] {
        let size = Size::new(if services == 0 { 0 } else { bench.n(services) }, 10);
        let n_proxies = if n_proxies == 0 { 0 } else { bench.n(n_proxies) };
        let stage = bench.stage(size, n_proxies, |_| {})?;
        stage.probe.settle(Duration::from_secs(10));
        let rss = stage.plane.rss()?;
        held.push((n_proxies, rss));
        let mut figures = Figures::new("B8", what(bench, size, n_proxies, "memory when idle"));
        figures.add("rss_MiB", rss);
        figures.add("peak_rss_MiB", stage.plane.peak_rss()?);
        if services > 0 && n_proxies == bench.n(1000) {
            figures.goal("rss_MiB", 250.0);
            if let [.., (few, less), (many, more)] = held[..] {
                figures.add("per_proxy_kB", (more - less) * 1048.576 / (many - few).max(1) as f64);
                figures.goal("per_proxy_kB", 150.0);
            }
        }
        all.push(figures);
    }
    Ok(all)
}

/// The best of five starts.
fn starts(bench: &Bench, size: Size) -> Result<(Duration, f64, f64)> {
    let world = bench.world(&objects(size))?;
    let mut plane = bench.plane(&world)?;
    let (mut best, mut rss, mut cpu) = (Duration::MAX, f64::NAN, f64::NAN);
    for _ in 0..5 {
        let started = plane.start(LIMIT)?;
        if started.ready < best {
            best = started.ready;
            cpu = plane.usage()?.total();
        }
        std::thread::sleep(Duration::from_millis(500));
        rss = plane.peak_rss()?.min(if rss.is_nan() { f64::MAX } else { rss });
        plane.kill();
    }
    Ok((best, rss, cpu))
}

fn startup(bench: &Bench) -> Result<Figures> {
    let size = bench.size(1000, 10);
    let (best, rss, cpu) = starts(bench, size)?;
    let mut figures = Figures::new("start", what(bench, size, 0, "from exec to ready, best of 5"));
    figures.add("ready_ms", best.as_secs_f64() * 1e3);
    figures.add("peak_rss_MiB", rss);
    figures.add("cpu_s", cpu);
    figures.goal("ready_ms", 700.0);
    figures.goal("peak_rss_MiB", 120.0);
    Ok(figures)
}

fn ready(bench: &Bench) -> Result<Figures> {
    let size = bench.size(1000, 10);
    let (best, rss, cpu) = starts(bench, size)?;
    let mut figures = Figures::new("B11", what(bench, size, 0, "from exec to ready, best of 5"));
    figures.add("ready_ms", best.as_secs_f64() * 1e3);
    figures.add("peak_rss_MiB", rss);
    figures.add("cpu_s", cpu);
    figures.goal("ready_ms", 400.0);
    Ok(figures)
}

fn footprint(bench: &Bench) -> Result<Figures> {
    let world = bench.world(&[])?;
    let mut plane = bench.plane(&world)?;
    plane.start(LIMIT)?;
    std::thread::sleep(Duration::from_secs(3));
    let mut figures = Figures::new("B12", "binary and an empty mesh".to_owned());
    let stripped = bench.below.join("stripped");
    let status = std::process::Command::new("strip").arg("-o").arg(&stripped).arg(&bench.binary).status()?;
    if status.success() {
        figures.add("stripped_MB", std::fs::metadata(&stripped)?.len() as f64 / 1e6);
        figures.goal("stripped_MB", 40.0);
    }
    figures.add("rss_MiB", plane.rss()?);
    figures.add("threads_n", plane.threads()?);
    figures.goal("rss_MiB", 25.0);
    Ok(figures)
}

fn slow_readers(bench: &Bench) -> Result<Figures> {
    let (size, n_proxies) = (bench.size(1000, 10), bench.n(1000));
    let n_slow = n_proxies / 10;
    let stage = bench.stage(size, n_proxies, |options| options.n_slow = n_slow)?;
    let healthy = n_proxies - n_slow;
    let (seen, usage) = stage.changes(bench.n_changes, n_proxies, &endpoints_moved(), slice_of(size))?;
    let usual = p99(&seen, healthy);
    stage.probe.stall(true);
    let before = stage.plane.rss()?;
    let (seen, stalled_usage) =
        stage.changes(bench.n_changes, healthy, &endpoints_moved(), slice_of(size))?;
    let mut figures =
        Figures::new("B15", what(bench, size, n_proxies, "endpoint change, a tenth never reads"));
    of_changes(&mut figures, &stage, &seen, stalled_usage)?;
    beside(&mut figures, usual, p99(&seen, healthy));
    figures.add("usual_cpu_s", usage.total());
    figures.add("stalled_cpu_s", stalled_usage.total());
    figures.add("rss_growth_MiB", stage.plane.rss()? - before);
    Ok(figures)
}

fn rejecting(bench: &Bench) -> Result<Figures> {
    let (size, n_proxies) = (bench.size(1000, 10), bench.n(1000));
    let usual = {
        let stage = bench.stage(size, n_proxies, |_| {})?;
        p99(&stage.changes(bench.n_changes, n_proxies, &endpoints_moved(), slice_of(size))?.0, n_proxies)
    };
    // Everybody rejects the routes of the VirtualService that changes beside the endpoints.
    let stage =
        bench.stage(size, n_proxies, |options: &mut Options| options.reject = Some("80".to_owned()))?;
    stage.probe.change(&routes_moved(), n_proxies, LIMIT, || stage.world.put(&weights(true)))?;
    let (seen, usage) = stage.changes(bench.n_changes, n_proxies, &endpoints_moved(), slice_of(size))?;
    let mut figures =
        Figures::new("B16", what(bench, size, n_proxies, "endpoint change, routes are rejected"));
    of_changes(&mut figures, &stage, &seen, usage)?;
    beside(&mut figures, usual, p99(&seen, n_proxies));
    Ok(figures)
}

/// The 99th percentile over the first so many streams, in milliseconds.
fn p99(seen: &[Seen], n_streams: usize) -> f64 {
    let mut all: Vec<Duration> = seen
        .iter()
        .flat_map(|one| {
            one.latencies.iter().filter(|(stream, _)| **stream < n_streams).map(|(_, time)| *time)
        })
        .collect();
    all.sort();
    let index = (all.len() as f64 * 0.99).ceil() as usize;
    all.get(index.clamp(1, all.len().max(1)) - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

fn beside(figures: &mut Figures, usual: f64, now: f64) {
    figures.add("usual_p99_ms", usual);
    figures.add("ratio_n", now / usual);
    figures.goal("ratio_n", 1.2);
}
