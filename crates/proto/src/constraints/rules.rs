//! The rules of one message type, read from the options of its descriptor once and checked many times.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use prost::Message as _;
use prost::encoding::WireType;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};
use regex::Regex;

use crate::descriptors;
use crate::envoy::google::Duration;

/// Rules of a message type.
pub(super) struct Table {
    /// By number, in order.
    pub(super) fields: Vec<Field>,
    /// Oneofs of which one member must be there.
    pub(super) required: Vec<(String, Vec<u32>)>,
    /// Its rules are switched off.
    pub(super) is_free: bool,
}

pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) kind: Type,
    pub(super) check: Check,
    /// Absent means the default value, which the rules hold for as well.
    is_implicit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    Map,
}

pub(super) enum Type {
    Message(Nested),
    Wrapper(Box<Type>),
    Map(Box<Entry>),
    Text,
    Bytes,
    Bool,
    Enum(EnumDescriptor),
    Unsigned,
    Signed,
    Zigzag,
    Fixed,
    Float,
}

/// A message type by name, and its rules once they were looked up.
pub(super) struct Nested {
    pub(super) name: String,
    pub(super) table: OnceLock<Option<Arc<Table>>>,
}

/// The entries of a map.
pub(super) struct Entry {
    pub(super) key: Type,
    pub(super) value: Type,
    pub(super) keys: Check,
    pub(super) values: Check,
}

#[derive(Debug)]
pub(super) enum Scalar<'a> {
    Number(f64),
    Text(Cow<'a, str>),
    Length(u64),
}

/// What a value must be.
#[derive(Default)]
pub(super) struct Check {
    /// There is a rule; else scalars need not be read.
    pub(super) is_any: bool,
    pub(super) skip: bool,
    pub(super) each: Option<Box<Check>>,
    required: bool,
    ignore_empty: bool,
    lowest: Option<(f64, bool)>,
    highest: Option<(f64, bool)>,
    numbers: Vec<f64>,
    not_numbers: Vec<f64>,
    defined_only: bool,
    texts: Vec<String>,
    not_texts: Vec<String>,
    characters: (Option<u64>, Option<u64>),
    length: (Option<u64>, Option<u64>),
    prefix: Option<String>,
    pattern: Option<Regex>,
    header: Option<Header>,
    items: (Option<u64>, Option<u64>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Name { strict: bool },
    Value { strict: bool },
}

/// No rule at all.
pub(super) static NOTHING: Check = Check {
    is_any: false,
    skip: false,
    each: None,
    required: false,
    ignore_empty: false,
    lowest: None,
    highest: None,
    numbers: Vec::new(),
    not_numbers: Vec::new(),
    defined_only: false,
    texts: Vec::new(),
    not_texts: Vec::new(),
    characters: (None, None),
    length: (None, None),
    prefix: None,
    pattern: None,
    header: None,
    items: (None, None),
};

impl Table {
    pub(super) fn new(descriptor: &MessageDescriptor) -> Self {
        let is_on = |options: &DynamicMessage, name: &str| {
            let extension = descriptors::pool().get_extension_by_name(name);
            extension.is_some_and(|extension| options.get_extension(&extension).as_bool() == Some(true))
        };
        let options = descriptor.options();
        let mut fields: Vec<Field> = descriptor.fields().map(|field| Field::new(&field)).collect();
        fields.sort_by_key(|field| field.number);
        let required = descriptor.oneofs().filter(|oneof| is_on(&oneof.options(), "validate.required"));
        Self {
            fields,
            required: required
                .map(|oneof| (oneof.name().to_owned(), oneof.fields().map(|field| field.number()).collect()))
                .collect(),
            is_free: is_on(&options, "validate.disabled") || is_on(&options, "validate.ignored"),
        }
    }
}

impl Field {
    fn new(descriptor: &FieldDescriptor) -> Self {
        let rules = descriptors::pool()
            .get_extension_by_name("validate.rules")
            .and_then(|extension| descriptor.options().get_extension(&extension).as_message().cloned());
        let shape = match descriptor {
            field if field.is_map() => Shape::Map,
            field if field.is_list() => Shape::List,
            _ => Shape::One,
        };
        let kind = match descriptor.kind() {
            Kind::Message(entry) if descriptor.is_map() => {
                let of = |name: &str| rules.as_ref().and_then(|rules| nested(&nested(rules, "map")?, name));
                let check = |name: &str| of(name).map(|rules| Check::new(&rules)).unwrap_or_default();
                Type::Map(Box::new(Entry {
                    key: Type::new(&entry.map_entry_key_field().kind()),
                    value: Type::new(&entry.map_entry_value_field().kind()),
                    keys: check("keys"),
                    values: check("values"),
                }))
            }
            kind => Type::new(&kind),
        };
        let mut check = rules.map(|rules| Check::new(&rules)).unwrap_or_default();
        // A member of a oneof is needed only where it was chosen, and then it is there.
        check.required &= descriptor.containing_oneof().is_none();
        Self {
            number: descriptor.number(),
            name: descriptor.name().to_owned(),
            shape,
            kind,
            check,
            is_implicit: shape == Shape::One && !descriptor.supports_presence(),
        }
    }

