//! `match` of an HTTP route: path, headers, query parameters, JWT claims (rows R12, R13). Header matchers stand by
//! name, then method, authority, scheme.

use mesh::RouteSemantics;
use proto::envoy;
use proto::envoy::google;
use proto::envoy::matcher::{StringMatcher, string_matcher::MatchPattern};
use proto::envoy::route::header_matcher::HeaderMatchSpecifier;
use proto::envoy::route::query_parameter_matcher::QueryParameterMatchSpecifier;
use proto::envoy::route::route_match::PathSpecifier;
use proto::envoy::route::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use proto::istio::networking::string_match::MatchType;
use proto::istio::networking::{HttpMatchRequest, StringMatch};

use super::claims;
use super::default_route::every_path;

/// The match; `None` is the absent one, that of every request.
pub(super) fn route_match(semantics: RouteSemantics, wanted: Option<&HttpMatchRequest>) -> RouteMatch {
    let Some(wanted) = wanted else { return every_path() };
    let mut result = every_path();
    for (name, value, inverted) in wanted
        .headers
        .iter()
        .map(|(name, value)| (name, value, false))
        .chain(wanted.without_headers.iter().map(|(name, value)| (name, value, true)))
    {
        if let Some(mut matcher) = claims::matcher(name, string(value)) {
            matcher.invert = inverted;
            result.dynamic_metadata.push(matcher);
        } else {
            let mut matcher = header(name, value);
            matcher.invert_match = inverted;
            // Envoy refuses the two together.
            matcher.treat_missing_header_as_empty = inverted && !is_presence(value);
            result.headers.push(matcher);
        }
    }
    result.headers.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(path) = wanted.uri.as_ref().and_then(|uri| path(semantics, uri)) {
        result.path_specifier = Some(path);
    }
    result.case_sensitive = Some(google::boolean(!wanted.ignore_uri_case));
    let pseudo =
        [(":method", &wanted.method), (":authority", &wanted.authority), (":scheme", &wanted.scheme)];
    for (name, value) in pseudo {
        result.headers.extend(value.iter().map(|value| header(name, value)));
    }
    result.query_parameters =
        wanted.query_params.iter().map(|(name, value)| query_parameter(name, value)).collect();
    result
}

/// Whether nothing gets past this match: every path, and no condition besides.
pub(super) fn is_catch_all(wanted: &RouteMatch) -> bool {
    let every_path = match &wanted.path_specifier {
        Some(PathSpecifier::Prefix(prefix) | PathSpecifier::PathSeparatedPrefix(prefix)) => prefix == "/",
        Some(PathSpecifier::SafeRegex(regex)) => regex.regex == ".*",
        Some(_) | None => false,
    };
    every_path
        && wanted.headers.is_empty()
        && wanted.query_parameters.is_empty()
        && wanted.dynamic_metadata.is_empty()
}

/// Envoy's matcher for Istio's; `None` for an empty one.
pub(super) fn string(wanted: &StringMatch) -> Option<StringMatcher> {
    let pattern = match wanted.match_type.as_ref()? {
        MatchType::Exact(text) => MatchPattern::Exact(text.clone()),
        MatchType::Prefix(text) => MatchPattern::Prefix(text.clone()),
        MatchType::Regex(regex) => MatchPattern::SafeRegex(regex_matcher(regex)),
    };
    Some(StringMatcher { match_pattern: Some(pattern), ..Default::default() })
}

/// The matcher of exactly that text.
pub(super) fn exact(text: &str) -> StringMatcher {
    StringMatcher { match_pattern: Some(MatchPattern::Exact(text.to_owned())), ..Default::default() }
}

fn regex_matcher(regex: &str) -> envoy::matcher::RegexMatcher {
    envoy::matcher::RegexMatcher { regex: regex.to_owned(), ..Default::default() }
}

fn path(semantics: RouteSemantics, uri: &StringMatch) -> Option<PathSpecifier> {
    Some(match uri.match_type.as_ref()? {
        MatchType::Exact(path) => PathSpecifier::Path(path.clone()),
        MatchType::Prefix(prefix) if semantics.separates_paths() && prefix != "/" => {
            PathSpecifier::PathSeparatedPrefix(prefix.strip_suffix('/').unwrap_or(prefix).to_owned())
        }
        MatchType::Prefix(prefix) => PathSpecifier::Prefix(prefix.clone()),
        MatchType::Regex(regex) => PathSpecifier::SafeRegex(regex_matcher(regex)),
    })
}

/// Whether the matcher only asks that there is a value: an empty one, or the wildcard `*` in place of a regex.
fn is_presence(wanted: &StringMatch) -> bool {
    match &wanted.match_type {
        None => true,
        Some(MatchType::Regex(regex)) => regex == "*",
        Some(MatchType::Exact(_) | MatchType::Prefix(_)) => false,
    }
}

fn header(name: &str, wanted: &StringMatch) -> HeaderMatcher {
    let specifier = if is_presence(wanted) {
        Some(HeaderMatchSpecifier::PresentMatch(true))
    } else {
        string(wanted).map(HeaderMatchSpecifier::StringMatch)
    };
    HeaderMatcher { name: name.to_owned(), header_match_specifier: specifier, ..Default::default() }
}

fn query_parameter(name: &str, wanted: &StringMatch) -> QueryParameterMatcher {
    let specifier = if is_presence(wanted) {
        Some(QueryParameterMatchSpecifier::PresentMatch(true))
    } else {
        string(wanted).map(QueryParameterMatchSpecifier::StringMatch)
    };
    QueryParameterMatcher { name: name.to_owned(), query_parameter_match_specifier: specifier }
}
