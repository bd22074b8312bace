//! Whether a signature in a certificate or a request holds. Only digests that nobody can forge today are taken: none
//! of SHA-1 and MD5.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::prelude::*;

const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
const RSA_SHA384: &str = "1.2.840.113549.1.1.12";
const RSA_SHA512: &str = "1.2.840.113549.1.1.13";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const ECDSA_SHA384: &str = "1.2.840.10045.4.3.3";
const ECDSA_SHA512: &str = "1.2.840.10045.4.3.4";
const ED25519: &str = "1.3.101.112";
pub(crate) const RSA_KEY: &str = "1.2.840.113549.1.1.1";
pub(crate) const EC_KEY: &str = "1.2.840.10045.2.1";
pub(crate) const ED25519_KEY: &str = ED25519;
pub(crate) const P256: &str = "1.2.840.10045.3.1.7";
pub(crate) const P384: &str = "1.3.132.0.34";
pub(crate) const P521: &str = "1.3.132.0.35";

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// The way it was made is not taken, or does not go with the key.
    Unsupported,
    /// It was made by another key, or of other bytes.
    Wrong,
}

/// The curve that a key of elliptic curves names.
pub(crate) fn curve(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    Some(key.algorithm.parameters()?.as_oid().ok()?.to_id_string())
}

/// Checks a signature by the holder of `key` over `signed`.
pub(crate) fn verify(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), Unverified> {
    let kind = key.algorithm.oid().to_id_string();
    let curve = curve(key);
    let algorithm: &dyn VerificationAlgorithm =
        match (algorithm.oid().to_id_string().as_str(), kind.as_str(), curve.as_deref()) {
            (RSA_SHA256, RSA_KEY, _) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (RSA_SHA384, RSA_KEY, _) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (RSA_SHA512, RSA_KEY, _) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (ECDSA_SHA256, EC_KEY, Some(P256)) => &signature::ECDSA_P256_SHA256_ASN1,
            (ECDSA_SHA384, EC_KEY, Some(P256)) => &signature::ECDSA_P256_SHA384_ASN1,
            (ECDSA_SHA512, EC_KEY, Some(P256)) => &signature::ECDSA_P256_SHA512_ASN1,
            (ECDSA_SHA256, EC_KEY, Some(P384)) => &signature::ECDSA_P384_SHA256_ASN1,
            (ECDSA_SHA384, EC_KEY, Some(P384)) => &signature::ECDSA_P384_SHA384_ASN1,
            (ECDSA_SHA512, EC_KEY, Some(P384)) => &signature::ECDSA_P384_SHA512_ASN1,
            (ECDSA_SHA256, EC_KEY, Some(P521)) => &signature::ECDSA_P521_SHA256_ASN1,
            (ECDSA_SHA384, EC_KEY, Some(P521)) => &signature::ECDSA_P521_SHA384_ASN1,
            (ECDSA_SHA512, EC_KEY, Some(P521)) => &signature::ECDSA_P521_SHA512_ASN1,
            (ED25519, ED25519_KEY, _) => &signature::ED25519,
            _ => return Err(Unverified::Unsupported),
        };
    let key = UnparsedPublicKey::new(algorithm, &key.subject_public_key.data);
    key.verify(signed, signature).map_err(|_| Unverified::Wrong)
}
