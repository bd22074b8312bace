//! Encoded messages with map entries in any order become the same messages with entries in order of key.
//!
//! Sorting never changes a length, so it is done in place. Which fields are maps, and below which fields maps may be
//! found at all, stands in tables that the build makes from the descriptors.

use crate::type_url::message_name;
use prost::encoding::{WireType, decode_key, decode_varint};
use std::ops::Range;

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
}

/// What to do with a length-delimited field; fields that are not listed hold no map.
#[derive(Clone, Copy)]
enum Field {
    Message(usize),
    Map { keys: KeyOrder, value: Option<usize> },
}

/// One message type that holds maps or values of `Any`, with the fields that do, in order of number.
struct Table {
    name: &'static str,
    is_any: bool,
    holds_map: bool,
    holds_any: bool,
    fields: &'static [(u32, Field)],
}

/// In order of name.
struct Tables(&'static [Table]);

/// Made by the build from the descriptors (`build/order.rs`).
static TABLES: Tables = Tables(include!(concat!(env!("OUT_DIR"), "/order.rs")));

/// Puts the entries of every map in order. Bytes that are no such message stay as they are from the fault on.
pub(super) fn sort(full_name: &str, encoded: &mut [u8], depth: Depth) {
    if let Some(table) = TABLES.find(full_name) {
        let _ = TABLES.sort(table, encoded, depth);
    }
}

impl Tables {
    fn find(&self, full_name: &str) -> Option<usize> {
        self.0.binary_search_by(|table| table.name.cmp(full_name)).ok()
    }

    /// Whether anything may need sorting inside a message of this type.
    fn concerns(&self, table: usize, depth: Depth) -> bool {
        self.0[table].holds_map || (depth == Depth::Any && self.0[table].holds_any)
    }

    fn sort(&self, index: usize, encoded: &mut [u8], depth: Depth) -> Option<()> {
        let table = &self.0[index];
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
                    table = self.find(message_name(url));
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
    let number = decode_varint(&mut field).ok()?;
    Some(match order {
        KeyOrder::Signed => (number as i64).into(),
        _ => number.into(),
    })
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
