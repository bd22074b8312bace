//! Who somebody is: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. Strict, since whatever passes here
//! goes into certificates: a part with a separator, a blank or an escape in it is none.

use std::fmt;

use model::SpiffeId;

/// Why a text is no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an identity: spiffe://<trust domain>/ns/<namespace>/sa/<service account>")]
pub struct IdentityError(String);

/// An identity whose parts are known to be sound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    trust_domain: String,
    namespace: String,
    service_account: String,
}

impl Identity {
    /// From its parts. An `@` in the trust domain becomes a dot.
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Result<Self, IdentityError> {
        let trust_domain = trust_domain.replace('@', ".");
        let in_domain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_sound = is_made_of(&trust_domain, 255, &in_domain)
            && is_made_of(namespace, 63, &in_name)
            && is_made_of(service_account, 253, &|byte| in_name(byte) || byte == b'.');
        let identity = Self {
            trust_domain,
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
        };
        // What was refused is shown, but not as long as a stranger likes.
        if is_sound { Ok(identity) } else { Err(IdentityError(shortened(&identity.to_string()))) }
    }

    /// From its URI.
    pub fn parse(uri: &str) -> Result<Self, IdentityError> {
        let parts = || {
            let rest = uri.strip_prefix("spiffe://")?;
            let mut parts = rest.split('/');
            let domain = parts.next()?;
            (parts.next()? == "ns").then_some(())?;
            let namespace = parts.next()?;
            (parts.next()? == "sa").then_some(())?;
            let account = parts.next()?;
            parts.next().is_none().then_some((domain, namespace, account))
        };
        match parts() {
            Some((domain, namespace, account)) if !domain.contains('@') => {
                Self::new(domain, namespace, account)
            }
            _ => Err(IdentityError(shortened(uri))),
        }
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The service account.
    pub fn service_account(&self) -> &str {
        &self.service_account
    }

    /// As configuration names it.
    pub fn spiffe(&self) -> SpiffeId {
        SpiffeId::of(&self.trust_domain, &self.namespace, &self.service_account)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.spiffe())
    }
}

fn is_made_of(text: &str, max: usize, is_allowed: &dyn Fn(u8) -> bool) -> bool {
    !text.is_empty()
        && text.len() <= max
        && text.bytes().all(is_allowed)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read_as_they_are_written() {
        let identity = Identity::new("cluster.local", "shop", "web.v1").expect("sound");
        assert_eq!(identity.to_string(), "spiffe://cluster.local/ns/shop/sa/web.v1");
        assert_eq!(Identity::parse(&identity.to_string()), Ok(identity));
        let mail = Identity::new("me@corp.test", "shop", "web").expect("an @ becomes a dot");
        assert_eq!(mail.trust_domain(), "me.corp.test");
    }

    #[test]
    fn separators_blanks_and_escapes_make_no_identity() {
        for uri in [
            "",
            "spiffe://",
            "spiffe://td/ns/a",
            "spiffe://td/ns/a/sa/",
            "spiffe://td/ns//sa/b",
            "spiffe:///ns/a/sa/b",
            "spiffe://td/ns/a/sa/b/",
            "spiffe://td/ns/a/sa/b/more",
            "spiffe://td/sa/a/ns/b",
            "spiffe://td/ns/a/sa/b c",
            "spiffe://td/ns/a%2fb/sa/c",
            "spiffe://td/ns/a/sa/b\u{0}",
            "spiffe://td/ns/a/sa/b\u{e9}",
            "spiffe://td/ns/A/sa/b",
            "spiffe://me@td/ns/a/sa/b",
            "https://td/ns/a/sa/b",
        ] {
            assert!(Identity::parse(uri).is_err(), "{uri:?}");
        }
        assert!(Identity::new("td", "a/sa/b", "c").is_err());
        assert!(Identity::new("td/ns/x/sa/y", "a", "b").is_err());
        assert!(Identity::new("td", "..", "b").is_err());
        assert!(Identity::new("td", &"a".repeat(64), "b").is_err());
    }
}
