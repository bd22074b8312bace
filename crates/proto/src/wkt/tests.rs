//! Durations as Go reads and writes them, and the other well-known types.

use super::*;
use serde_json::json;

fn duration(text: &str) -> Option<i64> {
    Duration::parse(text).map(Duration::as_nanos)
}

#[test]
fn durations_are_read_as_go_reads_them() {
    assert_eq!(duration("1m30s"), Some(90_000_000_000));
    assert_eq!(duration("24h"), Some(86_400_000_000_000));
    assert_eq!(duration("100ms"), Some(100_000_000));
    assert_eq!(duration("1.5h"), Some(5_400_000_000_000));
    assert_eq!(duration("-1.5s"), Some(-1_500_000_000));
    assert_eq!(duration("+.5s"), Some(500_000_000));
    assert_eq!(duration("1.s"), Some(1_000_000_000));
    assert_eq!(duration("0"), Some(0));
    assert_eq!(duration("3\u{b5}s"), Some(3_000));
    assert_eq!(duration("-9223372036854775808ns"), Some(i64::MIN));
}

#[test]
fn durations_that_go_refuses_are_refused() {
    for text in
        ["", "-", "5", "1d", ".s", "s", "1s ", " 1s", "1s2", "9223372036854775808ns", "1e3s", "3000000h"]
    {
        assert_eq!(duration(text), None, "{text:?}");
    }
    assert!(serde_json::from_value::<Duration>(json!(5)).is_err());
}

#[test]
fn durations_are_written_in_seconds() {
    assert_eq!(Duration::from_nanos(90_000_000_000).to_string(), "90s");
    assert_eq!(Duration::from_nanos(-1_500_000_000).to_string(), "-1.500s");
    assert_eq!(Duration::from_nanos(1).to_string(), "0.000000001s");
}

#[test]
fn moments_survive_text() {
    for text in [
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2024-02-29T12:30:01.500Z",
        "2000-03-01T00:00:00Z",
        "2026-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
    ] {
        assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Timestamp::parse("2024-01-01T01:00:00+01:00").unwrap().to_string(), "2024-01-01T00:00:00Z");
    assert_eq!(Timestamp::parse("2024-01-01T00:00:00Z").unwrap().seconds, 1_704_067_200);
    assert_eq!(Timestamp::parse("2024-01-01"), None);
    assert_eq!(Timestamp::parse("2024-13-01T00:00:00Z"), None);
    assert_eq!(Timestamp::parse("9223372036854775807-01-01T00:00:00Z"), None);
    assert_eq!(Timestamp::parse("2024-01-01T00:00:00+9223372036854775807:00"), None);
    assert_eq!(Timestamp { seconds: i64::MAX, nanos: 0 }.to_string(), "9999-12-31T23:59:59Z");
}

#[test]
fn wrappers_are_bare_scalars_and_numbers_may_be_text() {
    assert_eq!(serde_json::from_value::<UInt32Value>(json!("5")).unwrap().value, 5);
    assert_eq!(serde_json::from_value::<UInt32Value>(json!(5)).unwrap().value, 5);
    assert!((serde_json::from_value::<DoubleValue>(json!("2.5")).unwrap().value - 2.5).abs() < f64::EPSILON);
    assert!(serde_json::from_value::<BoolValue>(json!("true")).is_err());
    assert!(serde_json::from_value::<UInt32Value>(json!(-1)).is_err());
    assert_eq!(serde_json::to_value(Int64Value::from(7)).unwrap(), json!("7"));
}

#[test]
fn structs_keep_nulls_and_write_whole_numbers_plainly() {
    let json = json!({"b": [1, 2.5, null], "a": {"x": true, "y": "z"}});
    let parsed: Struct = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&parsed).unwrap(), json);
    assert!(serde_json::from_value::<Struct>(json!([1])).is_err());
}

#[test]
fn nulls_go_except_inside_structs_and_lists() {
    let mut value = json!({
        "priority": null,
        "items": [null, {"gone": null, "kept": 1}],
        "config_patches": [{"applyTo": null, "patch": {"operation": null, "value": {"inner": null}}}],
        "value": {"inner": null},
    });
    strip_nulls(&mut value, &["configPatches.patch.value"]);
    let kept = json!({
        "items": [null, {"kept": 1}],
        "config_patches": [{"patch": {"value": {"inner": null}}}],
        "value": {},
    });
    assert_eq!(value, kept);
    let mut absent = json!({"pluginConfig": null});
    strip_nulls(&mut absent, &["pluginConfig"]);
    assert_eq!(absent, json!({}), "a struct that is null itself was never written");
}
