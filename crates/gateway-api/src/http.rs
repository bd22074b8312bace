//! Rules of HTTPRoutes as routes of a VirtualService, one for every match.

use std::collections::BTreeMap;

use config::gateway_api::{HttpRoute, HttpRouteMatch, HttpRouteRule, RouteRetry, RouteTimeouts, ValueMatch};
use proto::istio::networking as api;
use proto::istio::networking::string_match::MatchType;
use proto::wkt::Duration;

use crate::fault::{Fault, INVALID_CONFIGURATION};
use crate::route::{Converted, RouteContext, rule_name};
use crate::{backend, filter, rewrite};

/// What a retry is for beside status codes: the connection failed.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled";
/// Retries if a rule asks for some without a number.
const DEFAULT_ATTEMPTS: u32 = 2;

/// Every rule, for each of its matches.
pub(crate) fn convert(ctx: &RouteContext<'_>, route: &HttpRoute) -> Converted<api::HttpRoute> {
    let mut converted = Converted::default();
    for (position, rule) in route.rules.iter().enumerate() {
        let matches: Vec<Option<&HttpRouteMatch>> =
            if rule.matches.is_empty() { vec![None] } else { rule.matches.iter().map(Some).collect() };
        for wanted in matches {
            if !converted.add(self::rule(ctx, rule, wanted, position)) {
                return converted;
            }
        }
    }
    converted
}

fn rule(
    ctx: &RouteContext<'_>,
    rule: &HttpRouteRule,
    wanted: Option<&HttpRouteMatch>,
    position: usize,
) -> Result<(api::HttpRoute, Option<Fault>), Fault> {
    let mut route = api::HttpRoute {
        name: rule_name(ctx, rule.name.as_deref(), position),
        r#match: wanted.map(matched).transpose()?.into_iter().collect(),
        retries: rule.retry.as_ref().map(retries),
        ..Default::default()
    };
    let mut of_mirror = None;
    for filter in &rule.filters {
        if filter::headers(filter, &mut route.headers) {
            continue;
        }
        match filter.filter_type.as_str() {
            "RequestRedirect" => route.redirect = filter.request_redirect.as_ref().map(rewrite::redirect),
            "RequestMirror" => match filter.request_mirror.as_ref().map(|to| filter::mirror(ctx, to)) {
                Some(Ok(mirror)) => route.mirrors.push(mirror),
                Some(Err(fault)) => of_mirror = Some(fault),
                None => {}
            },
            "URLRewrite" => route.rewrite = filter.url_rewrite.as_ref().and_then(rewrite::rewrite),
            "CORS" => route.cors_policy = filter.cors.as_ref().map(filter::cors),
            _ => return Err(filter::unknown(filter)),
        }
    }
    if let Some(of_rule) = &rule.timeouts {
        timeouts(of_rule, &mut route);
    }
    if backend::weights(&rule.backend_refs) == 0 && route.redirect.is_none() {
        let status = if rule.backend_refs.is_empty() { 404 } else { 500 };
        route.direct_response = Some(api::HttpDirectResponse { status, body: None });
        return Ok((route, of_mirror));
    }
    let (destinations, fault) = destinations(ctx, &rule.backend_refs)?;
    route.route = destinations;
    Ok((route, Fault::joined(fault, of_mirror)))
}

/// The destinations of requests, and what is wrong with one of them.
pub(crate) fn destinations(
    ctx: &RouteContext<'_>,
    backends: &[config::gateway_api::BackendReference],
) -> Result<(Vec<api::HttpRouteDestination>, Option<Fault>), Fault> {
    let mut last = None;
    let mut destinations = Vec::new();
    for (backend, weight) in backend::weighted(backends) {
        let (destination, fault) = backend::resolve(ctx, backend)?;
        last = fault.or(last);
        let headers = filter::of_backend(&backend.filters)?;
        destinations.push(api::HttpRouteDestination { destination: Some(destination), weight, headers });
    }
    Ok((destinations, last))
}

fn matched(wanted: &HttpRouteMatch) -> Result<api::HttpMatchRequest, Fault> {
    let path = wanted.path.value.clone();
    let uri = match wanted.path.match_type.as_str() {
        "PathPrefix" if path == "/" => MatchType::Prefix(path),
        "PathPrefix" => MatchType::Prefix(path.strip_suffix('/').unwrap_or(&path).to_owned()),
        "Exact" => MatchType::Exact(path),
        "RegularExpression" => MatchType::Regex(path),
        other => return Err(unknown_type(other, "Path match")),
    };
    Ok(api::HttpMatchRequest {
        uri: Some(text(uri)),
        headers: values(&wanted.headers, "HeaderMatch")?,
        query_params: values(&wanted.query_params, "QueryParams")?,
        method: wanted.method.clone().map(|method| text(MatchType::Exact(method))),
        ..Default::default()
    })
}

/// Matches of headers or query parameters by name.
pub(crate) fn values(wanted: &[ValueMatch], what: &str) -> Result<BTreeMap<String, api::StringMatch>, Fault> {
    let value = |wanted: &ValueMatch| {
        let value = match wanted.match_type.as_str() {
            "Exact" => MatchType::Exact(wanted.value.clone()),
            "RegularExpression" => MatchType::Regex(wanted.value.clone()),
            other => return Err(unknown_type(other, what)),
        };
        Ok((wanted.name.clone(), text(value)))
    };
    wanted.iter().map(value).collect()
}

/// A type of match that is not known.
pub(crate) fn unknown_type(found: &str, what: &str) -> Fault {
    Fault::new(INVALID_CONFIGURATION, format!("unknown type: \"{found}\" is not supported {what} type"))
}

/// A match of text.
pub(crate) fn text(wanted: MatchType) -> api::StringMatch {
    api::StringMatch { match_type: Some(wanted) }
}

fn retries(retry: &RouteRetry) -> api::HttpRetry {
    let attempts = retry.attempts.unwrap_or(DEFAULT_ATTEMPTS);
    let mut retry_on = String::new();
    if attempts > 0 {
        retry_on.push_str(RETRY_ON);
        for code in &retry.codes {
            retry_on.push(',');
            retry_on.push_str(&code.to_string());
        }
    }
    api::HttpRetry {
        attempts: i32::try_from(attempts).unwrap_or(i32::MAX),
        retry_on,
        backoff: retry.backoff.as_deref().map(|text| Duration::parse(text).unwrap_or_default()),
        ..Default::default()
    }
}

fn timeouts(timeouts: &RouteTimeouts, route: &mut api::HttpRoute) {
    let stated = |text: &Option<String>| {
        text.as_deref().and_then(Duration::parse).filter(|duration| !duration.is_zero())
    };
    if let Some(request) = stated(&timeouts.request) {
        route.timeout = Some(request);
    }
    let Some(of_try) = stated(&timeouts.backend_request) else { return };
    match &mut route.retries {
        Some(retries) => retries.per_try_timeout = Some(of_try),
        None => route.timeout = Some(of_try),
    }
}
