//! `istio.v1.auth.IstioCertificateService/CreateCertificate`: who calls is who the certificate is for (platform
//! specification, 5.1). Refusals bear the status by which agents know whether to try again.

mod authority;
mod impersonation;
mod keys;
mod metrics;
mod serving;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use ca::{Csr, Identity};
use proto::istio::certificates::{IstioCertificateRequest, IstioCertificateResponse};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::caller::{Answer, Caller, Credentials, Gate, Refusal};

pub use authority::{AuthorityHolder, LocalIssuer};
pub use impersonation::{Impersonation, Nodes};
pub use keys::{KeyKind, generate_key, moment};
pub use metrics::{CertificateMetrics, SignError};
pub use serving::{ServingCertificate, keep_serving_certificate, keep_trust};

/// Longer requests are refused unread.
const MAX_REQUEST: usize = 256 * 1024;

/// What is asked of an issuer.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The request as it came, in PEM, for issuers that sign elsewhere.
    pub pem: String,
    /// The same, checked.
    pub csr: Csr,
    /// Who the certificate is for.
    pub identity: Identity,
    /// In seconds; zero or less means the default.
    pub lifetime: i64,
    /// Which signer is wished for; empty means the default.
    pub signer: String,
}

/// Why nothing was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueRefusal {
    /// As metrics count it.
    pub error: SignError,
    /// What the caller is told.
    pub message: String,
}

/// Who signs: the authority of this process, or one behind the API server.
pub trait Issuer: Send + Sync + 'static {
    /// The reply: the certificate, each intermediate, and as the last element every root.
    fn issue(&self, request: CertificateRequest) -> Answer<'_, Result<Vec<String>, IssueRefusal>>;
}

/// The service.
#[derive(Clone)]
pub struct Certificates(Arc<Shared>);

struct Shared {
    gate: Arc<Gate>,
    issuer: Arc<dyn Issuer>,
    metrics: CertificateMetrics,
    impersonation: Option<Impersonation>,
}

impl Certificates {
    /// Behind a gate; everybody acts for themselves.
    pub fn new(gate: Arc<Gate>, issuer: Arc<dyn Issuer>, metrics: CertificateMetrics) -> Self {
        Self(Arc::new(Shared { gate, issuer, metrics, impersonation: None }))
    }

    /// The same; some may act for others.
    pub fn with_impersonation(
        gate: Arc<Gate>,
        issuer: Arc<dyn Issuer>,
        metrics: CertificateMetrics,
        impersonation: Impersonation,
    ) -> Self {
        Self(Arc::new(Shared { gate, issuer, metrics, impersonation: Some(impersonation) }))
    }
}

impl Shared {
    fn impersonate(&self, caller: &Caller, wanted: &str) -> Result<Identity, Status> {
        let nobody = || Err(Refusal("nobody may act for others here".to_owned()));
        let outcome = self.impersonation.as_ref().map_or_else(nobody, |rule| rule.check(caller, wanted));
        outcome.map_err(|refusal| {
            self.metrics.authentication_failures.inc();
            tracing::warn!(
                scope = "ca",
                "{:?} asks for a certificate of another: {refusal}",
                caller.identities
            );
            Status::unauthenticated(refusal.to_string())
        })
    }

    async fn create(&self, request: Request<IstioCertificateRequest>) -> Result<Vec<String>, Status> {
        self.metrics.requests.inc();
        let credentials = Credentials::of_request(request.metadata(), request.extensions());
        let caller = self.gate.authenticate(&credentials).await.inspect_err(|_| {
            self.metrics.authentication_failures.inc();
        })?;
        let request = request.into_inner();
        let Some(mut identity) = caller.identity().cloned() else {
            self.metrics.identity_errors.inc();
            return Err(Status::unauthenticated("the credential names nobody"));
        };
        // Roots of other meshes may be trusted beside ours: their workloads are known here, and named by nobody here.
        if !self.gate.is_trusted(&identity) {
            self.metrics.identity_errors.inc();
            tracing::warn!(scope = "ca", "no certificate for {identity}: it is of another trust domain");
            return Err(Status::unauthenticated("the credential is of another trust domain"));
        }
        let wished = |key: &str| wish(&request, key);
        if let Some(wanted) = wished("ImpersonatedIdentity") {
            identity = self.impersonate(&caller, &wanted)?;
        }
        let csr = Csr::from_pem(&request.csr).map_err(|error| {
            self.metrics.unreadable_requests.inc();
            Status::invalid_argument(error.to_string())
        })?;
        let signer = wished("CertSigner").unwrap_or_default();
        let lifetime = request.validity_duration;
        let asked = CertificateRequest { pem: request.csr, csr, identity, lifetime, signer };
        let name = asked.identity.to_string();
        match self.issuer.issue(asked).await {
            Ok(reply) => {
                self.metrics.issued.inc();
                tracing::debug!(scope = "ca", by = caller.by, "certificate issued to {name}");
                Ok(reply)
            }
            Err(refusal) => {
                self.metrics.refused(refusal.error);
                tracing::warn!(scope = "ca", "no certificate for {name}: {}", refusal.message);
                Err(Status::new(refusal.error.code(), refusal.message))
            }
        }
    }
}

/// A text in the metadata of a request.
fn wish(request: &IstioCertificateRequest, key: &str) -> Option<String> {
    use proto::wkt::value::Kind;
    match &request.metadata.as_ref()?.fields.get(key)?.kind {
        Some(Kind::StringValue(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

struct Create(Arc<Shared>);

impl UnaryService<IstioCertificateRequest> for Create {
    type Response = IstioCertificateResponse;
    type Future = Answer<'static, Result<Response<IstioCertificateResponse>, Status>>;

    fn call(&mut self, request: Request<IstioCertificateRequest>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let cert_chain = shared.create(request).await?;
            Ok(Response::new(IstioCertificateResponse { cert_chain }))
        })
    }
}

impl NamedService for Certificates {
    const NAME: &'static str = "istio.v1.auth.IstioCertificateService";
}

impl Service<http::Request<Body>> for Certificates {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path().rsplit('/').next() != Some("CreateCertificate") {
            return Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) });
        }
        let method = Create(Arc::clone(&self.0));
        Box::pin(async move {
            let codec = ProstCodec::<IstioCertificateResponse, IstioCertificateRequest>::default();
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(Some(MAX_REQUEST), None);
            Ok(grpc.unary(method, request).await)
        })
    }
}
