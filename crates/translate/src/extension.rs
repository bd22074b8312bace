//! Extension configurations (ECDS, spec 6.3).

use crate::{Context, Resource};

/// The extension configuration of that name.
pub fn generate(_ctx: &Context<'_>, _name: &str) -> Option<Resource> {
    None
}
