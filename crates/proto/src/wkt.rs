//! Protobuf's well-known types as Istio's API uses them: on the wire like everybody's, in JSON as Go's older protobuf
//! library reads them, which istiod still uses. Durations are Go durations (`1m30s`, `24h`), structs keep their keys
//! in order.

mod any;
mod duration;
mod null;
mod structure;
mod timestamp;
mod wrapper;

#[cfg(test)]
mod tests;

pub use any::{Any, Empty};
pub use duration::Duration;
pub use null::strip_nulls;
pub use structure::{ListValue, NullValue, Struct, Value, value};
pub use timestamp::Timestamp;
pub use wrapper::{
    BoolValue, BytesValue, DoubleValue, FloatValue, Int32Value, Int64Value, StringValue, UInt32Value,
    UInt64Value,
};
