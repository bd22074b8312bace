//! Encoded messages with map entries in any order become the same messages with entries in order of key.
//!
//! Sorting never changes a length, so it is done in place. Which fields are maps, and below which fields maps may be
//! found at all, stands in tables that are made once from the descriptors.

use crate::descriptors;
use crate::type_url::message_name;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{Kind, MessageDescriptor};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

/// How far down entries are put in order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// In the message and the messages inside it.
    Message,
    /// In the messages inside its `Any` values too.
    Any,
}

/// How the keys of a map compare.
#[derive(Clone, Copy)]
enum KeyOrder {
    Text,
    Unsigned,
    Signed,
    Zigzag,
    Fixed { signed: bool },
}

/// What to do with a length-delimited field; fields that are not listed hold no map.
#[derive(Clone, Copy)]
enum Field {
    Message(usize),
    Map { keys: KeyOrder, value: Option<usize> },
}

/// One message type: its fields by number, in order.
struct Table {
    fields: Vec<(u32, Field)>,
    is_any: bool,
    holds_map: bool,
    holds_any: bool,
}

struct Tables {
    by_name: HashMap<String, usize>,
    tables: Vec<Table>,
}

/// Puts the entries of every map in order. Bytes that are no such message stay as they are from the fault on.
pub(super) fn sort(full_name: &str, encoded: &mut [u8], depth: Depth) {
    let tables = tables();
    if let Some(&table) = tables.by_name.get(full_name) {
        let _ = tables.sort(table, encoded, depth);
    }
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(Tables::new)
}

impl Tables {
    fn new() -> Self {
        let messages: Vec<MessageDescriptor> =
            descriptors::pool().all_messages().filter(|message| !message.is_map_entry()).collect();
        let by_name: HashMap<String, usize> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| (message.full_name().to_owned(), index))
            .collect();
        let index = |kind: &Kind| match kind {
            Kind::Message(message) => by_name.get(message.full_name()).copied(),
            _ => None,
        };
        let mut tables: Vec<Table> = messages
            .iter()
            .map(|message| {
                let mut fields: Vec<(u32, Field)> = message
                    .fields()
                    .filter_map(|field| {
                        let kind = field.kind();
                        let entry = kind.as_message().filter(|_| field.is_map());
                        let found = match entry {
                            Some(entry) => Field::Map {
                                keys: key_order(&entry.map_entry_key_field().kind()),
                                value: index(&entry.map_entry_value_field().kind()),
                            },
                            None => Field::Message(index(&kind)?),
                        };
                        Some((field.number(), found))
                    })
                    .collect();
                fields.sort_by_key(|(number, _)| *number);
                Table {
                    is_any: message.full_name() == "google.protobuf.Any",
                    holds_map: fields.iter().any(|(_, field)| matches!(field, Field::Map { .. })),
                    holds_any: message.full_name() == "google.protobuf.Any",
                    fields,
                }
            })
            .collect();
        // A message holds what the messages of its fields hold; types may be recursive, so until nothing changes.
        let mut changed = true;
        while changed {
            changed = false;
            for index in 0..tables.len() {
                for position in 0..tables[index].fields.len() {
                    let (Field::Message(inner) | Field::Map { value: Some(inner), .. }) =
                        tables[index].fields[position].1
                    else {
                        continue;
                    };
                    let (map, any) = (tables[inner].holds_map, tables[inner].holds_any);
                    changed |= (map && !tables[index].holds_map) || (any && !tables[index].holds_any);
                    tables[index].holds_map |= map;
                    tables[index].holds_any |= any;
                }
            }
        }
        Self { by_name, tables }
    }

    /// Whether anything may need sorting inside a message of this type.
    fn concerns(&self, table: usize, depth: Depth) -> bool {
        self.tables[table].holds_map || (depth == Depth::Any && self.tables[table].holds_any)
    }

    fn sort(&self, index: usize, encoded: &mut [u8], depth: Depth) -> Option<()> {
        let table = &self.tables[index];
        if table.is_any {
            return if depth == Depth::Any { self.sort_any(encoded) } else { Some(()) };
        }
        if !self.concerns(index, depth) {
            return Some(());
        }
        let mut run: Run = Run::default();
        let mut position = 0;
        while position < encoded.len() {
            let start = position;
            let (number, value) = next_field(encoded, &mut position)?;
            let field = table.fields.binary_search_by_key(&number, |(number, _)| *number);
            let field = field.ok().map(|found| table.fields[found].1);
            if run.number != number {
                run.flush(encoded);
            }
            match field.zip(value) {
                Some((Field::Message(inner), value)) => self.sort(inner, &mut encoded[value], depth)?,
                Some((Field::Map { keys, value: inner }, value)) => {
                    if let Some(inner) = inner.filter(|inner| self.concerns(*inner, depth)) {
                        self.sort_entry(inner, &mut encoded[value.clone()], depth)?;
                    }
                    run.number = number;
                    run.entries.push((key(&encoded[value], keys)?, start..position));
                }
                None => {}
            }
        }
        run.flush(encoded);
        Some(())
    }

    /// Sorts inside the value of one map entry, its field 2.
    fn sort_entry(&self, inner: usize, entry: &mut [u8], depth: Depth) -> Option<()> {
        let mut position = 0;
        while position < entry.len() {
            if let (2, Some(value)) = next_field(entry, &mut position)? {
                self.sort(inner, &mut entry[value], depth)?;
            }
        }
        Some(())
    }

    /// Sorts inside the value of an `Any` whose type is known.
    fn sort_any(&self, encoded: &mut [u8]) -> Option<()> {
        let (mut table, mut content, mut position) = (None, None, 0);
        while position < encoded.len() {
            match next_field(encoded, &mut position)? {
                (1, Some(url)) => {
                    let url = core::str::from_utf8(&encoded[url]).ok()?;
                    table = self.by_name.get(message_name(url)).copied();
                }
                (2, Some(value)) => content = Some(value),
                _ => {}
            }
        }
        match table.zip(content) {
            Some((table, content)) => self.sort(table, &mut encoded[content], Depth::Any),
            None => Some(()),
        }
    }
}

