//! The same message gives the same bytes, whatever order its maps come in.

use super::*;
use crate::envoy::core::Metadata;
use crate::envoy::google::{self, Struct};
use crate::nds::NameTable;
use crate::nds::name_table::NameInfo;

fn metadata() -> Metadata {
    let keys = ["istio", "envoy.filters.http.rbac", "com.example", "a"];
    let members = || ["zone", "cluster", "ß", "", "app"].map(|key| (key, google::string_value(key)));
    let inner = |key: &str| -> Struct {
        google::struct_of([
            (key, google::struct_value(members())),
            ("list", google::list_value([google::struct_value(members())])),
        ])
    };
    Metadata { filter_metadata: keys.map(|key| (key.to_owned(), inner(key))).into(), ..Metadata::default() }
}

#[test]
fn metadata_packs_to_the_same_bytes_every_time() {
    let expected = bytes(&metadata());
    assert!((0..100).all(|_| bytes(&metadata()) == expected));
    assert_eq!(Metadata::decode(expected.as_ref()).unwrap(), metadata());
}

#[test]
fn without_sorting_the_bytes_differ() {
    let first = metadata().encode_to_vec();
    assert!((0..100).any(|_| metadata().encode_to_vec() != first));
}

#[test]
fn entries_are_in_order_of_key() {
    let packed = bytes(&metadata());
    let position = |key: &str| packed.windows(key.len()).position(|window| window == key.as_bytes()).unwrap();
    assert!(position("com.example") < position("envoy.filters.http.rbac"));
    assert!(position("envoy.filters.http.rbac") < position("istio"));
}

#[test]
fn a_dynamic_message_is_put_in_order_inside_its_any_values_too() {
    let descriptor = crate::descriptors::message("google.protobuf.Any").unwrap();
    let unsorted = || Any { type_url: url::<Metadata>(), value: metadata().encode_to_vec() }.encode_to_vec();
    let expected = any(&metadata()).encode_to_vec();
    for _ in 0..20 {
        let message = DynamicMessage::decode(descriptor.clone(), unsorted().as_slice()).unwrap();
        assert_eq!(dynamic(&message), expected);
    }
}

#[test]
fn broken_bytes_are_left_alone() {
    let mut broken = vec![0x0a, 0xff, 0xff, 0x03, 1];
    canonicalize("envoy.config.core.v3.Metadata", &mut broken);
    assert_eq!(broken, [0x0a, 0xff, 0xff, 0x03, 1]);
}

#[test]
fn our_own_maps_are_in_order_already() {
    let table =
        NameTable { table: [("b".into(), NameInfo::default()), ("a".into(), NameInfo::default())].into() };
    assert_eq!(bytes(&table), table.encode_to_vec());
}

#[test]
fn an_any_names_its_type() {
    assert_eq!(any(&Metadata::default()).type_url, "type.googleapis.com/envoy.config.core.v3.Metadata");
}
