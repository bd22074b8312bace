//! A soak: our real process over files or a real API server for a long while, with objects of all kinds changing,
//! endpoints that come and go, proxies that come and go, and clients that read nothing, little, or reject everything.
//! Afterwards nothing may be left over, nobody may have missed anything, and what the process serves must be what a
//! fresh one serves. Issue of scale and speed, "Done when".

mod careless;
mod changes;
mod judge;
mod proxies;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use testkit::ads::SimulatedProxy;
use testkit::http;
use tokio::runtime::Runtime;

use crate::bench::mesh::{Size, objects, places};
use crate::bench::plane::Plane;
use crate::bench::world::World;
use crate::replica::Derived;
use changes::Changes;
pub use judge::{Sample, growth};
use proxies::{Bad, Comers, LIMIT, Steady, observers};

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Our control plane.
    pub binary: PathBuf,
    /// An empty folder for files and logs.
    pub below: PathBuf,
    /// Whether objects lie in an API server of its own, not in files.
    pub over_api: bool,
    /// How long everything changes.
    pub lasting: Duration,
    /// Services of the mesh, of which each has `endpoints`.
    pub services: usize,
    /// Endpoints of each.
    pub endpoints: usize,
    /// Healthy proxies; beside them a quarter as many come and go, and a quarter do not do their part.
    pub proxies: usize,
    /// Changes in a second.
    pub rate: f64,
    /// What repeats the changes.
    pub seed: u64,
    /// How long the server waits for those that do not read, and for answers to pings; its own defaults unless given.
    pub patience: Option<Duration>,
    /// Between two samples.
    pub sample_every: Duration,
    /// Between two lines of progress.
    pub tell_every: Duration,
    /// By how many percent memory may grow in the second half; not judged unless given.
    pub most_growth: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// What was wrong; empty after a good run.
    pub failures: Vec<String>,
    /// How long everything changed.
    pub seconds: f64,
    /// By what was done: how often.
    pub changes: BTreeMap<&'static str, usize>,
    /// Changes of one service's endpoints that each healthy proxy saw.
    pub seen_by_all: usize,
    /// From such a change to the answers: median, 99th percentile and longest, in milliseconds.
    pub latency_ms: [f64; 3],
    /// Streams that were opened anew, and how many of these were there long enough to have everything.
    pub came: [usize; 2],
    /// Responses that were rejected.
    pub rejected: f64,
    /// Streams that ended because nobody read them.
    pub unread: f64,
    /// By how many percent memory grew in the second half; see [`growth`].
    pub growth_percent: Option<f64>,
    /// Entries and resources that were compared with a fresh process's.
    pub compared: usize,
    /// The process before the first change, with the healthy proxies alone.
    pub before: Sample,
    /// The process at the end, with the same proxies.
    pub after: Sample,
    /// The process meanwhile.
    pub samples: Vec<Sample>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<String> = self.changes.iter().map(|(what, n)| format!("{n} {what}")).collect();
        let [p50, p99, longest] = self.latency_ms;
        let peak = self.samples.iter().map(|sample| sample.rss_mib).fold(0.0, f64::max);
        let growth = match self.growth_percent {
            Some(growth) => format!("{growth:+.1} % in the second half"),
            None => "too few samples for a trend".to_owned(),
        };
        writeln!(f, "changes  {} in {:.0} s", changes.join(", "), self.seconds)?;
        writeln!(
            f,
            "pushes   {} seen by every healthy proxy after {p50:.0} ms (median), {p99:.0} ms (p99), {longest:.0} ms \
             at most; {} rejected",
            self.seen_by_all, self.rejected
        )?;
        writeln!(
            f,
            "proxies  {} came anew, {} of them until they had everything",
            self.came[0], self.came[1]
        )?;
        writeln!(f, "unread   {} streams ended because nobody read them", self.unread)?;
        writeln!(f, "memory   {growth}; {peak:.1} MiB at most")?;
        writeln!(f, "before   {}", self.before)?;
        writeln!(f, "after    {}", self.after)?;
        writeln!(f, "compared {} entries with a fresh process", self.compared)?;
        for failure in &self.failures {
            writeln!(f, "FAILED   {failure}")?;
        }
        Ok(())
    }
}

struct Soak<'a> {
    plan: &'a Plan,
    runtime: &'a Runtime,
    world: &'a World,
    plane: &'a mut Plane,
    started: Instant,
    outcome: Outcome,
}

