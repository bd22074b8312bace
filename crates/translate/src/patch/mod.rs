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
use proto::constraints::Violation;
use proto::envoy::google::Any;
use scope::EnvoyPatch;

use crate::{Context, Input, Piece, Rendered, Resource};

pub(crate) use cluster::{Additions, clusters};
pub(crate) use extension::extension_config;
pub(crate) use listener::listeners;
pub(crate) use route::routes;

type Patch = Arc<EnvoyPatch>;

/// A finished resource as the input of a patched one: it hashes by its content and what came with it.
struct Base(Arc<Piece>);

impl Base {
    fn message<M: Message + Default>(&self) -> M {
        // The bytes were encoded in this crate.
        Any::decode(self.0.bytes.whole()).and_then(|any| M::decode(any.value.as_slice())).unwrap_or_default()
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
    let any = Any::decode(resource.piece.bytes.whole()).ok()?;
    let name = Named::decode(any.value.as_slice()).ok()?.name;
    (!name.is_empty()).then(|| Resource { name: name.into(), piece: resource.piece })
}

/// The resource that a patch adds.
fn added<M>(ctx: &Context<'_>, patch: &Patch) -> Resource
where
    M: Message + Name + Default + Referring,
{
    patched(ctx, &Added::<M>::new(patch)).unwrap_or_else(|| left_out(patch, "what it adds has no name"))
}

/// Nothing to be sent, with what the user should know.
fn left_out(patch: &Patch, reason: &str) -> Resource {
    let issue = patch.issue(format!("{reason}; the patch is left out"));
    let piece = Piece { is_refused: true, ..Piece::new(Default::default(), Vec::new(), vec![issue]) };
    Resource { name: Arc::from(patch.path.as_str()), piece: Arc::new(piece) }
}

/// The message with those patches that leave it one that Envoy takes: all, or what is left when each that spoils it is
/// left out. What was unfit before any patch stays as it is.
fn sound<M: Name>(
    patches: &[Patch],
    issues: &mut Vec<Issue>,
    apply: impl Fn(&[Patch], &mut Vec<Issue>) -> M,
    refusal: impl Fn(&M) -> Option<Violation>,
) -> M {
    let broken = |message: &M| proto::constraints::violation_of(message).or_else(|| refusal(message));
    let mut of_all = issues.clone();
    let all = apply(patches, &mut of_all);
    if broken(&all).is_none() || broken(&apply(&[], &mut Vec::new())).is_some() {
        *issues = of_all;
        return all;
    }
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for patch in patches {
        kept.push(Arc::clone(patch));
        if let Some(broken) = broken(&apply(&kept, &mut Vec::new())) {
            kept.pop();
            left_out.push(patch.issue(format!("Envoy would refuse {broken}; the patch is left out")));
        }
    }
    let message = apply(&kept, issues);
    issues.extend(left_out);
    message
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
    /// As [`Input::CHECKED`].
    const CHECKED: bool = true;

    fn references(&self) -> Vec<crate::Reference>;

    /// What Envoy would refuse beyond the rules of its proto files.
    fn refusal(&self) -> Option<Violation> {
        None
    }
}

impl<M: Message + Name + Default + Referring> Input for Added<M> {
    type Output = M;
    const TAG: &'static str = "AddedByPatch";
    const CHECKED: bool = <M as Referring>::CHECKED;

    fn render(&self) -> Rendered<M> {
        let message: M = value(&self.0);
        Rendered { references: message.references(), message, issues: Vec::new() }
    }

    fn refusal(&self, message: &M) -> Option<Violation> {
        message.refusal()
    }

    fn owner(&self, _message: &M, _broken: &Violation) -> Option<(String, String)> {
        Some((self.0.object.clone(), self.0.path.clone()))
    }
}
