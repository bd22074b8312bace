//! Bounds the depth of a document.

use serde_json::Value;

/// Deeper documents are refused: no kind comes near, and everything downstream may recurse.
pub(crate) const MAX_DEPTH: usize = 100;

/// Whether the value nests deeper than [`MAX_DEPTH`].
pub(crate) fn is_too_deep(value: &Value) -> bool {
    fn deeper_than(value: &Value, limit: usize) -> bool {
        match value {
            Value::Array(items) => limit == 0 || items.iter().any(|item| deeper_than(item, limit - 1)),
            Value::Object(members) => limit == 0 || members.values().any(|item| deeper_than(item, limit - 1)),
            _ => false,
        }
    }
    deeper_than(value, MAX_DEPTH)
}
