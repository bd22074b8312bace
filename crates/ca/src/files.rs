//! Files that operators plug in, or the keys of a Secret of the same names, become [`Material`]: `ca-cert.pem`,
//! `ca-key.pem`, `cert-chain.pem`, `root-cert.pem`, or `tls.crt`, `tls.key`, `ca.crt` (platform specification, 5.2).

use std::collections::BTreeMap;

use crate::Material;

const CERTIFICATE: &str = "ca-cert.pem";
const KEY: &str = "ca-key.pem";
const CHAIN: &str = "cert-chain.pem";
const ROOTS: &str = "root-cert.pem";
/// Optional: what the authority has revoked.
const REVOKED: &str = "ca-crl.pem";
const TLS_CERTIFICATE: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";
const TLS_ROOTS: &str = "ca.crt";

/// Why files make no material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// Some are there, others not.
    #[error(
        "{present} is there but {missing} is missing; give {CERTIFICATE}, {KEY}, {CHAIN} and {ROOTS}, or {TLS_CERTIFICATE}, {TLS_KEY} and {TLS_ROOTS}"
    )]
    Incomplete {
        /// One that is there.
        present: &'static str,
        /// One that is not.
        missing: &'static str,
    },
    /// A file is not text.
    #[error("{0} is not text")]
    NotText(&'static str),
}

impl Material {
    /// From plugged-in files by their names; `None` where none of them is there.
    pub fn from_files(files: &BTreeMap<String, Vec<u8>>) -> Result<Option<Self>, FilesError> {
        let has = |name: &&str| files.contains_key(*name);
        let [certificate, key, chain, roots] = if [CERTIFICATE, KEY, CHAIN, ROOTS].iter().any(&has) {
            [CERTIFICATE, KEY, CHAIN, ROOTS]
        } else {
            [TLS_CERTIFICATE, TLS_KEY, TLS_CERTIFICATE, TLS_ROOTS]
        };
        let names = [certificate, key, chain, roots];
        let Some(present) = names.iter().copied().find(|name| has(name)) else { return Ok(None) };
        if let Some(missing) = names.iter().copied().find(|name| !has(name)) {
            return Err(FilesError::Incomplete { present, missing });
        }
        let text = |name: &'static str| match files.get(name) {
            Some(bytes) => String::from_utf8(bytes.clone()).map_err(|_| FilesError::NotText(name)),
            None => Ok(String::new()),
        };
        Ok(Some(Self {
            certificate: text(certificate)?,
            key: text(key)?,
            chain: text(chain)?,
            roots: text(roots)?,
            revoked: text(REVOKED)?,
        }))
    }

    /// From the keys of the Secret that holds a root of our own; `None` where it has no certificate and key.
    pub fn from_root_secret(data: &BTreeMap<String, Vec<u8>>) -> Option<Self> {
        let text = |name: &str| {
            data.get(name).and_then(|bytes| String::from_utf8(bytes.clone()).ok()).unwrap_or_default()
        };
        let material = Self {
            certificate: text(CERTIFICATE),
            key: text(KEY),
            chain: text(CHAIN),
            roots: text(ROOTS),
            ..Self::default()
        };
        (!material.certificate.trim().is_empty() && !material.key.trim().is_empty()).then_some(material)
    }

    /// As the keys of that Secret.
    pub fn to_root_secret(&self) -> BTreeMap<String, Vec<u8>> {
        let Self { certificate, key, chain, roots, .. } = self;
        let entries = [
            (CERTIFICATE, certificate),
            (KEY, key),
            (CHAIN, chain),
            (ROOTS, roots),
            ("key.pem", &String::new()),
        ]
        .map(|(name, text)| (name.to_owned(), text.clone().into_bytes()));
        entries.into()
    }
}
