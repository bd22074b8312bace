//! Host names, exact or wildcard, and the three relations Istio uses between them: overlap either way, cover one
//! way, and the most specific of a set.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A host name as configuration states it. A first character `*` makes it a wildcard; a wildcard stands for every
/// name that ends in what follows the star.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

impl Host {
    /// The host of that text, as it stands.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first character is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether some name could belong to both: equality for exact hosts, suffix overlap either way for wildcards.
    /// `*.foo.com` does not overlap `foo.com`.
    pub fn matches(&self, other: &str) -> bool {
        let other_wild = other.starts_with('*');
        match (self.is_wildcard(), other_wild) {
            (false, false) => *self.0 == *other,
            (true, false) => other.ends_with(&self.0[1..]),
            (false, true) => self.0.ends_with(&other[1..]),
            (true, true) => self.0[1..].ends_with(&other[1..]) || other[1..].ends_with(&self.0[1..]),
        }
    }

    /// Whether every name of `self` is a name of `other`: an exact host in an exact equal one or in a covering
    /// wildcard, a wildcard in a wildcard with a suffix at most as long.
    pub fn subset_of(&self, other: &str) -> bool {
        match (self.is_wildcard(), other.starts_with('*')) {
            (false, false) => *self.0 == *other,
            (true, false) => false,
            (false, true) => self.0.ends_with(&other[1..]),
            (true, true) => self.0[1..].ends_with(&other[1..]),
        }
    }
}

impl Deref for Host {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Host {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Host {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
