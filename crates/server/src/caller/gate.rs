//! The gate in front of streams and signing requests: who is let through, and whether a node is what it claims to be.

use std::sync::Arc;

use ca::Identity;
use scope::Proxy;
use tonic::Status;

use super::{Authenticator, Caller, Credentials, Ruling, SecretRights};
use crate::Trust;

/// Who may pass.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// Whether nodes must be what their credential says: `PILOT_ENABLE_XDS_IDENTITY_CHECK`.
    pub check_nodes: bool,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self { check_nodes: true }
    }
}

/// The gate.
pub struct Gate {
    authenticators: Vec<Box<dyn Authenticator>>,
    trust: Arc<dyn Trust>,
    options: GateOptions,
    secrets: SecretRights,
}

impl Gate {
    /// Authenticators in the order in which they are tried.
    pub fn new(
        authenticators: Vec<Box<dyn Authenticator>>,
        trust: Arc<dyn Trust>,
        options: GateOptions,
    ) -> Self {
        Self { authenticators, trust, options, secrets: SecretRights::default() }
    }

    /// Lets proxies have the Secrets that these rights allow.
    #[must_use]
    pub fn with_secrets(self, secrets: SecretRights) -> Self {
        Self { secrets, ..self }
    }

    /// Which Secrets somebody with this identity may have.
    pub(crate) async fn secret_access(&self, identity: &Identity) -> Ruling {
        self.secrets.of(identity).await
    }

    /// Who this is. What each authenticator found amiss is logged, the caller only hears that it was not believed.
    pub async fn authenticate(&self, credentials: &Credentials) -> Result<Caller, Status> {
        let mut reasons = Vec::new();
        for authenticator in &self.authenticators {
            match authenticator.authenticate(credentials).await {
                Ok(Some(caller)) => return Ok(caller),
                Ok(None) => {}
                Err(refusal) => reasons.push(format!("{}: {refusal}", authenticator.name())),
            }
        }
        if reasons.is_empty() {
            reasons.push("neither a client certificate nor a token was brought".to_owned());
        }
        let reasons = reasons.join("; ");
        tracing::debug!(scope = "ads", address = ?credentials.address, "not authenticated: {reasons}");
        Err(Status::unauthenticated(format!("authentication failure: {reasons}")))
    }

    /// Whether this identity is one of ours.
    pub(crate) fn is_trusted(&self, identity: &Identity) -> bool {
        self.trust.is_trusted(identity.trust_domain())
    }

    /// The identity by which this caller is the node that it claims to be.
    pub fn check_node(&self, caller: &Caller, proxy: &Proxy) -> Result<Option<Identity>, Status> {
        if !self.options.check_nodes {
            return Ok(None);
        }
        let account = proxy.metadata.service_account.as_str();
        let is_it = |identity: &&Identity| {
            identity.namespace() == proxy.config_namespace.as_str()
                && (account.is_empty() || account == identity.service_account())
                && self.trust.is_trusted(identity.trust_domain())
        };
        match caller.identities.iter().find(is_it) {
            Some(identity) => Ok(Some(identity.clone())),
            None => {
                let id = proxy.id.as_str();
                let claimed = format!("{}/{account}", proxy.config_namespace);
                tracing::warn!(
                    scope = "ads",
                    node = id,
                    "claims to be {claimed}, is {:?}",
                    caller.identities
                );
                Err(Status::permission_denied(format!(
                    "the node says that it is {claimed}, its credential is for somebody else"
                )))
            }
        }
    }
}
