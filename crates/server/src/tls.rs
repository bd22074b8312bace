//! TLS of the control plane's own ports: a certificate and a set of trusted roots that can change between any two
//! handshakes, on 15012 with client certificates that are optional but verified, on 15017 without (platform
//! specification, 1.2 and 5.2).

mod accept;
mod options;
mod verifier;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub use accept::{Peer, TlsConnection, TlsIncoming, TlsPeer, accept_tls};
pub use options::{MinVersion, TlsOptions};
use verifier::Verifier;

/// Why TLS cannot be served so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate and its key cannot be used.
    #[error("the serving certificate cannot be used: {0}")]
    Certificate(String),
    /// The roots cannot be used.
    #[error("the roots that clients are verified by cannot be used: {0}")]
    Roots(String),
    /// The settings contradict each other.
    #[error("TLS cannot be set up")]
    Settings(#[source] rustls::Error),
}

/// What all TLS ports share. Before the first certificate every handshake fails.
#[derive(Debug)]
pub struct Tls {
    certificate: Arc<Certificate>,
    verifier: Arc<Verifier>,
    options: TlsOptions,
}

impl Tls {
    /// Without certificate and roots.
    pub fn new(options: TlsOptions) -> Self {
        let verifier = Arc::new(Verifier::new(Arc::clone(&options.provider)));
        Self { certificate: Arc::default(), verifier, options }
    }

    /// Serves this certificate from the next handshake on. Both are PEM; the first of `chain` is the certificate.
    pub fn serve_certificate(&self, chain: &str, key: &str) -> Result<(), TlsError> {
        let fault = |reason: &dyn std::fmt::Display| TlsError::Certificate(reason.to_string());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| fault(&"the chain is not PEM"))?;
        if chain.is_empty() {
            return Err(fault(&"there is no certificate"));
        }
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| fault(&"there is no private key"))?;
        let certified =
            CertifiedKey::from_der(chain, key, &self.options.provider).map_err(|error| fault(&error))?;
        self.certificate.0.store(Some(Arc::new(certified)));
        Ok(())
    }

    /// Verifies certificates of clients by these roots from the next handshake on, each in DER.
    pub fn trust(&self, roots: &[Vec<u8>]) -> Result<(), TlsError> {
        self.verifier.trust(roots)
    }

    /// The same by these roots, beside the others.
    pub fn trust_also(&self, roots: &[Vec<u8>]) -> Result<(), TlsError> {
        self.verifier.trust_also(roots)
    }

    /// Settings for gRPC: certificates of clients are optional.
    pub fn grpc(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = self.builder()?.with_client_cert_verifier(Arc::clone(&self.verifier) as _);
        let mut config = builder.with_cert_resolver(Arc::clone(&self.certificate) as _);
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A session that is resumed would bring back the identity of a root that is no longer trusted.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// Settings for webhooks: no certificates of clients.
    pub fn https(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = self.builder()?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::clone(&self.certificate) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn builder(&self) -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.options.provider));
        builder.with_protocol_versions(&self.options.versions).map_err(TlsError::Settings)
    }
}

/// The certificate in force.
#[derive(Debug, Default)]
struct Certificate(ArcSwapOption<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}
