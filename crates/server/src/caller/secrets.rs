//! Whether a service account may list the Secrets of its namespace (security specification, 6): what the API server
//! said is remembered for a while, for so many accounts. Where there is no API server, to be in the namespace is
//! enough.

use std::collections::HashMap;
use std::sync::Arc;

use ca::Identity;
use parking_lot::Mutex;
use scope::SecretAccess;
use tokio::time::{Duration, Instant};

use super::{Answer, Refusal};

/// A right that was withdrawn is believed in for so long.
const ALLOWED: Duration = Duration::from_mins(5);
/// Whoever was refused waits so long for another answer.
const DENIED: Duration = Duration::from_mins(1);
/// After that long an API server that did not answer is asked again.
const UNANSWERED: Duration = Duration::from_secs(5);
/// More answers than that are not remembered.
const MAX_REMEMBERED: usize = 20_000;

/// Who knows what service accounts may do.
pub trait AccessReviewer: Send + Sync + 'static {
    /// Whether it may list Secrets of its namespace; an error where nobody could be asked.
    fn may_list_secrets<'a>(&'a self, identity: &'a Identity) -> Answer<'a, Result<bool, Refusal>>;
}

/// What a proxy may have, and until when that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruling {
    /// `None` where nobody could be asked.
    pub(crate) access: Option<SecretAccess>,
    /// When to ask again.
    pub(crate) until: Option<Instant>,
}

type Account = (String, String);

/// Rules over Secrets.
#[derive(Default)]
pub struct SecretRights {
    reviewer: Option<Arc<dyn AccessReviewer>>,
    remembered: Mutex<HashMap<Account, (Instant, bool)>>,
}

impl SecretRights {
    /// Asks this reviewer. The default asks nobody: whoever is in the namespace may read its Secrets.
    pub fn new(reviewer: Arc<dyn AccessReviewer>) -> Self {
        Self { reviewer: Some(reviewer), remembered: Mutex::default() }
    }

    /// What somebody with this identity may have.
    pub(crate) async fn of(&self, identity: &Identity) -> Ruling {
        self.at(Instant::now(), identity).await
    }

    async fn at(&self, now: Instant, identity: &Identity) -> Ruling {
        let account: Arc<str> = identity.service_account().into();
        let proved = |reads_secrets| Some(SecretAccess::Proved { account, reads_secrets });
        let Some(reviewer) = &self.reviewer else { return Ruling { access: proved(true), until: None } };
        let key = (identity.namespace().to_owned(), identity.service_account().to_owned());
        if let Some((until, allowed)) = self.recall(&key, now) {
            return Ruling { access: proved(allowed), until: Some(until) };
        }
        match reviewer.may_list_secrets(identity).await {
            Ok(allowed) => {
                let until = now + if allowed { ALLOWED } else { DENIED };
                self.remember(key, until, allowed, now);
                Ruling { access: proved(allowed), until: Some(until) }
            }
            Err(refusal) => {
                let (namespace, account) = key;
                tracing::warn!(scope = "ads", "the rights of {namespace}/{account} are not known: {refusal}");
                Ruling { access: None, until: Some(now + UNANSWERED) }
            }
        }
    }

    fn recall(&self, key: &Account, now: Instant) -> Option<(Instant, bool)> {
        self.remembered.lock().get(key).copied().filter(|(until, _)| *until > now)
    }

    fn remember(&self, key: Account, until: Instant, allowed: bool, now: Instant) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, (until, _)| *until > now);
        }
        if remembered.len() < MAX_REMEMBERED || remembered.contains_key(&key) {
            remembered.insert(key, (until, allowed));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Allows `gateway`, denies others, and cannot tell of `lost`.
    #[derive(Default)]
    struct Fake(AtomicUsize);

    impl AccessReviewer for Fake {
        fn may_list_secrets<'a>(&'a self, identity: &'a Identity) -> Answer<'a, Result<bool, Refusal>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                match identity.service_account() {
                    "lost" => Err(Refusal("nobody is there".into())),
                    account => Ok(account == "gateway"),
                }
            })
        }
    }

    fn identity(namespace: &str, account: &str) -> Identity {
        Identity::new("cluster.local", namespace, account).expect("an identity")
    }

    #[tokio::test]
    async fn an_answer_is_remembered_five_minutes_if_it_allows_and_one_if_it_denies() {
        let fake = Arc::new(Fake::default());
        let rights = SecretRights::new(fake.clone());
        let asked = || fake.0.load(Ordering::SeqCst);
        let start = Instant::now();
        let reads = async |account, later| rights.at(start + later, &identity("shop", account)).await.access;
        let zero = Duration::ZERO;
        let proved = |account: &str, reads_secrets| {
            Some(SecretAccess::Proved { account: account.into(), reads_secrets })
        };
        assert_eq!(reads("gateway", zero).await, proved("gateway", true));
        assert_eq!(reads("web", zero).await, proved("web", false));
        assert_eq!(reads("gateway", zero).await, proved("gateway", true));
        assert_eq!(reads("web", zero).await, proved("web", false));
        assert_eq!(asked(), 2);
        // The same name elsewhere is somebody else.
        rights.at(start, &identity("other", "gateway")).await;
        assert_eq!(asked(), 3);
        reads("web", DENIED).await;
        reads("gateway", DENIED).await;
        assert_eq!(asked(), 4);
        reads("gateway", ALLOWED).await;
        assert_eq!(asked(), 5);
    }

    #[tokio::test]
    async fn an_api_server_that_is_away_allows_nothing_and_is_asked_again_soon() {
        let rights = SecretRights::new(Arc::new(Fake::default()));
        let now = Instant::now();
        let ruling = rights.at(now, &identity("shop", "lost")).await;
        assert_eq!(ruling, Ruling { access: None, until: Some(now + UNANSWERED) });
    }

    #[tokio::test]
    async fn without_an_api_server_the_namespace_is_enough() {
        let ruling = SecretRights::default().of(&identity("shop", "web")).await;
        assert!(ruling.access.is_some_and(|access| access.reads_secrets()) && ruling.until.is_none());
    }
}
