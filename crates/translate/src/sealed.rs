//! Messages inside inputs. Generated types do not hash, so an input that carries one carries it sealed: with the
//! fingerprint of its bytes, by which it hashes and compares (rule 2).

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use model::Fingerprint;

/// A message that hashes by its content.
#[derive(Clone, Debug)]
pub struct Sealed<M> {
    message: Arc<M>,
    fingerprint: Fingerprint,
}

impl<M: prost::Message + prost::Name> Sealed<M> {
    /// Seals a message.
    pub fn new(message: M) -> Self {
        let fingerprint = Fingerprint::of(&proto::pack::bytes(&message));
        Self { message: Arc::new(message), fingerprint }
    }
}

impl<M> Deref for Sealed<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M> Hash for Sealed<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl<M> PartialEq for Sealed<M> {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl<M> Eq for Sealed<M> {}
