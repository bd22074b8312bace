//! The keys by which proxies verify tokens, fetched from their issuers (security specification, 3.3).
//!
//! ```text
//! wanted sources --keeper--> due? --client--> guard: may this address be asked? --> bytes --key set--> told
//! ```
//! Whoever may write a RequestAuthentication names the addresses, so every one is hostile: those inside the cluster, the
//! machine or the cloud are refused unless allowed, time, size, redirects and concurrency are bounded, and what comes
//! back is only passed on if it is a key set. Nothing waits for a fetch; the last good keys stay.

mod client;
mod guard;
mod keeper;
mod keys;

pub use client::{Client, ClientError, FetchError, Options};
pub use guard::Guard;
pub use keeper::{Keys, Source, Told, keep, keep_in_a_hurry};

#[cfg(test)]
mod tests;
