//! Extension configurations that patches add (EXTENSION_CONFIG; row F13): they are delivered to whoever asks for them
//! by name, whatever the context says.

use proto::envoy::core::TypedExtensionConfig;
use proto::istio::networking::envoy_filter::ApplyTo;
use proto::istio::networking::envoy_filter::patch::Operation;

use super::{Added, Patch, Referring, value};
use crate::{Context, Reference, Resource};

/// The extension configuration of that name; the last patch that adds one wins.
pub(crate) fn extension_config(ctx: &Context<'_>, name: &str) -> Option<Resource> {
    let is_it = |patch: &&Patch| {
        patch.apply_to == ApplyTo::ExtensionConfig
            && patch.operation == Operation::Add
            && value::<TypedExtensionConfig>(patch).name == name
    };
    let patch = ctx.scope.envoy_patches.patches.iter().rfind(is_it)?;
    Some(ctx.resource(name, &Added::<TypedExtensionConfig>::new(patch)))
}

impl Referring for TypedExtensionConfig {
    // The agent may put something else in its place.
    const CHECKED: bool = false;

    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }
}
