//! An authority: a key, its certificate, what leads from that to a root, and all roots that clients are told of.
//! It issues to identities that others have verified, never longer than it lives itself (platform specification, 5.1
//! and 5.2).

mod check;

use std::fmt;

use crate::certificate::{Certificate, Name, Validity, leaf_extensions, root_extensions, subject};
use crate::{Csr, Identity, KeyError, PrivateKey, SerialNumber, UnixSeconds};

pub use check::AuthorityError;

/// Clocks of workloads may be behind ours by so much.
const CLOCK_SKEW: UnixSeconds = 2 * 60;

/// What an authority is made of, each as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Material {
    /// Its certificate; more may follow, as in `tls.crt`.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// Certificates from its own to below the root; may be empty.
    pub chain: String,
    /// All roots that are trusted; may be empty where the certificate is its own root.
    pub roots: String,
    /// Revocation lists, of which workloads are told; may be empty.
    pub revoked: String,
}

/// The key stays unseen.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificate, chain, roots, revoked, key: _ } = self;
        f.debug_struct("Material")
            .field("certificate", certificate)
            .field("chain", chain)
            .field("roots", roots)
            .field("revoked", revoked)
            .finish_non_exhaustive()
    }
}

/// How long certificates of workloads are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Seconds, where nothing is asked for.
    pub default: UnixSeconds,
    /// The most seconds that may be asked for.
    pub max: UnixSeconds,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { default: 24 * 3600, max: 90 * 24 * 3600 }
    }
}

/// What differs from one certificate to the next.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: UnixSeconds,
    /// Random.
    pub serial: SerialNumber,
}

/// A certificate with what a client needs to use it, each as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, then each intermediate.
    pub chain: Vec<String>,
    /// All roots.
    pub roots: String,
    /// Until when it is valid.
    pub not_after: UnixSeconds,
}

impl Issued {
    /// The reply to a signing request: the certificate, each intermediate, and as the last element every root.
    pub fn into_reply(self) -> Vec<String> {
        let mut reply = self.chain;
        reply.push(self.roots);
        reply
    }
}

/// Why nothing is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// More than is allowed.
    #[error("a validity of {asked} s is more than the {max} s that are allowed")]
    TooLong {
        /// What was asked for.
        asked: UnixSeconds,
        /// What is allowed.
        max: UnixSeconds,
    },
    /// The authority's own certificate has run out.
    #[error("the certificate of the authority has run out")]
    Expired,
    /// The key would not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// An authority that was checked.
#[derive(Debug)]
pub struct Authority {
    key: PrivateKey,
    /// Its subject in DER.
    pub(crate) name: Vec<u8>,
    /// Its subject key id; may be empty.
    id: Vec<u8>,
    validity: Validity,
    /// Each as PEM.
    intermediates: Vec<String>,
    roots: String,
    root_certificates: Vec<Vec<u8>>,
    roots_expire: UnixSeconds,
    revoked: String,
}

impl Authority {
    /// Issues to a workload: the key of the request, the identity that was verified. `lifetime` is what was asked
    /// for, in seconds; none or less means the default.
    pub fn issue(
        &self,
        csr: &Csr,
        identity: &Identity,
        lifetime: UnixSeconds,
        limits: Lifetimes,
        at: Moment,
    ) -> Result<Issued, IssueError> {
        let lifetime = if lifetime <= 0 { limits.default } else { lifetime };
        if lifetime > limits.max {
            return Err(IssueError::TooLong { asked: lifetime, max: limits.max });
        }
        let uri = identity.to_string();
        // A common name takes 64 characters at most.
        let common_name = (csr.has_common_name() && uri.len() <= 64).then_some(uri.as_str());
        self.leaf(
            csr.public_key(),
            &[Name::Uri(&uri)],
            subject(None, common_name),
            common_name.is_none(),
            lifetime,
            at,
        )
    }

