//! Certificates of workloads by signers of the cluster (`EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API`): we tell who the caller
//! is, approve the request, and hand on what was issued only if it is for that caller (platform specification, 5.2).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ca::{Foreign, Lifetimes};
use kube_io::{Client, SigningRequest, sign_by_cluster};
use server::{Answer, CertificateRequest, IssueRefusal, Issuer, SignError};
use tokio::sync::Semaphore;

use crate::state::State;

/// How long a signer may take.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// More requests than that are not open at once.
const MAX_OPEN: usize = 128;
/// The API server refuses less.
pub(super) const SHORTEST: i64 = 600;
const USAGES: &[&str] = &["digital signature", "key encipherment", "server auth", "client auth"];
/// Roots that go before those of the mesh configuration, where istiod has them mounted.
pub(super) const EXTERNAL_ROOTS: &str = "./etc/external-ca-cert/root-cert.pem";

/// Which signers there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signers {
    /// `K8S_SIGNER`: for callers that wish for none.
    pub(super) default: String,
    /// `CERT_SIGNER_DOMAIN`: what goes before the `CertSigner` that a proxy wishes for.
    pub(super) domain: String,
}

impl Signers {
    /// The signer that a caller wishes for; empty means none in particular.
    fn named(&self, wished: &str) -> Result<String, String> {
        match (wished.is_empty(), self.domain.is_empty()) {
            (true, _) if self.default.is_empty() => {
                Err("no signer is wished for (CertSigner), and K8S_SIGNER names none".to_owned())
            }
            (true, _) => Ok(self.default.clone()),
            (false, true) => {
                Err(format!("the signer {wished:?} is wished for, but CERT_SIGNER_DOMAIN is not set"))
            }
            (false, false) => Ok(format!("{}/{wished}", self.domain)),
        }
    }
}

/// Has signers of the cluster sign.
#[derive(Clone)]
pub(super) struct ClusterIssuer(Arc<Inner>);

struct Inner {
    client: Client,
    state: Arc<State>,
    signers: Signers,
    lifetimes: Lifetimes,
    open: Semaphore,
}

impl ClusterIssuer {
    pub(super) fn new(client: Client, state: Arc<State>, signers: Signers, lifetimes: Lifetimes) -> Self {
        Self(Arc::new(Inner { client, state, signers, lifetimes, open: Semaphore::new(MAX_OPEN) }))
    }
}

/// The roots of a signer in PEM: of a file, else of the mesh configuration; empty where neither has any.
pub(super) fn roots_of(state: &State, signer: &str) -> String {
    let mounted = std::fs::read_to_string(PathBuf::from(EXTERNAL_ROOTS)).unwrap_or_default();
    if mounted.trim().is_empty() { state.roots_of_signer(signer) } else { mounted }
}

impl Inner {
    async fn sign(&self, request: CertificateRequest) -> Result<Vec<String>, IssueRefusal> {
        let refusal =
            |error, message: &dyn std::fmt::Display| IssueRefusal { error, message: message.to_string() };
        let lifetime = if request.lifetime <= 0 { self.lifetimes.default } else { request.lifetime };
        if lifetime > self.lifetimes.max {
            let message = format!(
                "a validity of {lifetime} s is more than the {} s that are allowed",
                self.lifetimes.max
            );
            return Err(refusal(SignError::Lifetime, &message));
        }
        if lifetime < SHORTEST {
            let message =
                format!("signers of the cluster sign for {SHORTEST} s at least, {lifetime} s are asked for");
            return Err(refusal(SignError::Lifetime, &message));
        }
        let signer =
            self.signers.named(&request.signer).map_err(|message| refusal(SignError::Request, &message))?;
        if !request.csr.asks_only_for(&request.identity.to_string()) {
            let message = format!("the request asks for other names than {}", request.identity);
            return Err(refusal(SignError::Request, &message));
        }
        let _open = self.open.acquire().await.map_err(|error| refusal(SignError::NotReady, &error))?;
        let asked = SigningRequest {
            prefix: "csr-workload-",
            pem: request.csr.to_pem(),
            signer: signer.clone(),
            lifetime,
            usages: USAGES,
            patience: PATIENCE,
        };
        let issued = sign_by_cluster(&self.client, &asked).await;
        let issued = issued.map_err(|error| refusal(SignError::Unknown, &error))?;
        let foreign = Foreign::parse(&issued).map_err(|error| refusal(SignError::Unknown, &error))?;
        foreign
            .check(&request.csr, &request.identity)
            .map_err(|error| refusal(SignError::Unknown, &format!("{signer}: {error}")))?;
        let roots = roots_of(&self.state, &signer);
        foreign.into_reply(&roots).map_err(|error| refusal(SignError::Unknown, &format!("{signer}: {error}")))
    }
}

impl Issuer for ClusterIssuer {
    fn issue(&self, request: CertificateRequest) -> Answer<'_, Result<Vec<String>, IssueRefusal>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            // Goes on without the caller, so that no open request is left behind when one gives up.
            let signing = tokio::spawn(async move { inner.sign(request).await });
            signing.await.unwrap_or_else(|_| {
                Err(IssueRefusal { error: SignError::Unknown, message: "signing was broken off".to_owned() })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_names_a_signer_of_the_domain_and_none_means_the_default() {
        let signers =
            |default: &str, domain: &str| Signers { default: default.into(), domain: domain.into() };
        assert_eq!(signers("a.test/x", "b.test").named(""), Ok("a.test/x".into()));
        assert_eq!(signers("a.test/x", "b.test").named("foo"), Ok("b.test/foo".into()));
        assert!(signers("a.test/x", "").named("foo").is_err_and(|told| told.contains("CERT_SIGNER_DOMAIN")));
        assert!(signers("", "b.test").named("").is_err_and(|told| told.contains("K8S_SIGNER")));
    }
}
