//! Keeps the key sets that somebody wants: fetched at once, refreshed at an interval, tried again after a failure with
//! growing pauses. What was good stays until it is a week old.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::keys::{address_in, canonical};
use crate::{Client, FetchError};

/// So many fetches run at once.
const MAX_AT_ONCE: usize = 8;
/// So many sources are kept; more are not looked at.
const MAX_SOURCES: usize = 1000;
/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));
/// However much in a hurry somebody is, no source is asked again sooner.
const LEAST_GAP: Duration = Duration::from_secs(10);
/// Keys that could not be refreshed for so long are not believed any more.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// Where keys come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The issuer; asked where the keys are if no URI is stated.
    pub issuer: String,
    /// `jwksUri`; may be empty.
    pub uri: String,
}

/// Key sets as they were answered.
pub type Keys = BTreeMap<Source, Arc<str>>;

/// What the keeper tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A fetch went well.
    Fetched,
    /// A fetch failed.
    Failed(Source, FetchError),
    /// These are all keys now.
    Keys(Keys),
}

/// What is known of a source.
struct Known {
    keys: Option<(Arc<str>, Instant)>,
    due: Instant,
    /// When it was asked last.
    asked: Option<Instant>,
    pause: Duration,
    is_running: bool,
}

/// Keeps the keys of the sources that are `wanted`, until nobody wants any more.
pub async fn keep(
    client: Client,
    refresh: Duration,
    wanted: watch::Receiver<BTreeSet<Source>>,
    tell: impl FnMut(Told) + Send,
) {
    let (_calm, hurry) = watch::channel(0);
    keep_in_a_hurry(client, refresh, wanted, hurry, tell).await;
}

/// The same; whenever `hurry` changes, because a token came by a key that nobody knows, sources are asked before they
/// are due, each ten seconds after the last time at the earliest.
pub async fn keep_in_a_hurry(
    client: Client,
    refresh: Duration,
    mut wanted: watch::Receiver<BTreeSet<Source>>,
    mut hurry: watch::Receiver<u64>,
    mut tell: impl FnMut(Told) + Send,
) {
    let mut known: BTreeMap<Source, Known> = BTreeMap::new();
    let mut running: JoinSet<(Source, Result<String, FetchError>)> = JoinSet::new();
    let mut told = Keys::new();
    settle(&mut known, &wanted.borrow_and_update());
    loop {
        let now = Instant::now();
        for (source, state) in &mut known {
            if running.len() >= MAX_AT_ONCE {
                break;
            }
            if !state.is_running && state.due <= now {
                state.is_running = true;
                state.asked = Some(now);
                let (client, source) = (client.clone(), source.clone());
                running.spawn(async move {
                    let fetched = fetch(&client, &source).await;
                    (source, fetched)
                });
            }
            if state.keys.as_ref().is_some_and(|(_, since)| now > *since + MAX_AGE) {
                state.keys = None;
            }
        }
        let keys = current(&known);
        if keys != told {
            told.clone_from(&keys);
            tell(Told::Keys(keys));
        }
        let waits = |state: &&Known| !state.is_running && running.len() < MAX_AT_ONCE;
        let next = known.values().filter(waits).map(|state| state.due).min();
        let pause = async {
            match next {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                settle(&mut known, &wanted.borrow_and_update());
            }
            Ok(()) = hurry.changed() => {
                hurry.mark_unchanged();
                for state in known.values_mut().filter(|state| !state.is_running) {
                    let soonest = state.asked.map_or(now, |asked| now.max(asked + LEAST_GAP));
                    state.due = state.due.min(soonest);
                }
            }
            Some(done) = running.join_next() => {
                let Ok((source, fetched)) = done else { continue };
                // Nobody may want it any more.
                let Some(state) = known.get_mut(&source) else { continue };
                tell(match state.take_in(fetched, refresh) {
                    None => Told::Fetched,
                    Some(error) => Told::Failed(source, error),
                });
            }
            () = pause => {}
        }
    }
}

impl Known {
    fn new() -> Self {
        Self { keys: None, due: Instant::now(), asked: None, pause: PAUSES.0, is_running: false }
    }

    fn take_in(&mut self, fetched: Result<String, FetchError>, refresh: Duration) -> Option<FetchError> {
        let now = Instant::now();
        self.is_running = false;
        match fetched {
            Ok(text) => {
                // The same keys in another order or spelling move nothing.
                let is_same = self.keys.as_ref().is_some_and(|(old, _)| canonical(old) == canonical(&text));
                let text = self.keys.take().filter(|_| is_same).map_or_else(|| text.into(), |(old, _)| old);
                self.keys = Some((text, now));
                self.pause = PAUSES.0;
                self.due = now + refresh;
                None
            }
            Err(error) => {
                self.due = now + self.pause;
                self.pause = (self.pause * 2).min(PAUSES.1);
                Some(error)
            }
        }
    }
}

/// Forgets what is not wanted and notes what is.
fn settle(known: &mut BTreeMap<Source, Known>, wanted: &BTreeSet<Source>) {
    known.retain(|source, _| wanted.contains(source));
    if wanted.len() > MAX_SOURCES {
        tracing::warn!(
            scope = "jwks",
            "{} sources of keys are wanted, only {MAX_SOURCES} are asked",
            wanted.len()
        );
    }
    for source in wanted.iter().take(MAX_SOURCES) {
        known.entry(source.clone()).or_insert_with(Known::new);
    }
}

fn current(known: &BTreeMap<Source, Known>) -> Keys {
    let keys =
        |(source, state): (&Source, &Known)| Some((source.clone(), Arc::clone(&state.keys.as_ref()?.0)));
    known.iter().filter_map(keys).collect()
}

async fn fetch(client: &Client, source: &Source) -> Result<String, FetchError> {
    let uri = if source.uri.is_empty() {
        let issuer = source.issuer.strip_suffix('/').unwrap_or(&source.issuer);
        let configuration = format!("{issuer}/.well-known/openid-configuration");
        address_in(&client.get(&configuration).await?).ok_or(FetchError::Content { uri: configuration })?
    } else {
        source.uri.clone()
    };
    let text = String::from_utf8(client.get(&uri).await?).ok();
    text.filter(|text| canonical(text).is_some()).ok_or(FetchError::Content { uri })
}
