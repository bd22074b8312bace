//! Randomness and the clock, for the authority, which has neither.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use ca::{Moment, PrivateKey, UnixSeconds};

/// Kinds of keys that are made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with so many bits: 2048, 3072, 4096; others are taken for the next larger.
    Rsa(usize),
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
}

/// A new private key as PEM (PKCS#8). `None` if there is no randomness.
pub fn generate_key(kind: KeyKind) -> Option<String> {
    let der: Vec<u8> = match kind {
        KeyKind::Rsa(bits) => {
            let size = match bits {
                0..=2048 => KeySize::Rsa2048,
                2049..=3072 => KeySize::Rsa3072,
                3073..=4096 => KeySize::Rsa4096,
                _ => KeySize::Rsa8192,
            };
            let pair = aws_lc_rs::rsa::KeyPair::generate(size).ok()?;
            AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).ok()?.as_ref().to_vec()
        }
        KeyKind::P256 => curve(&EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?)?,
        KeyKind::P384 => curve(&EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).ok()?)?,
    };
    Some(PrivateKey::pem_of(&der))
}

fn curve(pair: &EcdsaKeyPair) -> Option<Vec<u8>> {
    Some(pair.to_pkcs8v1().ok()?.as_ref().to_vec())
}

/// Now, with a new serial number. `None` if there is no randomness.
pub fn moment() -> Option<Moment> {
    let mut serial = [0; 16];
    rand::fill(&mut serial).ok()?;
    Some(Moment { now: now(), serial })
}

/// Seconds since 1970.
pub(crate) fn now() -> UnixSeconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
