//! A place in an object as it was written, present or not, with its path. Reads what is there as JSON of protobuf
//! allows it: members in camel or snake case, numbers as text, enums as names or numbers. What is absent reads as the
//! type's default.

use serde_json::Value;

/// A place in an object.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    value: Option<&'a Value>,
    path: String,
}

impl<'a> Node<'a> {
    /// The whole of a document, or a member of it.
    pub(crate) fn new(value: Option<&'a Value>, path: &str) -> Self {
        Self { value: value.filter(|value| !value.is_null()), path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether something other than null is there.
    pub(crate) fn is_set(&self) -> bool {
        self.value.is_some()
    }

    pub(crate) fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// This place, if something is there.
    pub(crate) fn set(self) -> Option<Self> {
        self.is_set().then_some(self)
    }

    /// The member of this name, given in camel case.
    pub(crate) fn at(&self, name: &str) -> Self {
        let members = self.value.and_then(Value::as_object);
        let value = members.and_then(|members| members.get(name).or_else(|| members.get(&snake_case(name))));
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { value: value.filter(|value| !value.is_null()), path }
    }

    /// Whether a member of this name is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.at(name).is_set()
    }

    /// The text; empty if none is there.
    pub(crate) fn text(&self) -> &'a str {
        self.value.and_then(Value::as_str).unwrap_or_default()
    }

    /// The number; none if there is none.
    pub(crate) fn number(&self) -> Option<f64> {
        match self.value? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The whole number; zero if there is none.
    pub(crate) fn integer(&self) -> i64 {
        self.number().unwrap_or_default() as i64
    }

    pub(crate) fn flag(&self) -> bool {
        self.value.and_then(Value::as_bool).unwrap_or_default()
    }

    /// The name of an enum's value. The names stand in the order of their numbers; the first is the default.
    pub(crate) fn choice(&self, names: &[&'static str]) -> &'a str {
        match self.value {
            Some(Value::String(name)) => name,
            Some(Value::Number(number)) => {
                number.as_u64().and_then(|number| names.get(number as usize)).copied().unwrap_or("?")
            }
            _ => names.first().copied().unwrap_or_default(),
        }
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Vec<Self> {
        let Some(Value::Array(items)) = self.value else { return Vec::new() };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| Self::new(Some(item), &format!("{}[{index}]", self.path)))
            .collect()
    }

    /// How many items a list, or members a mapping has.
    pub(crate) fn len(&self) -> usize {
        match self.value {
            Some(Value::Array(items)) => items.len(),
            Some(Value::Object(members)) => members.len(),
            _ => 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members of a mapping.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Self)> {
        let Some(Value::Object(members)) = self.value else { return Vec::new() };
        members
            .iter()
            .map(|(name, member)| {
                (name.as_str(), Self::new(Some(member), &format!("{}[{name:?}]", self.path)))
            })
            .collect()
    }
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
