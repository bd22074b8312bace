//! The shells that proxies and operators talk to: ADS and signing over gRPC, in plain text and over TLS; readiness,
//! metrics and debug pages over HTTP.
//!
//! Everything served comes through two ports: `Discovery` gives each connected proxy its snapshots, `DebugSource` the
//! pages about configuration. What is known here, about connections, is shown by the debug pages of this crate.

mod admission;
mod ads;
mod caller;
mod certificates;
mod cluster_metrics;
mod connections;
mod debug;
mod http;
mod listen;
mod metrics;
mod options;
mod port;
mod process;
mod spread;
mod time;
mod tls;
mod validation;
mod webhook;
mod webhook_metrics;
mod workloads;

pub use ads::Ads;
pub use caller::{
    AccessReviewer, Answer, Authenticator, Caller, CallerPod, CertificateAuthenticator, Credentials,
    ForwardedAuthenticator, Gate, GateOptions, KeySource, KubernetesAuthenticator, NetworkError, Refusal,
    ReviewedToken, SecretRights, Token, TokenAuthenticator, TokenReviewer,
};
pub use certificates::{
    AuthorityHolder, CertificateMetrics, CertificateRequest, Certificates, Impersonation, IssueRefusal,
    Issuer, KeyKind, LocalIssuer, Nodes, ServingCertificate, SignError, generate_key,
    keep_serving_certificate, keep_trust, moment,
};
pub use cluster_metrics::ClusterMetrics;
pub use connections::{Connection, Connections};
pub use debug::{Debug, DebugAccess};
pub use http::{Version, monitoring_router, readiness_router};
pub use listen::{
    ServeError, serve_ads, serve_ads_over, serve_grpc_over, serve_http, serve_https, serve_secure,
};
pub use metrics::Metrics;
pub use options::AdsOptions;
pub use port::{DebugSource, Discovery, Published, Trust};
pub use tls::{MinVersion, Peer, Tls, TlsConnection, TlsError, TlsIncoming, TlsOptions, TlsPeer, accept_tls};
pub use validation::validation_router;
pub use webhook::{Injectors, injection_router};
pub use webhook_metrics::WebhookMetrics;
pub use workloads::{RegistrationMetrics, WorkloadRefusal, Workloads};
