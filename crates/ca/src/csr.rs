//! A certificate signing request, of which only the key counts. That whoever sends it holds the key is proved by its
//! signature. Names that it asks for matter only where somebody else signs, who might grant them: there a request for
//! any name but the caller's own is refused ([`Csr::asks_only_for`]).

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::*;
use x509_parser::public_key::PublicKey;

use crate::authority::pem;
use crate::certificate::Name;
use crate::verify::{self, Unverified};
use crate::{KeyError, PrivateKey, certificate, der};

/// Longer requests are refused unread. One with an RSA key of 8192 bits takes less than four thousand characters.
const MAX_PEM: usize = 64 * 1024;
/// Shorter RSA keys are weak.
const MIN_RSA_BITS: usize = 2048;
/// What an attribute is called that asks for extensions, and the extension of names.
const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const SUBJECT_ALTERNATIVE_NAME: &str = "2.5.29.17";
/// Longer ones only cost time.
const MAX_RSA_BITS: usize = 8192;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// Far longer than any that makes sense.
    #[error("the certificate signing request is longer than {MAX_PEM} bytes")]
    TooLong,
    /// It cannot be read.
    #[error("the certificate signing request is not one in PEM (PKCS#10)")]
    Malformed,
    /// Its key is of another kind.
    #[error("the key is of a kind that is not supported; use RSA, P-256, P-384 or Ed25519")]
    UnsupportedKey,
    /// Its RSA key is too short or too long.
    #[error("an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")]
    KeySize,
    /// The signature is of another kind.
    #[error("the signature is of a kind that is not supported; use SHA-256, SHA-384 or SHA-512")]
    UnsupportedSignature,
    /// The signature is not by the key.
    #[error("the signature does not fit the key")]
    WrongSignature,
}

/// A request whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    public_key: Vec<u8>,
    has_common_name: bool,
    der: Vec<u8>,
    /// Subject alternative names; `None` stands for one that is no URI.
    names: Vec<Option<String>>,
}

impl Csr {
    /// Reads and checks the first request in a PEM text.
    pub fn from_pem(pem: &str) -> Result<Self, CsrError> {
        if pem.len() > MAX_PEM {
            return Err(CsrError::TooLong);
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes());
        Self::from_der(&der.map_err(|_| CsrError::Malformed)?)
    }

    /// Reads and checks a request in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_PEM {
            return Err(CsrError::TooLong);
        }
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| CsrError::Malformed)?;
        if !rest.is_empty() {
            return Err(CsrError::Malformed);
        }
        let info = &request.certification_request_info;
        let public_key = plain_key(&info.subject_pki)?;
        let signature = &request.signature_value;
        if signature.unused_bits != 0 {
            return Err(CsrError::Malformed);
        }
        verify::verify(&info.subject_pki, &request.signature_algorithm, info.raw, &signature.data).map_err(
            |reason| match reason {
                Unverified::Unsupported => CsrError::UnsupportedSignature,
                Unverified::Wrong => CsrError::WrongSignature,
            },
        )?;
        let has_common_name =
            info.subject.iter_common_name().any(|name| name.as_str().is_ok_and(|name| !name.is_empty()));
        Ok(Self { public_key, has_common_name, der: der.to_vec(), names: names_of(info) })
    }

    /// A request for the holder of `key`, as PEM. It asks for nothing, since nothing would be given.
    pub fn request(key: &PrivateKey) -> Result<String, KeyError> {
        Self::write(key, None, &[])
    }

    /// A request for a certificate with these names, for signers who give what is asked for.
    pub fn request_for(key: &PrivateKey, uris: &[&str], hosts: &[&str]) -> Result<String, KeyError> {
        let uris = uris.iter().map(|uri| Name::Uri(uri));
        let names: Vec<Name<'_>> = uris.chain(hosts.iter().map(|host| Name::Dns(host))).collect();
        Self::write(key, None, &certificate::requested_names(&names))
    }

    /// A request with a common name.
    #[cfg(test)]
    pub(crate) fn request_as(key: &PrivateKey, common_name: Option<&str>) -> Result<String, KeyError> {
        Self::write(key, common_name, &[])
    }

    fn write(key: &PrivateKey, common_name: Option<&str>, attributes: &[u8]) -> Result<String, KeyError> {
        let info = der::sequence(&[
            &der::integer(&[]),
            &certificate::subject(None, common_name),
            key.public_key(),
            &der::tagged(0, attributes),
        ]);
        let signature = der::bit_string(&key.sign(&info)?);
        Ok(pem("CERTIFICATE REQUEST", &der::sequence(&[&info, key.algorithm(), &signature])))
    }

    /// This very request as PEM, and nothing beside it.
    pub fn to_pem(&self) -> String {
        pem("CERTIFICATE REQUEST", &self.der)
    }

    /// Whether every name that it asks for is this URI.
    pub fn asks_only_for(&self, uri: &str) -> bool {
        self.names.iter().all(|name| name.as_deref() == Some(uri))
    }

    /// SubjectPublicKeyInfo in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Whether a common name is wished for; it will be that of the identity.
    pub fn has_common_name(&self) -> bool {
        self.has_common_name
    }
}

