//! Kubernetes tokens, reviewed by an API server. What it said is remembered for a short while and for so many tokens,
//! by a digest, so that a crowd of reconnecting proxies asks once each and no token is kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use ca::{Identity, ServiceAccount};
use parking_lot::Mutex;

use super::{Answer, Authenticator, Caller, CallerPod, Credentials, Refusal, Token};
use crate::Trust;

/// A token that was withdrawn is believed for so long.
const BELIEVED: Duration = Duration::from_mins(1);
/// One that was refused is refused again without asking.
const DISBELIEVED: Duration = Duration::from_secs(5);
/// More answers than that are not remembered.
const MAX_REMEMBERED: usize = 20_000;

/// What an API server says of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewedToken {
    /// The user.
    pub user: String,
    /// Whether its groups say that it is a service account.
    pub is_service_account: bool,
    /// The pod that the token is bound to.
    pub pod: Option<CallerPod>,
}

/// Who asks the API server of a cluster; no cluster means our own.
pub trait TokenReviewer: Send + Sync + 'static {
    /// `None` where the token is not believed, an error where nobody could be asked.
    fn review<'a>(
        &'a self,
        token: &'a Token,
        cluster: Option<&'a str>,
    ) -> Answer<'a, Result<Option<ReviewedToken>, Refusal>>;
}

type Digest = [u8; 32];

/// What an API server said of a token, and until when that is believed.
#[derive(Clone)]
struct Remembered {
    until: Instant,
    /// `None` when it was refused.
    token: Option<ReviewedToken>,
}

/// Believes what an API server believes.
pub struct KubernetesAuthenticator {
    reviewer: Arc<dyn TokenReviewer>,
    trust: Arc<dyn Trust>,
    remembered: Mutex<HashMap<Digest, Remembered>>,
}

impl KubernetesAuthenticator {
    /// Asks this reviewer; identities are of our trust domain.
    pub fn new(reviewer: Arc<dyn TokenReviewer>, trust: Arc<dyn Trust>) -> Self {
        Self { reviewer, trust, remembered: Mutex::default() }
    }

    async fn check(&self, token: &Token, cluster: Option<&str>) -> Result<Caller, Refusal> {
        let key = digest_of(token, cluster);
        let reviewed = match self.recall(&key) {
            Some(known) => known.token,
            None => {
                let reviewed = self.reviewer.review(token, cluster).await?;
                self.remember(key, reviewed.clone());
                reviewed
            }
        };
        let reviewed =
            reviewed.ok_or_else(|| Refusal("the API server does not believe the token".to_owned()))?;
        let account = ServiceAccount::of_user(&reviewed.user).filter(|_| reviewed.is_service_account);
        let account = account.ok_or_else(|| Refusal("the token is of no service account".to_owned()))?;
        let identity = Identity::new(&self.trust.trust_domain(), &account.namespace, &account.name)
            .map_err(|error| Refusal(error.to_string()))?;
        Ok(Caller { identities: vec![identity], by: self.name(), pod: reviewed.pod })
    }

    fn recall(&self, key: &Digest) -> Option<Remembered> {
        let remembered = self.remembered.lock();
        remembered.get(key).filter(|known| known.until > Instant::now()).cloned()
    }

    fn remember(&self, key: Digest, reviewed: Option<ReviewedToken>) {
        let now = Instant::now();
        let until = now + if reviewed.is_some() { BELIEVED } else { DISBELIEVED };
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, known| known.until > now);
        }
        if remembered.len() < MAX_REMEMBERED {
            remembered.insert(key, Remembered { until, token: reviewed });
        }
    }
}

fn digest_of(token: &Token, cluster: Option<&str>) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(cluster.unwrap_or_default().as_bytes());
    context.update(&[0]);
    context.update(token.reveal().as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

impl Authenticator for KubernetesAuthenticator {
    fn name(&self) -> &'static str {
        "Kubernetes token"
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> Answer<'a, Result<Option<Caller>, Refusal>> {
        Box::pin(async move {
            match &credentials.token {
                Some(token) => self.check(token, credentials.cluster.as_deref()).await.map(Some),
                None => Ok(None),
            }
        })
    }
}
