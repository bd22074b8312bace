//! Sizes are not below those that Envoy 1.40 names when it refuses an expression as too large.

use super::*;

#[track_caller]
fn size(pattern: &str) -> u64 {
    check(pattern).unwrap().size
}

#[test]
fn sizes_are_at_least_those_of_envoy_and_not_far_above() {
    let measured = [
        ("a", 204),
        (".", 404),
        (r"\w", 604),
        (r"\W", 1004),
        (r"\D", 404),
        ("[^a]", 404),
        (r"\pL", 1404),
        (r"\PL", 1604),
        ("(a)", 604),
        ("a*", 403),
        ("(?:ab)+", 803),
        ("(?:ab|cd)", 804),
        ("ü", 404),
        ("🦀", 804),
        ("[a-c0-9_-]", 804),
        ("a?", 404),
    ];
    for (pattern, of_envoy) in measured {
        let ours = size(&format!("(?:{pattern}){{200}}"));
        assert!((of_envoy..=of_envoy * 10).contains(&ours), "{pattern}: {ours} for {of_envoy}");
    }
    assert_eq!(size(&"a".repeat(40_000)), 40_004);
}

#[test]
fn an_expression_that_envoy_would_refuse_is_refused_with_a_short_reason() {
    let told = refusal(&"a".repeat(40_000)).unwrap();
    assert!(told.contains("about 40004 steps, 32768 are allowed") && told.len() < 250, "{told}");
    for bad in [
        "[[[(((",
        "(?=a)",
        "(a{0,900}){0,900}",
        "a{0,900}{0,900}",
        "(((a{1,100}){1,100}){1,100})",
        r"\x{10FFFF}",
    ] {
        assert!(refusal(bad).is_some(), "{bad}");
    }
    for good in [".*", "/v[0-9]+/.*", r"/\Q(\E", "[[]", r"a\Cb", "(a{10}){100}", r"\x{ff}"] {
        assert_eq!(refusal(good), None, "{good}");
    }
}
