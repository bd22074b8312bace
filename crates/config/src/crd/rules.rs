//! The table of what the API forbids (`rules.yaml`) becomes fragments of schemas, and those are put over the schema
//! that a descriptor gives.

use serde_json::{Map, Value, json};

/// Reads the table: message to what is put over its schema, with the shorthands written out.
pub(super) fn table() -> Map<String, Value> {
    // A constant; a test reads it.
    let table: Map<String, Value> = serde_yaml::from_str(include_str!("rules.yaml")).unwrap_or_default();
    table.into_iter().map(|(message, fragment)| (message, in_full(fragment))).collect()
}

/// `rules` as the API server writes them, `fields` as `properties`, at every depth; the names below `fields` are the
/// API's and stay, a field that is called `rules` too.
fn in_full(fragment: Value) -> Value {
    let Value::Object(members) = fragment else { return fragment };
    let mut full = Map::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("fields", Value::Object(fields)) => {
                let fields = fields.into_iter().map(|(name, value)| (name, in_full(value))).collect();
                full.insert("properties".to_owned(), Value::Object(fields));
            }
            ("rules", Value::Object(rules)) => {
                let rules = rules
                    .into_iter()
                    .map(|(message, rule)| json!({"message": message, "rule": rule}))
                    .collect();
                full.insert("x-kubernetes-validations".to_owned(), Value::Array(rules));
            }
            (_, value) => {
                full.insert(name, in_full(value));
            }
        }
    }
    Value::Object(full)
}

/// Puts a fragment over a schema: objects member by member, lists behind one another, else the fragment's value.
pub(super) fn put_over(schema: &mut Value, fragment: &Value) {
    match (schema, fragment) {
        (Value::Object(schema), Value::Object(fragment)) => {
            for (name, value) in fragment {
                match schema.get_mut(name) {
                    Some(present) => put_over(present, value),
                    None => {
                        schema.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(schema), Value::Array(fragment)) => schema.extend(fragment.iter().cloned()),
        (schema, fragment) => *schema = fragment.clone(),
    }
}
