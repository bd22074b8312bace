//! When certificates run out that others made: the first of a chain or bundle that does.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::*;

use crate::UnixSeconds;

/// When the first of the certificates in a PEM text runs out; `None` where one cannot be read, or there is none.
pub fn first_expiry(pem: &[u8]) -> Option<UnixSeconds> {
    let mut first: Option<UnixSeconds> = None;
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let at = certificate.validity().not_after.timestamp();
        first = Some(first.map_or(at, |first| first.min(at)));
    }
    first
}
