//! Which messages hold maps, or values of `Any`, and below which fields: written as Rust, so that a process that packs a
//! message need not build all descriptors before (they take twenty times the memory).

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

const ANY: &str = "google.protobuf.Any";

/// A field that holds messages.
enum Field {
    Message(usize),
    Map { keys: &'static str, value: Option<usize> },
}

struct Table {
    fields: Vec<(u32, Field)>,
    holds_map: bool,
    holds_any: bool,
}

/// Writes `order.rs`: the expression of a slice of `Table`, in order of name, without the messages that need no order.
pub(crate) fn build(pool: &DescriptorPool, out: &Path) {
    let mut messages: Vec<MessageDescriptor> =
        pool.all_messages().filter(|message| !message.is_map_entry()).collect();
    messages.sort_by(|left, right| left.full_name().cmp(right.full_name()));
    let tables = tables(&messages);
    let is_kept = |index: usize| tables[index].holds_map || tables[index].holds_any;
    let kept: Vec<usize> = (0..tables.len()).filter(|index| is_kept(*index)).collect();
    let place = |index: usize| kept.binary_search(&index).ok();
    let mut written = String::from("&[\n");
    for &index in &kept {
        let table = &tables[index];
        let mut fields = String::new();
        for (number, field) in &table.fields {
            let written = match field {
                Field::Message(inner) => place(*inner).map(|inner| format!("Message({inner})")),
                Field::Map { keys, value } => {
                    let value = value.and_then(place);
                    Some(format!("Map {{ keys: KeyOrder::{keys}, value: {value:?} }}"))
                }
            };
            if let Some(written) = written {
                let _ = write!(fields, "({number}, Field::{written}), ");
            }
        }
        let name = messages[index].full_name();
        let _ = writeln!(
            written,
            "Table {{ name: {name:?}, is_any: {}, holds_map: {}, holds_any: {}, fields: &[{fields}] }},",
            name == ANY,
            table.holds_map,
            table.holds_any,
        );
    }
    written.push_str("]\n");
    std::fs::write(out.join("order.rs"), written).expect("the output folder is writable");
}

fn tables(messages: &[MessageDescriptor]) -> Vec<Table> {
    let by_name: HashMap<&str, usize> =
        messages.iter().enumerate().map(|(index, message)| (message.full_name(), index)).collect();
    let index = |kind: &Kind| kind.as_message().and_then(|message| by_name.get(message.full_name()).copied());
    let field = |field: &prost_reflect::FieldDescriptor| {
        let kind = field.kind();
        let entry = kind.as_message().filter(|_| field.is_map());
        Some(match entry {
            Some(entry) => Field::Map {
                keys: key_order(&entry.map_entry_key_field().kind()),
                value: index(&entry.map_entry_value_field().kind()),
            },
            None => Field::Message(index(&kind)?),
        })
    };
    let mut tables: Vec<Table> = messages
        .iter()
        .map(|message| {
            let mut fields: Vec<(u32, Field)> =
                message.fields().filter_map(|found| Some((found.number(), field(&found)?))).collect();
            fields.sort_by_key(|(number, _)| *number);
            Table {
                holds_map: fields.iter().any(|(_, field)| matches!(field, Field::Map { .. })),
                holds_any: message.full_name() == ANY,
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
    tables
}

/// The variant of `KeyOrder` for a type of keys.
fn key_order(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "Text",
        Kind::Int32 | Kind::Int64 => "Signed",
        Kind::Uint32 | Kind::Uint64 | Kind::Bool => "Unsigned",
        other => panic!("no map had keys of {other:?} yet: say in src/pack/order.rs how they compare"),
    }
}
