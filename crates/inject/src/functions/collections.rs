//! Sprig's functions over lists and dictionaries, defaults and kinds, and `index` of the language.

use std::sync::Arc;

use gotmpl::{TemplateError, Value};

use super::Look::{Deep, Shallow};
use super::arguments::{at, last, show, text_at, whole, wrong};
use super::{Context, Outcome, Table};
use crate::value::{Members, list, map, text};

pub(super) const TABLE: Table = &[
    ("index", Shallow, index),
    ("default", Shallow, |_, a| {
        let given = a.get(1).filter(|given| given.is_truthy());
        Ok(given.unwrap_or(at("default", a, 0)?).clone())
    }),
    ("empty", Shallow, |_, a| Ok(Value::Bool(!at("empty", a, 0)?.is_truthy()))),
    ("coalesce", Shallow, |_, a| Ok(a.iter().find(|value| value.is_truthy()).cloned().unwrap_or(Value::Nil))),
    ("all", Shallow, |_, a| Ok(Value::Bool(a.iter().all(Value::is_truthy)))),
    ("any", Shallow, |_, a| Ok(Value::Bool(a.iter().any(Value::is_truthy)))),
    ("ternary", Shallow, |_, a| {
        let yes = at("ternary", a, 2)?.is_truthy();
        Ok(at("ternary", a, usize::from(!yes))?.clone())
    }),
    ("list", Deep, |_, a| Ok(list(a.to_vec()))),
    ("tuple", Deep, |_, a| Ok(list(a.to_vec()))),
    ("append", Deep, |_, a| Ok(list([items("append", a, 0)?, a.get(1..).unwrap_or_default()].concat()))),
    ("push", Deep, |_, a| Ok(list([items("push", a, 0)?, a.get(1..).unwrap_or_default()].concat()))),
    ("prepend", Deep, |_, a| Ok(list([a.get(1..).unwrap_or_default(), items("prepend", a, 0)?].concat()))),
    ("concat", Deep, |_, a| {
        let lists: Result<Vec<_>, _> = (0..a.len()).map(|i| items("concat", a, i)).collect();
        Ok(list(lists?.concat()))
    }),
    ("first", Shallow, |_, a| Ok(items("first", a, 0)?.first().cloned().unwrap_or(Value::Nil))),
    ("last", Shallow, |_, a| Ok(items("last", a, 0)?.last().cloned().unwrap_or(Value::Nil))),
    ("rest", Deep, |_, a| Ok(list(items("rest", a, 0)?.get(1..).unwrap_or_default().to_vec()))),
    ("initial", Deep, |_, a| {
        let all = items("initial", a, 0)?;
        Ok(list(all.get(..all.len().saturating_sub(1)).unwrap_or_default().to_vec()))
    }),
    ("reverse", Deep, |_, a| Ok(list(items("reverse", a, 0)?.iter().rev().cloned().collect()))),
    ("uniq", Deep, |_, a| Ok(list(unique(items("uniq", a, 0)?)))),
    ("without", Deep, |_, a| {
        let unwanted = a.get(1..).unwrap_or_default();
        let kept = items("without", a, 0)?.iter().filter(|item| !unwanted.contains(item));
        Ok(list(kept.cloned().collect()))
    }),
    ("compact", Deep, |_, a| {
        Ok(list(items("compact", a, 0)?.iter().filter(|item| item.is_truthy()).cloned().collect()))
    }),
    ("has", Deep, |_, a| Ok(Value::Bool(items("has", a, 1)?.contains(at("has", a, 0)?)))),
    ("sortAlpha", Deep, |_, a| {
        let mut all: Vec<String> = items("sortAlpha", a, 0)?.iter().map(show).collect();
        all.sort_unstable();
        Ok(list(all.into_iter().map(text).collect()))
    }),
    ("join", Deep, |_, a| {
        let separator = text_at("join", a, 0)?;
        match at("join", a, 1)? {
            Value::List(all) => Ok(text(all.iter().map(show).collect::<Vec<_>>().join(separator))),
            other => Ok(text(show(other))),
        }
    }),
    ("toStrings", Deep, |_, a| {
        Ok(list(items("toStrings", a, 0)?.iter().map(|item| text(show(item))).collect()))
    }),
    ("dict", Deep, |_, a| Ok(map(pairs(a)))),
    ("get", Shallow, |_, a| {
        Ok(members("get", a, 0)?.get(text_at("get", a, 1)?).cloned().unwrap_or_else(|| text("")))
    }),
    ("hasKey", Shallow, |_, a| {
        Ok(Value::Bool(members("hasKey", a, 0)?.contains_key(text_at("hasKey", a, 1)?)))
    }),
    ("set", Deep, |_, a| {
        let mut changed = members("set", a, 0)?.clone();
        changed.insert(Arc::from(text_at("set", a, 1)?), at("set", a, 2)?.clone());
        Ok(map(changed))
    }),
    ("unset", Deep, |_, a| {
        let mut changed = members("unset", a, 0)?.clone();
        changed.remove(text_at("unset", a, 1)?);
        Ok(map(changed))
    }),
    ("keys", Deep, |_, a| {
        let all: Result<Vec<_>, _> = (0..a.len()).map(|i| members("keys", a, i)).collect();
        Ok(list(all?.iter().flat_map(|one| one.keys()).map(|key| Value::String(Arc::clone(key))).collect()))
    }),
    ("values", Deep, |_, a| Ok(list(members("values", a, 0)?.values().cloned().collect()))),
    ("pick", Deep, |_, a| {
        let wanted: Vec<String> = a.iter().skip(1).map(show).collect();
        let all = members("pick", a, 0)?.iter().filter(|(key, _)| wanted.iter().any(|name| **name == ***key));
        Ok(map(all.map(|(key, value)| (Arc::clone(key), value.clone())).collect()))
    }),
    ("pluck", Deep, |_, a| {
        let name = text_at("pluck", a, 0)?;
        let all: Result<Vec<_>, _> = (1..a.len()).map(|i| members("pluck", a, i)).collect();
        Ok(list(all?.iter().filter_map(|one| one.get(name)).cloned().collect()))
    }),
    ("dig", Deep, |_, a| {
        let Some((Value::Map(_), names)) = a.split_last() else {
            return Err(wrong("dig needs a dictionary"));
        };
        let Some((default, names)) = names.split_last() else { return Err(wrong("dig needs a default")) };
        let mut found = last("dig", a)?;
        for name in names {
            let Some(below) = found.field(&show(name)) else { return Ok(default.clone()) };
            found = below;
        }
        Ok(found.clone())
    }),
    ("merge", Deep, |_, a| merged("merge", a, false)),
    ("mustMerge", Deep, |_, a| merged("mustMerge", a, false)),
    ("mergeOverwrite", Deep, |_, a| merged("mergeOverwrite", a, true)),
    ("mustMergeOverwrite", Deep, |_, a| merged("mustMergeOverwrite", a, true)),
    ("deepCopy", Shallow, |_, a| Ok(at("deepCopy", a, 0)?.clone())),
    ("kindOf", Shallow, |_, a| Ok(text(kind(at("kindOf", a, 0)?)))),
    ("kindIs", Shallow, |_, a| Ok(Value::Bool(text_at("kindIs", a, 0)? == kind(at("kindIs", a, 1)?)))),
    ("typeOf", Shallow, |_, a| Ok(text(go_type(at("typeOf", a, 0)?)))),
    ("typeIs", Shallow, |_, a| Ok(Value::Bool(text_at("typeIs", a, 0)? == go_type(at("typeIs", a, 1)?)))),
    ("typeIsLike", Shallow, |_, a| {
        Ok(Value::Bool(
            text_at("typeIsLike", a, 0)?.trim_start_matches('*') == go_type(at("typeIsLike", a, 1)?),
        ))
    }),
    ("deepEqual", Deep, |_, a| Ok(Value::Bool(at("deepEqual", a, 0)? == at("deepEqual", a, 1)?))),
    ("chunk", Deep, |_, a| {
        let size = usize::try_from(whole(at("chunk", a, 0)?)).unwrap_or(0).max(1);
        Ok(list(items("chunk", a, 1)?.chunks(size).map(|part| list(part.to_vec())).collect()))
    }),
];

