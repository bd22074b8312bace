//! A folder of YAML and JSON files as a source of configuration: read as a whole at the start, then watched.
//!
//! ```text
//! folder --scan--> files --read_documents--> JSON values --config::parse--> objects --Catalog--> Changeset
//! ```
//! What was good stays in place while its file is broken: a file that cannot be read keeps its last objects, a
//! document that is rejected keeps the last good version of its object. Answers the file part of "Config sources".

mod catalog;
mod documents;
mod flat;
mod scan;
mod source;

pub use flat::{read_flat, write_private};
pub use source::{FolderError, FolderSource};

#[cfg(test)]
mod tests;
