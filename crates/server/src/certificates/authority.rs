//! The authority in force, which can change between any two requests, and the issuer that signs with it.

use std::sync::Arc;

use ca::{Authority, IssueError, Lifetimes};
use tokio::sync::watch;

use super::keys::moment;
use super::{CertificateRequest, IssueRefusal, Issuer, SignError};
use crate::caller::Answer;

/// Holds the authority in force and tells whoever listens when it changes.
#[derive(Clone, Debug)]
pub struct AuthorityHolder(watch::Sender<Option<Arc<Authority>>>);

impl Default for AuthorityHolder {
    fn default() -> Self {
        Self(watch::channel(None).0)
    }
}

impl AuthorityHolder {
    /// From now on this one.
    pub fn replace(&self, authority: Authority) {
        self.0.send_replace(Some(Arc::new(authority)));
    }

    /// The one in force.
    pub fn current(&self) -> Option<Arc<Authority>> {
        self.0.borrow().clone()
    }

    /// The one in force, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Authority>>> {
        self.0.subscribe()
    }
}

/// Signs with the authority in force.
#[derive(Clone, Debug)]
pub struct LocalIssuer {
    holder: AuthorityHolder,
    lifetimes: Lifetimes,
}

impl LocalIssuer {
    /// Certificates that live so long.
    pub fn new(holder: AuthorityHolder, lifetimes: Lifetimes) -> Self {
        Self { holder, lifetimes }
    }

    fn sign(&self, request: &CertificateRequest) -> Result<Vec<String>, IssueRefusal> {
        let refusal =
            |error, message: &dyn std::fmt::Display| IssueRefusal { error, message: message.to_string() };
        let authority = self
            .holder
            .current()
            .ok_or_else(|| refusal(SignError::NotReady, &"the certificate authority is not ready yet"))?;
        let at = moment().ok_or_else(|| refusal(SignError::Generation, &"there is no randomness"))?;
        let issued = authority.issue(&request.csr, &request.identity, request.lifetime, self.lifetimes, at);
        issued.map(ca::Issued::into_reply).map_err(|error| match error {
            IssueError::TooLong { .. } => refusal(SignError::Lifetime, &error),
            IssueError::Expired => refusal(SignError::NotReady, &error),
            _ => refusal(SignError::Generation, &error),
        })
    }
}

impl Issuer for LocalIssuer {
    fn issue(&self, request: CertificateRequest) -> Answer<'_, Result<Vec<String>, IssueRefusal>> {
        Box::pin(async move { self.sign(&request) })
    }
}
