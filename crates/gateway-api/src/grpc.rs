//! Rules of GRPCRoutes as routes of a VirtualService: a call of gRPC is a request for `/<service>/<method>`.

use config::gateway_api::{GrpcMethodMatch, GrpcRoute, GrpcRouteMatch, GrpcRouteRule};
use proto::istio::networking as api;
use proto::istio::networking::string_match::MatchType;

use crate::fault::{Fault, INVALID_CONFIGURATION};
use crate::http::{destinations, text, unknown_type, values};
use crate::route::{Converted, RouteContext, rule_name};
use crate::{backend, filter};

/// Every rule, for each of its matches.
pub(crate) fn convert(ctx: &RouteContext<'_>, route: &GrpcRoute) -> Converted<api::HttpRoute> {
    let mut converted = Converted::default();
    for (position, rule) in route.rules.iter().enumerate() {
        let matches: Vec<Option<&GrpcRouteMatch>> =
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
    rule: &GrpcRouteRule,
    wanted: Option<&GrpcRouteMatch>,
    position: usize,
) -> Result<(api::HttpRoute, Option<Fault>), Fault> {
    let mut route = api::HttpRoute {
        name: rule_name(ctx, rule.name.as_deref(), position),
        r#match: wanted.map(matched).transpose()?.into_iter().collect(),
        ..Default::default()
    };
    for filter in &rule.filters {
        if filter::headers(filter, &mut route.headers) {
            continue;
        }
        match filter.filter_type.as_str() {
            "RequestMirror" => {
                if let Some(to) = &filter.request_mirror {
                    route.mirrors.push(filter::mirror(ctx, to)?);
                }
            }
            _ => return Err(filter::unknown(filter)),
        }
    }
    if backend::weights(&rule.backend_refs) == 0 {
        route.direct_response = Some(api::HttpDirectResponse { status: 500, body: None });
        return Ok((route, None));
    }
    let (destinations, fault) = destinations(ctx, &rule.backend_refs)?;
    route.route = destinations;
    Ok((route, fault))
}

fn matched(wanted: &GrpcRouteMatch) -> Result<api::HttpMatchRequest, Fault> {
    Ok(api::HttpMatchRequest {
        uri: wanted.method.as_ref().map(method).transpose()?.map(text),
        headers: values(&wanted.headers, "HeaderMatch")?,
        ..Default::default()
    })
}

fn method(wanted: &GrpcMethodMatch) -> Result<MatchType, Fault> {
    let is_exact = match wanted.match_type.as_str() {
        "Exact" => true,
        "RegularExpression" => false,
        other => return Err(unknown_type(other, "Path match")),
    };
    Ok(match (&wanted.service, &wanted.method) {
        (None, None) => {
            let message = "gRPC match must have method or service defined";
            return Err(Fault::new(INVALID_CONFIGURATION, message));
        }
        (Some(service), None) if is_exact => MatchType::Prefix(format!("/{service}/")),
        (Some(service), None) => MatchType::Regex(format!("/{service}/.+")),
        (None, Some(method)) => MatchType::Regex(format!("/[^/]+/{method}")),
        (Some(service), Some(method)) if is_exact => MatchType::Exact(format!("/{service}/{method}")),
        (Some(service), Some(method)) => MatchType::Regex(format!("/{service}/{method}")),
    })
}
