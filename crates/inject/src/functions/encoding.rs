//! JSON, YAML and base64, as Sprig and Istio write and read them.

use gotmpl::Value;
use serde_json::Value as Json;

use super::Look::Deep;
use super::arguments::{at, text_at, wrong};
use super::{Context, Table};
use crate::value::{json, text, untyped};

pub(super) const TABLE: Table = &[
    ("toJson", Deep, |c, a| Ok(text(original(c, at("toJson", a, 0)?).to_string()))),
    ("mustToJson", Deep, |c, a| Ok(text(original(c, at("mustToJson", a, 0)?).to_string()))),
    ("toRawJson", Deep, |c, a| Ok(text(original(c, at("toRawJson", a, 0)?).to_string()))),
    ("toPrettyJson", Deep, |c, a| Ok(text(format!("{:#}", original(c, at("toPrettyJson", a, 0)?))))),
    ("fromJson", Deep, |_, a| Ok(read(text_at("fromJson", a, 0)?).unwrap_or(Value::Nil))),
    ("mustFromJson", Deep, |_, a| {
        read(text_at("mustFromJson", a, 0)?).ok_or_else(|| wrong("it is not JSON"))
    }),
    ("toYaml", Deep, |c, a| Ok(text(yaml(&original(c, at("toYaml", a, 0)?))))),
    ("b64enc", Deep, |_, a| Ok(text(base64(text_at("b64enc", a, 0)?.as_bytes())))),
    ("b64dec", Deep, |_, a| {
        let decoded = from_base64(text_at("b64dec", a, 0)?).and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text(decoded.unwrap_or_default()))
    }),
];

/// The JSON a value came from, or what it is now.
pub(super) fn original(context: &Context, value: &Value) -> Json {
    context.origins.json(value).cloned().unwrap_or_else(|| match value {
        Value::List(items) => Json::Array(items.iter().map(|item| original(context, item)).collect()),
        other => json(other),
    })
}

pub(super) fn read(source: &str) -> Option<Value> {
    serde_json::from_str::<Json>(source).ok().as_ref().map(untyped)
}

/// A block of YAML, its members in order of their names.
pub(super) fn yaml(value: &Json) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let letter = |bits: u32| char::from(LETTERS.get((bits & 63) as usize).copied().unwrap_or(b'='));
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        encoded.push(letter(bits >> 18));
        encoded.push(letter(bits >> 12));
        encoded.push(if chunk.len() > 1 { letter(bits >> 6) } else { '=' });
        encoded.push(if chunk.len() > 2 { letter(bits) } else { '=' });
    }
    encoded
}

fn from_base64(encoded: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len() / 4 * 3);
    let (mut bits, mut n_bits) = (0u32, 0);
    for letter in encoded.trim_end_matches('=').bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        bits = bits << 6 | value as u32;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
            bits &= (1 << n_bits) - 1;
        }
    }
    Some(bytes)
}
