//! Objects of Kubernetes, as JSON values, become typed, fingerprinted `Arc<Object<T>>` or a [`Rejection`] that names
//! object, field and reason. [`ConfigStore`] holds them, [`Changeset`] moves it from one state to the next.
//!
//! Only structure is judged here: whether the kind is known, the name usable, each field of its type. What a value
//! means, and whether it makes sense, is the business of the crates above. No input can make this crate panic.

mod change;
mod depth;
mod key;
mod kind;
mod meta;
mod object;
mod parse;
mod rejection;
mod source_event;
mod store;

pub mod crd;
pub mod gateway_api;
pub mod k8s;
pub mod mesh_config;
pub mod yaml;

pub use change::{Change, Changeset};
pub use key::ConfigKey;
pub use kind::Kind;
pub use meta::{Meta, OwnerReference};
pub use object::{AnyObject, Object, Resource};
pub use parse::parse;
pub use rejection::Rejection;
pub use source_event::SourceEvent;
pub use store::{ConfigStore, ObjectMap};

#[cfg(test)]
mod tests;
