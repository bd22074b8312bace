//! From the name of a secret to the secret: the workload's own, or files of this machine.

use std::io;
use std::path::Path;

use proto::envoy;

use crate::files;
use crate::secrets::{Secrets, count};

/// Where systems keep the roots that they trust.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The secret of a name. `Ok(None)` means that it is not there yet.
pub(super) fn secret(name: &str, current: Option<&Secrets>) -> io::Result<Option<envoy::tls::Secret>> {
    if name == "default" {
        return Ok(current.map(|own| certificate(name, &own.chain, &own.key)));
    }
    if name == "ROOTCA" {
        return Ok(current.map(|own| roots(name, &own.roots)));
    }
    if let Some(files) = name.strip_prefix("file-cert:") {
        let Some((chain, key)) = files.split_once('~') else {
            return Err(io::Error::other("expected file-cert:<certificates>~<key>"));
        };
        let (chain, key) = (files::read(Path::new(chain))?, files::read(Path::new(key))?);
        return Ok(Some(certificate(name, &chain, &key)));
    }
    if let Some(file) = name.strip_prefix("file-root:") {
        let path = if file == "system" {
            let found = SYSTEM_ROOTS.iter().find(|path| Path::new(path).is_file());
            found.ok_or_else(|| io::Error::other("this system has no file of trusted roots"))?
        } else {
            file
        };
        let text = files::read(Path::new(path))?;
        if count(&text) == 0 {
            return Err(io::Error::other(format!("{path} has no certificate in it")));
        }
        return Ok(Some(roots(name, &text)));
    }
    Err(io::Error::other("no secret has this name"))
}

fn inline(text: &str) -> Option<envoy::core::DataSource> {
    use envoy::core::data_source::Specifier;
    let specifier = Some(Specifier::InlineBytes(text.as_bytes().to_vec()));
    Some(envoy::core::DataSource { specifier, ..Default::default() })
}

fn certificate(name: &str, chain: &str, key: &str) -> envoy::tls::Secret {
    let certificate = envoy::tls::TlsCertificate {
        certificate_chain: inline(chain),
        private_key: inline(key),
        ..Default::default()
    };
    envoy::tls::Secret {
        name: name.to_owned(),
        r#type: Some(envoy::tls::secret::Type::TlsCertificate(certificate)),
    }
}

fn roots(name: &str, roots: &str) -> envoy::tls::Secret {
    let context =
        envoy::tls::CertificateValidationContext { trusted_ca: inline(roots), ..Default::default() };
    envoy::tls::Secret {
        name: name.to_owned(),
        r#type: Some(envoy::tls::secret::Type::ValidationContext(context)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_secrets_wait_and_unknown_names_are_refused() {
        assert!(secret("default", None).expect("known").is_none());
        assert!(secret("ROOTCA", None).expect("known").is_none());
        for name in ["kubernetes://x", "file-cert:a", "file-root:/no/such/file", ""] {
            assert!(secret(name, None).is_err(), "{name}");
        }
    }
}