    /// Why it may not be absent.
    pub(super) fn of_absence(&self) -> Option<String> {
        if self.check.required {
            return Some("is needed".to_owned());
        }
        if !self.is_implicit || self.check.ignore_empty {
            return None;
        }
        self.check.of_scalar(&self.kind, &self.kind.default_value())
    }
}

impl Type {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Duration" | "google.protobuf.Any" => Self::message(message.full_name()),
                wrapper if wrapper.starts_with("google.protobuf.") && wrapper.ends_with("Value") => {
                    match message.get_field_by_name("value") {
                        Some(inner) => Self::Wrapper(Box::new(Self::new(&inner.kind()))),
                        None => Self::message(wrapper),
                    }
                }
                name => Self::message(name),
            },
            Kind::String => Self::Text,
            Kind::Bytes => Self::Bytes,
            Kind::Bool => Self::Bool,
            Kind::Enum(values) => Self::Enum(values.clone()),
            Kind::Uint32 | Kind::Uint64 => Self::Unsigned,
            Kind::Int32 | Kind::Int64 => Self::Signed,
            Kind::Sint32 | Kind::Sint64 => Self::Zigzag,
            Kind::Fixed32 | Kind::Fixed64 | Kind::Sfixed32 | Kind::Sfixed64 => Self::Fixed,
            Kind::Float | Kind::Double => Self::Float,
        }
    }

    fn message(name: &str) -> Self {
        Self::Message(Nested { name: name.to_owned(), table: OnceLock::new() })
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self, Self::Message(_))
    }

    pub(super) fn is_packable(&self) -> bool {
        !matches!(self, Self::Message(_) | Self::Wrapper(_) | Self::Map(_) | Self::Text | Self::Bytes)
    }

    /// How numbers of it are packed. A field of four bytes looks like half of one of eight, but lists of such numbers
    /// have no rules in Envoy's files.
    pub(super) fn wire_type(&self) -> WireType {
        match self {
            Self::Fixed | Self::Float => WireType::SixtyFourBit,
            _ => WireType::Varint,
        }
    }

    pub(super) fn default_value(&self) -> Scalar<'static> {
        match self {
            Self::Text => Scalar::Text(Cow::Borrowed("")),
            Self::Bytes => Scalar::Length(0),
            _ => Scalar::Number(0.0),
        }
    }
}

fn nested(rules: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    if !rules.has_field_by_name(name) {
        return None;
    }
    rules.get_field_by_name(name)?.as_message().cloned()
}

fn number(value: &Value) -> Option<f64> {
    Some(match value {
        Value::I32(number) | Value::EnumNumber(number) => f64::from(*number),
        Value::I64(number) => *number as f64,
        Value::U32(number) => f64::from(*number),
        Value::U64(number) => *number as f64,
        Value::F32(number) => f64::from(*number),
        Value::F64(number) => *number,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Message(span) if span.descriptor().full_name() == "google.protobuf.Duration" => {
            seconds(&Duration::decode(span.encode_to_vec().as_slice()).ok()?)
        }
        _ => return None,
    })
}

fn seconds(span: &Duration) -> f64 {
    span.seconds as f64 + f64::from(span.nanos) / 1e9
}

