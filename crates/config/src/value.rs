//! What is done to a JSON value before it is read: its depth is bounded, and nulls are taken out, as the Go decoder
//! that Istio reads with takes `null` for "absent" everywhere but inside a free-form Struct.

use serde_json::Value;

/// Deeper documents are refused: no kind comes near, and everything downstream may recurse.
pub(crate) const MAX_DEPTH: usize = 100;

/// Members whose content is a free-form Struct, where null is a value.
const FREE_FORM: [&str; 4] = ["value", "pluginConfig", "plugin_config", "config"];

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

/// Takes nulls out of objects and lists, except inside free-form members.
pub(crate) fn strip_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(strip_nulls);
        }
        Value::Object(members) => {
            members.retain(|_, item| !item.is_null());
            for (name, item) in members.iter_mut() {
                if !(item.is_object() && FREE_FORM.contains(&name.as_str())) {
                    strip_nulls(item);
                }
            }
        }
        _ => {}
    }
}
