//! The functions of Go's template language that do work, so that they too pay for it. `and` and `or` stay the
//! engine's own, as they do not evaluate what they do not need.

use std::cmp::Ordering;

use gotmpl::{TemplateError, Value};

use super::Look::{Deep, Shallow};
use super::arguments::{at, show, whole, wrong};
use super::{Outcome, Table};
use crate::value::text;

pub(super) const TABLE: Table = &[
    ("not", Shallow, |_, a| Ok(Value::Bool(!at("not", a, 0)?.is_truthy()))),
    ("len", Shallow, |_, a| {
        let value = at("len", a, 0)?;
        let length = value.len().ok_or_else(|| wrong(format!("len of type {}", value.type_name())))?;
        Ok(Value::Int(length as i64))
    }),
    ("slice", Deep, |_, a| {
        let bound = |index: usize| a.get(index).map(whole);
        at("slice", a, 0)?.slice(bound(1), bound(2))
    }),
    ("eq", Deep, |_, a| {
        let wanted = at("eq", a, 0)?;
        at("eq", a, 1)?;
        for value in a.iter().skip(1) {
            if equal(wanted, value)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
    ("ne", Deep, |_, a| Ok(Value::Bool(!equal(at("ne", a, 0)?, at("ne", a, 1)?)?))),
    ("lt", Deep, |_, a| compare("lt", a, |order| order == Ordering::Less)),
    ("le", Deep, |_, a| compare("le", a, |order| order != Ordering::Greater)),
    ("gt", Deep, |_, a| compare("gt", a, |order| order == Ordering::Greater)),
    ("ge", Deep, |_, a| compare("ge", a, |order| order != Ordering::Less)),
    ("println", Deep, |_, a| Ok(text(a.iter().map(show).collect::<Vec<_>>().join(" ") + "\n"))),
    ("html", Deep, |_, a| Ok(text(gotmpl::html_escape(&a.iter().map(show).collect::<String>())))),
    ("js", Deep, |_, a| Ok(text(gotmpl::js_escape(&a.iter().map(show).collect::<String>())))),
    ("urlquery", Deep, |_, a| Ok(text(gotmpl::url_encode(&a.iter().map(show).collect::<String>())))),
];

fn number(value: &Value) -> Option<f64> {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Float(_)).then(|| value.as_float())?
}

/// Nothing equals only nothing; numbers compare as numbers; values of different kinds do not compare.
fn equal(left: &Value, right: &Value) -> Result<bool, TemplateError> {
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::String(left), Value::String(right)) => Ok(left == right),
        (Value::Int(left), Value::Int(right)) => Ok(left == right),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => Ok(left.total_cmp(&right).is_eq()),
            _ => Err(incompatible()),
        },
    }
}

fn compare(name: &str, arguments: &[Value], wanted: fn(Ordering) -> bool) -> Outcome {
    let order = match (at(name, arguments, 0)?, at(name, arguments, 1)?) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (left, right) => match (number(left), number(right)) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            _ => return Err(incompatible()),
        },
    };
    Ok(Value::Bool(wanted(order)))
}

fn incompatible() -> TemplateError {
    wrong("incompatible types for comparison")
}
