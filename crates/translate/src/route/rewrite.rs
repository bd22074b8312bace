//! `rewrite` of a route: a regular expression goes before a prefix (row R16). The authority is handled where headers
//! are, since both may state one.

use mesh::RouteSemantics;
use proto::envoy::matcher::{RegexMatchAndSubstitute, RegexMatcher};
use proto::envoy::route::route_match::PathSpecifier;
use proto::envoy::route::{RouteAction, RouteMatch};
use proto::istio::networking::HttpRewrite;

/// Sets the path rewrite of an action whose route has that match.
pub(super) fn apply(
    action: &mut RouteAction,
    rewrite: &HttpRewrite,
    semantics: RouteSemantics,
    matched: Option<&RouteMatch>,
) {
    let substitute = |regex: String, substitution: &str| RegexMatchAndSubstitute {
        pattern: Some(RegexMatcher { regex, ..Default::default() }),
        substitution: substitution.to_owned(),
    };
    if let Some(regex) = &rewrite.uri_regex_rewrite {
        action.regex_rewrite = Some(substitute(regex.r#match.clone(), &regex.rewrite));
    } else if semantics.is_gateway_api() && rewrite.uri == "/" {
        // Cutting a prefix off must leave the slash of what follows, and one if nothing does.
        let prefix = match matched.and_then(|matched| matched.path_specifier.as_ref()) {
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => prefix.as_str(),
            _ => "",
        };
        action.regex_rewrite = Some(substitute(format!("^{}(/?)(.*)", quoted(prefix)), r"/\2"));
    } else {
        action.prefix_rewrite.clone_from(&rewrite.uri);
    }
}

/// The regular expression of that text, with the characters escaped that RE2 gives a meaning.
fn quoted(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}
