//! Findings that are told: those of the namespace that was asked for, but for what flags and annotations of the objects
//! suppress.

use std::str::FromStr;

use serde_json::Value;

use super::Found;
use super::input::{Item, is_cluster_wide};

/// The annotation with codes that are not to be told of an object, apart by commas; `*` for all.
const ANNOTATION: &str = "galley.istio.io/analyze-suppress";

/// `CODE=Kind name.namespace` with wildcards.
#[derive(Clone, Debug)]
pub(super) struct Suppression {
    code: String,
    object: String,
}

impl FromStr for Suppression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((code, object)) if is_code(code) && !object.trim().is_empty() => {
                Ok(Self { code: code.to_owned(), object: object.trim().to_owned() })
            }
            _ => Err("write CODE=Kind name.namespace, as in \"IST0101=VirtualService *.shop\"".to_owned()),
        }
    }
}

fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix("IST").or_else(|| text.strip_prefix("TRI"));
    digits.is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What is told.
pub(super) struct Filter<'a> {
    pub(super) suppressions: &'a [Suppression],
    /// The only namespace, beside what is in none.
    pub(super) namespace: Option<&'a str>,
}

impl Filter<'_> {
    pub(super) fn kept(&self, found: Vec<(usize, validate::Finding)>, items: &[Item]) -> Vec<Found> {
        let told = found.into_iter().filter_map(|(index, finding)| self.kept_one(items.get(index)?, finding));
        told.collect()
    }

    fn kept_one(&self, item: &Item, finding: validate::Finding) -> Option<Found> {
        let object = &item.object;
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        let namespace = if is_cluster_wide(object) { "" } else { text("/metadata/namespace") };
        if self.namespace.is_some_and(|only| !namespace.is_empty() && namespace != only) {
            return None;
        }
        let annotations = object.pointer("/metadata/annotations");
        let codes =
            annotations.and_then(|all| all.get(ANNOTATION)).and_then(Value::as_str).unwrap_or_default();
        if codes.split(',').map(str::trim).any(|code| code == "*" || code == finding.code) {
            return None;
        }
        let (full_name, dotted) = match namespace {
            "" => (name.to_owned(), name.to_owned()),
            namespace => (format!("{namespace}/{name}"), format!("{name}.{namespace}")),
        };
        let is_suppressed = self.suppressions.iter().any(|one| {
            one.code == finding.code
                && [&full_name, &dotted].iter().any(|name| matches(&one.object, &format!("{kind} {name}")))
        });
        (!is_suppressed).then(|| Found {
            severity: finding.severity,
            code: finding.code,
            origin: format!("{kind} {full_name}"),
            reference: item.source.as_ref().map(|source| source.reference(&finding.path)).unwrap_or_default(),
            field: finding.path,
            message: finding.message,
        })
    }
}

/// Whether a text is meant by a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for pattern in ["Pod a.b", "Pod *.b", "* a.b", "*", "Pod*b", "P*d*.b"] {
            assert!(matches(pattern, "Pod a.b"), "{pattern}");
        }
        for pattern in ["Pod a", "Pod *.c", "*a", "", "Pod a.b*c"] {
            assert!(!matches(pattern, "Pod a.b"), "{pattern}");
        }
    }

    #[test]
    fn suppressions_have_a_code_and_an_object() {
        assert!("IST0101=VirtualService *.shop".parse::<Suppression>().is_ok());
        for wrong in ["IST0101", "IST0101=", "0101=x", "IST01=x", ""] {
            assert!(wrong.parse::<Suppression>().is_err(), "{wrong}");
        }
    }
}
