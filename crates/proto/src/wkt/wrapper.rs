//! Scalars that can be absent: one field on the wire, the bare scalar in JSON. Numbers may be written as text.

use pbjson::private::{BytesDeserialize, NumberDeserialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A wrapper named after its scalar: its prost type, the extra derives it can have, and how its JSON is read.
macro_rules! wrapper {
    ($(#[$about:meta])* $name:ident, $scalar:ty, $wire:ident, [$($derive:ident),*], $read:expr) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, $($derive,)* prost::Message)]
        pub struct $name {
            /// What is wrapped.
            #[prost($wire, tag = "1")]
            pub value: $scalar,
        }

        impl From<$scalar> for $name {
            fn from(value: $scalar) -> Self {
                Self { value }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Deserialize::deserialize(deserializer).map($read).map(|value| Self { value })
            }
        }
    };
}

/// Wrappers whose scalar writes itself as protobuf's JSON wants it.
macro_rules! plain {
    ($($name:ident),*) => {
        $(impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.value.serialize(serializer)
            }
        })*
    };
}

/// Wrappers written as text, because JSON numbers are not wide enough.
macro_rules! text {
    ($($name:ident),*) => {
        $(impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.value)
            }
        })*
    };
}

wrapper!(/// A bool or nothing.
    BoolValue, bool, bool, [Copy, Eq, Hash], |value: bool| value);
wrapper!(/// A signed number or nothing.
    Int32Value, i32, int32, [Copy, Eq, Hash], |number: NumberDeserialize<i32>| number.0);
wrapper!(/// A wide signed number or nothing.
    Int64Value, i64, int64, [Copy, Eq, Hash], |number: NumberDeserialize<i64>| number.0);
wrapper!(/// A number or nothing.
    UInt32Value, u32, uint32, [Copy, Eq, Hash], |number: NumberDeserialize<u32>| number.0);
wrapper!(/// A wide number or nothing.
    UInt64Value, u64, uint64, [Copy, Eq, Hash], |number: NumberDeserialize<u64>| number.0);
wrapper!(/// A float or nothing.
    FloatValue, f32, float, [Copy], |number: NumberDeserialize<f32>| number.0);
wrapper!(/// A double or nothing.
    DoubleValue, f64, double, [Copy], |number: NumberDeserialize<f64>| number.0);
wrapper!(/// A text or nothing.
    StringValue, String, string, [Eq, Hash], |value: String| value);

plain!(BoolValue, Int32Value, UInt32Value, FloatValue, DoubleValue, StringValue);
text!(Int64Value, UInt64Value);

/// Bytes or nothing.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct BytesValue {
    /// What is wrapped.
    #[prost(bytes = "vec", tag = "1")]
    pub value: Vec<u8>,
}

impl Serialize for BytesValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use pbjson::private::base64::{Engine as _, engine::general_purpose::STANDARD};
        serializer.serialize_str(&STANDARD.encode(&self.value))
    }
}

impl<'de> Deserialize<'de> for BytesValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BytesDeserialize::<Vec<u8>>::deserialize(deserializer).map(|bytes| Self { value: bytes.0 })
    }
}

impl From<UInt32Value> for crate::envoy::google::UInt32Value {
    fn from(wrapper: UInt32Value) -> Self {
        Self { value: wrapper.value }
    }
}

impl From<BoolValue> for crate::envoy::google::BoolValue {
    fn from(wrapper: BoolValue) -> Self {
        Self { value: wrapper.value }
    }
}
