//! Classes of proxies and what one class may see.
mod node;

pub use node::*;
