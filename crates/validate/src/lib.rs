//! Objects of Istio's API are judged: what cannot work is an error, what is probably not meant a warning (platform
//! specification, section 7). [`check`] judges one object, [`review`] answers an AdmissionReview, so a webhook and a
//! command say the same. Wrong types are found by `config`; the rules here are about values, one file a kind.
//!
//! Rules walk the object as it was written, by a cursor that knows its path, and not as the typed message: so every
//! finding names its field, and a list that is empty can be told from one that is absent.

mod across;
mod cursor;
mod finding;
mod names;
mod policy;
mod review;
mod rules;
mod values;

#[cfg(test)]
mod tests;

pub use across::{Surroundings, across};
pub use finding::{Finding, Severity};
pub use review::{Answer, Outcome, review};
pub use rules::check;
