//! Who calls: each way of proving it is an [`Authenticator`], tried in order until one succeeds; and what somebody
//! with that identity may do (platform specification, 2.8; security specification, 7).

mod forwarded;
mod gate;
mod kubernetes;
mod secrets;
mod token;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::HeaderMap;
use ca::Identity;
use tonic::Extensions;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpConnectInfo;

use crate::Peer;

pub use forwarded::{ForwardedAuthenticator, NetworkError};
pub use gate::{Gate, GateOptions};
pub use kubernetes::{KubernetesAuthenticator, ReviewedToken, TokenReviewer};
pub(crate) use secrets::Ruling;
pub use secrets::{AccessReviewer, SecretRights};
pub use token::{KeySource, TokenAuthenticator};

/// What a caller brings along.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// From where it calls.
    pub address: Option<SocketAddr>,
    /// Identities of its certificate, verified.
    pub certificate: Arc<[Identity]>,
    /// The token of `authorization: Bearer`.
    pub token: Option<Token>,
    /// `x-forwarded-client-cert`
    pub forwarded: Option<String>,
    /// `clusterid`: the cluster that knows the token.
    pub cluster: Option<String>,
}

/// A token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// From its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Credentials {
    /// What stands in the headers of a gRPC request, and what the connection knows.
    pub(crate) fn of_request(metadata: &MetadataMap, extensions: &Extensions) -> Self {
        let peer = extensions.get::<Peer>();
        let tcp = || extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        Self {
            address: peer.map(|peer| peer.address).or_else(tcp),
            certificate: peer.map(|peer| Arc::clone(&peer.identities)).unwrap_or_default(),
            ..Self::of_headers(&|name| metadata.get(name)?.to_str().ok())
        }
    }

    /// What stands in the headers of an HTTP request that came from there.
    pub(crate) fn of_http(headers: &HeaderMap, address: SocketAddr) -> Self {
        let credentials = Self::of_headers(&|name| headers.get(name)?.to_str().ok());
        Self { address: Some(address), ..credentials }
    }

    fn of_headers<'a>(header: &dyn Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            token: header("authorization").and_then(bearer),
            forwarded: header("x-forwarded-client-cert").map(str::to_owned),
            cluster: header("clusterid").filter(|text| !text.is_empty()).map(str::to_owned),
            ..Self::default()
        }
    }
}

/// The token of an `authorization` header.
pub(crate) fn bearer(header: &str) -> Option<Token> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Token::new(token))
}

/// Somebody who has proved who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Never empty.
    pub identities: Vec<Identity>,
    /// How it was proved, as logs name it.
    pub by: &'static str,
    /// The pod that a Kubernetes token is bound to.
    pub pod: Option<CallerPod>,
}

/// The pod that a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerPod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Caller {
    /// Somebody with one identity.
    pub fn new(identity: Identity, by: &'static str) -> Self {
        Self { identities: vec![identity], by, pod: None }
    }

    /// The identity that certificates are issued to; the first where there are several.
    pub fn identity(&self) -> Option<&Identity> {
        self.identities.first()
    }
}

/// Why somebody is not believed. Holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// An answer that takes time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One way of proving who one is.
pub trait Authenticator: Send + Sync + 'static {
    /// As logs name it.
    fn name(&self) -> &'static str;

    /// `None` where no credential of this kind was brought.
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> Answer<'a, Result<Option<Caller>, Refusal>>;
}

/// By the certificate that the connection was made with.
#[derive(Clone, Copy, Debug, Default)]
pub struct CertificateAuthenticator;

impl Authenticator for CertificateAuthenticator {
    fn name(&self) -> &'static str {
        "client certificate"
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> Answer<'a, Result<Option<Caller>, Refusal>> {
        let identities = credentials.certificate.to_vec();
        let caller = Caller { identities, by: self.name(), pod: None };
        Box::pin(async move { Ok((!caller.identities.is_empty()).then_some(caller)) })
    }
}
