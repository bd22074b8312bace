//! The certificate authority without IO: signing requests in, certificate chains out; which root is in force and when
//! it is due; whose token this is. Answers section 5 of the platform specification and section 7 of the security one.
//!
//! ```text
//! PEM ──► Csr (key and its proof only) ─┐
//! credential ──► Identity ──────────────┼─► Authority::issue ──► leaf, intermediates…, all roots
//! clock, serial number ─────────────────┘
//! ```
//! Nothing that a request asks for but its key finds its way into a certificate. Keys are generated, files read and
//! clocks asked elsewhere.

mod authority;
mod bundle;
mod certificate;
mod csr;
mod der;
mod expiry;
mod files;
mod foreign;
mod identity;
mod key;
mod names;
mod token;
mod verify;

pub use authority::{Authority, AuthorityError, IssueError, Issued, Lifetimes, Material, Moment};
pub use bundle::{Bundle, Roots, Trusted};
pub use csr::{Csr, CsrError};
pub use expiry::first_expiry;
pub use files::FilesError;
pub use foreign::{Foreign, ForeignError, certificates_in};
pub use identity::{Identity, IdentityError};
pub use key::{KeyError, PrivateKey};
pub use names::{identities_of, serving_names};
pub use token::{KeySet, ServiceAccount, TokenError, TokenRule};

/// Seconds since 1970.
pub type UnixSeconds = i64;

/// Random bits for the number of a certificate.
pub type SerialNumber = [u8; 16];

#[cfg(test)]
mod tests;
