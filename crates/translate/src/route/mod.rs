//! RouteConfigurations (RDS, spec section 3).

use crate::{Context, Resource};

/// The route configuration of that name; an unknown one is empty.
pub fn generate(_ctx: &Context<'_>, _name: &str) -> Option<Resource> {
    None
}
