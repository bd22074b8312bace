//! Listeners (LDS, spec section 4).

use crate::{Context, Resource};

/// Every listener of the class, in Istio's order.
pub fn generate(_ctx: &Context<'_>) -> Vec<Resource> {
    Vec::new()
}
