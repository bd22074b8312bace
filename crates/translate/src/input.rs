//! What a renderer is: an input that hashes by content, and a pure function from it to a message.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use model::{Fingerprint, Issue};
use proto::body::Body;
use proto::constraints::Violation;

use crate::fit::Fit;

/// Everything one message is made of. Its `Hash` must cover everything `render` looks at; facts of the mesh hash by
/// their fingerprints, so deriving it is enough.
pub trait Input: Hash {
    /// The message.
    type Output: prost::Message + prost::Name;

    /// Tells inputs of different types apart in the cache; the name of the input type.
    const TAG: &'static str;

    /// Whether the message is checked against what Envoy refuses; not where it is no Envoy that gets it as it is.
    const CHECKED: bool = true;

    /// The message, from the input alone.
    fn render(&self) -> Rendered<Self::Output>;

    /// Leaves out the smallest part in which a fault lies that Envoy would refuse; false if no part may go, so that
    /// the whole message must.
    fn mend(&self, _message: &mut Self::Output, _broken: &Violation) -> bool {
        false
    }

    /// What else Envoy would refuse, beyond the rules of its proto files.
    fn refusal(&self, _message: &Self::Output) -> Option<Violation> {
        None
    }

    /// `Kind namespace/name` and field path of the object that is told of a fault; otherwise the message is named.
    fn owner(&self, _message: &Self::Output, _broken: &Violation) -> Option<(String, String)> {
        None
    }
}

/// Another resource that a message names and that must be in the same snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A ClusterLoadAssignment, by the cluster's EDS service name.
    Endpoints(String),
    /// A RouteConfiguration.
    Routes(String),
    /// A TypedExtensionConfig.
    Extension(String),
    /// A Secret over ADS.
    Secret(String),
}

/// A rendered message and what came up while rendering it.
#[derive(Clone, Debug)]
pub struct Rendered<T> {
    /// The message.
    pub message: T,
    /// Resources it names.
    pub references: Vec<Reference>,
    /// What the user should know.
    pub issues: Vec<Issue>,
}

impl<T> Rendered<T> {
    /// A message that names nothing and raised nothing.
    pub fn plain(message: T) -> Self {
        Self { message, references: Vec::new(), issues: Vec::new() }
    }
}

impl<T> From<T> for Rendered<T> {
    fn from(message: T) -> Self {
        Self::plain(message)
    }
}

/// Encoded bytes of one rendered input, shared by every snapshot that needs them. Printed without the bytes, which may
/// hold a private key.
#[derive(Clone)]
pub struct Piece {
    /// The message, packed canonically (not wrapped in an Any).
    pub bytes: Body,
    /// Over the bytes, or over those of the parts that they are put together of.
    pub fingerprint: Fingerprint,
    /// Resources it names.
    pub references: Arc<[Reference]>,
    /// What the user should know.
    pub issues: Arc<[Issue]>,
    /// Envoy would refuse it, so it is not to be sent; the issues say why.
    pub is_refused: bool,
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("n_bytes", &self.bytes.len())
            .field("references", &self.references)
            .field("issues", &self.issues)
            .field("is_refused", &self.is_refused)
            .finish_non_exhaustive()
    }
}

impl Piece {
    /// A piece put together of others whose fingerprints went into this one.
    pub(crate) fn assembled(
        bytes: Body,
        fingerprint: Fingerprint,
        references: Vec<Reference>,
        issues: Vec<Issue>,
    ) -> Self {
        Self { bytes, fingerprint, references: references.into(), issues: issues.into(), is_refused: false }
    }

    /// A piece of these bytes.
    pub fn new(bytes: Bytes, references: Vec<Reference>, issues: Vec<Issue>) -> Self {
        let fingerprint = Fingerprint::of(&bytes);
        Self::assembled(bytes.into(), fingerprint, references, issues)
    }

    /// The piece of a message; `wrap` makes its bytes of the message's.
    pub(crate) fn of(fit: Fit, wrap: impl Fn(Bytes) -> Bytes) -> Self {
        Self { is_refused: fit.is_refused, ..Self::new(wrap(fit.bytes), fit.references, fit.issues) }
    }
}

/// One named xDS resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name.
    pub name: Arc<str>,
    /// Its bytes.
    pub piece: Arc<Piece>,
}
