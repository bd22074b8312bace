//! Reading arguments as Go's reflection and Sprig's casts would.

use gotmpl::{TemplateError, Value};

pub(super) fn wrong(message: impl Into<String>) -> TemplateError {
    TemplateError::Exec(message.into())
}

/// The argument at a place.
pub(super) fn at<'a>(name: &str, arguments: &'a [Value], index: usize) -> Result<&'a Value, TemplateError> {
    arguments.get(index).ok_or_else(|| {
        wrong(format!(
            "wrong number of args for {name}: want at least {}, got {}",
            index + 1,
            arguments.len()
        ))
    })
}

/// The last argument: where a pipe puts its value.
pub(super) fn last<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a Value, TemplateError> {
    at(name, arguments, arguments.len().saturating_sub(1))
}

/// The string at a place; nothing counts as the empty string, as absent keys of maps of strings are in Go.
pub(super) fn text_at<'a>(
    name: &str,
    arguments: &'a [Value],
    index: usize,
) -> Result<&'a str, TemplateError> {
    match at(name, arguments, index)? {
        Value::String(text) => Ok(text),
        Value::Nil => Ok(""),
        other => Err(wrong(format!(
            "error calling {name}: expected string; found {} in argument {}",
            other.type_name(),
            index + 1
        ))),
    }
}

/// A value as Sprig prints it.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => other.to_string(),
    }
}

/// A value as a whole number, as Sprig casts: zero if it is none.
pub(super) fn whole(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        Value::Uint(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        Value::Float(number) => *number as i64,
        Value::Bool(flag) => i64::from(*flag),
        Value::String(text) => {
            let text = text.trim();
            text.parse().or_else(|_| text.parse::<f64>().map(|number| number as i64)).unwrap_or_default()
        }
        _ => 0,
    }
}

/// A value as a number, as Sprig casts: zero if it is none.
pub(super) fn float(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::String(text) => text.trim().parse().unwrap_or_default(),
        other => whole(other) as f64,
    }
}

/// A whole number that says how much of something is wanted: never negative, never beyond reason.
pub(super) fn amount(name: &str, arguments: &[Value], index: usize) -> Result<usize, TemplateError> {
    let number = whole(at(name, arguments, index)?);
    match usize::try_from(number) {
        Ok(number) if number <= 100_000 => Ok(number),
        Ok(_) => Err(wrong(format!("error calling {name}: {number} is too much"))),
        Err(_) => Ok(0),
    }
}
