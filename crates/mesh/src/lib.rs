//! The immutable mesh: indexes by question, and the Reader that records what was asked.