/// Neighbouring entries of one map.
#[derive(Default)]
struct Run {
    number: u32,
    entries: Vec<(Key, Range<usize>)>,
}

impl Run {
    /// Writes the entries back in order of key; equal keys keep their order, since the last one counts.
    fn flush(&mut self, encoded: &mut [u8]) {
        let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) else { return };
        let whole = first.1.start..last.1.end;
        if !self.entries.is_sorted_by(|left, right| left.0 <= right.0) {
            self.entries.sort_by(|left, right| left.0.cmp(&right.0));
            let sorted: Vec<u8> =
                self.entries.iter().flat_map(|(_, range)| &encoded[range.clone()]).copied().collect();
            encoded[whole].copy_from_slice(&sorted);
        }
        self.entries.clear();
        self.number = 0;
    }
}

/// A map key, comparable with the other keys of its map.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    Text(Vec<u8>),
}

/// The key of one entry, its field 1; an absent key is the default one.
fn key(entry: &[u8], order: KeyOrder) -> Option<Key> {
    let mut found = match order {
        KeyOrder::Text => Key::Text(Vec::new()),
        _ => Key::Number(0),
    };
    let mut position = 0;
    while position < entry.len() {
        let start = position;
        let (number, value) = next_field(entry, &mut position)?;
        if number != 1 {
            continue;
        }
        found = match (order, value) {
            (KeyOrder::Text, Some(value)) => Key::Text(entry[value].to_vec()),
            _ => Key::Number(scalar(&entry[start..position], order)?),
        };
    }
    Some(found)
}

/// The number in an encoded field, read as the map's key type reads it.
fn scalar(mut field: &[u8], order: KeyOrder) -> Option<i128> {
    decode_key(&mut field).ok()?;
    let number = match field.len() {
        4 if matches!(order, KeyOrder::Fixed { .. }) => {
            let bits = u32::from_le_bytes(field.try_into().ok()?);
            return Some(if matches!(order, KeyOrder::Fixed { signed: true }) {
                (bits as i32).into()
            } else {
                bits.into()
            });
        }
        8 if matches!(order, KeyOrder::Fixed { .. }) => u64::from_le_bytes(field.try_into().ok()?),
        _ => decode_varint(&mut field).ok()?,
    };
    Some(match order {
        KeyOrder::Signed | KeyOrder::Fixed { signed: true } => (number as i64).into(),
        KeyOrder::Zigzag => ((number >> 1) as i64 ^ -((number & 1) as i64)).into(),
        _ => number.into(),
    })
}

fn key_order(kind: &Kind) -> KeyOrder {
    match kind {
        Kind::String => KeyOrder::Text,
        Kind::Int32 | Kind::Int64 => KeyOrder::Signed,
        Kind::Sint32 | Kind::Sint64 => KeyOrder::Zigzag,
        Kind::Fixed32 | Kind::Fixed64 => KeyOrder::Fixed { signed: false },
        Kind::Sfixed32 | Kind::Sfixed64 => KeyOrder::Fixed { signed: true },
        _ => KeyOrder::Unsigned,
    }
}

/// Steps over one field: its number and, when it is length-delimited, where its content lies.
fn next_field(encoded: &[u8], position: &mut usize) -> Option<(u32, Option<Range<usize>>)> {
    let mut rest = encoded.get(*position..)?;
    let (number, wire_type) = decode_key(&mut rest).ok()?;
    let mut content = None;
    match wire_type {
        WireType::Varint => {
            decode_varint(&mut rest).ok()?;
        }
        WireType::ThirtyTwoBit => rest = rest.get(4..)?,
        WireType::SixtyFourBit => rest = rest.get(8..)?,
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            let start = encoded.len() - rest.len();
            rest = rest.get(length..)?;
            content = Some(start..start + length);
        }
        WireType::StartGroup | WireType::EndGroup => return None,
    }
    *position = encoded.len() - rest.len();
    Some((number, content))
}
