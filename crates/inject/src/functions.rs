//! The functions that templates call: Istio's own and Sprig's for text (platform specification, 6.3). Each is a plain
//! function over values; [`bind`] ties those that a template uses to what one rendering knows, and makes every call
//! pay for what it takes and gives.

mod arguments;
mod collections;
mod encoding;
mod istio;
mod language;
mod numbers;
mod strings;

use std::collections::BTreeSet;
use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use crate::budget::Budget;
use crate::value::Origins;

pub(crate) use encoding::base64;

/// The name of the call that stands first in every body; no template can write it.
pub(crate) const STEP: &str = "a body is entered";

/// No value made by a function may be larger, counted in bytes through and through.
const MAX_VALUE: usize = 1024 * 1024;

/// What a single call may cost: a few values of that size.
const MAX_PRICE: usize = 4 * MAX_VALUE;

/// What one rendering knows.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) origins: Origins,
    /// What `env` sees: handed over by whoever may read the environment.
    pub(crate) environment: Arc<dyn crate::Environment>,
    budget: Budget,
}

impl Context {
    pub(crate) fn new(origins: Origins, environment: Arc<dyn crate::Environment>) -> Self {
        Self { origins, environment, budget: Budget::new() }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }
}

pub(crate) type Outcome = Result<Value, TemplateError>;
type Function = fn(&Context, &[Value]) -> Outcome;

/// Whether a call looks at its arguments through and through, or only at their surface.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Deep,
    Shallow,
}

type Table = &'static [(&'static str, Look, Function)];

/// Later tables win over earlier ones, and all over the functions of the language.
const TABLES: &[Table] = &[
    language::TABLE,
    strings::TABLE,
    collections::TABLE,
    numbers::TABLE,
    encoding::TABLE,
    istio::TABLE,
    istio::UNAVAILABLE,
];

fn find(name: &str) -> Option<(Look, Function)> {
    let found = TABLES.iter().rev().find_map(|table| table.iter().find(|(known, ..)| *known == name))?;
    Some((found.1, found.2))
}

/// Whether templates can call a function of this name.
pub(crate) fn exists(name: &str) -> bool {
    matches!(name, STEP | "and" | "or") || find(name).is_some()
}

/// The functions of these names, tied to one rendering.
pub(crate) fn bind(names: &BTreeSet<String>, context: &Arc<Context>) -> FuncMap {
    let mut bound = FuncMap::new();
    for name in names {
        let context = Arc::clone(context);
        if name == STEP {
            bound.insert(
                name.clone(),
                Arc::new(move |arguments: &[Value]| {
                    let nodes =
                        arguments.first().and_then(Value::as_int).and_then(|n| usize::try_from(n).ok());
                    pay(&context, 64 + 32 * nodes.unwrap_or_default()).map(|()| crate::value::text(""))
                }),
            );
        } else if let Some((look, function)) = find(name) {
            bound.insert(
                name.clone(),
                Arc::new(move |arguments: &[Value]| {
                    pay(&context, arguments.iter().map(|argument| price(argument, look)).sum())?;
                    let made = function(&context, arguments)?;
                    if look == Look::Deep {
                        let price = price(&made, look);
                        if price > MAX_VALUE {
                            let reason = format!("a value is larger than {MAX_VALUE} bytes");
                            return Err(TemplateError::Exec(reason));
                        }
                        pay(&context, price)?;
                    }
                    Ok(made)
                }),
            );
        }
    }
    bound
}

fn pay(context: &Context, price: usize) -> Result<(), TemplateError> {
    if price > MAX_PRICE {
        return Err(TemplateError::Exec("its values are too large".to_owned()));
    }
    if context.budget.pay(price) {
        Ok(())
    } else {
        Err(TemplateError::Exec("it works for too long".to_owned()))
    }
}

/// What looking at a value costs, never counted much beyond [`MAX_VALUE`].
fn price(value: &Value, look: Look) -> usize {
    fn add(value: &Value, look: Look, sum: &mut usize) {
        *sum += 16;
        match value {
            Value::String(text) => *sum += text.len(),
            Value::List(items) if look == Look::Deep => {
                for item in items.iter() {
                    if *sum > MAX_VALUE {
                        return;
                    }
                    add(item, look, sum);
                }
            }
            Value::Map(members) if look == Look::Deep => {
                for (name, value) in members.iter() {
                    if *sum > MAX_VALUE {
                        return;
                    }
                    *sum += name.len();
                    add(value, look, sum);
                }
            }
            _ => {}
        }
    }
    let mut sum = 0;
    add(value, look, &mut sum);
    sum
}
