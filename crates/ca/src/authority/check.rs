//! Material that operators plug in becomes an [`Authority`], or a message that says what is wrong with which part:
//! every certificate can be read, the key is that of the certificate, the certificate may sign, it leads to a root.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::*;

use super::{Authority, Material, Validity, pem};
use crate::verify::verify;
use crate::{KeyError, PrivateKey, UnixSeconds};

/// Longer chains are a mistake.
const MAX_CHAIN: usize = 10;

/// Why material makes no authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A part has no certificate that can be read.
    #[error("the {part} cannot be read: {reason}")]
    Unreadable {
        /// `certificate`, `chain`, `roots` or `revocation list`.
        part: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is another one.
    #[error("the private key is not that of the certificate")]
    OtherKey,
    /// The certificate is that of a workload or server.
    #[error(
        "the certificate is not that of an authority: it lacks CA:TRUE or the usage \"certificate signing\""
    )]
    NoAuthority,
    /// It is too late.
    #[error("the {part} ran out at {at} (seconds since 1970)")]
    Expired {
        /// `certificate`, `chain` or `root`.
        part: &'static str,
        /// When.
        at: UnixSeconds,
    },
    /// It is too early.
    #[error("the certificate is valid from {at} on only (seconds since 1970)")]
    NotYetValid {
        /// When.
        at: UnixSeconds,
    },
    /// No root signed it, nor anything of the chain.
    #[error("the certificate does not lead to any of the roots, neither by itself nor through the chain")]
    NoRoot,
}

impl Authority {
    /// Checks material and takes it.
    pub fn new(material: &Material, now: UnixSeconds) -> Result<Self, AuthorityError> {
        let certificates = read("certificate", &material.certificate)?;
        let key = PrivateKey::from_pem(&material.key)?;
        let first = certificates.first().ok_or(unreadable("certificate", "it is empty"))?;
        let own = parse("certificate", first)?;
        let chain_text =
            if material.chain.trim().is_empty() { &material.certificate } else { &material.chain };
        let chain = read("chain", chain_text)?;
        let roots_text =
            if material.roots.trim().is_empty() { &material.certificate } else { &material.roots };
        let roots = read("roots", roots_text)?;
        if own.public_key().raw != key.public_key() {
            return Err(AuthorityError::OtherKey);
        }
        let may_sign =
            own.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
        if !own.is_ca() || !may_sign {
            return Err(AuthorityError::NoAuthority);
        }
        let validity = Validity {
            not_before: own.validity().not_before.timestamp(),
            not_after: own.validity().not_after.timestamp(),
        };
        if validity.not_after <= now {
            return Err(AuthorityError::Expired { part: "certificate", at: validity.not_after });
        }
        // Clocks of those who made it may be ahead of ours.
        if validity.not_before > now + super::CLOCK_SKEW {
            return Err(AuthorityError::NotYetValid { at: validity.not_before });
        }
        let parsed_chain = chain.iter().map(|der| parse("chain", der)).collect::<Result<Vec<_>, _>>()?;
        let parsed_roots = roots.iter().map(|der| parse("roots", der)).collect::<Result<Vec<_>, _>>()?;
        let path_ends = lead_to_root(&own, &parsed_chain, &parsed_roots, now)?;
        let id = own.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let intermediates =
            chain.iter().filter(|der| !roots.contains(der)).map(|der| pem("CERTIFICATE", der));
        let roots_expire = parsed_roots.iter().map(|root| root.validity().not_after.timestamp()).min();
        Ok(Self {
            name: own.subject().as_raw().to_vec(),
            id: id.unwrap_or_default(),
            validity: Validity { not_after: validity.not_after.min(path_ends), ..validity },
            intermediates: intermediates.collect(),
            roots: roots.iter().map(|der| pem("CERTIFICATE", der)).collect(),
            root_certificates: roots.iter().map(|der| der.to_vec()).collect(),
            roots_expire: roots_expire.unwrap_or(path_ends),
            revoked: revoked(&material.revoked)?,
            key,
        })
    }
}

/// Follows the chain up to a root. Returns when the first certificate on that way runs out.
fn lead_to_root(
    own: &X509Certificate<'_>,
    chain: &[X509Certificate<'_>],
    roots: &[X509Certificate<'_>],
    now: UnixSeconds,
) -> Result<UnixSeconds, AuthorityError> {
    let mut current = own;
    let mut ends = own.validity().not_after.timestamp();
    let mut expired = None;
    for _ in 0..MAX_CHAIN {
        let mut candidates = roots.iter().filter(|root| *root == current || has_signed(root, current));
        let in_time =
            candidates.clone().map(|root| root.validity().not_after.timestamp()).filter(|at| *at > now);
        // Of a root that was renewed with its key, the newest counts.
        if let Some(at) = in_time.max() {
            return Ok(ends.min(at));
        }
        if let Some(root) = candidates.next() {
            let at = root.validity().not_after.timestamp();
            return Err(AuthorityError::Expired { part: "root", at });
        }
        let above = |above: &&X509Certificate<'_>| *above != current && has_signed(above, current);
        let Some(next) = chain.iter().find(above) else { break };
        let at = next.validity().not_after.timestamp();
        if at <= now {
            expired = Some(AuthorityError::Expired { part: "chain", at });
            break;
        }
        ends = ends.min(at);
        current = next;
    }
    Err(expired.unwrap_or(AuthorityError::NoRoot))
}

fn has_signed(above: &X509Certificate<'_>, below: &X509Certificate<'_>) -> bool {
    let signed = below.tbs_certificate.as_ref();
    above.subject().as_raw() == below.issuer().as_raw()
        && above.is_ca()
        && verify(above.public_key(), &below.signature_algorithm, signed, &below.signature_value.data).is_ok()
}

/// Checks revocation lists and writes them anew.
fn revoked(text: &str) -> Result<String, AuthorityError> {
    let mut lists = String::new();
    for list in CertificateRevocationListDer::pem_slice_iter(text.as_bytes()) {
        let list = list.map_err(|_| unreadable("revocation list", "it is not PEM"))?;
        if !matches!(CertificateRevocationList::from_der(&list), Ok(([], _))) {
            return Err(unreadable("revocation list", "it is broken"));
        }
        lists.push_str(&pem("X509 CRL", &list));
    }
    if lists.is_empty() && !text.trim().is_empty() {
        return Err(unreadable("revocation list", "there is none in PEM in it"));
    }
    Ok(lists)
}

/// Every certificate of a text, none twice.
fn read(part: &'static str, text: &str) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|_| unreadable(part, "it is not PEM"))?;
        parse(part, &certificate)?;
        if !certificates.contains(&certificate) {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(unreadable(part, "there is no certificate in PEM in it"));
    }
    Ok(certificates)
}

fn parse<'a>(part: &'static str, der: &'a [u8]) -> Result<X509Certificate<'a>, AuthorityError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(unreadable(part, "a certificate in it is broken")),
    }
}

fn unreadable(part: &'static str, reason: &'static str) -> AuthorityError {
    AuthorityError::Unreadable { part, reason }
}
