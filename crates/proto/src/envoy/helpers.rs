//! Constructors of well-known types: Rust's durations, numbers and strings become the messages that Envoy's optional
//! fields hold. Wrappers are named after the wrapped type (`uint32`), members of a `Struct` end in `_value`.

use super::google::{
    BoolValue, DoubleValue, Duration, ListValue, NullValue, StringValue, Struct, UInt32Value, UInt64Value,
    Value, value::Kind,
};

/// A duration, to the nanosecond. Seconds beyond the signed range are cut to its end.
pub fn duration(value: core::time::Duration) -> Duration {
    Duration {
        seconds: i64::try_from(value.as_secs()).unwrap_or(i64::MAX),
        nanos: value.subsec_nanos() as i32,
    }
}

/// A duration of whole seconds.
pub fn seconds(value: i64) -> Duration {
    Duration { seconds: value, nanos: 0 }
}

/// A duration of milliseconds.
pub fn millis(value: i64) -> Duration {
    Duration { seconds: value / 1000, nanos: (value % 1000) as i32 * 1_000_000 }
}

/// An optional unsigned 32-bit number that is present.
pub fn uint32(value: u32) -> UInt32Value {
    UInt32Value { value }
}

/// An optional unsigned 64-bit number that is present.
pub fn uint64(value: u64) -> UInt64Value {
    UInt64Value { value }
}

/// An optional boolean that is present.
pub fn boolean(value: bool) -> BoolValue {
    BoolValue { value }
}

/// An optional floating point number that is present.
pub fn double(value: f64) -> DoubleValue {
    DoubleValue { value }
}

/// An optional string that is present.
pub fn string(value: impl Into<String>) -> StringValue {
    StringValue { value: value.into() }
}

/// A `Struct` of the given members; the last of two equal keys wins.
pub fn struct_of<K: Into<String>>(members: impl IntoIterator<Item = (K, Value)>) -> Struct {
    Struct { fields: members.into_iter().map(|(key, value)| (key.into(), value)).collect() }
}

/// A value that is a `Struct` of the given members.
pub fn struct_value<K: Into<String>>(members: impl IntoIterator<Item = (K, Value)>) -> Value {
    kind(Kind::StructValue(struct_of(members)))
}

/// A value that is a list.
pub fn list_value(values: impl IntoIterator<Item = Value>) -> Value {
    kind(Kind::ListValue(ListValue { values: values.into_iter().collect() }))
}

/// A value that is a string.
pub fn string_value(value: impl Into<String>) -> Value {
    kind(Kind::StringValue(value.into()))
}

/// A value that is a number.
pub fn number_value(value: f64) -> Value {
    kind(Kind::NumberValue(value))
}

/// A value that is a boolean.
pub fn bool_value(value: bool) -> Value {
    kind(Kind::BoolValue(value))
}

/// A value that is null.
pub fn null_value() -> Value {
    kind(Kind::NullValue(NullValue::NullValue as i32))
}

fn kind(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}
