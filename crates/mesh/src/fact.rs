//! A derived value together with the fingerprint of its content, hashable by that fingerprint alone: the form in
//! which facts enter the inputs of renderers (rule 2: the input is the key).

use std::hash::{Hash, Hasher};
use std::ops::Deref;

use model::Fingerprint;

/// A value and its content fingerprint. Equality and hash are those of the fingerprint.
#[derive(Clone, Debug, Default)]
pub struct Fact<T> {
    value: T,
    fingerprint: Fingerprint,
}

impl<T> Fact<T> {
    /// A value whose content has that fingerprint.
    pub fn new(value: T, fingerprint: Fingerprint) -> Self {
        Self { value, fingerprint }
    }

    /// A value whose `Hash` covers all of its content.
    pub fn of(value: T) -> Self
    where
        T: Hash,
    {
        let fingerprint = Fingerprint::of_hash(&value);
        Self { value, fingerprint }
    }

    /// The fingerprint of the content.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl<T> Deref for Fact<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> PartialEq for Fact<T> {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl<T> Eq for Fact<T> {}

impl<T> Hash for Fact<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}
