//! What a case expects of single values: `of` names resources, `at` leads into them, `is` or `has` says what is there.
//! Beside whole resources in `want/`, this says the one thing that a case is about.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use testkit::parity::Resources;

/// One value, or several where a wildcard leads to them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    /// Who gets it; every proxy of the case where nobody is named.
    pub(super) from: Option<String>,
    /// `type name`; a final `*` is a wildcard.
    of: String,
    /// Steps separated by `/`: a key, a number, `*` for every element, `[key=value]` for the first element that says
    /// so, `**` for any depth; a `/` within a step is written `~1`. Without it the names of the resources are meant.
    at: Option<String>,
    /// What a user expects, in a few words.
    because: Option<String>,
    /// The value itself, null where nothing may be; a list of values where the way has a wildcard.
    #[serde(default, deserialize_with = "some")]
    is: Option<Value>,
    /// What is in it, whatever else is: keys of an object, elements of a list.
    has: Option<Value>,
}

/// Tells `is: null` from no `is`.
fn some<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(input).map(Some)
}

impl Expectation {
    /// Compares. An error says what is there instead.
    pub(super) fn check(&self, all: &Resources) -> Result<()> {
        ensure!(self.is.is_some() != self.has.is_some(), "{}: say either `is` or `has`", self.of);
        let got = self.find(all)?;
        let fits = match (&self.is, &self.has) {
            (Some(wanted), _) => got == *wanted,
            (None, wanted) => wanted.as_ref().is_some_and(|wanted| contains(&got, wanted)),
        };
        if !fits {
            let wanted = self.is.as_ref().or(self.has.as_ref()).unwrap_or(&Value::Null);
            let (at, because) =
                (self.at.as_deref().unwrap_or("the names"), self.because.as_deref().unwrap_or_default());
            bail!("{}: {at} should be {wanted}, not {got} ({because})", self.of);
        }
        Ok(())
    }

    fn find(&self, all: &Resources) -> Result<Value> {
        let hits: Vec<(&String, &Value)> = all
            .iter()
            .flat_map(|(kind, of_kind)| of_kind.iter().map(move |(name, value)| (kind, name, value)))
            .filter(|(kind, name, _)| fits(&self.of, &format!("{kind} {name}")))
            .map(|(_, name, value)| (name, value))
            .collect();
        let Some(at) = &self.at else {
            return Ok(hits.into_iter().map(|(name, _)| Value::from(name.as_str())).collect());
        };
        ensure!(!hits.is_empty(), "there is no {}", self.of);
        let steps: Vec<String> = at.split('/').map(|step| step.replace("~1", "/")).collect();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        for (_, value) in hits {
            walk(value, &steps, &mut found);
        }
        let several = self.of.ends_with('*') || steps.iter().any(|step| matches!(*step, "*" | "**"));
        if several { Ok(Value::from(found)) } else { Ok(found.pop().unwrap_or_default()) }
    }
}

/// Whether a name fits a pattern, whose final `*` stands for anything.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |prefix| name.starts_with(prefix))
}

fn walk(value: &Value, steps: &[&str], found: &mut Vec<Value>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(value.clone());
        return;
    };
    let elements = || {
        value.as_array().into_iter().flatten().chain(value.as_object().into_iter().flat_map(|o| o.values()))
    };
    if *step == "*" {
        elements().for_each(|element| walk(element, rest, found));
    } else if *step == "**" {
        walk(value, rest, found);
        elements().for_each(|element| walk(element, steps, found));
    } else if let Some((key, wanted)) =
        step.strip_prefix('[').and_then(|step| step.strip_suffix(']')).and_then(|step| step.split_once('='))
    {
        let hit = value.as_array().into_iter().flatten().find(|element| element[key] == wanted);
        if let Some(element) = hit {
            walk(element, rest, found);
        }
    } else {
        let next = step.parse::<usize>().ok().and_then(|place| value.get(place)).or_else(|| value.get(step));
        if let Some(next) = next {
            walk(next, rest, found);
        }
    }
}

/// Whether everything wanted is there.
fn contains(got: &Value, wanted: &Value) -> bool {
    match (got, wanted) {
        (Value::Object(got), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| got.get(key).is_some_and(|got| contains(got, value)))
        }
        (Value::Array(got), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| got.iter().any(|got| contains(got, wanted)))
        }
        (got, wanted) => got == wanted,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn says(expectation: Value) -> bool {
        let cluster = json!({"name": "a", "lb": "RANDOM", "list": [{"name": "x", "deep": {"port": 1}}, {"name": "y", "deep": {"port": 2}}]});
        let all: Resources =
            BTreeMap::from([("cds".to_owned(), BTreeMap::from([("a".to_owned(), cluster)]))]);
        let expectation: Expectation = serde_json::from_value(expectation).unwrap();
        expectation.check(&all).is_ok()
    }

    #[test]
    fn a_way_leads_to_a_value_or_to_several() {
        assert!(says(json!({"of": "cds a", "at": "lb", "is": "RANDOM"})));
        assert!(says(json!({"of": "cds a", "at": "list/1/name", "is": "y"})));
        assert!(says(json!({"of": "cds a", "at": "list/[name=y]/deep", "is": {"port": 2}})));
        assert!(says(json!({"of": "cds a", "at": "list/*/name", "is": ["x", "y"]})));
        assert!(says(json!({"of": "cds *", "at": "**/port", "is": [1, 2]})));
        assert!(says(json!({"of": "cds a", "at": "list", "has": [{"deep": {"port": 2}}]})));
        assert!(says(json!({"of": "cds *", "is": ["a"]})) && says(json!({"of": "eds *", "is": []})));
        assert!(says(json!({"of": "cds a", "at": "none", "is": null})));
    }

    #[test]
    fn another_value_or_a_resource_that_is_not_there_fails() {
        assert!(!says(json!({"of": "cds a", "at": "lb", "is": null})));
        assert!(!says(json!({"of": "cds a", "at": "list/*/name", "is": ["x"]})));
        assert!(!says(json!({"of": "cds a", "at": "list", "has": [{"deep": {"port": 3}}]})));
        assert!(!says(json!({"of": "cds b", "at": "lb", "is": null})));
        assert!(!says(json!({"of": "cds a", "at": "lb"})));
    }
}
