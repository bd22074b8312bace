//! Strikes secrets out of a copy that is about to be shown (invariant I4: the bytes themselves are never touched).

use serde_json::Value;

const REDACTED: &str = "[redacted]";
/// The same in base64, so that bytes are still bytes.
const REDACTED_BYTES: &str = "W3JlZGFjdGVkXQ==";

/// Fields that hold a data source with something secret in it, in camel case as JSON has them.
const SECRET_FIELDS: &[&str] =
    &["privateKey", "password", "sessionTicketKeys", "genericSecret", "secret", "tokenSecret", "hmacSecret"];
/// What a data source holds inline, and what is shown for it.
const INLINE: &[(&str, &str)] = &[("inlineBytes", REDACTED_BYTES), ("inlineString", REDACTED)];

/// Strikes inline keys, passwords and secret environment variables; file names and secret names stay.
pub(crate) fn redact(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if SECRET_FIELDS.contains(&key.as_str()) {
                    strike_inline(value);
                } else if key == "keyValues" {
                    strike_variables(value);
                }
                redact(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn strike_inline(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match INLINE.iter().find(|(inline, _)| key == inline) {
                    Some((_, shown)) => *value = (*shown).into(),
                    None => strike_inline(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strike_inline),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Environment of a Wasm machine: the pull secret of its image is among it.
fn strike_variables(value: &mut Value) {
    let Value::Object(variables) = value else { return };
    for (name, value) in variables {
        if ["SECRET", "PASSWORD", "TOKEN"].iter().any(|part| name.contains(part)) {
            *value = REDACTED.into();
        }
    }
}
