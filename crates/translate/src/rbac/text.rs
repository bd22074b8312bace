//! How values match texts (security 4.5): `*`, `abc*`, `*abc` and `abc`; the leading star is looked at first.

use proto::envoy::core::TypedExtensionConfig;
use proto::envoy::matcher::metadata_matcher::{PathSegment, path_segment::Segment};
use proto::envoy::matcher::value_matcher::MatchPattern as ValuePattern;
use proto::envoy::matcher::{
    ListMatcher, MetadataMatcher, OrMatcher, PathMatcher, RegexMatcher, StringMatcher, ValueMatcher,
    list_matcher, path_matcher, string_matcher::MatchPattern,
};
use proto::envoy::route::{HeaderMatcher, header_matcher::HeaderMatchSpecifier};

/// Where the verified token's claims are.
pub(super) const JWT_FILTER: &str = "envoy.filters.http.jwt_authn";

/// A text that matches a pattern.
pub(super) fn pattern(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..Default::default() }
}

/// A text that matches a regular expression as a whole.
pub(super) fn regex(expression: String) -> StringMatcher {
    pattern(MatchPattern::SafeRegex(RegexMatcher { regex: expression, ..Default::default() }))
}

/// Any text but the empty one.
pub(super) fn something() -> StringMatcher {
    regex(".+".to_owned())
}

/// Exactly that text.
pub(super) fn exact(value: &str) -> StringMatcher {
    pattern(MatchPattern::Exact(value.to_owned()))
}

/// Texts with that end; an empty end means any text.
pub(super) fn suffix(end: &str) -> StringMatcher {
    if end.is_empty() { something() } else { pattern(MatchPattern::Suffix(end.to_owned())) }
}

/// Texts with that start; an empty start means any text.
pub(super) fn prefix(start: &str) -> StringMatcher {
    if start.is_empty() { something() } else { pattern(MatchPattern::Prefix(start.to_owned())) }
}

/// The matcher of a value.
pub(super) fn text(value: &str) -> StringMatcher {
    if let Some(end) = value.strip_prefix('*') {
        suffix(end)
    } else if let Some(start) = value.strip_suffix('*') {
        prefix(start)
    } else {
        exact(value)
    }
}

/// Quotes a text for a regular expression.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A header with such a value; `*` asks for its presence.
pub(super) fn header(name: &str, value: &str, ignore_case: bool) -> HeaderMatcher {
    let specifier = if value == "*" {
        HeaderMatchSpecifier::PresentMatch(true)
    } else {
        HeaderMatchSpecifier::StringMatch(StringMatcher { ignore_case, ..text(value) })
    };
    HeaderMatcher { name: name.to_owned(), header_match_specifier: Some(specifier), ..Default::default() }
}

/// Whether Envoy takes that as the name of a header; it would refuse the whole listener otherwise.
pub(crate) fn is_header_name(name: &str) -> bool {
    let rest = name.strip_prefix(':').unwrap_or(name);
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The path of a request, without its query.
pub(super) fn path(value: &str) -> PathMatcher {
    PathMatcher { rule: Some(path_matcher::Rule::Path(text(value))) }
}

/// Whether a path is a template.
pub(super) fn is_template(value: &str) -> bool {
    value.contains("{*}") || value.contains("{**}")
}

/// A path that fits a template; nothing for templates that Envoy refuses.
pub(super) fn template(value: &str) -> Option<TypedExtensionConfig> {
    let path_template = value.replace("{*}", "*").replace("{**}", "**");
    let segments: Vec<&str> = path_template.strip_prefix('/')?.split('/').collect();
    let last = segments.len().saturating_sub(1);
    let is_sound = segments.iter().enumerate().all(|(at, segment)| {
        let known = segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=*".contains(&b));
        known && (!segment.contains("**") || (at == last && segment.matches('*').count() == 2))
    });
    let config = proto::envoy::uri_template_match::UriTemplateMatchConfig { path_template };
    is_sound.then(|| TypedExtensionConfig {
        name: "uri-template".to_owned(),
        typed_config: Some(proto::pack::any(&config)),
    })
}

/// A text value.
pub(super) fn value(text: StringMatcher) -> ValueMatcher {
    ValueMatcher { match_pattern: Some(ValuePattern::StringMatch(text)) }
}

/// A list with such a value.
pub(super) fn list(of: ValueMatcher) -> ValueMatcher {
    let matcher = ListMatcher { match_pattern: Some(list_matcher::MatchPattern::OneOf(Box::new(of))) };
    ValueMatcher { match_pattern: Some(ValuePattern::ListMatch(Box::new(matcher))) }
}

/// One of some values; a single one stands for itself.
pub(super) fn any_of(mut values: Vec<ValueMatcher>) -> ValueMatcher {
    match values.pop() {
        Some(only) if values.is_empty() => only,
        last => {
            values.extend(last);
            let value_matchers = values;
            ValueMatcher { match_pattern: Some(ValuePattern::OrMatch(OrMatcher { value_matchers })) }
        }
    }
}

/// Dynamic metadata of a filter.
pub(super) fn metadata(filter: &str, path: &[&str], value: ValueMatcher) -> MetadataMatcher {
    let segment = |key: &&str| PathSegment { segment: Some(Segment::Key((*key).to_owned())) };
    MetadataMatcher {
        filter: filter.to_owned(),
        path: path.iter().map(segment).collect(),
        value: Some(value),
        ..Default::default()
    }
}

/// A claim of the token that is, or lists, one of the values.
pub(super) fn claim(path: &[&str], values: &[String]) -> MetadataMatcher {
    let one = any_of(values.iter().map(|v| value(text(v))).collect());
    let path: Vec<&str> = std::iter::once("payload").chain(path.iter().copied()).collect();
    metadata(JWT_FILTER, &path, any_of(vec![list(one.clone()), one]))
}
