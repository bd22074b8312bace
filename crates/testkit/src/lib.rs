//! Helpers for tests: scenarios, generation for one proxy, comparison; and for real traffic a stock Envoy as a
//! child process, small HTTP servers and clients, and bounds for what chance may do.

pub mod diff;
pub mod envoy;
pub mod generate;
pub mod http;
pub mod http_server;
mod normalize;
pub mod parity;
pub mod process;
pub mod statistics;
pub mod wait;
