//! Google's well-known types as Envoy's packages use them, next to the constructors that wrap plain values in them:
//! `google::uint32(5)` is a `UInt32Value`, `google::string_value("a")` a member of a `Struct`.

pub use super::helpers::{
    bool_value, boolean, double, duration, list_value, millis, null_value, number_value, seconds, string,
    string_value, struct_of, struct_value, uint32, uint64,
};
pub use envoy_types::pb::google::protobuf::*;
pub use envoy_types::pb::google::rpc::Status;
