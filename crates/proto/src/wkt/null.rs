//! What Kubernetes calls null becomes absent: a null field is one that was never written, except inside a free-form
//! struct, where null is a value.

use serde_json::Value;

/// Removes null fields at every depth, leaving alone what lies at the given paths.
///
/// A path is camel-case field names joined by dots; it also covers the snake-case spelling, and lists on the way are
/// passed through. A null list item stays, and is an error for whoever parses it.
pub fn strip_nulls(value: &mut Value, structs: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, field) in fields.iter_mut() {
                let below: Vec<&str> = structs.iter().filter_map(|path| beyond(path, name)).collect();
                if !below.contains(&"") {
                    strip_nulls(field, &below);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip_nulls(item, structs)),
        _ => {}
    }
}

/// What is left of a path after a field, if the path begins with it.
fn beyond<'a>(path: &'a str, field: &str) -> Option<&'a str> {
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let letters = |name: &str| name.chars().filter(|c| *c != '_').collect::<String>();
    letters(head).eq_ignore_ascii_case(&letters(field)).then_some(rest)
}