    /// Issues to a server of the control plane, whose key is `public_key` (SubjectPublicKeyInfo in DER).
    pub fn issue_server(
        &self,
        public_key: &[u8],
        hosts: &[String],
        lifetime: UnixSeconds,
        at: Moment,
    ) -> Result<Issued, IssueError> {
        let names: Vec<Name<'_>> = hosts.iter().map(|host| Name::Dns(host)).collect();
        self.leaf(public_key, &names, subject(None, None), true, lifetime, at)
    }

    fn leaf(
        &self,
        public_key: &[u8],
        names: &[Name<'_>],
        subject: Vec<u8>,
        is_only_name: bool,
        lifetime: UnixSeconds,
        at: Moment,
    ) -> Result<Issued, IssueError> {
        if at.now >= self.expires() {
            return Err(IssueError::Expired);
        }
        let not_after = at.now.saturating_add(lifetime).min(self.expires());
        let certificate = Certificate {
            serial: at.serial,
            issuer: &self.name,
            subject,
            validity: Validity { not_before: at.now - CLOCK_SKEW, not_after },
            public_key,
            extensions: leaf_extensions(names, is_only_name, &self.id),
        };
        let mut chain = vec![pem("CERTIFICATE", &certificate.sign(&self.key)?)];
        chain.extend_from_slice(&self.intermediates);
        Ok(Issued { chain, roots: self.roots.clone(), not_after })
    }

    /// The certificate of a new root of its own, as PEM.
    pub fn self_signed(
        key: &PrivateKey,
        organization: &str,
        lifetime: UnixSeconds,
        at: Moment,
    ) -> Result<String, KeyError> {
        let name = subject(Some(organization), None);
        let certificate = Certificate {
            serial: at.serial,
            issuer: &name,
            subject: name.clone(),
            validity: Validity {
                not_before: at.now - CLOCK_SKEW,
                not_after: at.now.saturating_add(lifetime),
            },
            public_key: key.public_key(),
            extensions: root_extensions(key.public_key()),
        };
        Ok(pem("CERTIFICATE", &certificate.sign(key)?))
    }

    /// The same root once more, with the same key and name, valid from now on.
    pub fn renewed(&self, lifetime: UnixSeconds, at: Moment) -> Result<String, KeyError> {
        let certificate = Certificate {
            serial: at.serial,
            issuer: &self.name,
            subject: self.name.clone(),
            validity: Validity {
                not_before: at.now - CLOCK_SKEW,
                not_after: at.now.saturating_add(lifetime),
            },
            public_key: self.key.public_key(),
            extensions: root_extensions(self.key.public_key()),
        };
        Ok(pem("CERTIFICATE", &certificate.sign(&self.key)?))
    }

    /// All roots, as PEM.
    pub fn roots(&self) -> &str {
        &self.roots
    }

    /// Its revocation lists, as PEM; empty where there are none.
    pub fn revoked(&self) -> &str {
        &self.revoked
    }

    /// All roots, each in DER.
    pub fn root_certificates(&self) -> &[Vec<u8>] {
        &self.root_certificates
    }

    /// Whether its key is an RSA key; keys that it certifies for servers are of the same kind.
    pub fn is_rsa(&self) -> bool {
        self.key.is_rsa()
    }

    /// From when on its certificate is valid.
    pub fn begins(&self) -> UnixSeconds {
        self.validity.not_before
    }

    /// When its certificate, or one that it hangs on, runs out.
    pub fn expires(&self) -> UnixSeconds {
        self.validity.not_after
    }

    /// Whether so many percent of its life, or less, are left.
    pub fn is_due(&self, now: UnixSeconds, percent: i64) -> bool {
        let life = self.validity.not_after.saturating_sub(self.validity.not_before);
        self.validity.not_after.saturating_sub(now) <= life.saturating_mul(percent) / 100
    }

    /// When the first of its roots runs out.
    pub fn roots_expire(&self) -> UnixSeconds {
        self.roots_expire
    }
}

/// DER as PEM, with a newline at its end.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(der.len() * 4 / 3 + 80);
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let at = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
                let symbol = if index <= group.len() { SYMBOLS[(bits >> shift & 63) as usize] } else { b'=' };
                out.push(char::from(symbol));
            }
        }
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}
