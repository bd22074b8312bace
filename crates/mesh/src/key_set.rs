//! The keys that tokens are verified with (security specification, 3.3). Somebody else fetches them; here they are facts
//! like any other: which are wanted follows from the RequestAuthentications, and whoever uses some is told when they
//! change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proto::istio::security::JwtRule;

use crate::{Mesh, Question, Reader};

/// Where a key set comes from. Two rules of one issuer and URI share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySource {
    /// The issuer; asked where the keys are if no URI is stated.
    pub issuer: String,
    /// `jwksUri`; may be empty.
    pub uri: String,
}

/// Key sets as they were answered.
pub type KeySets = BTreeMap<KeySource, Arc<str>>;

impl KeySource {
    /// Where the keys of a rule come from; `None` for a rule that holds its keys.
    pub fn of(rule: &JwtRule) -> Option<Self> {
        let has_source = !rule.issuer.is_empty() || !rule.jwks_uri.is_empty();
        (rule.jwks.is_empty() && has_source)
            .then(|| Self { issuer: rule.issuer.clone(), uri: rule.jwks_uri.clone() })
    }
}

impl Mesh {
    /// Every source that some RequestAuthentication names.
    pub fn wanted_key_sets(&self) -> BTreeSet<KeySource> {
        let policies = self.store().request_authentications().iter();
        policies.flat_map(|policy| &policy.spec.jwt_rules).filter_map(KeySource::of).collect()
    }
}

impl Reader<'_> {
    /// The keys of a source, if they are known.
    pub fn key_set(&self, source: &KeySource) -> Option<Arc<str>> {
        self.note(&Question::KeySet(source.clone()));
        self.mesh().key_sets().get(source).cloned()
    }
}
