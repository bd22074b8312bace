//! Filters that HTTPRoutes and GRPCRoutes share: headers, mirrors, CORS.

use std::collections::BTreeMap;

use config::gateway_api::{Cors, HeaderModifier, HeaderValue, RequestMirror, RouteFilter};
use proto::istio::networking as api;
use proto::istio::networking::headers::HeaderOperations;
use proto::istio::networking::string_match::MatchType;
use proto::wkt::{BoolValue, Duration};

use crate::backend;
use crate::fault::{Fault, INVALID_FILTER};
use crate::route::RouteContext;

/// A filter of a type that is not known here.
pub(crate) fn unknown(filter: &RouteFilter) -> Fault {
    Fault::new(INVALID_FILTER, format!("unsupported filter type \"{}\"", filter.filter_type))
}

/// Puts a header filter in place. Of several of one type the last one holds. Says whether it is one.
pub(crate) fn headers(filter: &RouteFilter, headers: &mut Option<api::Headers>) -> bool {
    match filter.filter_type.as_str() {
        "RequestHeaderModifier" => {
            if let Some(modifier) = &filter.request_header_modifier {
                headers.get_or_insert_default().request = Some(operations(modifier));
            }
            true
        }
        "ResponseHeaderModifier" => {
            if let Some(modifier) = &filter.response_header_modifier {
                headers.get_or_insert_default().response = Some(operations(modifier));
            }
            true
        }
        _ => false,
    }
}

/// The headers that filters of one backend change. Other filters have no place there.
pub(crate) fn of_backend(filters: &[RouteFilter]) -> Result<Option<api::Headers>, Fault> {
    let mut changed = None;
    for filter in filters {
        if !headers(filter, &mut changed) {
            return Err(unknown(filter));
        }
    }
    Ok(changed)
}

fn operations(modifier: &HeaderModifier) -> HeaderOperations {
    HeaderOperations {
        set: by_name(&modifier.set),
        add: by_name(&modifier.add),
        remove: modifier.remove.clone(),
    }
}

/// Headers by lower-case name; of several with one name the first counts.
fn by_name(headers: &[HeaderValue]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for header in headers {
        map.entry(header.name.to_ascii_lowercase()).or_insert_with(|| header.value.clone());
    }
    map
}

/// A mirror. `Err` is one that cannot be made.
pub(crate) fn mirror(ctx: &RouteContext<'_>, mirror: &RequestMirror) -> Result<api::HttpMirrorPolicy, Fault> {
    let (destination, fault) = backend::resolve(ctx, &mirror.backend_ref)?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    let share = match (mirror.fraction, mirror.percent) {
        (Some(fraction), _) => {
            let denominator = f64::from(fraction.denominator.max(1));
            Some((100.0 * f64::from(fraction.numerator) / denominator).min(100.0))
        }
        (None, percent) => percent.map(|percent| f64::from(percent.min(100))),
    };
    let percentage = share.map(|value| api::Percent { value });
    Ok(api::HttpMirrorPolicy { destination: Some(destination), percentage })
}

/// Any origin that is one: a scheme and an authority, nothing behind.
const ANY_ORIGIN: &str = r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s?#]+$";

/// CORS.
pub(crate) fn cors(cors: &Cors) -> api::CorsPolicy {
    api::CorsPolicy {
        allow_origins: cors.allow_origins.iter().filter_map(|origin| self::origin(origin)).collect(),
        allow_credentials: (cors.allow_credentials == Some(true)).then(|| BoolValue::from(true)),
        allow_methods: cors.allow_methods.clone(),
        allow_headers: cors.allow_headers.clone(),
        expose_headers: cors.expose_headers.clone(),
        max_age: (cors.max_age > 0).then(|| Duration::from_seconds(cors.max_age)),
        unmatched_preflights: api::cors_policy::UnmatchedPreflights::Ignore as i32,
        ..Default::default()
    }
}

fn origin(origin: &str) -> Option<api::StringMatch> {
    let made = match origin.matches('*').count() {
        _ if origin.is_empty() => return None,
        _ if origin == "*" => MatchType::Regex(ANY_ORIGIN.to_owned()),
        0 => MatchType::Exact(origin.to_owned()),
        1 if origin.ends_with('*') => MatchType::Prefix(origin.trim_end_matches('*').to_owned()),
        _ => MatchType::Regex(wildcard(origin)),
    };
    Some(api::StringMatch { match_type: Some(made) })
}

/// A text with stars as a regular expression; all else stands for itself.
fn wildcard(text: &str) -> String {
    let mut regex = String::from("^");
    for character in text.chars() {
        if character == '*' {
            regex.push_str(".*");
            continue;
        }
        if r"\.+()|[]{}^$?".contains(character) {
            regex.push('\\');
        }
        regex.push(character);
    }
    regex.push('$');
    regex
}
