//! Verifies certificates of clients by roots that can change between any two handshakes.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::TlsError;

#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None` as long as nobody is trusted.
    inner: ArcSwapOption<Inner>,
    roots: Mutex<Roots>,
}

/// Those of the authority, and those beside it, each in DER.
#[derive(Debug, Default)]
struct Roots {
    own: Vec<Vec<u8>>,
    others: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Inner(Arc<dyn ClientCertVerifier>);

impl Verifier {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, inner: ArcSwapOption::empty(), roots: Mutex::default() }
    }

    pub(super) fn trust(&self, own: &[Vec<u8>]) -> Result<(), TlsError> {
        let mut roots = self.roots.lock();
        self.build(own, &roots.others)?;
        roots.own = own.to_vec();
        Ok(())
    }

    pub(super) fn trust_also(&self, others: &[Vec<u8>]) -> Result<(), TlsError> {
        let mut roots = self.roots.lock();
        self.build(&roots.own, others)?;
        roots.others = others.to_vec();
        Ok(())
    }

    /// Takes effect with the next handshake.
    fn build(&self, own: &[Vec<u8>], others: &[Vec<u8>]) -> Result<(), TlsError> {
        if own.is_empty() && others.is_empty() {
            self.inner.store(None);
            return Ok(());
        }
        let mut store = RootCertStore::empty();
        for root in own.iter().chain(others) {
            let root = CertificateDer::from(root.clone());
            store.add(root).map_err(|error| TlsError::Roots(error.to_string()))?;
        }
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|error| TlsError::Roots(error.to_string()))?;
        self.inner.store(Some(Arc::new(Inner(verifier))));
        Ok(())
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: clients have one certificate and need no help to choose it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &*self.inner.load() {
            Some(inner) => inner.0.verify_client_cert(certificate, intermediates, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
