//! Templates behave as in Go where the engine alone would not, and none runs away.

use std::sync::Arc;

use crate::NoEnvironment;
use crate::functions::Context;
use crate::template::Template;
use crate::value::{Origins, untyped};

fn render(source: &str) -> Result<String, String> {
    let data = untyped(&serde_json::json!({"Values": {"GetX": "mine", "size": 3, "list": ["a", "b"]}}));
    let context = Arc::new(Context::new(Origins::default(), Arc::new(NoEnvironment)));
    Template::parse(source)?.render(&data, &context).map_err(|error| error.to_string())
}

#[test]
fn comments_trim_only_where_they_say() {
    assert_eq!(render("a\n  {{- /* c */}}\n  b").as_deref(), Ok("a\n  b"));
    assert_eq!(render("a\n  {{- /* c */ -}}\n  b").as_deref(), Ok("ab"));
    assert_eq!(render("a\n  {{/* c */ -}}\n  b").as_deref(), Ok("a\n  b"));
    assert_eq!(
        render("a {{ \"}} {{- /* no comment */}}\" }} b").as_deref(),
        Ok("a }} {{- /* no comment */}} b")
    );
}

#[test]
fn a_dictionary_can_be_changed() {
    let source = r#"{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ $_ := unset $d "a" }}{{ toJson $d }}"#;
    assert_eq!(render(source).as_deref(), Ok(r#"{"b":2}"#));
}

#[test]
fn names_of_methods_are_ordinary_keys_of_values() {
    assert_eq!(render("{{ .Values.GetX }}").as_deref(), Ok("mine"));
}

#[test]
fn an_unknown_function_is_found_when_the_template_is_read() {
    let error = Template::parse("{{ if false }}{{ nonsense 1 }}{{ end }}").expect_err("no such function");
    assert_eq!(error, "function \"nonsense\" not defined");
}

#[test]
fn a_name_is_defined_once() {
    let error = render("{{ define \"a\" }}1{{ end }}{{ define \"a\" }}2{{ end }}").expect_err("twice");
    assert_eq!(error, "multiple definition of template \"a\"");
    let empty = r#"{{ define "a" }}1{{ end }}{{ define "a" }} {{ end }}{{ template "a" }}"#;
    assert_eq!(render(empty).as_deref(), Ok("1"));
}

#[test]
fn templates_that_run_away_are_stopped() {
    let doubling = |what: &str| format!("{{{{ $x := {what} }}}}{{{{ range until 60 }}}}{{{{ $x = ");
    let sources = [
        ("itself", r#"{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}"#.to_owned()),
        ("twice itself", {
            let bodies = (0..60)
                .map(|i| format!(r#"{{{{ define "a{i}" }}}}{{{{ template "a{0}" }}}}{{{{ template "a{0}" }}}}{{{{ end }}}}"#, i + 1))
                .collect::<Vec<_>>()
                .concat();
            format!(r#"{bodies}{{{{ define "a60" }}}}{{{{ end }}}}{{{{ template "a0" }}}}"#)
        }),
        ("loops", "{{ range until 10000 }}{{ range until 10000 }}{{ end }}{{ end }}".to_owned()),
        ("an integer", "{{ range 1000000000 }}{{ end }}".to_owned()),
        ("loops of conditions", format!("{{{{ range until 100000 }}}}{}{{{{ end }}}}", "{{ if .x }}{{ end }}".repeat(5000))),
        ("repeat", r#"{{ repeat 100000 "0123456789abcdef0123456789abcdef0123456789abcdef" }}"#.to_owned()),
        ("a doubled string", doubling("\"x\"") + "print $x $x }}{{ end }}"),
        ("a doubled line", doubling("\"x\"") + "println $x $x }}{{ end }}"),
        ("a doubled list", doubling("list 1") + "list $x $x }}{{ end }}"),
        ("a doubled dictionary", doubling("dict") + "dict \"a\" $x \"b\" $x }}{{ end }}"),
        ("a wide number", r#"{{ printf "%1000000000d" 1 }}"#.to_owned()),
        ("a wide number elsewhere", r#"{{ printf "%*d" 1000000000 1 }}"#.to_owned()),
        ("an indentation", r#"{{ indent 100000 (repeat 1000 "\n") }}"#.to_owned()),
        ("text in loops", "{{ range until 10000 }}0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789{{ end }}".to_owned()),
        ("a pattern", r#"{{ regexMatch "((a{1000}){1000}){1000}" "a" }}"#.to_owned()),
        ("nesting", format!("{}{}", "{{ if true }}".repeat(5000), "{{ end }}".repeat(5000))),
        ("brackets", format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000))),
    ];
    for (name, source) in sources {
        assert!(render(&source).is_err(), "{name} is not stopped");
    }
}

#[test]
fn values_print_as_in_go() {
    for (source, wanted) in [
        ("{{ .Values.size }}", "3"),
        ("{{ .Values.nothing }}", "<no value>"),
        ("{{ .Values.list }}", "[a b]"),
        ("{{ quote .Values.size nil .Values.list }}", "\"3\" \"[a b]\""),
        ("{{ print 1 2 \"a\" \"b\" 3 }}", "1 2ab3"),
        ("{{ printf \"%05.1f|%-4s|%q\" 2.25 \"a\" \"b\" }}", "002.2|a   |\"b\""),
        ("{{ eq 1 2 1 }}{{ ne \"a\" \"b\" }}{{ lt 1 2 }}", "truetruetrue"),
        ("{{ index .Values.list 1 }}", "b"),
        ("{{ default 5 0 }}{{ 0 | default 7 }}", "57"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(wanted), "{source}");
    }
}
