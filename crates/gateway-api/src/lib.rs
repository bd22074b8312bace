//! Gateway API and Ingress become the objects of Istio's own API that mean the same: Gateways, VirtualServices and
//! DestinationRules under internal names, as istiod shows them (platform specification 8.3, 8.4). What was decided on
//! the way (which parent took a route, which reference is broken) stays beside them for the status.
//!
//! [`derive`] is a pure function of a store and some settings. It notes every single object that it looks up, found or
//! not, so that a change of an unrelated Service or Secret asks for nothing.
//!
//! Reading order: `derive` (the whole), `listener` and `tls` (Gateways), `parent` (who may attach), `http`, `grpc`,
//! `layer4` (routes), `merge` (one VirtualService for a host), `policy`, `ingress`, `status`.

mod attach;
mod backend;
mod certificate;
mod class;
mod derive;
mod fault;
mod filter;
mod grant;
mod grpc;
mod http;
mod ingress;
mod layer4;
mod listener;
mod lookup;
mod merge;
mod names;
mod namespaces;
mod outcome;
mod parent;
mod policy;
mod rewrite;
mod route;
pub mod status;
mod tls;

pub use derive::{Derived, derive};
pub use lookup::Settings;

#[cfg(test)]
mod tests;
