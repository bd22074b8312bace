//! Which matches of a delegate fit into those of the root, and what becomes of two routes.

use proto::istio::networking::string_match::MatchType;
use proto::istio::networking::{HttpMatchRequest, HttpRoute, StringMatch};

use super::{fits, matches_of, route_of, text_fits};

fn exact(text: &str) -> StringMatch {
    StringMatch { match_type: Some(MatchType::Exact(text.to_owned())) }
}

fn prefix(text: &str) -> StringMatch {
    StringMatch { match_type: Some(MatchType::Prefix(text.to_owned())) }
}

fn regex(text: &str) -> StringMatch {
    StringMatch { match_type: Some(MatchType::Regex(text.to_owned())) }
}

fn uri(uri: StringMatch) -> HttpMatchRequest {
    HttpMatchRequest { uri: Some(uri), ..Default::default() }
}

#[test]
fn a_narrower_text_fits() {
    let fit = |outer: StringMatch, inner: StringMatch| text_fits(Some(&outer), Some(&inner));
    assert!(fit(prefix("/a"), prefix("/a/b")));
    assert!(fit(prefix("/a"), exact("/a/b")));
    assert!(fit(exact("/a"), exact("/a")));
    assert!(!fit(prefix("/a/b"), prefix("/a")));
    assert!(!fit(exact("/a"), prefix("/a")));
    assert!(!fit(exact("/a"), exact("/b")));
}

#[test]
fn an_expression_fits_only_where_the_other_side_is_open() {
    assert!(text_fits(None, Some(&regex("a"))));
    assert!(text_fits(Some(&regex("a")), None));
    assert!(!text_fits(Some(&regex("a")), Some(&regex("a"))));
    assert!(!text_fits(Some(&prefix("/")), Some(&regex("/a"))));
}

#[test]
fn a_source_namespace_of_the_root_has_to_be_said_again() {
    let outer = HttpMatchRequest { source_namespace: "a".to_owned(), ..Default::default() };
    assert!(!fits(&outer, &HttpMatchRequest::default()));
    assert!(fits(&outer, &outer));
    assert!(fits(&HttpMatchRequest::default(), &outer));
}

#[test]
fn one_match_that_fits_nowhere_spoils_all() {
    let root = [uri(prefix("/a"))];
    assert!(matches_of(&root, &[uri(prefix("/a/b")), uri(prefix("/c"))]).is_none());
    let found = matches_of(&root, &[uri(prefix("/a/b"))]).unwrap();
    assert_eq!(found, [uri(prefix("/a/b"))]);
}

#[test]
fn names_are_joined_and_the_leaf_goes_first() {
    let root = HttpRoute { name: "root".to_owned(), ..Default::default() };
    let leaf = HttpRoute { name: "leaf".to_owned(), ..Default::default() };
    assert_eq!(route_of(&root, &leaf).unwrap().name, "root-leaf");
    assert_eq!(route_of(&root, &HttpRoute::default()).unwrap().name, "root");
    assert_eq!(route_of(&HttpRoute::default(), &leaf).unwrap().name, "leaf");
}