/// Names in all requests for extensions, of which there may be several. What cannot be read is a foreign name.
fn names_of(info: &X509CertificationRequestInfo<'_>) -> Vec<Option<String>> {
    let mut names = Vec::new();
    for attribute in info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(request) = attribute.parsed_attribute() else {
            // One of that kind that could not be read may ask for anything.
            if attribute.oid.to_id_string() == EXTENSION_REQUEST {
                names.push(None);
            }
            continue;
        };
        for extension in &request.extensions {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(all) => {
                    names.extend(all.general_names.iter().map(|name| match name {
                        GeneralName::URI(uri) => Some((*uri).to_owned()),
                        _ => None,
                    }));
                }
                _ if extension.oid.to_id_string() == SUBJECT_ALTERNATIVE_NAME => names.push(None),
                _ => {}
            }
        }
    }
    names
}

/// The key written anew, so that nothing rides along in parameters that nobody reads.
pub(crate) fn plain_key(key: &SubjectPublicKeyInfo<'_>) -> Result<Vec<u8>, CsrError> {
    if key.subject_public_key.unused_bits != 0 {
        return Err(CsrError::Malformed);
    }
    let bits = &key.subject_public_key.data;
    let oid = |content: &[u8]| der::value(der::OBJECT_IDENTIFIER, content);
    let algorithm = match key.algorithm.oid().to_id_string().as_str() {
        verify::RSA_KEY => {
            let Ok(PublicKey::RSA(rsa)) = key.parsed() else { return Err(CsrError::Malformed) };
            if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&n_bits(rsa.modulus)) {
                return Err(CsrError::KeySize);
            }
            der::sequence(&[&oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]), der::NULL])
        }
        verify::EC_KEY => {
            let curve = verify::curve(key).ok_or(CsrError::UnsupportedKey)?;
            let curve = match curve.as_str() {
                verify::P256 => oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]),
                verify::P384 => oid(&[0x2b, 0x81, 0x04, 0x00, 0x22]),
                _ => return Err(CsrError::UnsupportedKey),
            };
            der::sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]), &curve])
        }
        verify::ED25519_KEY => der::sequence(&[&oid(&[0x2b, 0x65, 0x70])]),
        _ => return Err(CsrError::UnsupportedKey),
    };
    Ok(der::sequence(&[&algorithm, &der::bit_string(bits)]))
}

fn n_bits(modulus: &[u8]) -> usize {
    let first = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
    let digits = &modulus[first..];
    digits.len() * 8 - digits.first().map_or(0, |byte| byte.leading_zeros() as usize)
}
