//! The one way from a message to bytes that anybody may keep, compare or send: same message, same bytes.

use crate::envoy::google::Any;
use crate::type_url;
use bytes::Bytes;
use prost::{Message, Name};

/// The message's bytes.
pub fn bytes<M: Message + Name>(message: &M) -> Bytes {
    message.encode_to_vec().into()
}

/// The message as an `Any` under its own type URL.
pub fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: url::<M>(), value: bytes(message).into() }
}

/// The type URL of a message type, with Google's prefix.
pub fn url<M: Name>() -> String {
    format!("{}{}", type_url::PREFIX, M::full_name())
}
