//! Private keys in every form that operators plug in: PKCS#1, SEC1 (also behind a block of curve parameters) and
//! PKCS#8; RSA, P-256, P-384, P-521, Ed25519. A key signs and never shows itself.

use std::fmt;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::SigningKey;

use crate::der;

/// Schemes that certificates are signed with; a key has one of them.
const SCHEMES: &[(SignatureScheme, &[u8], bool)] = &[
    // sha256WithRSAEncryption, whose parameters are NULL
    (SignatureScheme::RSA_PKCS1_SHA256, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], true),
    (SignatureScheme::ECDSA_NISTP256_SHA256, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], false),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], false),
    (SignatureScheme::ECDSA_NISTP521_SHA512, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], false),
    (SignatureScheme::ED25519, &[0x2b, 0x65, 0x70], false),
];

/// Why a key cannot be used. Never tells anything of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no private key in the text.
    #[error("there is no private key in PEM")]
    Missing,
    /// There is one that nobody here can use.
    #[error("the private key is of a kind that is not supported; use RSA, P-256, P-384, P-521 or Ed25519")]
    Unsupported,
    /// It would not sign.
    #[error("the private key does not sign")]
    Refused,
}

/// A private key that signs certificates.
#[derive(Clone)]
pub struct PrivateKey {
    key: Arc<dyn SigningKey>,
    public: Vec<u8>,
    /// Its scheme, as certificates name it.
    algorithm: Vec<u8>,
    scheme: SignatureScheme,
}

impl PrivateKey {
    /// The first private key in a PEM text.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Missing)?;
        Self::from_der(&der)
    }

    /// From DER.
    pub fn from_der(der: &PrivateKeyDer<'_>) -> Result<Self, KeyError> {
        let key = any_supported_type(der).map_err(|_| KeyError::Unsupported)?;
        let public = key.public_key().ok_or(KeyError::Unsupported)?.as_ref().to_vec();
        let offered: Vec<SignatureScheme> = SCHEMES.iter().map(|(scheme, ..)| *scheme).collect();
        let scheme = key.choose_scheme(&offered).ok_or(KeyError::Unsupported)?.scheme();
        let (_, oid, has_parameters) =
            SCHEMES.iter().find(|(known, ..)| *known == scheme).ok_or(KeyError::Unsupported)?;
        let parameters: &[u8] = if *has_parameters { der::NULL } else { &[] };
        let algorithm = der::sequence(&[&der::value(der::OBJECT_IDENTIFIER, oid), parameters]);
        Ok(Self { key, public, algorithm, scheme })
    }

    /// A private key (PKCS#8 in DER) as PEM.
    pub fn pem_of(pkcs8: &[u8]) -> String {
        crate::authority::pem("PRIVATE KEY", pkcs8)
    }

    /// The public half as SubjectPublicKeyInfo in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public
    }

    /// Whether it is an RSA key.
    pub fn is_rsa(&self) -> bool {
        self.scheme == SignatureScheme::RSA_PKCS1_SHA256
    }

    /// How certificates name what it signs with.
    pub(crate) fn algorithm(&self) -> &[u8] {
        &self.algorithm
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signer = self.key.choose_scheme(&[self.scheme]).ok_or(KeyError::Refused)?;
        signer.sign(message).map_err(|_| KeyError::Refused)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?})", self.scheme)
    }
}
