//! A descriptor becomes a strategy for the JSON of its message: each field is there or not, one member at most of each
//! oneof, values by `words`. Shrinking leaves fields and list elements out.

use proptest::prelude::*;
use proptest::strategy::Union;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{patches, words};

type Members = Vec<(String, Value)>;

/// Any message of that type.
pub(super) fn of(descriptor: &MessageDescriptor) -> BoxedStrategy<Value> {
    let mut members: Vec<BoxedStrategy<Members>> = Vec::new();
    for oneof in descriptor.oneofs().filter(|oneof| oneof.fields().len() > 1) {
        let choices: Vec<BoxedStrategy<Members>> = oneof.fields().map(|field| member(&field)).collect();
        let is_needed = oneof.fields().any(|field| words::is_needed(&field));
        members.push(perhaps(if is_needed { 0.95 } else { 0.5 }, Union::new(choices).boxed()));
    }
    let alone = |field: &FieldDescriptor| field.containing_oneof().is_none_or(|o| o.fields().len() == 1);
    for field in descriptor.fields().filter(alone) {
        members.push(perhaps(words::likelihood(&field), member(&field)));
    }
    members.prop_map(|members| Value::Object(members.into_iter().flatten().collect::<Map<_, _>>())).boxed()
}

fn perhaps(likelihood: f64, member: BoxedStrategy<Members>) -> BoxedStrategy<Members> {
    prop::option::weighted(likelihood, member).prop_map(Option::unwrap_or_default).boxed()
}

fn member(field: &FieldDescriptor) -> BoxedStrategy<Members> {
    let name = field.json_name().to_owned();
    value(field).prop_map(move |value| vec![(name.clone(), value)]).boxed()
}

fn value(field: &FieldDescriptor) -> BoxedStrategy<Value> {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return Just(json!({})).boxed() };
        let key = words::key(field);
        let value = one(&entry.map_entry_value_field(), field);
        return prop::collection::vec((key, value), 0..3)
            .prop_map(|entries| Value::Object(entries.into_iter().collect()))
            .boxed();
    }
    let value = one(field, field);
    if field.is_list() { prop::collection::vec(value, 0..4).prop_map(Value::Array).boxed() } else { value }
}

/// One value of a field; `named` is the field by whose name its words are chosen.
fn one(field: &FieldDescriptor, named: &FieldDescriptor) -> BoxedStrategy<Value> {
    match field.kind() {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Enum(values) => {
            let names: Vec<Value> = values.values().map(|value| json!(value.name())).collect();
            prop::sample::select(names).boxed()
        }
        Kind::String => words::text(named),
        Kind::Bytes => Just(json!("aGVsbG8=")).boxed(),
        Kind::Double | Kind::Float => words::fraction(),
        Kind::Message(nested) => match nested.full_name() {
            "google.protobuf.Duration" => words::duration(),
            "google.protobuf.Timestamp" => Just(json!("2026-01-01T00:00:00Z")).boxed(),
            "google.protobuf.Struct" if named.name() == "value" => patches::value(),
            "google.protobuf.Struct" => Just(json!({"key": {"nested": [1, null, "a"]}})).boxed(),
            "google.protobuf.Value" => Just(json!("a value")).boxed(),
            "google.protobuf.BoolValue" => any::<bool>().prop_map(Value::Bool).boxed(),
            "google.protobuf.StringValue" => words::text(named),
            "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => words::fraction(),
            wrapper if wrapper.starts_with("google.protobuf.") => words::number(named, false),
            _ => of(&nested),
        },
        Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64 => {
            words::number(named, true)
        }
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => words::number(named, false),
    }
}
