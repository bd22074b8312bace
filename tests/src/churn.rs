//! Random creation, change and deletion of objects of every kind, namespaces included, in a real API server, with the
//! real process over it and simulated proxies on that. A seed repeats the operations; after each round what is derived
//! must be what a fresh process derives.

pub(crate) mod random;
pub(crate) mod specs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use config::Kind;
use kube_io::Client;
use random::Random;
use serde_json::{Value, json};
use testkit::cluster::{Cluster, objects};

use crate::replica::{Options, Replica};

/// How much is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What repeats the run.
    pub seed: u64,
    /// How many rounds there are.
    pub n_rounds: usize,
    /// When a round is over.
    pub round: Round,
    /// Between rounds the API server is away until this has passed and the process was refused.
    pub outage: Option<Duration>,
}

/// When a round is over.
#[derive(Clone, Copy, Debug)]
pub enum Round {
    /// After so many operations.
    Operations(usize),
    /// After so long.
    Lasting(Duration),
}

/// What was done and seen.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// By what was done: how often.
    pub done: BTreeMap<&'static str, usize>,
    /// The kinds that were written.
    pub kinds: BTreeSet<Kind>,
    /// After each round: entries and resources that were compared.
    pub compared: Vec<usize>,
    /// From start to end.
    pub elapsed: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: usize = self.done.values().sum();
        let done: Vec<String> = self.done.iter().map(|(what, n)| format!("{n} {what}")).collect();
        write!(
            f,
            "{total} operations ({}) on {} kinds in {:.0} s; equal to a fresh process {} times, with {} entries compared",
            done.join(", "),
            self.kinds.len(),
            self.elapsed.as_secs_f64(),
            self.compared.len(),
            self.compared.iter().sum::<usize>(),
        )
    }
}

struct Churn {
    random: Random,
    client: Client,
    /// Keys of objects whose newest version is broken: a process that was there before holds an older one.
    broken: BTreeMap<String, Value>,
    summary: Summary,
}

/// Runs a plan. `binaries` are those of Kubernetes, `binary` is the control plane.
pub async fn run(binaries: &Path, binary: &Path, plan: &Plan) -> Result<Summary> {
    let started = Instant::now();
    let mut cluster = Cluster::start(binaries, "churn").await?;
    cluster.start_controllers()?;
    let client = cluster.client().await?;
    objects::define_all(&client).await?;
    let options = Options::named("churn");
    let mut replica = Replica::ready(binary, &cluster, &options).await?;
    let mut churn = Churn {
        random: Random::new(plan.seed),
        client,
        broken: BTreeMap::new(),
        summary: Summary::default(),
    };
    for round in 0..plan.n_rounds {
        churn.round(plan.round).await?;
        replica.check()?;
        if let Some(outage) = plan.outage.filter(|_| round + 1 < plan.n_rounds) {
            let log = replica.log_length();
            cluster.stop_api();
            replica.until_logged(log, &["services: "], 1).await?;
            tokio::time::sleep(outage).await;
            cluster.start_api().await?;
        }
        churn.mend().await?;
        replica
            .assert_fresh(binary, &cluster, &options)
            .await
            .with_context(|| format!("round {round} of seed {}: {}", plan.seed, churn.summary))?;
        churn.summary.compared.push(replica.derived()?.len());
    }
    replica.stop()?;
    churn.summary.elapsed = started.elapsed();
    Ok(churn.summary)
}

impl Churn {
    async fn round(&mut self, round: Round) -> Result<()> {
        let started = Instant::now();
        let mut n_done = 0;
        loop {
            let is_over = match round {
                Round::Operations(wanted) => n_done >= wanted,
                Round::Lasting(wanted) => started.elapsed() >= wanted,
            };
            if is_over {
                return Ok(());
            }
            let what = self.operation().await?;
            *self.summary.done.entry(what).or_default() += 1;
            n_done += 1;
        }
    }

    /// One operation. Returns what it was.
    async fn operation(&mut self) -> Result<&'static str> {
        let random = &mut self.random;
        let namespace = random.of(&specs::NAMESPACES);
        if random.one_in(150) && namespace != "istio-system" {
            // Fails while an earlier deletion is still under way.
            return Ok(match objects::delete_namespace(&self.client, namespace).await {
                Ok(()) => "namespace deletions",
                Err(error) => refused(error)?,
            });
        }
        let kind = Kind::ALL[random.below(Kind::ALL.len())];
        let name = match kind {
            Kind::Namespace => namespace,
            Kind::ConfigMap if namespace == "istio-system" => "istio",
            _ => specs::name(random),
        };
        if kind != Kind::Namespace && random.one_in(4) {
            let object = specs::object(kind, namespace, name, json!({}), random);
            objects::delete(&self.client, std::slice::from_ref(&object))
                .await
                .or_else(|error| refused(error).map(drop))?;
            self.broken.remove(&key(&object));
            return Ok("deletions");
        }
        let is_bad = objects::custom_kinds().contains(&kind) && random.one_in(10);
        let content = if is_bad { specs::bad(random) } else { specs::content(kind, random) };
        let is_broken =
            is_bad || content.pointer("/data/mesh").is_some_and(|mesh| *mesh == specs::BROKEN_MESH);
        let object = specs::object(kind, namespace, name, content, random);
        if kind.is_namespaced() {
            let bare = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            if objects::get(&self.client, &format!("/api/v1/namespaces/{namespace}")).await.is_err() {
                objects::apply_one(&self.client, &bare)
                    .await
                    .map(drop)
                    .or_else(|error| refused(error).map(drop))?;
            }
        }
        if let Err(error) = objects::apply_one(&self.client, &object).await {
            return refused(error);
        }
        self.summary.kinds.insert(kind);
        if is_broken {
            self.broken.insert(key(&object), object);
            return Ok("broken versions");
        }
        self.broken.remove(&key(&object));
        Ok("versions")
    }

    /// Deletes what is broken, so that what a process knew before makes no difference.
    async fn mend(&mut self) -> Result<()> {
        let broken: Vec<Value> = std::mem::take(&mut self.broken).into_values().collect();
        objects::delete(&self.client, &broken).await
    }
}

/// What the API server says no to is part of the game: an immutable field, a namespace that is going.
pub(crate) fn refused(error: anyhow::Error) -> Result<&'static str> {
    let text = format!("{error:#}");
    let is_refusal =
        ["403", "404", "409", "422", "400", "Forbidden", "NotFound", "Invalid", "Conflict", "immutable"]
            .iter()
            .any(|code| text.contains(code));
    if is_refusal { Ok("refusals") } else { Err(error) }
}

pub(crate) fn key(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    [text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name")].join("/")
}
