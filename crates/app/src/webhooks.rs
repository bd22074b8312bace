//! Keeps the webhook configurations of our revision right: our roots in all of them, at once when they change and
//! within seconds where somebody writes or makes one; and validation that refuses what it could not be asked about,
//! once it was seen to refuse (platform specification, 6.7 and 7.2). As with istiod, every replica does this, under no
//! lock: all write the same, and each only over what it has read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ca::{Bundle, Trusted};
use kube_io::{Client, KeptWebhooks, Probe, WebhookKind, keep_webhooks, probe_validation};
use parking_lot::Mutex;
use server::{WebhookMetrics, moment};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a configuration that somebody else wrote may stay as it is.
const INTERVAL: Duration = Duration::from_secs(3);
/// How long roots that are no longer ours stay beside ours. Replicas look at a Secret once a minute.
const OVERLAP: Duration = Duration::from_mins(5);
/// How long the old certificate is served on while the API server learns the new roots: how long that may take, and
/// how long until every API server knows what is stored.
const HOLD: Duration = Duration::from_secs(3);
const SETTLE: Duration = Duration::from_secs(1);
/// The pauses between two dry runs.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// Who keeps them.
pub(crate) struct Keeper {
    client: Client,
    options: Options,
    metrics: WebhookMetrics,
    /// Since when an entry, by its place, holds roots of others beside ours.
    wider: Mutex<BTreeMap<String, Instant>>,
    /// What went wrong the last time, so that it is told once for as long as it lasts.
    told: BTreeMap<&'static str, String>,
    probe: Probes,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Namespace of the control plane.
    pub(crate) namespace: String,
    /// Its revision; empty stands for `default`.
    pub(crate) revision: String,
    /// `INJECTION_WEBHOOK_CONFIG_NAME` and `VALIDATION_WEBHOOK_CONFIG_NAME`: off where they are set to nothing.
    pub(crate) injection: bool,
    pub(crate) validation: bool,
}

impl Options {
    /// What the environment says.
    pub(crate) fn read(namespace: &str, revision: &str, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let is_on = |name| variable(name).is_none_or(|value| !value.is_empty());
        let revision = if revision.is_empty() { "default" } else { revision };
        Self {
            namespace: namespace.to_owned(),
            revision: revision.to_owned(),
            injection: is_on("INJECTION_WEBHOOK_CONFIG_NAME"),
            validation: is_on("VALIDATION_WEBHOOK_CONFIG_NAME"),
        }
    }
}

/// When to try again whether validation works.
struct Probes {
    pause: Duration,
    due: Instant,
}

impl Probes {
    fn new() -> Self {
        Self { pause: FIRST_PAUSE, due: Instant::now() }
    }

    fn again(&mut self) {
        self.due = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }
}

impl Keeper {
    pub(crate) fn new(client: Client, options: Options, metrics: WebhookMetrics) -> Self {
        let (wider, told) = (Mutex::default(), BTreeMap::new());
        Self { client, options, metrics, wider, told, probe: Probes::new() }
    }

