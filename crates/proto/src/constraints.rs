//! What Envoy demands of a message beyond its types (`validate.rules` in its proto files), checked on encoded bytes:
//! one message that breaks a rule makes a proxy refuse the whole response. Messages in `Any` values are checked too
//! when their type is known, and every duration must be one that Envoy can count.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::type_url::message_name;
use crate::{cel, descriptors, operators, regexp};
use rules::{Field, Nested, Scalar, Shape, Table, Type};

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, by the names of the proto files, such as `outlier_detection.interval`.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// The first rule that an encoded message breaks. Messages of unknown type break none.
pub fn violation(full_name: &str, encoded: &[u8]) -> Option<Violation> {
    in_message(full_name, encoded, 0).map(|(mut path, reason)| {
        path.reverse();
        Violation { path: path.join("."), reason }
    })
}

/// The first rule that a message breaks.
pub fn violation_of<M: prost::Name>(message: &M) -> Option<Violation> {
    violation(&M::full_name(), &message.encode_to_vec())
}

/// Messages nest no deeper than a decoder allows; more is not looked at.
const DEEPEST: usize = 100;

/// The path from the inside out, and the reason.
type Broken = (Vec<String>, String);

fn table(full_name: &str) -> Option<Arc<Table>> {
    type Tables = RwLock<HashMap<String, Option<Arc<Table>>>>;
    static TABLES: OnceLock<Tables> = OnceLock::new();
    let tables = TABLES.get_or_init(Tables::default);
    if let Some(known) = tables.read().unwrap_or_else(PoisonError::into_inner).get(full_name) {
        return known.clone();
    }
    let made = descriptors::message(full_name).map(|descriptor| Arc::new(Table::new(&descriptor)));
    tables.write().unwrap_or_else(PoisonError::into_inner).insert(full_name.to_owned(), made.clone());
    made
}

fn in_message(full_name: &str, encoded: &[u8], depth: usize) -> Option<Broken> {
    if depth > DEEPEST {
        return None;
    }
    if full_name == "google.protobuf.Any" {
        let any = crate::envoy::google::Any::decode(encoded).ok()?;
        return in_message(message_name(&any.type_url), &any.value, depth + 1);
    }
    in_fields(&*table(full_name)?, encoded, depth).or_else(|| beyond_rules(full_name, encoded))
}

/// What Envoy refuses of messages of some types wherever they stand, beyond the rules of its files.
fn beyond_rules(full_name: &str, encoded: &[u8]) -> Option<Broken> {
    let in_field = |name: &str, reason: String| (vec![name.to_owned()], reason);
    match full_name {
        "envoy.type.matcher.v3.RegexMatcher" => {
            let matcher = crate::envoy::matcher::RegexMatcher::decode(encoded).ok()?;
            regexp::refusal(&matcher.regex).map(|reason| in_field("regex", reason))
        }
        "envoy.config.core.v3.HeaderValueOption" => {
            let option = crate::envoy::core::HeaderValueOption::decode(encoded).ok()?;
            operators::refusal(&option.header?.value, &[]).map(|reason| in_field("header.value", reason))
        }
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter" => {
            let filter = crate::envoy::access_log_filters_cel::ExpressionFilter::decode(encoded).ok()?;
            let error = cel::check(&filter.expression).err()?;
            Some(in_field("expression", format!("is no expression of CEL: {error}")))
        }
        _ => None,
    }
}

fn in_nested(nested: &Nested, encoded: &[u8], depth: usize) -> Option<Broken> {
    if depth > DEEPEST {
        return None;
    }
    in_fields(nested.table.get_or_init(|| table(&nested.name)).as_deref()?, encoded, depth)
        .or_else(|| beyond_rules(&nested.name, encoded))
}

fn in_fields(table: &Table, encoded: &[u8], depth: usize) -> Option<Broken> {
    if table.is_free {
        return None;
    }
    let mut counts = vec![0_u64; table.fields.len()];
    let mut rest = encoded;
    while !rest.is_empty() {
        let (number, value) = next(&mut rest)?;
        let Ok(at) = table.fields.binary_search_by_key(&number, |field| field.number) else { continue };
        let field = &table.fields[at];
        if let (Wire::Bytes(packed), Shape::List, true) = (&value, field.shape, field.kind.is_packable()) {
            counts[at] += 1;
            if let Some(reason) = in_packed(field, packed) {
                return Some((vec![field.name.clone()], reason));
            }
            continue;
        }
        counts[at] += 1;
        if let Some((mut path, reason)) = in_value(field, &value, depth) {
            path.push(if field.shape == Shape::List {
                format!("{}[{}]", field.name, counts[at] - 1)
            } else {
                field.name.clone()
            });
            return Some((path, reason));
        }
    }
    let absent = table.fields.iter().zip(&counts).find_map(|(field, count)| {
        let reason = field
            .check
            .of_count(field.shape, *count)
            .or_else(|| (*count == 0 && field.shape == Shape::One).then(|| field.of_absence()).flatten());
        Some((vec![field.name.clone()], reason?))
    });
    absent.or_else(|| {
        let is_set = |numbers: &[u32]| {
            table
                .fields
                .iter()
                .zip(&counts)
                .any(|(field, count)| *count > 0 && numbers.contains(&field.number))
        };
        let (name, _) = table.required.iter().find(|(_, numbers)| !is_set(numbers))?;
        Some((vec![name.clone()], "one of its alternatives is needed".to_owned()))
    })
}

