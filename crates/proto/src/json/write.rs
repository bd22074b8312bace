//! A message known by descriptor becomes JSON; an `Any` in it is expanded, or shown as it is when its type is unknown.

use crate::descriptors;
use crate::type_url::message_name;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, SerializeOptions, Value as Field,
};
use serde_json::{Map, Number, Value};

/// Types whose JSON is not an object of their fields. None of them can hold an `Any`.
const SPECIAL: &[&str] = &[
    "google.protobuf.BoolValue",
    "google.protobuf.BytesValue",
    "google.protobuf.DoubleValue",
    "google.protobuf.Duration",
    "google.protobuf.Empty",
    "google.protobuf.FieldMask",
    "google.protobuf.FloatValue",
    "google.protobuf.Int32Value",
    "google.protobuf.Int64Value",
    "google.protobuf.ListValue",
    "google.protobuf.StringValue",
    "google.protobuf.Struct",
    "google.protobuf.Timestamp",
    "google.protobuf.UInt32Value",
    "google.protobuf.UInt64Value",
    "google.protobuf.Value",
];

/// The type that holds a message of any type.
pub(super) const ANY: &str = "google.protobuf.Any";

/// Whether a type's JSON is not an object of its fields; in an `Any` it then stands under `value`.
pub(super) fn is_special(full_name: &str) -> bool {
    SPECIAL.contains(&full_name)
}

/// The message as JSON.
pub(super) fn message(message: &DynamicMessage) -> Value {
    let descriptor = message.descriptor();
    if descriptor.full_name() == ANY {
        return any(message);
    }
    if is_special(descriptor.full_name()) {
        // A value out of range (a duration of ages) has no JSON form.
        return message
            .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
            .unwrap_or(Value::Null);
    }
    let members =
        message.fields().map(|(field, value)| (field.json_name().to_owned(), member(&field, value)));
    Value::Object(members.collect())
}

/// The content of an `Any` next to its `@type`; what is no object of its own stands under `value`.
pub(super) fn expanded(type_url: &str, content: &DynamicMessage) -> Value {
    let name = content.descriptor().full_name().to_owned();
    let content = message(content);
    let mut members = match content {
        Value::Object(members) if name != ANY && !is_special(&name) => members,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    members.insert("@type".to_owned(), type_url.into());
    Value::Object(members)
}

fn any(message: &DynamicMessage) -> Value {
    let type_url = message.get_field_by_name("type_url");
    let type_url = type_url.as_ref().and_then(|url| url.as_str()).unwrap_or_default();
    let bytes = message.get_field_by_name("value");
    let bytes = bytes.as_ref().and_then(|bytes| bytes.as_bytes()).cloned().unwrap_or_default();
    if type_url.is_empty() && bytes.is_empty() {
        return Value::Object(Map::new());
    }
    match descriptors::message(message_name(type_url))
        .map(|known| DynamicMessage::decode(known, bytes.clone()))
    {
        Some(Ok(content)) => expanded(type_url, &content),
        _ => {
            let members = [("@type", type_url.into()), ("value", base64(&bytes).into())];
            Value::Object(
                members.map(|(name, value): (&str, Value)| (name.to_owned(), value)).into_iter().collect(),
            )
        }
    }
}

fn member(field: &FieldDescriptor, value: &Field) -> Value {
    match value {
        Field::List(values) => values.iter().map(|value| single(&field.kind(), value)).collect(),
        Field::Map(entries) => {
            let kind = field.kind();
            let Some(kind) = kind.as_message().map(|entry| entry.map_entry_value_field().kind()) else {
                return Value::Null;
            };
            let mut members: Vec<(String, Value)> =
                entries.iter().map(|(key, value)| (map_key(key), single(&kind, value))).collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(members.into_iter().collect())
        }
        value => single(&field.kind(), value),
    }
}

fn single(kind: &Kind, value: &Field) -> Value {
    match value {
        Field::Bool(value) => (*value).into(),
        Field::I32(value) => (*value).into(),
        Field::U32(value) => (*value).into(),
        Field::I64(value) => value.to_string().into(),
        Field::U64(value) => value.to_string().into(),
        // The shortest decimal that names the same float, not the double next to it.
        Field::F32(value) => value.to_string().parse().map_or(Value::Null, float),
        Field::F64(value) => float(*value),
        Field::String(value) => value.as_str().into(),
        Field::Bytes(value) => base64(value).into(),
        Field::EnumNumber(number) => enumerator(kind, *number),
        Field::Message(inner) => message(inner),
        Field::List(_) | Field::Map(_) => Value::Null,
    }
}

fn enumerator(kind: &Kind, number: i32) -> Value {
    let Some(descriptor) = kind.as_enum() else { return number.into() };
    if descriptor.full_name() == "google.protobuf.NullValue" {
        return Value::Null;
    }
    descriptor.get_value(number).map_or(number.into(), |value| value.name().into())
}

fn float(value: f64) -> Value {
    if let Some(number) = Number::from_f64(value) {
        return number.into();
    }
    if value.is_nan() {
        "NaN".into()
    } else if value > 0.0 {
        "Infinity".into()
    } else {
        "-Infinity".into()
    }
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// Standard base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                text.push(char::from(ALPHABET[(bits >> (18 - 6 * digit)) as usize & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}
