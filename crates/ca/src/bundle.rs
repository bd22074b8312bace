//! A bundle of roots that others read, as it is now, beside the roots in force: what it should become. While roots
//! change, the old and the new stand in it together, so that neither a server that still shows a certificate of the old
//! nor one that shows one of the new is refused (reliability specification, 3, "validating webhook").

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::*;

use crate::{Authority, UnixSeconds};

/// More certificates of others than these are no rotation.
const MAX_OTHERS: usize = 8;

/// How a bundle stands to the roots in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// It holds these and no others.
    Exact,
    /// It holds these, and others that are still in time.
    Wider,
    /// It should become this PEM text: the roots in force, then those of its certificates that are in time.
    Lacks(String),
}

/// Roots that others have to trust: those of an authority of ours, or of whoever certifies our own ports.
pub trait Trusted: Send + Sync + 'static {
    /// Each in DER.
    fn certificates(&self) -> &[Vec<u8>];

    /// All in PEM.
    fn pem(&self) -> &str;

    /// Compares a bundle, in PEM, with the roots in force.
    fn compare_bundle(&self, bundle: &[u8], now: UnixSeconds) -> Bundle {
        compare(self.certificates(), self.pem(), bundle, now)
    }
}

impl Trusted for Authority {
    fn certificates(&self) -> &[Vec<u8>] {
        self.root_certificates()
    }

    fn pem(&self) -> &str {
        self.roots()
    }
}

/// Roots alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    pem: String,
    certificates: Vec<Vec<u8>>,
}

impl Roots {
    /// From PEM; `None` where there is none or one is broken.
    pub fn parse(text: &str) -> Option<Self> {
        let certificates = crate::certificates_in(text).filter(|all| !all.is_empty())?;
        let pem = certificates.iter().map(|der| super::authority::pem("CERTIFICATE", der)).collect();
        Some(Self { pem, certificates })
    }
}

impl Trusted for Roots {
    fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    fn pem(&self) -> &str {
        &self.pem
    }
}

fn compare(ours: &[Vec<u8>], pem: &str, bundle: &[u8], now: UnixSeconds) -> Bundle {
    let mut others: Vec<CertificateDer<'_>> = Vec::new();
    let mut found = vec![false; ours.len()];
    let mut is_sound = true;
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        let Ok(certificate) = certificate else {
            is_sound = false;
            continue;
        };
        if let Some(index) = ours.iter().position(|root| **root == *certificate) {
            if let Some(found) = found.get_mut(index) {
                *found = true;
            }
        } else if is_in_time(&certificate, now) && others.len() < MAX_OTHERS {
            if !others.contains(&certificate) {
                others.push(certificate);
            }
        } else {
            is_sound = false;
        }
    }
    if !is_sound || found.contains(&false) {
        let others = others.iter().map(|other| super::authority::pem("CERTIFICATE", other));
        return Bundle::Lacks(pem.to_owned() + &others.collect::<String>());
    }
    if others.is_empty() { Bundle::Exact } else { Bundle::Wider }
}

fn is_in_time(certificate: &[u8], now: UnixSeconds) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(rest, certificate)| {
        rest.is_empty() && certificate.validity().not_after.timestamp() > now
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{NOW, authority};

    #[test]
    fn old_roots_stay_beside_new_ones_and_what_is_no_root_goes() {
        let (old, new) = (authority(), authority());
        assert_eq!(new.compare_bundle(new.roots().as_bytes(), NOW), Bundle::Exact);
        assert_eq!(new.compare_bundle(b"", NOW), Bundle::Lacks(new.roots().to_owned()));
        assert_eq!(new.compare_bundle(b"no PEM", NOW), Bundle::Lacks(new.roots().to_owned()));
        let both = format!("{}{}", new.roots(), old.roots());
        assert_eq!(new.compare_bundle(old.roots().as_bytes(), NOW), Bundle::Lacks(both.clone()));
        assert_eq!(new.compare_bundle(both.as_bytes(), NOW), Bundle::Wider);
        assert_eq!(
            old.compare_bundle(both.as_bytes(), NOW),
            Bundle::Wider,
            "another replica leaves it alone"
        );
        let later = old.roots_expire() + 1;
        assert_eq!(new.compare_bundle(both.as_bytes(), later), Bundle::Lacks(new.roots().to_owned()));
        let broken = both.replacen("\nM", "\nN", 2);
        assert!(matches!(new.compare_bundle(broken.as_bytes(), NOW), Bundle::Lacks(_)));
        let many: String = (0..20).map(|_| authority().roots().to_owned()).collect();
        let Bundle::Lacks(text) = new.compare_bundle(many.as_bytes(), NOW) else { panic!("bounded") };
        assert_eq!(text.matches("BEGIN").count(), 1 + MAX_OTHERS);
    }
}
