//! Which versions, cipher suites and key exchanges our own TLS ports take: from flags, or as a compliance policy has it
//! (platform specification, 1.1; security specification, 8).

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion, version};

/// The least version that clients must speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2
    #[default]
    Tls12,
    /// TLS 1.3
    Tls13,
}

impl std::str::FromStr for MinVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "1.2" | "tls1.2" | "tlsv1.2" | "tlsv1_2" | "versiontls12" => Ok(Self::Tls12),
            "1.3" | "tls1.3" | "tlsv1.3" | "tlsv1_3" | "versiontls13" => Ok(Self::Tls13),
            _ => Err("expected 1.2 or 1.3; older versions are not served".to_owned()),
        }
    }
}

/// What our own TLS ports take.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self::new(MinVersion::default())
    }
}

impl TlsOptions {
    /// Everything that is good today, from this version on.
    pub fn new(min_version: MinVersion) -> Self {
        let versions = match min_version {
            MinVersion::Tls12 => vec![&version::TLS13, &version::TLS12],
            MinVersion::Tls13 => vec![&version::TLS13],
        };
        Self { provider: Arc::new(aws_lc_rs::default_provider()), versions }
    }

    /// TLS 1.2 with the suites and the curve that FIPS 140-2 approves.
    pub fn fips_140_2() -> Self {
        let suites = |suite: &SupportedCipherSuite| suite.tls13().is_none() && is_aes(suite);
        Self { versions: vec![&version::TLS12], ..Self::narrowed(suites, &[aws_lc_rs::kx_group::SECP256R1]) }
    }

    /// TLS 1.3 with a key exchange that withstands quantum computers.
    pub fn post_quantum() -> Self {
        let suites = |suite: &SupportedCipherSuite| suite.tls13().is_some() && is_aes(suite);
        let groups = [aws_lc_rs::kx_group::X25519MLKEM768];
        Self { versions: vec![&version::TLS13], ..Self::narrowed(suites, &groups) }
    }

    fn narrowed(
        suites: impl Fn(&SupportedCipherSuite) -> bool,
        groups: &[&'static dyn SupportedKxGroup],
    ) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| suites(suite));
        provider.kx_groups = groups.to_vec();
        Self { provider: Arc::new(provider), versions: Vec::new() }
    }

    /// Takes only these suites of TLS 1.2, by the names of the IANA; those of TLS 1.3 cannot be chosen, as with istiod.
    /// Returns names that are known but weak, which are passed over. An unknown name is an error, and so is a list of
    /// which nothing is left.
    pub fn with_cipher_suites(mut self, names: &[String]) -> Result<(Self, Vec<String>), String> {
        if names.is_empty() {
            return Ok((self, Vec::new()));
        }
        let all = aws_lc_rs::default_provider().cipher_suites;
        let known: Vec<(String, CipherSuite)> =
            all.iter().map(|suite| (name_of(suite.suite()), suite.suite())).collect();
        let (mut chosen, mut weak) = (Vec::new(), Vec::new());
        for name in names {
            let found =
                known.iter().find(|(known, _)| known == name || known.trim_end_matches("_SHA256") == name);
            match found {
                Some((_, suite)) => chosen.push(*suite),
                None if is_weak(name) => weak.push(name.clone()),
                None => {
                    let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
                    return Err(format!(
                        "{name:?} is no cipher suite that is known here; known are {}",
                        names.join(", ")
                    ));
                }
            }
        }
        if chosen.is_empty() {
            return Err(format!("nothing is left: {} are not served, they are weak", weak.join(", ")));
        }
        let mut provider = (*self.provider).clone();
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || chosen.contains(&suite.suite()));
        self.provider = Arc::new(provider);
        Ok((self, weak))
    }
}

fn is_aes(suite: &SupportedCipherSuite) -> bool {
    name_of(suite.suite()).contains("_AES_")
}

/// By the name of the IANA.
fn name_of(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or_default();
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

/// Suites that Go can serve and nobody should: without forward secrecy, or with a cipher that was broken.
fn is_weak(name: &str) -> bool {
    let rest = name.strip_prefix("TLS_").unwrap_or_default();
    rest.starts_with("RSA_WITH_")
        || ((rest.starts_with("ECDHE_RSA_WITH_") || rest.starts_with("ECDHE_ECDSA_WITH_"))
            && (rest.contains("_CBC_") || rest.contains("_RC4_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(options: &TlsOptions) -> Vec<String> {
        options.provider.cipher_suites.iter().map(|suite| name_of(suite.suite())).collect()
    }

    #[test]
    fn suites_are_chosen_by_name_weak_ones_passed_over_and_unknown_ones_refused() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let named = |names: &[&str]| TlsOptions::default().with_cipher_suites(&list(names));
        let (options, weak) = named(&[
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
            "TLS_RSA_WITH_AES_128_CBC_SHA",
        ])
        .expect("known names");
        let left: Vec<String> = suites(&options).into_iter().filter(|name| name.contains("ECDHE")).collect();
        assert_eq!(
            left,
            ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"]
        );
        assert!(suites(&options).contains(&"TLS_AES_128_GCM_SHA256".to_owned()), "those of TLS 1.3 stay");
        assert_eq!(weak, ["TLS_RSA_WITH_AES_128_CBC_SHA"]);
        assert!(named(&["FOO"]).expect_err("refused").contains("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
        assert!(named(&["TLS_RSA_WITH_AES_128_CBC_SHA"]).expect_err("refused").contains("nothing is left"));
    }

    #[test]
    fn versions_are_read_in_the_usual_spellings() {
        for text in ["1.3", "TLSv1.3", "TLSV1_3", "VersionTLS13"] {
            assert_eq!(text.parse(), Ok(MinVersion::Tls13), "{text}");
        }
        assert_eq!("1.2".parse(), Ok(MinVersion::Tls12));
        for text in ["", "1.1", "TLSv1", "12", "1.3x", "x1.3"] {
            assert!(text.parse::<MinVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn policies_leave_what_they_approve() {
        let fips = suites(&TlsOptions::fips_140_2());
        assert_eq!(fips.len(), 4);
        assert!(fips.iter().all(|name| name.contains("ECDHE") && name.contains("_GCM_")), "{fips:?}");
        let quantum = TlsOptions::post_quantum();
        assert_eq!(suites(&quantum).len(), 2);
        assert_eq!(quantum.provider.kx_groups.len(), 1);
    }
}
