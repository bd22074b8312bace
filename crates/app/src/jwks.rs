//! Keys for tokens, between those who want them and the keeper that fetches them: the mesh, for the tokens that proxies
//! check, and our own ports, for those of `JWT_RULE`. Settings as istiod names them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ca::KeySet;
use jwks_io::{Client, Guard, Options, Source as KeeperSource, Told, keep, keep_in_a_hurry};
use mesh::KeySource;
use server::Metrics;
use tokio::sync::{Semaphore, watch};

use crate::control::Event;
use crate::features::Source;
use crate::state::State;

/// Authorities of issuers besides those of the system, where istiod has them mounted.
const EXTRA_ROOTS: &str = "/cacerts/extra.pem";

/// How keys are fetched.
#[derive(Clone)]
pub(crate) struct Settings {
    refresh: Duration,
    options: Options,
}

impl Settings {
    /// From the environment; what could not be read is told.
    pub(crate) fn read(variable: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut source = Source { variable, problems: Vec::new() };
        let mut refresh = Duration::from_mins(20);
        source.duration("PILOT_JWT_PUB_KEY_REFRESH_INTERVAL", &mut refresh);
        let guard = Guard {
            allowed: networks(&mut source, "TRIERARCH_JWKS_ALLOWED_CIDRS"),
            blocked: networks(&mut source, "BLOCKED_CIDRS_IN_JWKS_URIS"),
        };
        let mut problems = source.problems;
        if variable("JWKS_RESOLVER_INSECURE_SKIP_VERIFY").is_some_and(|value| value == "true") {
            problems
                .push("JWKS_RESOLVER_INSECURE_SKIP_VERIFY is passed over: issuers are verified".to_owned());
        }
        let options = Options { guard, extra_roots: Some(PathBuf::from(EXTRA_ROOTS)), ..Options::default() };
        // No issuer is to be asked without a pause.
        (Self { refresh: refresh.max(Duration::from_secs(1)), options }, problems)
    }

    /// Fetches on the runtime of the caller what the mesh wants, and tells the control thread.
    pub(crate) fn start(self, state: &State, events: Sender<Event>, metrics: Metrics) -> Result<()> {
        let client = Client::new(self.options).context("keys for tokens cannot be fetched")?;
        let mut of_mesh = state.wanted_keys();
        let (want, wanted) = watch::channel(BTreeSet::new());
        tokio::spawn(async move {
            loop {
                let sources = of_mesh.borrow_and_update().iter().map(of_keeper).collect();
                want.send_if_modified(|known| {
                    let differs = *known != sources;
                    *known = sources;
                    differs
                });
                if of_mesh.changed().await.is_err() {
                    return;
                }
            }
        });
        let mut failing = BTreeSet::new();
        tokio::spawn(keep(client, self.refresh, wanted, move |told| match told {
            Told::Fetched => metrics.fetched_keys(true),
            Told::Failed(source, error) => {
                metrics.fetched_keys(false);
                let message =
                    format!("no new keys of issuer {:?}, what is known stays: {error}", source.issuer);
                // Once, not at every attempt.
                if failing.len() < MAX_TOLD && failing.insert(message.clone()) {
                    tracing::warn!(scope = "jwks", "{message}");
                }
            }
            Told::Keys(keys) => {
                failing.clear();
                let keys = keys.into_iter().map(|(source, keys)| (of_mesh_again(source), keys)).collect();
                let _ = events.send(Event::Keys(keys));
            }
        }));
        Ok(())
    }
}

