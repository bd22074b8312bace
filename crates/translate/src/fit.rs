//! Nothing that Envoy refuses leaves this crate: an input is rendered, its message checked against the rules of
//! Envoy's own files, and what breaks one is mended by leaving out the smallest part, or refused as a whole. One bad
//! resource would make a proxy refuse every other that comes with it (invariant I3).

use bytes::Bytes;
use model::Issue;
use prost::{Message, Name};
use proto::constraints::{self, Violation};

use crate::{Input, Reference, Rendered};

/// How many parts of one message are left out before the message is.
const MOST_MENDS: usize = 64;

/// A rendered message as bytes that Envoy takes, or marked as one that it would not.
pub(crate) struct Fit {
    pub(crate) bytes: Bytes,
    pub(crate) references: Vec<Reference>,
    pub(crate) issues: Vec<Issue>,
    pub(crate) is_refused: bool,
}

/// Renders and checks.
pub(crate) fn render<I: Input>(input: &I) -> Fit {
    let Rendered { mut message, references, mut issues } = input.render();
    let full_name = I::Output::full_name();
    for _ in 0..=MOST_MENDS {
        let bytes = proto::pack::bytes(&message);
        let broken = || constraints::violation(&full_name, &bytes).or_else(|| input.refusal(&message));
        let broken = I::CHECKED.then(broken).flatten();
        let Some(broken) = broken else { return Fit { bytes, references, issues, is_refused: false } };
        let (object, path) =
            input.owner(&message, &broken).unwrap_or_else(|| (described(&full_name, &bytes), String::new()));
        let is_mended = issues.len() < MOST_MENDS && input.mend(&mut message, &broken);
        let what = if is_mended { "that part".to_owned() } else { described(&full_name, &bytes) };
        let message = format!("Envoy would refuse {broken}; {what} is left out");
        issues.push(Issue { object, path, message });
        if !is_mended {
            return Fit { bytes, references: Vec::new(), issues, is_refused: true };
        }
    }
    Fit { bytes: Bytes::new(), references: Vec::new(), issues, is_refused: true }
}

/// Type and name of a message; in all resources the first field is the name.
fn described(full_name: &str, bytes: &[u8]) -> String {
    #[derive(prost::Message)]
    struct Named {
        #[prost(string, tag = "1")]
        name: String,
    }
    let kind = full_name.rsplit('.').next().unwrap_or_default();
    let name = Named::decode(bytes).map(|named| named.name).unwrap_or_default();
    if name.is_empty() { format!("a {kind}") } else { format!("{kind} {name}") }
}

/// The element of a list at which a path begins: `list[3].…`.
pub(crate) fn element(broken: &Violation, list: &str) -> Option<usize> {
    let rest = broken.path.strip_prefix(list)?.strip_prefix('[')?;
    rest.split(']').next()?.parse().ok()
}

/// Leaves out the element of a list in which the fault lies.
pub(crate) fn leave_out<T>(elements: &mut Vec<T>, broken: &Violation, list: &str) -> bool {
    let found = element(broken, list).filter(|index| *index < elements.len());
    found.map(|index| elements.remove(index)).is_some()
}

/// Leaves out the endpoint in which the fault lies.
pub(crate) fn leave_out_endpoint(
    localities: &mut [proto::envoy::endpoint::LocalityLbEndpoints],
    broken: &Violation,
) -> bool {
    let Some(locality) = element(broken, "endpoints").and_then(|index| localities.get_mut(index)) else {
        return false;
    };
    let Some((_, inside)) = broken.path.split_once("].") else { return false };
    let inside = Violation { path: inside.to_owned(), reason: String::new() };
    leave_out(&mut locality.lb_endpoints, &inside, "lb_endpoints")
}
