//! Sprig's arithmetic.

use gotmpl::Value;

use super::Look::{Deep, Shallow};
use super::arguments::{amount, at, float, show, whole, wrong};
use super::{Outcome, Table};
use crate::value::{list, text};

pub(super) const TABLE: Table = &[
    ("int", Shallow, |_, a| Ok(Value::Int(whole(at("int", a, 0)?)))),
    ("int64", Shallow, |_, a| Ok(Value::Int(whole(at("int64", a, 0)?)))),
    ("float64", Shallow, |_, a| Ok(Value::Float(float(at("float64", a, 0)?)))),
    ("atoi", Shallow, |_, a| Ok(Value::Int(whole(at("atoi", a, 0)?)))),
    ("toDecimal", Shallow, |_, a| {
        Ok(Value::Int(i64::from_str_radix(show(at("toDecimal", a, 0)?).trim(), 8).unwrap_or_default()))
    }),
    ("add", Shallow, |_, a| Ok(Value::Int(a.iter().map(whole).fold(0, i64::wrapping_add)))),
    ("add1", Shallow, |_, a| Ok(Value::Int(whole(at("add1", a, 0)?).wrapping_add(1)))),
    ("sub", Shallow, |_, a| Ok(Value::Int(whole(at("sub", a, 0)?).wrapping_sub(whole(at("sub", a, 1)?))))),
    ("mul", Shallow, |_, a| Ok(Value::Int(a.iter().map(whole).fold(1, i64::wrapping_mul)))),
    ("div", Shallow, |_, a| divide(a, "div", i64::checked_div)),
    ("mod", Shallow, |_, a| divide(a, "mod", i64::checked_rem)),
    ("max", Shallow, |_, a| Ok(Value::Int(a.iter().map(whole).max().unwrap_or_default()))),
    ("min", Shallow, |_, a| Ok(Value::Int(a.iter().map(whole).min().unwrap_or_default()))),
    ("addf", Shallow, |_, a| Ok(Value::Float(a.iter().map(float).sum()))),
    ("subf", Shallow, |_, a| Ok(Value::Float(a.iter().map(float).reduce(|l, r| l - r).unwrap_or_default()))),
    ("mulf", Shallow, |_, a| Ok(Value::Float(a.iter().map(float).product()))),
    ("divf", Shallow, |_, a| Ok(Value::Float(a.iter().map(float).reduce(|l, r| l / r).unwrap_or_default()))),
    ("maxf", Shallow, |_, a| Ok(Value::Float(a.iter().map(float).fold(f64::NEG_INFINITY, f64::max)))),
    ("minf", Shallow, |_, a| Ok(Value::Float(a.iter().map(float).fold(f64::INFINITY, f64::min)))),
    ("floor", Shallow, |_, a| Ok(Value::Float(float(at("floor", a, 0)?).floor()))),
    ("ceil", Shallow, |_, a| Ok(Value::Float(float(at("ceil", a, 0)?).ceil()))),
    ("round", Shallow, |_, a| {
        let scale = 10f64.powi(amount("round", a, 1)?.min(15) as i32);
        Ok(Value::Float((float(at("round", a, 0)?) * scale).round() / scale))
    }),
    ("until", Deep, |_, a| {
        let count = amount("until", a, 0)?;
        Ok(list((0..count as i64).map(Value::Int).collect()))
    }),
    ("untilStep", Deep, |_, a| {
        let (start, stop, step) =
            (whole(at("untilStep", a, 0)?), whole(at("untilStep", a, 1)?), whole(at("untilStep", a, 2)?));
        Ok(list(steps(start, stop, step, false)?.into_iter().map(Value::Int).collect()))
    }),
    ("seq", Deep, |_, a| {
        let number = |index: usize| a.get(index).map(whole).unwrap_or_default();
        let (start, step, stop) = match a.len() {
            0 => return Ok(text("")),
            1 => (1, if number(0) < 1 { -1 } else { 1 }, number(0)),
            2 => (number(0), if number(1) < number(0) { -1 } else { 1 }, number(1)),
            _ => (number(0), number(1), number(2)),
        };
        let all: Vec<String> = steps(start, stop, step, true)?.iter().map(i64::to_string).collect();
        Ok(text(all.join(" ")))
    }),
];

fn divide(arguments: &[Value], name: &str, divide: fn(i64, i64) -> Option<i64>) -> Outcome {
    let divided = divide(whole(at(name, arguments, 0)?), whole(at(name, arguments, 1)?));
    divided.map(Value::Int).ok_or_else(|| wrong(format!("error calling {name}: division by zero")))
}

/// The numbers from one to another; a direction that never gets there has none.
fn steps(start: i64, stop: i64, step: i64, including: bool) -> Result<Vec<i64>, gotmpl::TemplateError> {
    let mut all = Vec::new();
    let mut number = start;
    while step != 0 && (if step > 0 { number < stop } else { number > stop } || including && number == stop) {
        if all.len() >= 10_000 {
            return Err(wrong("a sequence is too long"));
        }
        all.push(number);
        let Some(next) = number.checked_add(step) else { break };
        number = next;
    }
    Ok(all)
}
