//! Tokens of an OIDC issuer, by keys that are at hand; who fetches them is somebody else's matter.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ca::{Identity, KeySet, TokenError, TokenRule};

use super::{Answer, Authenticator, Caller, Credentials, Refusal};
use crate::Trust;

/// Who has the keys of an issuer.
pub trait KeySource: Send + Sync + 'static {
    /// The newest; `None` as long as there are none.
    fn keys(&self) -> Option<Arc<KeySet>>;

    /// Other keys than those known, if there soon are any: a token came by a key that is not among them. Whoever fetches
    /// keys bounds how often it does so for this.
    fn newer(&self) -> Answer<'_, Option<Arc<KeySet>>> {
        Box::pin(async { None })
    }
}

impl KeySource for KeySet {
    fn keys(&self) -> Option<Arc<KeySet>> {
        Some(Arc::new(self.clone()))
    }
}

/// Believes the tokens of one issuer.
pub struct TokenAuthenticator {
    rule: TokenRule,
    keys: Arc<dyn KeySource>,
    trust: Arc<dyn Trust>,
}

impl TokenAuthenticator {
    /// Tokens that `rule` takes, of identities in our trust domain.
    pub fn new(rule: TokenRule, keys: Arc<dyn KeySource>, trust: Arc<dyn Trust>) -> Self {
        Self { rule, keys, trust }
    }

    async fn check(&self, token: &str) -> Result<Caller, Refusal> {
        let refusal = |reason: &dyn std::fmt::Display| Refusal(reason.to_string());
        let unknown = || refusal(&"the keys of the issuer are not known yet");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let verify = |keys: &KeySet| keys.verify(token, &self.rule, now);
        let mut verified = match self.keys.keys() {
            Some(keys) => verify(&keys),
            None => verify(&*self.keys.newer().await.ok_or_else(unknown)?),
        };
        // The issuer may have begun to sign with another key.
        if verified == Err(TokenError::UnknownKey)
            && let Some(keys) = self.keys.newer().await
        {
            verified = verify(&keys);
        }
        let account = verified.map_err(|error| refusal(&error))?;
        let identity = Identity::new(&self.trust.trust_domain(), &account.namespace, &account.name);
        Ok(Caller::new(identity.map_err(|error| refusal(&error))?, self.name()))
    }
}

impl Authenticator for TokenAuthenticator {
    fn name(&self) -> &'static str {
        "OIDC token"
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> Answer<'a, Result<Option<Caller>, Refusal>> {
        Box::pin(async move {
            match &credentials.token {
                Some(token) => self.check(token.reveal()).await.map(Some),
                None => Ok(None),
            }
        })
    }
}
