//! Messages that `envoy-types` lacks, generated from this repository's own proto files: Istio's proxy filters, typed
//! structs, newer match trees, contrib extensions. Names and numbers are those of the public protos.
// Generated code keeps to no style of ours.
#![allow(clippy::all, clippy::pedantic, clippy::unwrap_used, unused_qualifications)]

include!(concat!(env!("OUT_DIR"), "/supplement.rs"));
