//! ClusterLoadAssignments (EDS, spec section 2).

use crate::{Context, Resource};

/// The load assignment of one cluster, by its EDS service name; an unknown one is empty (row E23).
pub fn generate(_ctx: &Context<'_>, _cluster: &str) -> Option<Resource> {
    None
}