impl Settings {
    /// Fetches, on the runtime of the caller, the keys of the issuer whose tokens our own ports take (`JWT_RULE`). An
    /// operator has named it, so it may be inside the cluster.
    pub(crate) fn keys_of_issuer(self, issuer: &str, uri: &str, metrics: Metrics) -> Result<IssuerKeys> {
        let mut options = self.options;
        options.guard.allowed = ["0.0.0.0/0", "::/0"].iter().filter_map(|all| all.parse().ok()).collect();
        let client = Client::new(options).context("keys of JWT_RULE cannot be fetched")?;
        let source = KeeperSource { issuer: issuer.to_owned(), uri: uri.to_owned() };
        let (hurry, hurried) = watch::channel(0);
        let (found, keys) = watch::channel(None);
        let (want, wanted) = watch::channel(BTreeSet::from([source]));
        let mut told = String::new();
        tokio::spawn(async move {
            let _want = want;
            let tell = move |event| match event {
                Told::Fetched => {
                    told.clear();
                    metrics.fetched_keys(true);
                }
                Told::Failed(source, error) => {
                    metrics.fetched_keys(false);
                    let message = error.to_string();
                    if message != told {
                        let issuer = &source.issuer;
                        tracing::warn!(
                            scope = "jwks",
                            "no new keys of issuer {issuer:?}, what is known stays: {message}"
                        );
                        told = message;
                    }
                }
                Told::Keys(keys) => {
                    let newest = keys.values().next().and_then(|text| KeySet::parse(text));
                    match newest {
                        Some(keys) if keys.is_empty() => tracing::warn!(
                            scope = "jwks",
                            "the issuer of JWT_RULE has no key that could be used; what is known stays"
                        ),
                        newest => {
                            found.send_replace(newest.map(Arc::new));
                        }
                    }
                }
            };
            keep_in_a_hurry(client, self.refresh, wanted, hurried, tell).await;
        });
        Ok(IssuerKeys { keys, hurry, waiting: Semaphore::new(MAX_WAITING) })
    }
}

/// So many callers wait for new keys at once, and so long.
const MAX_WAITING: usize = 256;
const MAX_WAIT: Duration = Duration::from_secs(3);

/// The keys of an issuer, fetched.
pub(crate) struct IssuerKeys {
    keys: watch::Receiver<Option<Arc<KeySet>>>,
    hurry: watch::Sender<u64>,
    waiting: Semaphore,
}

impl server::KeySource for IssuerKeys {
    fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.borrow().clone()
    }

    fn newer(&self) -> server::Answer<'_, Option<Arc<KeySet>>> {
        Box::pin(async move {
            let _waiting = self.waiting.try_acquire().ok()?;
            let mut keys = self.keys.clone();
            keys.mark_unchanged();
            self.hurry.send_modify(|times| *times += 1);
            tokio::time::timeout(MAX_WAIT, keys.changed()).await.ok()?.ok()?;
            keys.borrow().clone()
        })
    }
}

/// More different failures are not remembered.
const MAX_TOLD: usize = 1000;

fn of_keeper(source: &KeySource) -> KeeperSource {
    KeeperSource { issuer: source.issuer.clone(), uri: source.uri.clone() }
}

fn of_mesh_again(source: KeeperSource) -> KeySource {
    KeySource { issuer: source.issuer, uri: source.uri }
}

/// Networks with commas; one that cannot be read is told and left out.
fn networks<N: std::str::FromStr>(source: &mut Source<'_>, name: &str) -> Vec<N> {
    let mut text = String::new();
    source.text(name, &mut text);
    let mut networks = Vec::new();
    for network in text.split(',').map(str::trim).filter(|network| !network.is_empty()) {
        match network.parse() {
            Ok(network) => networks.push(network),
            Err(_) => source.problems.push(format!("{name}: {network:?} is no network such as 10.0.0.0/8")),
        }
    }
    networks
}

/// What a control plane wants now; shared with whoever fetches.
#[derive(Default)]
pub(crate) struct WantedKeys(watch::Sender<Arc<BTreeSet<KeySource>>>);

impl WantedKeys {
    pub(crate) fn set(&self, sources: BTreeSet<KeySource>) {
        self.0.send_if_modified(|known| {
            let differs = **known != sources;
            if differs {
                *known = Arc::new(sources);
            }
            differs
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<BTreeSet<KeySource>>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_slips_told() {
        let variables = |name: &str| match name {
            "TRIERARCH_JWKS_ALLOWED_CIDRS" => Some("10.0.0.0/8, fd00::/8,10.0.0".to_owned()),
            "PILOT_JWT_PUB_KEY_REFRESH_INTERVAL" => Some("5m".to_owned()),
            _ => None,
        };
        let (settings, problems) = Settings::read(&variables);
        assert_eq!(settings.refresh, Duration::from_mins(5));
        assert!(settings.options.guard.permits("10.1.2.3".parse().expect("an address")));
        assert!(!settings.options.guard.permits("127.0.0.1".parse().expect("an address")));
        assert_eq!(problems, ["TRIERARCH_JWKS_ALLOWED_CIDRS: \"10.0.0\" is no network such as 10.0.0.0/8"]);
    }
}
