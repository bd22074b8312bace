//! Secrets that the control plane serves itself (security specification, 5 and 6; platform specification, 5.3): what
//! `credentialName` stands for, read from a Secret or a ConfigMap for a class of proxies that may have it.
//!
//! Whether it may is asked before anything is looked up, and never remembered: a name that was sent to one class tells
//! nothing about another. A Secret that is not there, or not allowed, is left out and its reason told; its listener
//! waits for it while the others serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::k8s::{ConfigMap, Secret};
use proto::envoy;
use proto::envoy::core::{DataSource, data_source::Specifier};
use scope::SecretAccess;

use crate::{Context, Input, Rendered, Resource};

/// Ends the names of certificates of authorities.
const AUTHORITIES: &str = "-cacert";

/// Why a secret is not sent. Tells nothing of what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld(pub String);

/// The resource of that name, for the class that is translated for.
pub fn generate(ctx: &Context<'_>, name: &str) -> Result<Resource, Withheld> {
    let withheld = |reason: &str| Withheld(reason.to_owned());
    let class = ctx.class();
    if class.secret_access == SecretAccess::Unproved {
        return Err(withheld("the proxy has not proved who it is"));
    }
    let source = Source::parse(name, &class.namespace)
        .ok_or_else(|| withheld("the name is none of a Secret or ConfigMap"))?;
    let is_of_authorities = source.object.ends_with(AUTHORITIES);
    match source.scheme {
        Scheme::ConfigMap => {}
        Scheme::Gateway => {
            let is_granted =
                ctx.scope.gateway.as_ref().is_some_and(|gateway| gateway.credentials.contains(name));
            if !is_granted {
                return Err(withheld("no Gateway of the proxy may refer to it"));
            }
        }
        Scheme::Secret if *source.namespace != *class.namespace => {
            return Err(withheld("it is in another namespace than the proxy"));
        }
        Scheme::Secret if is_of_authorities || class.secret_access.reads_secrets() => {}
        Scheme::Secret => {
            return Err(withheld("the proxy's service account may not list Secrets of its namespace"));
        }
    }
    let content = read(ctx, &source, is_of_authorities)?;
    Ok(ctx.resource(name, &SecretInput { name: name.to_owned(), content }))
}

fn read(ctx: &Context<'_>, source: &Source<'_>, is_of_authorities: bool) -> Result<Content, Withheld> {
    let (namespace, object) = (source.namespace, source.object);
    let bare = object.strip_suffix(AUTHORITIES).unwrap_or(object);
    let missing = |kind: &str, name: &str| Withheld(format!("the {kind} {namespace}/{name} does not exist"));
    if source.scheme == Scheme::ConfigMap {
        let map = ctx.reader.config_map(namespace, bare).ok_or_else(|| missing("ConfigMap", bare))?;
        return Content::of_config_map(&map.spec);
    }
    if !is_of_authorities {
        let secret = ctx.reader.secret(namespace, object).ok_or_else(|| missing("Secret", object))?;
        return Content::of_pair(&secret.spec);
    }
    // A Secret of its own goes before the one that holds the certificate as well.
    let own = ctx.reader.secret(namespace, object);
    let secret =
        own.or_else(|| ctx.reader.secret(namespace, bare)).ok_or_else(|| missing("Secret", object))?;
    Content::of_authorities(&secret.spec)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Secret,
    Gateway,
    ConfigMap,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source<'a> {
    scheme: Scheme,
    namespace: &'a str,
    object: &'a str,
}

impl<'a> Source<'a> {
    /// `own` is the namespace where a name states none.
    fn parse(name: &'a str, own: &'a str) -> Option<Self> {
        let (scheme, rest) = name.split_once("://")?;
        let scheme = match scheme {
            "kubernetes" => Scheme::Secret,
            "kubernetes-gateway" => Scheme::Gateway,
            "configmap" => Scheme::ConfigMap,
            _ => return None,
        };
        let (namespace, object) = match rest.split_once('/') {
            Some(both) => both,
            None if scheme == Scheme::Secret => (own, rest),
            None => return None,
        };
        let is_name = |text: &str| !text.is_empty() && !text.contains('/');
        (is_name(namespace) && is_name(object)).then_some(Self { scheme, namespace, object })
    }
}