impl Check {
    /// From a `FieldRules`.
    fn new(rules: &DynamicMessage) -> Self {
        let mut check = Self { is_any: true, ..Self::default() };
        for (field, value) in rules.fields() {
            let Some(of_type) = value.as_message() else { continue };
            match field.name() {
                "message" => {
                    for (field, value) in of_type.fields() {
                        match field.name() {
                            "required" => check.required = value.as_bool() == Some(true),
                            "skip" => check.skip = value.as_bool() == Some(true),
                            _ => {}
                        }
                    }
                }
                "repeated" | "map" => {
                    for (field, value) in of_type.fields() {
                        match field.name() {
                            "min_items" | "min_pairs" => check.items.0 = value.as_u64(),
                            "max_items" | "max_pairs" => check.items.1 = value.as_u64(),
                            "items" => {
                                check.each = value.as_message().map(|rules| Box::new(Self::new(rules)));
                            }
                            "ignore_empty" => check.ignore_empty = value.as_bool() == Some(true),
                            _ => {}
                        }
                    }
                }
                _ => of_type.fields().for_each(|(field, value)| check.take(field.name(), value)),
            }
        }
        check
    }

    fn take(&mut self, rule: &str, value: &Value) {
        let text = || value.as_str().map(str::to_owned);
        let each = |pick: fn(&Value) -> Option<f64>| {
            value.as_list().into_iter().flatten().filter_map(pick).collect()
        };
        match rule {
            "required" => self.required = value.as_bool() == Some(true),
            "ignore_empty" => self.ignore_empty = value.as_bool() == Some(true),
            "defined_only" => self.defined_only = value.as_bool() == Some(true),
            "gt" => self.lowest = number(value).map(|number| (number, false)),
            "gte" => self.lowest = number(value).map(|number| (number, true)),
            "lt" => self.highest = number(value).map(|number| (number, false)),
            "lte" => self.highest = number(value).map(|number| (number, true)),
            "const" => match value {
                Value::String(text) => self.texts = vec![text.clone()],
                value => self.numbers = number(value).into_iter().collect(),
            },
            "in" | "not_in" => {
                let texts: Vec<String> = value
                    .as_list()
                    .into_iter()
                    .flatten()
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect();
                match rule {
                    "in" => (self.texts, self.numbers) = (texts, each(number)),
                    _ => (self.not_texts, self.not_numbers) = (texts, each(number)),
                }
            }
            "len" => self.characters = (value.as_u64(), value.as_u64()),
            "min_len" => self.characters.0 = value.as_u64(),
            "max_len" => self.characters.1 = value.as_u64(),
            "min_bytes" => self.length.0 = value.as_u64(),
            "max_bytes" => self.length.1 = value.as_u64(),
            "prefix" => self.prefix = text(),
            "pattern" => self.pattern = value.as_str().and_then(|pattern| Regex::new(pattern).ok()),
            "well_known_regex" => {
                let strict = matches!(
                    self.header,
                    None | Some(Header::Name { strict: true } | Header::Value { strict: true })
                );
                self.header = match value.as_enum_number() {
                    Some(1) => Some(Header::Name { strict }),
                    Some(2) => Some(Header::Value { strict }),
                    _ => None,
                };
            }
            "strict" if value.as_bool() == Some(false) => {
                self.header = self.header.map(|header| match header {
                    Header::Name { .. } => Header::Name { strict: false },
                    Header::Value { .. } => Header::Value { strict: false },
                });
            }
            _ => {}
        }
    }

    /// Why there may not be that many.
    pub(super) fn of_count(&self, shape: Shape, count: u64) -> Option<String> {
        if shape == Shape::One || (count == 0 && self.ignore_empty) {
            return None;
        }
        match self.items {
            (Some(least), _) if count < least => {
                Some(format!("{least} or more are needed, there are {count}"))
            }
            (_, Some(most)) if count > most => {
                Some(format!("{most} or fewer may be there, there are {count}"))
            }
            _ => None,
        }
    }

    pub(super) fn of_duration(&self, encoded: &[u8]) -> Option<String> {
        /// Envoy counts nanoseconds in 64 bits.
        const LONGEST: i64 = 9_223_372_035;
        let span = Duration::decode(encoded).ok()?;
        if span.seconds < 0 || span.nanos < 0 {
            return Some("a duration is negative".to_owned());
        }
        if span.seconds > LONGEST || span.nanos > 999_999_999 {
            return Some("a duration is too long".to_owned());
        }
        self.of_number(seconds(&span), " s")
    }