    /// Runs until dropped. Through `known` it tells of an authority when the API server has had the time to learn its
    /// roots, so that a certificate of it may be served.
    pub(crate) async fn run<T: Trusted>(
        mut self,
        mut authorities: watch::Receiver<Option<Arc<T>>>,
        known: watch::Sender<Option<Arc<T>>>,
    ) {
        loop {
            let authority = authorities.borrow_and_update().clone();
            let mut pause = INTERVAL;
            if let Some(authority) = authority {
                let is_first = known.borrow().is_none();
                if is_first {
                    known.send_replace(Some(Arc::clone(&authority)));
                }
                let is_new = !known.borrow().as_ref().is_some_and(|known| Arc::ptr_eq(known, &authority));
                let round = tokio::time::timeout(HOLD, self.round(&*authority)).await;
                if is_new {
                    self.probe = Probes::new();
                    tokio::time::sleep(SETTLE).await;
                    known.send_replace(Some(authority));
                }
                pause = round.unwrap_or(pause);
            }
            tokio::select! {
                changed = authorities.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks at everything once. Returns when to look again.
    async fn round(&mut self, authority: &dyn Trusted) -> Duration {
        let mut pause = INTERVAL;
        if self.options.injection {
            let kept = self.keep(WebhookKind::Injection, authority, false).await;
            if !kept.overtaken.is_empty() {
                pause = FIRST_PAUSE;
            }
        }
        if self.options.validation {
            let kept = self.keep(WebhookKind::Validation, authority, false).await;
            if !kept.overtaken.is_empty() {
                pause = FIRST_PAUSE;
            }
            if kept.lenient.is_empty() {
                self.probe = Probes::new();
            } else if Instant::now() >= self.probe.due {
                self.make_strict(authority, &kept.lenient).await;
            }
            if !kept.lenient.is_empty() {
                pause = pause.min(self.probe.due.saturating_duration_since(Instant::now()));
            }
        }
        pause
    }

    /// Lets validation refuse what it could not be asked about, if it is seen to refuse.
    async fn make_strict(&mut self, authority: &dyn Trusted, lenient: &[String]) {
        let Options { namespace, revision, .. } = &self.options;
        let probe = probe_validation(&self.client, namespace, revision).await;
        match &probe {
            Probe::Refused => {}
            Probe::Impossible(reason) => tracing::warn!(
                scope = "validationController",
                "whether validation works cannot be tried, and is taken as given: {reason}"
            ),
            Probe::Otherwise(reason) => {
                self.tell(
                    "probe",
                    Some(format!("validation stays lenient ({}): {reason}", lenient.join(", "))),
                );
                return self.probe.again();
            }
        }
        self.tell("probe", None);
        let kept = self.keep(WebhookKind::Validation, authority, true).await;
        for name in kept.changed {
            tracing::info!(
                scope = "validationController",
                "{name} refuses what validation was not asked about"
            );
        }
        self.probe.again();
    }

    async fn keep(&mut self, kind: WebhookKind, authority: &dyn Trusted, is_strict: bool) -> KeptWebhooks {
        let now = moment().map(|at| at.now).unwrap_or_default();
        let roots = |place: &str, bundle: &[u8]| self.wanted(authority, place, bundle, now);
        let outcome = keep_webhooks(&self.client, kind, &self.options.revision, &roots, is_strict).await;
        let what = match kind {
            WebhookKind::Injection => "injection",
            WebhookKind::Validation => "validation",
        };
        let kept = match outcome {
            Ok(kept) => kept,
            Err(error) => {
                self.tell(what, Some(format!("configurations of {what} stay as they are: {error}")));
                return KeptWebhooks::default();
            }
        };
        for name in &kept.changed {
            tracing::info!(scope = "injector", "{name} holds the roots in force");
            self.count(kind, name, None);
        }
        for name in &kept.overtaken {
            self.count(kind, name, Some("Conflict"));
        }
        let mut problems = Vec::new();
        for (name, error) in &kept.failed {
            self.count(kind, name, Some("Invalid"));
            problems.push(format!("{name} stays as it is: {error}"));
        }
        self.tell(what, (!problems.is_empty()).then(|| problems.join("; ")));
        kept
    }

    /// The roots that an entry should hold; `None` if it does.
    fn wanted(&self, authority: &dyn Trusted, place: &str, bundle: &[u8], now: i64) -> Option<String> {
        let mut wider = self.wider.lock();
        match authority.compare_bundle(bundle, now) {
            Bundle::Wider => {
                let since = *wider.entry(place.to_owned()).or_insert_with(Instant::now);
                (since.elapsed() >= OVERLAP).then(|| authority.pem().to_owned())
            }
            Bundle::Exact => {
                wider.remove(place);
                None
            }
            Bundle::Lacks(text) => {
                wider.remove(place);
                Some(text)
            }
        }
    }

    fn count(&self, kind: WebhookKind, name: &str, failure: Option<&str>) {
        match kind {
            WebhookKind::Injection => self.metrics.injection_written(name, failure.is_none()),
            WebhookKind::Validation => self.metrics.validation_written(failure),
        }
    }

    fn tell(&mut self, what: &'static str, problem: Option<String>) {
        let Some(problem) = problem else {
            self.told.remove(what);
            return;
        };
        if self.told.get(what) != Some(&problem) {
            tracing::warn!(scope = "injector", "{problem}");
            self.told.insert(what, problem);
        }
    }
}
