//! The DNS name table (NDS, spec sections 2.3 of the platform document and 8).

use crate::{Context, Resource};

/// The table for a proxy that captures DNS.
pub fn generate(_ctx: &Context<'_>) -> Option<Resource> {
    None
}