fn in_value(field: &Field, value: &Wire<'_>, depth: usize) -> Option<Broken> {
    match (&field.kind, value) {
        (Type::Map(of), Wire::Bytes(entry)) => {
            let (mut rest, mut found) = (*entry, None);
            while !rest.is_empty() && found.is_none() {
                let (number, value) = next(&mut rest)?;
                let (kind, check) = if number == 1 { (&of.key, &of.keys) } else { (&of.value, &of.values) };
                found = in_one(kind, check, &value, depth);
            }
            found
        }
        (kind, value) => match field.shape {
            Shape::List => in_one(kind, field.check.each.as_deref().unwrap_or(&rules::NOTHING), value, depth),
            Shape::One | Shape::Map => in_one(kind, &field.check, value, depth),
        },
    }
}

fn in_one(kind: &Type, check: &rules::Check, value: &Wire<'_>, depth: usize) -> Option<Broken> {
    if !kind.is_message() && !check.is_any {
        return None;
    }
    match (kind, value) {
        (Type::Message(_), _) if check.skip => None,
        (Type::Message(nested), Wire::Bytes(bytes)) => match nested.name.as_str() {
            "google.protobuf.Duration" => check.of_duration(bytes).map(|reason| (Vec::new(), reason)),
            "google.protobuf.Any" => {
                let any = crate::envoy::google::Any::decode(*bytes).ok()?;
                let reason = check.of_text(&any.type_url);
                reason
                    .map(|reason| (Vec::new(), reason))
                    .or_else(|| in_message(&nested.name, bytes, depth + 1))
            }
            _ => in_nested(nested, bytes, depth + 1),
        },
        (Type::Wrapper(inner), Wire::Bytes(bytes)) => {
            let mut rest = *bytes;
            let value =
                if rest.is_empty() { inner.default_value() } else { inner.read(&next(&mut rest)?.1)? };
            check.of_scalar(inner, &value).map(|reason| (Vec::new(), reason))
        }
        (kind, value) => {
            let value = kind.read(value)?;
            check.of_scalar(kind, &value).map(|reason| (Vec::new(), reason))
        }
    }
}

/// Numbers packed into one value.
fn in_packed(field: &Field, packed: &[u8]) -> Option<String> {
    let check = field.check.each.as_deref()?;
    let mut rest = packed;
    while !rest.is_empty() {
        let value = match field.kind.wire_type() {
            WireType::Varint => Wire::Varint(decode_varint(&mut rest).ok()?),
            WireType::ThirtyTwoBit => {
                Wire::Fixed32(take(&mut rest, 4)?.try_into().ok().map(u32::from_le_bytes)?)
            }
            _ => Wire::Fixed64(take(&mut rest, 8)?.try_into().ok().map(u64::from_le_bytes)?),
        };
        if let Some(reason) = check.of_scalar(&field.kind, &field.kind.read(&value)?) {
            return Some(reason);
        }
    }
    None
}

/// The value of a field as it is encoded.
enum Wire<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// The next field; `None` where the bytes are no message, which breaks no rule that is checked here.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, Wire<'a>)> {
    let (number, kind) = decode_key(rest).ok()?;
    let value = match kind {
        WireType::Varint => Wire::Varint(decode_varint(rest).ok()?),
        WireType::ThirtyTwoBit => Wire::Fixed32(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?)),
        WireType::SixtyFourBit => Wire::Fixed64(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
            Wire::Bytes(take(rest, length)?)
        }
        WireType::StartGroup | WireType::EndGroup => return None,
    };
    Some((number, value))
}

impl Type {
    fn read<'a>(&self, value: &Wire<'a>) -> Option<Scalar<'a>> {
        Some(match (self, value) {
            (Type::Text, Wire::Bytes(bytes)) => Scalar::Text(String::from_utf8_lossy(bytes)),
            (Type::Bytes, Wire::Bytes(bytes)) => Scalar::Length(bytes.len() as u64),
            (Type::Unsigned | Type::Bool, Wire::Varint(number)) => Scalar::Number(*number as f64),
            (Type::Signed | Type::Enum(_), Wire::Varint(number)) => Scalar::Number(*number as i64 as f64),
            (Type::Zigzag, Wire::Varint(number)) => {
                Scalar::Number(((number >> 1) as i64 ^ -((number & 1) as i64)) as f64)
            }
            (Type::Float, Wire::Fixed32(bits)) => Scalar::Number(f64::from(f32::from_bits(*bits))),
            (Type::Float, Wire::Fixed64(bits)) => Scalar::Number(f64::from_bits(*bits)),
            (Type::Fixed, Wire::Fixed32(number)) => Scalar::Number(f64::from(*number)),
            (Type::Fixed, Wire::Fixed64(number)) => Scalar::Number(*number as f64),
            _ => return None,
        })
    }
}
