//! What users see of single rules, and that no input takes long or ends the process.

use proto::{cel, regexp};
use serde_json::{Value, json};

use crate::{Severity, check, review};

fn object(kind: &str, group: &str, spec: Value) -> Value {
    let metadata = json!({"name": "a", "namespace": "n"});
    json!({"apiVersion": format!("{group}.istio.io/v1"), "kind": kind, "metadata": metadata, "spec": spec})
}

fn errors(kind: &str, group: &str, spec: Value) -> Vec<String> {
    let findings = check(&object(kind, group, spec)).unwrap();
    findings.iter().filter(|one| one.severity == Severity::Error).map(ToString::to_string).collect()
}

#[test]
fn regexes_of_re2_are_told_from_others() {
    for good in [
        "",
        "a+",
        "a+?",
        "(?i)abc",
        "(?P<name>x)|(?:y)",
        "[^]a-z[:digit:]-]",
        r"\d{2,3}\.\x41\pL\p{Greek}",
        "{",
        "a{,2}",
        r"[\w.-]+",
        "(?i-s:a)",
        r"\Qa(b\E",
        "^/api/.*$",
        "(|a)*",
        "(a{10}){100}",
        "((a{1000})*)+",
        "(a{1000}b{1000}){1}",
        "(a{1000}){0}",
    ] {
        assert_eq!(regexp::check(good).map(|_| ()), Ok(()), "{good}");
    }
    for bad in [
        "[unclosed",
        "(",
        ")",
        "*",
        "a**",
        "a{1001}",
        "a{3,2}",
        r"\1",
        "(?=x)",
        "(?<!x)",
        "[z-a]",
        r"\",
        r"\y",
        "(?P<n>a)(?P<n>b)",
        "[[:nope:]]",
        "+a",
        "(?",
        "(a{100}){11}",
        "((a{30}|b){6}c){6,}",
        "(((a{1000}){1000}){1000}){1000}",
    ] {
        assert!(regexp::check(bad).is_err(), "{bad}");
    }
}

#[test]
fn expressions_of_cel_are_told_from_others() {
    for good in [
        "response.code == 500",
        "a ? b : c",
        "!has(request.headers['x']) && 1u < 2.5e-3",
        "x in [1, 2,]",
        "{'a': 1}.a",
        "T{f: 1}.size() > 0 || r'\\' == b\"x\"",
        "-1 - -x",
        "\"\"\"a\n\"\"\" + ''",
    ] {
        assert_eq!(cel::check(good), Ok(()), "{good}");
    }
    for bad in ["response.code >", "a b", "(a", "'open", "a == ", "a ? b", "#", "[1", ".5.a b", "", "a..b"] {
        assert!(cel::check(bad).is_err(), "{bad}");
    }
    assert!(cel::check(&"(".repeat(100_000)).unwrap_err().contains("nests"));
}

#[test]
fn an_error_names_the_field_and_what_would_be_right() {
    let spec = json!({"hosts": ["a"], "http": [{"route": [{"destination": {"host": "b"}}], "redirect": {"uri": "/"}}]});
    let errors = errors("VirtualService", "networking", spec);
    assert_eq!(errors, ["spec.http[0].redirect: an HTTP route cannot contain both route and redirect"]);
}

#[test]
fn headers_may_carry_variables_and_doubled_percents_only() {
    for (value, good) in [
        ("%HOSTNAME%", true),
        ("100%%", true),
        ("a %REQ(x):10% b", true),
        ("abc%123", false),
        ("%START_TIME%%", false),
        ("a\nb", false),
    ] {
        let spec = json!({"hosts": ["a"], "http": [{
            "route": [{"destination": {"host": "b"}}],
            "headers": {"response": {"set": {"x": value}}},
        }]});
        assert_eq!(errors("VirtualService", "networking", spec).is_empty(), good, "{value}");
    }
}

#[test]
fn the_probe_of_the_webhook_is_always_refused() {
    let mut probe = object("Gateway", "networking", json!({}));
    probe["metadata"]["annotations"] = json!({"internal.istio.io/webhook-always-reject": "true"});
    let asked = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"operation": "CREATE", "object": probe}});
    let answer = review(asked.to_string().as_bytes());
    assert!(answer.message.contains("webhook-always-reject"), "{}", answer.message);
}

#[test]
fn what_is_deleted_is_not_judged() {
    let asked = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"operation": "DELETE", "object": null}});
    let answer = review(asked.to_string().as_bytes());
    assert_eq!(answer.outcome, crate::Outcome::NotJudged("unsupported_operation"));
    assert!(String::from_utf8(answer.body).unwrap().contains("\"allowed\":true"));
}

#[test]
fn refusals_tell_unreadable_unknown_and_invalid_apart() {
    let mut beside = object("Sidecar", "networking", json!({}));
    beside["hosts"] = json!([]);
    for (object, reason, message) in [
        (Value::Null, "yaml_decode_error", "cannot decode configuration"),
        (object("Gateway", "networking", json!({"servers": 7})), "crd_conversion_error", "error decoding"),
        (object("Nothing", "networking", json!({})), "unknown_type", "unrecognized type"),
        (object("Gateway", "networking", json!({})), "invalid_resource", "configuration is invalid"),
        (beside, "invalid_resource", "unknown field \"hosts\""),
    ] {
        let asked = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"operation": "UPDATE", "object": object}});
        let answer = review(asked.to_string().as_bytes());
        assert_eq!(answer.outcome, crate::Outcome::Refused(reason));
        assert!(answer.message.starts_with(message), "{}", answer.message);
    }
}

#[test]
fn an_empty_list_of_sources_differs_from_none() {
    let errors = |from: Value| errors("AuthorizationPolicy", "security", json!({"rules": [{"from": from}]}));
    assert!(errors(Value::Null).is_empty());
    assert_eq!(errors(json!([])), ["spec.rules[0].from: `from` must not be empty"]);
}