/// Runs a plan. Progress is told line by line. An error is what kept it from running; what the run found wrong is in
/// its outcome.
pub fn run(plan: &Plan, tell: &mut dyn FnMut(String)) -> Result<Outcome> {
    let runtime = Runtime::new()?;
    let handle = runtime.handle();
    let world = if plan.over_api { World::cluster(handle)? } else { World::folder(handle, &plan.below)? };
    let size = Size::new(plan.services, plan.endpoints);
    world.fill(&[Changes::namespaces(), objects(size)].concat())?;
    let mut plane = plan.plane(&world, "first")?;
    plane.start(LIMIT)?;
    let mut soak = Soak {
        plan,
        runtime: &runtime,
        world: &world,
        plane: &mut plane,
        started: Instant::now(),
        outcome: Outcome::default(),
    };
    soak.go(size, tell)?;
    Ok(soak.outcome)
}

impl Plan {
    fn plane(&self, world: &World, name: &str) -> Result<Plane> {
        let below = self.below.join(name);
        std::fs::create_dir_all(&below)?;
        let (mut environment, mut flags) = (Vec::new(), Vec::new());
        if let Some(patience) = self.patience {
            let patience = format!("{}ms", patience.as_millis());
            environment.push(("PILOT_XDS_SEND_TIMEOUT".to_owned(), patience.clone()));
            flags.extend(
                ["--keepaliveInterval", &patience, "--keepaliveTimeout", &patience].map(str::to_owned),
            );
        }
        Ok(Plane::own(&self.binary, world, &below)?.quiet(environment, flags))
    }
}

