//! What a source of configuration says: the one vocabulary of files and API servers, so that whoever takes it in need
//! not know which it was.

use crate::{Changeset, Rejection};

/// What became of a source since its last word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceEvent {
    /// What to change; everything at the first event.
    pub changes: Changeset,
    /// All that is rejected at present, in the source's own order.
    pub rejections: Vec<Rejection>,
    /// What else is amiss at present.
    pub warnings: Vec<String>,
}