    pub(super) fn of_scalar(&self, kind: &Type, value: &Scalar<'_>) -> Option<String> {
        match value {
            Scalar::Number(number) => {
                if let (true, Type::Enum(values)) = (self.defined_only, kind)
                    && values.get_value(*number as i32).is_none()
                {
                    return Some(format!("{number} is no value of {}", values.name()));
                }
                self.of_number(*number, "")
            }
            Scalar::Text(text) => self.of_text(text),
            Scalar::Length(length) if self.ignore_empty && *length == 0 => None,
            Scalar::Length(length) => of_length(self.characters, *length, "bytes"),
        }
    }

    fn of_number(&self, number: f64, unit: &str) -> Option<String> {
        if self.ignore_empty && number == 0.0 {
            return None;
        }
        let low = self.lowest.is_none_or(|(low, inclusive)| number > low || (inclusive && number >= low));
        let high =
            self.highest.is_none_or(|(high, inclusive)| number < high || (inclusive && number <= high));
        // Bounds that leave nothing between them mean what is outside.
        let is_outside =
            matches!((self.lowest, self.highest), (Some((low, _)), Some((high, _))) if low > high);
        let is_within = if is_outside { low || high } else { low && high };
        if !is_within {
            return Some(format!("{number}{unit} is not {}", self.range(unit)));
        }
        if !self.numbers.is_empty() && !self.numbers.contains(&number) {
            return Some(format!("{number} is none of {:?}", self.numbers));
        }
        self.not_numbers.contains(&number).then(|| format!("{number} is not allowed"))
    }

    fn range(&self, unit: &str) -> String {
        let low = self.lowest.map(|(low, inclusive)| {
            if inclusive { format!("{low}{unit} or more") } else { format!("more than {low}{unit}") }
        });
        let high = self.highest.map(|(high, inclusive)| {
            if inclusive { format!("{high}{unit} or less") } else { format!("less than {high}{unit}") }
        });
        [low, high].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }

    pub(super) fn of_text(&self, text: &str) -> Option<String> {
        if self.ignore_empty && text.is_empty() {
            return None;
        }
        if !self.texts.is_empty() && !self.texts.iter().any(|known| known == text) {
            return Some(format!("{text:?} is none of {:?}", self.texts));
        }
        if self.not_texts.iter().any(|known| known == text) {
            return Some(format!("{text:?} is not allowed"));
        }
        if let Some(reason) = of_length(self.characters, text.chars().count() as u64, "characters") {
            return Some(reason);
        }
        if let Some(reason) = of_length(self.length, text.len() as u64, "bytes") {
            return Some(reason);
        }
        if let Some(prefix) = self.prefix.as_ref().filter(|prefix| !text.starts_with(prefix.as_str())) {
            return Some(format!("{text:?} does not begin with {prefix:?}"));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            return Some(format!("{text:?} does not match {:?}", pattern.as_str()));
        }
        let broken = self.header.filter(|header| !header.admits(text));
        broken.map(|_| format!("{text:?} holds a character that headers may not have"))
    }
}

fn of_length((least, most): (Option<u64>, Option<u64>), length: u64, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(1), _) if length == 0 => Some("is empty".to_owned()),
        (Some(least), _) if length < least => {
            Some(format!("{least} {unit} or more are needed, there are {length}"))
        }
        (_, Some(most)) if length > most => {
            Some(format!("{most} {unit} or fewer are allowed, there are {length}"))
        }
        _ => None,
    }
}

impl Header {
    fn admits(self, text: &str) -> bool {
        const IN_NAMES: &str = "!#$%&'*+-.^_|~`";
        match self {
            Self::Name { strict: true } => {
                let name = text.strip_prefix(':').unwrap_or(text);
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || IN_NAMES.contains(c))
            }
            Self::Value { strict: true } => {
                !text.chars().any(|c| (c.is_ascii_control() && c != '\t') || c == '\x7f')
            }
            Self::Name { strict: false } | Self::Value { strict: false } => {
                !text.contains(['\0', '\n', '\r'])
            }
        }
    }
}