/// As Go's: an absent key of a map of strings is the empty string.
fn index(context: &Context, arguments: &[Value]) -> Outcome {
    let mut found = at("index", arguments, 0)?.clone();
    for key in arguments.get(1..).unwrap_or_default() {
        let strings = context.origins.is_strings(&found);
        let below = match (&found, key) {
            // Floats of the user's values count as whole numbers here.
            (Value::List(_), Value::Float(number)) => found.index(&Value::Int(*number as i64))?,
            _ => found.index(key)?,
        };
        found = if strings && matches!(below, Value::Nil) { text("") } else { below };
    }
    Ok(found)
}

fn items<'a>(name: &str, arguments: &'a [Value], index: usize) -> Result<&'a [Value], TemplateError> {
    match at(name, arguments, index)? {
        Value::List(items) => Ok(items),
        Value::Nil => Ok(&[]),
        other => Err(wrong(format!("error calling {name}: it needs a list, not {}", other.type_name()))),
    }
}

pub(super) fn members<'a>(
    name: &str,
    arguments: &'a [Value],
    index: usize,
) -> Result<&'a Members, TemplateError> {
    static NONE: Members = Members::new();
    match at(name, arguments, index)? {
        Value::Map(members) => Ok(members),
        Value::Nil => Ok(&NONE),
        other => {
            Err(wrong(format!("error calling {name}: it needs a dictionary, not {}", other.type_name())))
        }
    }
}

fn unique(all: &[Value]) -> Vec<Value> {
    let mut seen = std::collections::BTreeSet::new();
    all.iter().filter(|item| seen.insert(format!("{}{item}", item.type_name()))).cloned().collect()
}

/// Keys and values in turn; a last key without value has the empty string.
pub(super) fn pairs(arguments: &[Value]) -> Members {
    let pair = |pair: &[Value]| {
        let key = pair.first().map(show).unwrap_or_default();
        (Arc::from(key), pair.get(1).cloned().unwrap_or_else(|| text("")))
    };
    arguments.chunks(2).map(pair).collect()
}

fn merged(name: &str, arguments: &[Value], overwrite: bool) -> Outcome {
    fn lay(under: &mut Members, over: &Members, overwrite: bool) {
        for (key, value) in over {
            match (under.get_mut(key), value) {
                (Some(Value::Map(inner)), Value::Map(value)) => lay(Arc::make_mut(inner), value, overwrite),
                (Some(known), _) => {
                    if overwrite && value.is_truthy() || !known.is_truthy() {
                        *known = value.clone();
                    }
                }
                (None, _) => {
                    under.insert(Arc::clone(key), value.clone());
                }
            }
        }
    }
    let mut result = members(name, arguments, 0)?.clone();
    for index in 1..arguments.len() {
        lay(&mut result, members(name, arguments, index)?, overwrite);
    }
    Ok(map(result))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        Value::Function(_) => "func",
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::Nil => "<nil>",
        _ => kind(value),
    }
}
