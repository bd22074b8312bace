//! Extension configurations (ECDS, spec 6.3).

use crate::{Context, Resource, patch};

/// The extension configuration of that name.
pub fn generate(ctx: &Context<'_>, name: &str) -> Option<Resource> {
    patch::extension_config(ctx, name)
}
