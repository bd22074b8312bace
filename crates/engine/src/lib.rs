//! One synchronous commit of a change set: mesh, classes, caches and reverse maps in, snapshots and a report out.
//!
//! The engine owns no thread and no clock. `app` calls it from the control thread; what must be told to anybody is
//! in the returned report.

mod assemble;
mod cache;
mod class;
mod engine;
mod group;
mod issues;
mod outbound;
mod readers;
mod report;

pub use assemble::{Generated, generate};
pub use engine::{Engine, ProxyId};
pub use report::Report;
