//! Tests of the definitions; what an API server says about them is tested where there is one.

use super::*;
use std::collections::BTreeSet;
use std::path::Path;

fn spec_of(kind: &str) -> Value {
    let definition = definitions().into_iter().find(|one| one.object["spec"]["names"]["kind"] == kind);
    definition.expect("a known kind").object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        ["spec"]
        .clone()
}

#[test]
fn every_kind_of_istio_has_a_definition_whose_storage_version_is_served() {
    let definitions = definitions();
    let istio = Kind::ALL.iter().filter(|kind| kind.group().ends_with(".istio.io")).count();
    assert_eq!((definitions.len(), istio), (15, 15));
    for definition in definitions {
        let versions = definition.object["spec"]["versions"].as_array().expect("versions");
        assert_eq!(versions.iter().filter(|one| one["storage"] == true).count(), 1, "{}", definition.name);
    }
}

#[test]
fn every_row_of_the_table_of_rules_names_a_message_and_its_fields() {
    let table = rules::table();
    assert!(table.len() > 50);
    // Spellings of old that the messages do not have.
    let spellings = BTreeSet::from(["jwks_uri", "mirror_percent"]);
    for (name, fragment) in &table {
        let message = descriptors::message(name).unwrap_or_else(|| panic!("no message {name}"));
        for field in fragment.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let known = message.get_field_by_json_name(field.0).is_some();
            assert!(known || spellings.contains(field.0.as_str()), "{name} has no {}", field.0);
        }
        for field in fragment.get("required").and_then(Value::as_array).into_iter().flatten() {
            assert!(
                message.get_field_by_json_name(field.as_str().expect("a name")).is_some(),
                "{name} {field}"
            );
        }
    }
}

#[test]
fn a_field_called_rules_is_a_field() {
    let policy = spec_of("AuthorizationPolicy");
    assert_eq!(policy["properties"]["rules"]["maxItems"], 512);
    assert_eq!(policy["properties"]["rules"]["type"], "array");
}

#[test]
fn two_members_of_a_oneof_match_no_alternative() {
    let match_type = &spec_of("VirtualService")["properties"]["http"]["items"]["properties"]["match"]["items"]
        ["properties"]["uri"]["oneOf"];
    let none = json!({"not": {"anyOf": [{"required": ["exact"]}, {"required": ["prefix"]}, {"required": ["regex"]}]}});
    assert_eq!(match_type[0], none);
    assert_eq!(match_type.as_array().map(Vec::len), Some(4));
}

#[test]
fn the_committed_definitions_are_what_the_descriptors_give() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/base/files/crds");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut expected = BTreeSet::new();
    for definition in definitions() {
        let file = format!("{}.yaml", definition.name);
        let text = definition.to_yaml();
        if update {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(folder.join(&file), &text).expect("the file can be written");
        }
        let committed = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        assert!(
            committed == text,
            "{file} differs: run the tests of `config` with UPDATE_GOLDEN=1, read the difference"
        );
        expected.insert(file);
    }
    let present: BTreeSet<String> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(present, expected);
}
