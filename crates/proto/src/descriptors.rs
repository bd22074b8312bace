//! The descriptors of every message that the crate knows, decoded when first asked for: what JSON, generic patches and
//! the order of map entries are read from.

use prost_reflect::{DescriptorPool, MessageDescriptor};
use std::sync::OnceLock;

static ENCODED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// All descriptors: Envoy's, the supplement's and Istio's.
pub fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    // The set was made by this crate's own build; a test decodes it.
    POOL.get_or_init(|| DescriptorPool::decode(ENCODED).unwrap_or_default())
}

/// The descriptor of a message by its full name.
pub fn message(full_name: &str) -> Option<MessageDescriptor> {
    pool().get_message_by_name(full_name)
}
