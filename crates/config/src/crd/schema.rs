//! A descriptor becomes the structural schema of its JSON: names in lowerCamelCase, enums by name, durations and
//! timestamps as strings, wrappers nullable, a `Struct` open, one member at most of each oneof.

use super::rules;
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use serde_json::{Map, Value, json};

/// The schema of a message, with what the table of rules says about it.
pub(super) fn message(descriptor: &MessageDescriptor, table: &Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for field in descriptor.fields() {
        properties.insert(field.json_name().to_owned(), whole_field(&field, table));
    }
    let mut schema = json!({"type": "object"});
    if !properties.is_empty() {
        schema["properties"] = Value::Object(properties);
    }
    let mut choices: Vec<Vec<Value>> = descriptor
        .oneofs()
        .filter(|oneof| oneof.fields().len() > 1)
        .map(|oneof| at_most_one(&oneof))
        .collect();
    match choices.len() {
        0 => {}
        1 => rules::put_over(&mut schema, &json!({"oneOf": choices.remove(0)})),
        _ => {
            let all: Vec<Value> = choices.into_iter().map(|choice| json!({"oneOf": choice})).collect();
            schema["allOf"] = json!(all);
        }
    }
    if let Some(fragment) = table.get(descriptor.full_name()) {
        rules::put_over(&mut schema, fragment);
    }
    schema
}

/// Alternatives of which exactly one holds: no member is there, or this one alone.
fn at_most_one(oneof: &OneofDescriptor) -> Vec<Value> {
    let members: Vec<Value> = oneof.fields().map(|field| json!({"required": [field.json_name()]})).collect();
    let mut alternatives = vec![json!({"not": {"anyOf": members}})];
    alternatives.extend(members);
    alternatives
}

fn whole_field(field: &FieldDescriptor, table: &Map<String, Value>) -> Value {
    if field.is_map() {
        let value = match field.kind() {
            Kind::Message(entry) => one(&entry.map_entry_value_field(), table),
            _ => json!({}),
        };
        return json!({"type": "object", "additionalProperties": value});
    }
    let value = one(field, table);
    if field.cardinality() == Cardinality::Repeated {
        json!({"type": "array", "items": value})
    } else {
        value
    }
}

fn one(field: &FieldDescriptor, table: &Map<String, Value>) -> Value {
    match field.kind() {
        Kind::Double | Kind::Float => json!({"type": "number", "format": "double"}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "integer", "format": "int64"}),
        Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        Kind::Uint64 | Kind::Fixed64 => json!({"type": "integer", "minimum": 0}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::String => json!({"type": "string"}),
        Kind::Bytes => json!({"type": "string", "format": "byte"}),
        Kind::Enum(values) => {
            let names: Vec<String> = values.values().map(|value| value.name().to_owned()).collect();
            json!({"type": "string", "enum": names})
        }
        Kind::Message(nested) => match nested.full_name() {
            "google.protobuf.Duration" => duration(field),
            "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
            "google.protobuf.Struct" => {
                json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
            }
            "google.protobuf.Value" => json!({"x-kubernetes-preserve-unknown-fields": true}),
            wrapper if wrapper.starts_with("google.protobuf.") => {
                let mut value = nested.get_field(1).map_or_else(|| json!({}), |inner| one(&inner, table));
                value["nullable"] = json!(true);
                value
            }
            _ => message(&nested, table),
        },
    }
}

/// Durations that may be nothing: a cookie of the session, a connection that may idle.
const MAY_BE_NOTHING: &[&str] = &[
    "istio.networking.v1alpha3.LoadBalancerSettings.ConsistentHashLB.HTTPCookie.ttl",
    "istio.networking.v1alpha3.ConnectionPoolSettings.TCPSettings.idle_timeout",
];

/// A duration, with few exceptions not below the smallest that Envoy keeps.
fn duration(field: &FieldDescriptor) -> Value {
    let mut schema = json!({"type": "string"});
    if !MAY_BE_NOTHING.contains(&field.full_name()) {
        let rule = "duration(self) >= duration('1ms')";
        schema["x-kubernetes-validations"] =
            json!([{"message": "a duration of 1ms or more is needed, such as 1.5s", "rule": rule}]);
    }
    schema
}
