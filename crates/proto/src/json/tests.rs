//! What dumps show, what patches may write, and that every recorded resource survives the way there and back.

use super::*;
use crate::envoy::{core, google, route};
use crate::type_url;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The folder of recordings, beside the workspace or named by the environment.
fn recordings() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let beside = root.ancestors().skip(1).take(3).map(|folder| folder.join("shared"));
    let named = std::env::var_os("TRIERARCH_SHARED").map(PathBuf::from);
    named.into_iter().chain(beside).map(|folder| folder.join("parity/golden")).find(|folder| folder.is_dir())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_recorded_resource_survives_the_way_to_bytes_and_back() {
    let Some(folder) = recordings() else {
        assert!(std::env::var_os("CI").is_none(), "the recordings are missing");
        println!("SKIPPED: no recordings beside the workspace; set TRIERARCH_SHARED to their folder");
        return;
    };
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    paths.sort();
    let mut resources = 0;
    let mut failures = Vec::new();
    for path in paths {
        let type_url = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("cds") => type_url::CLUSTER,
            Some("eds") => type_url::ENDPOINT,
            Some("lds") => type_url::LISTENER,
            Some("rds") => type_url::ROUTE,
            Some("ecds") => type_url::EXTENSION_CONFIG,
            Some("nds") => type_url::NAME_TABLE,
            _ => continue,
        };
        let content: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for resource in content.as_array().unwrap() {
            resources += 1;
            let result = json_to_bytes(type_url, resource, UnknownFields::Refuse)
                .and_then(|bytes| message_to_json(type_url, &bytes));
            if result.as_ref() != Ok(resource) {
                failures.push(format!("{}: {result:?}\nrecorded {resource}", path.display()));
            }
        }
    }
    assert!(resources > 1000, "only {resources} resources were found");
    assert!(failures.is_empty(), "{} of {resources} differ, the first: {}", failures.len(), failures[0]);
}

#[test]
fn names_may_be_written_in_snake_case() {
    let camel = json!({"name": "a", "virtualHosts": [{"name": "b", "domains": ["*"]}]});
    let snake = json!({"name": "a", "virtual_hosts": [{"name": "b", "domains": ["*"]}]});
    let read = |value| json_to_bytes(type_url::ROUTE, value, UnknownFields::Refuse).unwrap();
    assert_eq!(read(&camel), read(&snake));
    assert_eq!(message_to_json(type_url::ROUTE, &read(&snake)).unwrap(), camel);
}

#[test]
fn unknown_members_are_refused_or_ignored() {
    let value = json!({"name": "a", "nonsense": 1});
    assert!(json_to_bytes(type_url::ROUTE, &value, UnknownFields::Refuse).is_err());
    let bytes = json_to_bytes(type_url::ROUTE, &value, UnknownFields::Ignore).unwrap();
    assert_eq!(message_to_json(type_url::ROUTE, &bytes).unwrap(), json!({"name": "a"}));
}

#[test]
fn an_any_of_unknown_type_does_not_fail_the_dump() {
    let unknown = Any { type_url: "example.com/none.Such".into(), value: vec![1, 2, 3, 4] };
    let config = core::TypedExtensionConfig { name: "a".into(), typed_config: Some(unknown) };
    let shown = any_to_json(type_url::EXTENSION_CONFIG, &pack::bytes(&config)).unwrap();
    let expected = json!({
        "@type": type_url::EXTENSION_CONFIG,
        "name": "a",
        "typedConfig": {"@type": "example.com/none.Such", "value": "AQIDBA=="},
    });
    assert_eq!(shown, expected);
    assert_eq!(json_to_any(&shown, UnknownFields::Refuse).unwrap(), pack::any(&config));
}

#[test]
fn an_empty_any_is_an_empty_object() {
    let value = json!({"name": "a", "typedConfig": {}});
    let bytes = json_to_bytes(type_url::EXTENSION_CONFIG, &value, UnknownFields::Refuse).unwrap();
    let config = core::TypedExtensionConfig { name: "a".into(), typed_config: Some(Any::default()) };
    assert_eq!(bytes, pack::bytes(&config));
    assert_eq!(message_to_json(type_url::EXTENSION_CONFIG, &bytes).unwrap(), value);
}

#[test]
fn members_beside_the_value_of_a_special_any_are_refused_or_ignored() {
    let value = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "a", "other": 1});
    assert!(json_to_any(&value, UnknownFields::Refuse).is_err());
    assert_eq!(json_to_any(&value, UnknownFields::Ignore).unwrap(), pack::any(&google::string("a")));
}

#[test]
fn an_any_is_read_packed() {
    let members = json!({"d": 1.0, "b": "x", "c": [null, true], "a": {"z": "1", "y": "2"}});
    let value = json!({
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "typeUrl": "type.googleapis.com/a.B",
        "value": members,
    });
    let first = json_to_any(&value, UnknownFields::Refuse).unwrap();
    assert!((0..20).all(|_| json_to_any(&value, UnknownFields::Refuse).unwrap() == first));
    assert_eq!(any_to_json(&first.type_url, &first.value).unwrap(), value);
}

#[test]
fn special_values_stand_under_value() {
    let packed = pack::any(&google::string("a"));
    let shown = any_to_json(&packed.type_url, &packed.value).unwrap();
    assert_eq!(shown, json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "a"}));
    assert_eq!(json_to_any(&shown, UnknownFields::Refuse).unwrap(), packed);
}

#[test]
fn numbers_keep_their_kind() {
    let policy = route::RetryPolicy { num_retries: Some(google::uint32(0)), ..Default::default() };
    let shown = message_to_json("envoy.config.route.v3.RetryPolicy", &pack::bytes(&policy)).unwrap();
    assert_eq!(shown, json!({"numRetries": 0}));
    let wide = message_to_json("google.protobuf.UInt64Value", &pack::bytes(&google::uint64(7))).unwrap();
    assert_eq!(wide, json!("7"));
    let zero = message_to_json("google.protobuf.Duration", &pack::bytes(&google::seconds(0))).unwrap();
    assert_eq!(zero, json!("0s"));
}
