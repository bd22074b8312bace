//! The workload's secrets in memory, and how a key is made and the end of a certificate is read.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::watch;

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
    /// RSA with 2048 bits, or 3072, or 4096 where more are wished for.
    Rsa(usize),
}

/// A certificate with its key, and what peers are checked by; each as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secrets {
    /// The certificate, then each intermediate.
    pub(crate) chain: String,
    pub(crate) key: String,
    /// All roots of the mesh.
    pub(crate) roots: String,
    /// Until when the certificate is valid, in seconds since 1970.
    pub(crate) not_after: i64,
}

/// Without the key.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// The secrets in force, once there are any.
pub(crate) type Current = watch::Receiver<Option<Arc<Secrets>>>;

impl Secrets {
    /// From the reply of a CA: the certificate, intermediates, and as the last element all roots.
    pub(crate) fn of_reply(key: String, mut reply: Vec<String>) -> Result<Self, &'static str> {
        let roots = reply.pop().ok_or("the reply is empty")?;
        if reply.is_empty() {
            return Err("the reply has no certificate beside the roots");
        }
        let chain: String = reply.iter().map(|part| with_newline(part)).collect();
        let not_after = end_of(&chain).ok_or("the certificate cannot be read")?;
        if count(&roots) == 0 {
            return Err("the reply has no root");
        }
        Ok(Self { chain, key, roots: with_newline(&roots), not_after })
    }
}

fn with_newline(text: &str) -> String {
    format!("{}\n", text.trim_end())
}

/// How many certificates a PEM text has that can be read.
pub(crate) fn count(pem: &str) -> usize {
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).count()
}

/// Until when the first certificate of a PEM text is valid, in seconds since 1970.
pub(crate) fn end_of(pem: &str) -> Option<i64> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// A new private key as PEM. `None` if there is no randomness.
pub(crate) fn new_key(kind: KeyKind) -> Option<String> {
    let curve =
        |algorithm| Some(EcdsaKeyPair::generate(algorithm).ok()?.to_pkcs8v1().ok()?.as_ref().to_vec());
    let der: Vec<u8> = match kind {
        KeyKind::P256 => curve(&ECDSA_P256_SHA256_ASN1_SIGNING)?,
        KeyKind::P384 => curve(&ECDSA_P384_SHA384_ASN1_SIGNING)?,
        KeyKind::Rsa(bits) => {
            let size = match bits {
                0..=2048 => KeySize::Rsa2048,
                2049..=3072 => KeySize::Rsa3072,
                _ => KeySize::Rsa4096,
            };
            let pair = aws_lc_rs::rsa::KeyPair::generate(size).ok()?;
            AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).ok()?.as_ref().to_vec()
        }
    };
    Some(ca::PrivateKey::pem_of(&der))
}

/// A random number from 0 to below 1.
pub(crate) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the middle does.
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / 4_294_967_296.0,
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> (String, String) {
        let pem = new_key(KeyKind::P256).expect("randomness");
        let key = ca::PrivateKey::from_pem(&pem).expect("a key");
        let at = ca::Moment { now: 1_000_000, serial: [7; 16] };
        (ca::Authority::self_signed(&key, "cluster.local", 60, at).expect("a certificate"), pem)
    }

    #[test]
    fn a_reply_is_taken_apart_and_its_end_is_read() {
        let (root, key) = certificate();
        let secrets = Secrets::of_reply(key, vec![root.clone(), root.clone()]).expect("secrets");
        assert_eq!(secrets.not_after, 1_000_060);
        assert_eq!((count(&secrets.chain), count(&secrets.roots)), (1, 1));
    }

    #[test]
    fn a_reply_without_certificate_or_without_root_is_refused() {
        let (root, key) = certificate();
        assert!(Secrets::of_reply(key.clone(), vec![root.clone()]).is_err());
        assert!(Secrets::of_reply(key.clone(), vec![root, "nonsense".to_owned()]).is_err());
        assert!(Secrets::of_reply(key, Vec::new()).is_err());
    }

    #[test]
    fn the_key_does_not_show() {
        let (root, key) = certificate();
        let secrets = Secrets::of_reply(key, vec![root.clone(), root]).expect("secrets");
        assert!(!format!("{secrets:?}").contains("PRIVATE"));
    }
}
