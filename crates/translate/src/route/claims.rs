//! Header matches on `@request.auth.claims`: claims of the verified token, in the dynamic metadata of the JWT filter
//! (row R13). A claim may be a text or a list of texts.

use proto::envoy::matcher::metadata_matcher::{PathSegment, path_segment::Segment};
use proto::envoy::matcher::value_matcher::MatchPattern;
use proto::envoy::matcher::{
    ListMatcher, MetadataMatcher, OrMatcher, StringMatcher, ValueMatcher, list_matcher,
};

const HEADER: &str = "@request.auth.claims";

/// The matcher, if the header of that name stands for a claim.
pub(super) fn matcher(name: &str, value: Option<StringMatcher>) -> Option<MetadataMatcher> {
    let path = ["payload"].into_iter().chain(claim(name)?);
    let segment = |key: &str| PathSegment { segment: Some(Segment::Key(key.to_owned())) };
    let pattern = match value.filter(|value| value.match_pattern.is_some()) {
        Some(value) => either(value),
        // Envoy refuses the whole route table for a text matcher that says nothing.
        None => MatchPattern::PresentMatch(true),
    };
    Some(MetadataMatcher {
        filter: "envoy.filters.http.jwt_authn".to_owned(),
        path: path.map(segment).collect(),
        value: Some(ValueMatcher { match_pattern: Some(pattern) }),
        ..Default::default()
    })
}

/// A list with such a text, or such a text.
fn either(value: StringMatcher) -> MatchPattern {
    let text = ValueMatcher { match_pattern: Some(MatchPattern::StringMatch(value)) };
    let list = ListMatcher { match_pattern: Some(list_matcher::MatchPattern::OneOf(Box::new(text.clone()))) };
    let list = ValueMatcher { match_pattern: Some(MatchPattern::ListMatch(Box::new(list))) };
    MatchPattern::OrMatch(OrMatcher { value_matchers: vec![list, text] })
}

/// The nested claim names after the header: `.a.b` or `[a][b]`.
fn claim(name: &str) -> Option<Vec<&str>> {
    let head = name.get(..HEADER.len())?;
    let rest = name.get(HEADER.len()..)?;
    if !head.eq_ignore_ascii_case(HEADER) || rest.len() < 2 {
        return None;
    }
    if let Some(dotted) = rest.strip_prefix('.') {
        return Some(dotted.split('.').collect());
    }
    let bracketed = rest.strip_prefix('[')?.strip_suffix(']').filter(|inner| !inner.is_empty())?;
    Some(bracketed.split("][").collect())
}

#[cfg(test)]
mod tests {
    use super::claim;

    #[test]
    fn claims_nest_by_dots_or_brackets() {
        assert_eq!(claim("@request.auth.claims.a.b"), Some(vec!["a", "b"]));
        assert_eq!(claim("@Request.Auth.Claims[a.b][c]"), Some(vec!["a.b", "c"]));
    }

    #[test]
    fn other_headers_are_no_claims() {
        for name in
            ["@request.auth.claims", "@request.auth.claims.", "@request.auth.claims[]", "x-claims", "@ü"]
        {
            assert_eq!(claim(name), None, "{name}");
        }
    }
}
