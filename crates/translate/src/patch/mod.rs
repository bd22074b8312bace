//! EnvoyFilter patches over finished resources (spec 6.2; rows F03 to F15, F20). The input of a patched resource is
//! the unpatched piece, which everybody shares, and the patches that can concern it; a resource that none concerns is
//! left as it is, so it stays shared with proxies that have no patches at all.
//!
//! Reading order: `list` (operations on lists), `listener`, `filter_chain`, `http_filter`, `route`, `cluster`.

mod cluster;
mod extension;
mod filter_chain;
mod http_filter;
mod list;
mod listener;
mod route;
mod transport_socket;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use model::Issue;
use prost::{Message, Name};
use proto::envoy::google::Any;
use scope::EnvoyPatch;

use crate::{Context, Input, Piece, Rendered, Resource};

pub(crate) use cluster::clusters;
pub(crate) use extension::extension_config;
pub(crate) use listener::listeners;
pub(crate) use route::routes;

type Patch = Arc<EnvoyPatch>;

/// A finished resource as the input of a patched one: it hashes by its content and what came with it.
struct Base(Arc<Piece>);

impl Base {
    fn message<M: Message + Default>(&self) -> M {
        // The bytes were encoded in this crate.
        Any::decode(self.0.bytes.clone()).and_then(|any| M::decode(any.value.as_slice())).unwrap_or_default()
    }

    fn issues(&self) -> Vec<Issue> {
        self.0.issues.to_vec()
    }
}

impl Hash for Base {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.fingerprint, &self.0.references, &self.0.issues).hash(state);
    }
}

/// The message that a patch carries.
fn value<M: Message + Default>(patch: &EnvoyPatch) -> M {
    // The bytes were encoded from such a message when the patch was read.
    M::decode(patch.value.as_slice()).unwrap_or_default()
}

/// Lays the value of a patch over a message.
fn merge<M: Message + Name + Default>(message: &mut M, patch: &EnvoyPatch, issues: &mut Vec<Issue>) {
    match proto::merge::merged(message, &value(patch)) {
        Ok(merged) => *message = merged,
        Err(error) => issues.push(patch.issue(format!("the patch is left out: {error}"))),
    }
}

/// Renders a patched resource under the name that it has afterwards; nothing if it was removed.
fn patched<I: Input>(ctx: &Context<'_>, input: &I) -> Option<Resource> {
    /// What listeners, clusters and route configurations have in common.
    #[derive(prost::Message)]
    struct Named {
        #[prost(string, tag = "1")]
        name: String,
    }
    let resource = ctx.resource("", input);
    let any = Any::decode(resource.piece.bytes.clone()).ok()?;
    let name = Named::decode(any.value.as_slice()).ok()?.name;
    (!name.is_empty()).then(|| Resource { name: name.into(), piece: resource.piece })
}

/// A resource that a patch adds.
struct Added<M>(Patch, core::marker::PhantomData<M>);

impl<M> Added<M> {
    fn new(patch: &Patch) -> Self {
        Self(Arc::clone(patch), core::marker::PhantomData)
    }
}

impl<M> Hash for Added<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// What names other resources.
trait Referring {
    fn references(&self) -> Vec<crate::Reference>;
}

impl<M: Message + Name + Default + Referring> Input for Added<M> {
    type Output = M;
    const TAG: &'static str = "AddedByPatch";

    fn render(&self) -> Rendered<M> {
        let message: M = value(&self.0);
        Rendered { references: message.references(), message, issues: Vec::new() }
    }
}