impl Soak<'_> {
    fn go(&mut self, size: Size, tell: &mut dyn FnMut(String)) -> Result<()> {
        let (plan, handle) = (self.plan, self.runtime.handle());
        let (target, server) = (self.plane.target().to_owned(), self.plane.addresses()?.grpc);
        let n_others = plan.proxies.div_ceil(4);
        let everybody = places(size, plan.proxies + 2 * n_others);
        let (healthy, others) = everybody.split_at(plan.proxies);
        let (comers, bad) = others.split_at(n_others);
        let watching = observers(handle, server)?;
        let mut steady = Steady::open(handle, &target, healthy, plan.endpoints)?;
        let n_streams = plan.proxies + watching.len();
        self.until("every healthy proxy connected", |soak| {
            Ok(soak.has_streams(n_streams)? && watching.iter().all(|proxy| proxy.view().is_complete()))
        })?;
        self.outcome.before = self.sample()?;
        tell(format!("before: {}", self.outcome.before));

        let mut changes = Changes::new(plan.seed, size, plan.over_api);
        let mut comers = Comers::new(handle, &target, comers, plan.seed);
        let mut bad = Bad::open(handle, &target, server, bad);
        self.change(&mut changes, &mut steady, &mut comers, &bad, tell)?;
        self.outcome.growth_percent = growth(&self.outcome.samples);

        comers.leave();
        bad.come_no_more();
        changes.mend(self.world)?;
        // The last change comes after everything else.
        while steady.failures.is_empty() && !steady.step(self.world, false)? {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.wait(Instant::now() + Duration::from_secs(2), &mut steady)?;
        tell("waiting until those are let go that do not read".to_owned());
        let let_go = self.until("the end of streams that nobody reads", |soak| {
            steady.step(soak.world, true)?;
            soak.has_streams(n_streams)
        });
        if let Err(error) = let_go {
            self.outcome.failures.push(format!("{error:#}"));
        }
        drop(bad);
        while steady.failures.is_empty() && !steady.step(self.world, false)? {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.settle()?;
        tell("comparing with a fresh process".to_owned());
        self.compare(&watching)?;
        self.conclude(steady, comers, changes)
    }

    /// Lets everything change.
    fn change(
        &mut self,
        changes: &mut Changes,
        steady: &mut Steady,
        comers: &mut Comers,
        bad: &Bad,
        tell: &mut dyn FnMut(String),
    ) -> Result<()> {
        let plan = self.plan;
        let began = Instant::now();
        let (mut n_changes, mut sample_at, mut tell_at) = (0.0, plan.sample_every, plan.tell_every);
        while began.elapsed() < plan.lasting && steady.failures.is_empty() && comers.failures.is_empty() {
            if n_changes < began.elapsed().as_secs_f64() * plan.rate {
                changes.one(self.world)?;
                n_changes += 1.0;
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
            steady.step(self.world, true)?;
            comers.step();
            bad.step();
            if began.elapsed() >= sample_at {
                sample_at += plan.sample_every;
                self.plane.check()?;
                let sample = Sample { at_s: began.elapsed().as_secs_f64(), ..self.sample()? };
                self.outcome.samples.push(sample);
            }
            if began.elapsed() >= tell_at {
                tell_at += plan.tell_every;
                let latest = self.outcome.samples.last().copied().unwrap_or_default();
                tell(format!(
                    "{:>5.0} s: {latest}; {n_changes} changes, {} pushes seen by all, {} came anew",
                    latest.at_s, steady.n_changes, comers.n_synced
                ));
            }
        }
        self.outcome.seconds = began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Goes on watching the healthy proxies until then.
    fn wait(&mut self, until: Instant, steady: &mut Steady) -> Result<()> {
        while Instant::now() < until {
            steady.step(self.world, true)?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn sample(&self) -> Result<Sample> {
        Ok(Sample {
            at_s: self.started.elapsed().as_secs_f64(),
            rss_mib: self.plane.rss()?,
            cpu_s: self.plane.usage()?.total(),
            files: self.plane.files()?,
            threads: self.plane.threads()?,
            tasks: self.metric("trierarch_tasks")?,
            streams: self.metric("pilot_xds{")?,
        })
    }

    /// Whether so many streams are open.
    fn has_streams(&self, n: usize) -> Result<bool> {
        Ok(self.metric("pilot_xds{")?.round() as usize == n)
    }

    /// The samples of a metric whose line begins so, added up.
    fn metric(&self, beginning: &str) -> Result<f64> {
        let page = http::get(self.plane.addresses()?.monitoring, "/metrics").limit(LIMIT).send()?.text();
        let lines = page.lines().filter(|line| line.starts_with(beginning));
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// Waits until something is so; fails at once if the process has ended or panicked.
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !is_so(self).context(what.to_owned())? {
            self.plane.check()?;
            ensure!(Instant::now() < deadline, "{what} did not happen within {LIMIT:?}: {}", self.sample()?);
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits until nothing is left over that was not there before; what is still there then is a leak.
    fn settle(&mut self) -> Result<()> {
        let before = self.outcome.before;
        let settled = self.until("an end of what is left over", |soak| {
            Ok(judge::leaks(&before, &soak.sample()?).is_empty())
        });
        self.outcome.after = self.sample()?;
        if settled.is_err() {
            self.plane.check()?;
            self.outcome.failures.extend(judge::leaks(&before, &self.outcome.after));
        }
        Ok(())
    }

    /// Compares with a fresh process: sooner or later both must have derived the same.
    fn compare(&mut self, watching: &[SimulatedProxy]) -> Result<()> {
        let mut fresh = self.plan.plane(self.world, "fresh")?;
        fresh.start(LIMIT)?;
        let (ours, theirs) = (self.plane.addresses()?, fresh.addresses()?);
        let anew = observers(self.runtime.handle(), theirs.grpc)?;
        let mut differences = Vec::new();
        let equal = self.until("equality with a fresh process", |_| {
            let derived = Derived::of(ours.monitoring, watching)?;
            differences = derived.differences(&Derived::of(theirs.monitoring, &anew)?);
            let is_complete = anew.iter().all(|proxy| proxy.view().is_complete());
            Ok(is_complete && differences.is_empty())
        });
        if equal.is_err() {
            self.plane.check()?;
            let all: String = differences.join("\n").chars().take(6000).collect();
            self.outcome
                .failures
                .push(format!("{} differences from a fresh process:\n{all}", differences.len()));
        }
        self.outcome.compared = Derived::of(ours.monitoring, watching)?.len();
        Ok(())
    }

    fn conclude(&mut self, steady: Steady, comers: Comers, changes: Changes) -> Result<()> {
        let (rejected, unread) =
            (self.metric("pilot_total_xds_rejects")?, self.metric("pilot_xds_write_timeout")?);
        let errors = self.metric("pilot_total_xds_internal_errors")?;
        let outcome = &mut self.outcome;
        (outcome.rejected, outcome.unread) = (rejected, unread);
        if errors > 0.0 {
            outcome.failures.push(format!("{errors} internal errors"));
        }
        outcome.failures.extend(steady.failures.into_iter().chain(comers.failures));
        if let (Some(growth), Some(most)) = (outcome.growth_percent, self.plan.most_growth)
            && growth > most
        {
            outcome.failures.push(format!("memory grew by {growth:.1} % in the second half"));
        }
        let mut latencies = steady.latencies;
        latencies.sort();
        let at = |part: f64| {
            let index = ((latencies.len() as f64 * part).ceil() as usize).max(1) - 1;
            latencies.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        outcome.latency_ms = [at(0.5), at(0.99), at(1.0)];
        outcome.seen_by_all = steady.n_changes;
        outcome.came = [comers.n_opened, comers.n_synced];
        outcome.changes = changes.done;
        Ok(())
    }
}
