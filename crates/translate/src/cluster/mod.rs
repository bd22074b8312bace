//! Clusters (CDS, spec section 1).

use crate::{Context, Resource};

/// Every cluster of the class, in Istio's order.
pub fn generate(_ctx: &Context<'_>) -> Vec<Resource> {
    Vec::new()
}
