//! What a signer elsewhere has signed, before it is handed on: it must be for the key that was asked with and for the
//! identity that was proved, and nothing else. Signers may grant more, or something else, than they were asked for.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::*;

use crate::authority::pem;
use crate::csr::plain_key;
use crate::{Csr, Identity};

/// Longer chains are a mistake.
const MAX_CHAIN: usize = 10;

/// Why a certificate of another signer is not handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// It cannot be read.
    #[error("what the signer issued is no chain of one to {MAX_CHAIN} certificates in PEM")]
    Unreadable,
    /// The key is another one.
    #[error("the signer issued a certificate for another key")]
    OtherKey,
    /// The names are others.
    #[error("the signer issued a certificate that is not for {0} alone")]
    OtherIdentity(String),
    /// No root is known.
    #[error("there is no root: the signer sent none, and the mesh configuration has none for it")]
    NoRoot,
}

/// The certificates that a signer answered with, the first being the workload's or server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign(Vec<CertificateDer<'static>>);

impl Foreign {
    /// From PEM.
    pub fn parse(text: &str) -> Result<Self, ForeignError> {
        let all: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| ForeignError::Unreadable)?;
        let is_sound = |der: &CertificateDer<'_>| matches!(X509Certificate::from_der(der), Ok(([], _)));
        if all.is_empty() || all.len() > MAX_CHAIN || !all.iter().all(is_sound) {
            return Err(ForeignError::Unreadable);
        }
        Ok(Self(all))
    }

    /// Checks that the first is for the key of `csr` and has this identity for its only URI.
    pub fn check(&self, csr: &Csr, identity: &Identity) -> Result<(), ForeignError> {
        let first = self.0.first().ok_or(ForeignError::Unreadable)?;
        let (_, certificate) = X509Certificate::from_der(first).map_err(|_| ForeignError::Unreadable)?;
        if plain_key(certificate.public_key()).ok().as_deref() != Some(csr.public_key()) {
            return Err(ForeignError::OtherKey);
        }
        let wanted = identity.to_string();
        let names = certificate.subject_alternative_name().ok().flatten();
        let uris: Vec<&str> = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
            .collect();
        if uris != [wanted.as_str()] || certificate.is_ca() {
            return Err(ForeignError::OtherIdentity(wanted));
        }
        Ok(())
    }

    /// The reply to a signing request: the certificate, each intermediate, and as the last element every root: those
    /// given (PEM), or where there are none the one that the chain ends with.
    pub fn into_reply(self, roots: &str) -> Result<Vec<String>, ForeignError> {
        let mut chain = self.0;
        let is_root = |der: &CertificateDer<'_>| {
            X509Certificate::from_der(der).is_ok_and(|(_, one)| one.is_ca() && one.subject() == one.issuer())
        };
        let own = if chain.len() > 1 { chain.pop_if(|last| is_root(last)) } else { None };
        let roots = match own {
            _ if !roots.trim().is_empty() => roots.to_owned(),
            Some(root) => pem("CERTIFICATE", &root),
            None => return Err(ForeignError::NoRoot),
        };
        let mut reply: Vec<String> = chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        reply.push(roots);
        Ok(reply)
    }

    /// Until when the first is valid, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        let first = self.0.first().and_then(|der| X509Certificate::from_der(der).ok());
        first.map_or(0, |(_, certificate)| certificate.validity().not_after.timestamp())
    }
}

/// Every certificate of a PEM text in DER; `None` where one is broken.
pub fn certificates_in(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for der in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let der = der.ok()?;
        X509Certificate::from_der(&der).ok()?;
        all.push(der.to_vec());
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{AT, NOW, ec_key, root};
    use crate::{Authority, Lifetimes, PrivateKey};

    fn key() -> PrivateKey {
        PrivateKey::from_pem(&ec_key()).expect("a key")
    }

    #[test]
    fn only_a_certificate_for_the_same_key_and_the_proved_identity_is_handed_on() {
        let identity = Identity::parse("spiffe://td/ns/shop/sa/web").expect("an identity");
        let other = Identity::parse("spiffe://td/ns/shop/sa/db").expect("an identity");
        let authority = Authority::new(&root(&ec_key()), NOW).expect("an authority");
        let pem = Csr::request_for(&key(), &["spiffe://td/ns/shop/sa/web"], &[]).expect("signs");
        let csr = Csr::from_pem(&pem).expect("sound");
        assert_eq!(csr.to_pem(), pem);
        assert!(csr.asks_only_for(&identity.to_string()) && !csr.asks_only_for(&other.to_string()));
        let issue = |identity| {
            let issued = authority.issue(&csr, identity, 600, Lifetimes::default(), AT);
            issued.expect("issued").chain.concat()
        };
        let sound = Foreign::parse(&issue(&identity)).expect("a chain");
        assert_eq!(sound.check(&csr, &identity), Ok(()));
        assert_eq!(
            sound.check(&csr, &other),
            Err(ForeignError::OtherIdentity("spiffe://td/ns/shop/sa/db".into()))
        );
        let other_key = Foreign::parse(authority.roots()).expect("a chain");
        assert!(other_key.check(&csr, &identity).is_err(), "the key of somebody else");
        assert_eq!(sound.clone().into_reply(" "), Err(ForeignError::NoRoot));
        let with_root = Foreign::parse(&(issue(&identity) + authority.roots())).expect("a chain");
        let reply = with_root.into_reply("").expect("a root");
        assert_eq!((reply.len(), reply.last().map(String::as_str)), (2, Some(authority.roots())));
        assert_eq!(Foreign::parse("nothing"), Err(ForeignError::Unreadable));
    }

    #[test]
    fn a_name_of_a_host_beside_the_identity_is_a_foreign_name() {
        let uri = "spiffe://td/ns/shop/sa/web";
        let ask = |uris: &[&str], hosts: &[&str]| {
            let pem = Csr::request_for(&key(), uris, hosts).expect("signs");
            Csr::from_pem(&pem).expect("sound").asks_only_for(uri)
        };
        assert!(ask(&[uri], &[]) && ask(&[], &[]));
        assert!(!ask(&[uri, "spiffe://td/ns/shop/sa/db"], &[]));
        assert!(!ask(&[uri], &["istiod.istio-system.svc"]));
    }
}