/// What a resource is made of. Not to be printed.
#[derive(Hash)]
struct SecretInput {
    name: String,
    content: Content,
}

/// Bytes as they were written; whether they make sense is for Envoy to say.
#[derive(Hash)]
enum Content {
    Pair { chain: Arc<[u8]>, key: Arc<[u8]>, staple: Option<Arc<[u8]>> },
    Authorities { roots: Arc<[u8]>, revoked: Option<Arc<[u8]>> },
}

impl Content {
    /// A certificate with its key, the generic form first.
    fn of_pair(secret: &Secret) -> Result<Self, Withheld> {
        let value = |name: &str| filled(&secret.data, name).cloned();
        if let (Some(chain), Some(key)) = (value("cert"), value("key")) {
            return Ok(Self::Pair { chain, key, staple: None });
        }
        if let (Some(chain), Some(key)) = (value("tls.crt"), value("tls.key")) {
            return Ok(Self::Pair { chain, key, staple: value("tls.ocsp-staple") });
        }
        Err(Withheld("it holds neither cert and key nor tls.crt and tls.key".to_owned()))
    }

    fn of_authorities(secret: &Secret) -> Result<Self, Withheld> {
        Self::authorities(|name| filled(&secret.data, name).cloned())
    }

    fn of_config_map(map: &ConfigMap) -> Result<Self, Withheld> {
        Self::authorities(|name| filled(&map.data, name).map(|text| text.as_bytes().into()))
    }

    fn authorities(value: impl Fn(&str) -> Option<Arc<[u8]>>) -> Result<Self, Withheld> {
        for (roots, revoked) in [("cacert", "crl"), ("ca.crt", "ca.crl")] {
            if let Some(roots) = value(roots) {
                return Ok(Self::Authorities { roots, revoked: value(revoked) });
            }
        }
        Err(Withheld("it holds neither cacert nor ca.crt".to_owned()))
    }
}

/// A value that is there and not empty.
fn filled<'d, V: AsRef<[u8]>>(data: &'d BTreeMap<String, V>, name: &str) -> Option<&'d V> {
    data.get(name).filter(|value| !value.as_ref().is_empty())
}

impl Input for SecretInput {
    type Output = envoy::tls::Secret;

    const TAG: &'static str = "SecretInput";

    fn render(&self) -> Rendered<envoy::tls::Secret> {
        use envoy::tls::secret::Type;
        let content = match &self.content {
            Content::Pair { chain, key, staple } => Type::TlsCertificate(envoy::tls::TlsCertificate {
                certificate_chain: Some(inline(chain)),
                private_key: Some(inline(key)),
                ocsp_staple: staple.as_ref().map(inline),
                ..Default::default()
            }),
            Content::Authorities { roots, revoked } => {
                Type::ValidationContext(envoy::tls::CertificateValidationContext {
                    trusted_ca: Some(inline(roots)),
                    crl: revoked.as_ref().map(inline),
                    ..Default::default()
                })
            }
        };
        envoy::tls::Secret { name: self.name.clone(), r#type: Some(content) }.into()
    }
}

fn inline(bytes: &Arc<[u8]>) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(bytes.to_vec())), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_strictly() {
        let source = |name| Source::parse(name, "own").map(|s| (s.scheme, s.namespace, s.object));
        assert_eq!(source("kubernetes://a"), Some((Scheme::Secret, "own", "a")));
        assert_eq!(source("kubernetes://ns/a"), Some((Scheme::Secret, "ns", "a")));
        assert_eq!(source("kubernetes-gateway://ns/a"), Some((Scheme::Gateway, "ns", "a")));
        assert_eq!(source("configmap://ns/a-cacert"), Some((Scheme::ConfigMap, "ns", "a-cacert")));
        for none in [
            "",
            "a",
            "kubernetes://",
            "kubernetes:///a",
            "kubernetes://ns/",
            "kubernetes://ns/a/b",
            "invalid://",
            "kubernetes-gateway://a",
            "configmap://a",
            "file-cert:a~b",
            "sds://a",
            "builtin://",
        ] {
            assert_eq!(source(none), None, "{none}");
        }
    }
}
