//! What Envoy would refuse: one such route would make it refuse the whole route configuration, so the route alone is
//! left out and its owner is told (invariant I3). Checked on the finished route, whatever field it came from.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use proto::constraints::Violation;
use proto::envoy::core::HeaderValueOption;
use proto::envoy::google::Duration;
use proto::envoy::matcher::{StringMatcher, string_matcher::MatchPattern};
use proto::envoy::route::header_matcher::HeaderMatchSpecifier;
use proto::envoy::route::query_parameter_matcher::QueryParameterMatchSpecifier;
use proto::envoy::route::route::Action;
use proto::envoy::route::route_action::{ClusterSpecifier, HashPolicy, hash_policy::PolicySpecifier};
use proto::envoy::route::route_match::PathSpecifier;
use proto::envoy::route::{RetryPolicy, Route, RouteAction, RouteConfiguration, RouteMatch, WeightedCluster};

/// Why Envoy would refuse a route configuration: the rules of Envoy's files, a route, or a domain that stands twice.
pub(crate) fn refusal_of_configuration(configuration: &RouteConfiguration) -> Option<Violation> {
    let mut seen = BTreeSet::new();
    for (host, virtual_host) in configuration.virtual_hosts.iter().enumerate() {
        let path = |rest: String| format!("virtual_hosts[{host}].{rest}");
        for (index, domain) in virtual_host.domains.iter().enumerate() {
            let name = domain.to_ascii_lowercase();
            let inside = name.strip_prefix('*').unwrap_or(&name);
            let reason = if name != "*" && inside.strip_suffix('*').unwrap_or(inside).contains('*') {
                format!("{domain:?} has a wildcard in its middle")
            } else if seen.insert(name) {
                continue;
            } else {
                format!("{domain:?} is a domain of two virtual hosts")
            };
            return Some(Violation { path: path(format!("domains[{index}]")), reason });
        }
        for (index, route) in virtual_host.routes.iter().enumerate() {
            if let Some(reason) = refusal(route) {
                return Some(Violation { path: path(format!("routes[{index}]")), reason });
            }
        }
    }
    None
}

/// Why Envoy would refuse the route, beyond the rules of its proto files: those are looked at once, for the whole
/// virtual host.
pub(super) fn refusal(route: &Route) -> Option<String> {
    let in_action = match &route.action {
        Some(Action::Route(action)) => of_action(action),
        Some(Action::DirectResponse(response)) if !(200..600).contains(&response.status) => {
            Some(format!("{} is no status that a response can have", response.status))
        }
        Some(_) => None,
        None => Some("the route does nothing".to_owned()),
    };
    in_action
        .or_else(|| of_match(route.r#match.as_ref()?))
        .or_else(|| of_headers(&route.request_headers_to_add))
        .or_else(|| of_headers(&route.response_headers_to_add))
}

fn of_match(wanted: &RouteMatch) -> Option<String> {
    let in_path = match &wanted.path_specifier {
        Some(PathSpecifier::SafeRegex(regex)) => of_regex(&regex.regex),
        Some(_) | None => None,
    };
    let in_header = |header: &proto::envoy::route::HeaderMatcher| {
        if header.name.is_empty() {
            return Some("a header has no name".to_owned());
        }
        match &header.header_match_specifier {
            Some(HeaderMatchSpecifier::StringMatch(text)) => of_text(text),
            Some(_) | None => None,
        }
    };
    let in_query = |parameter: &proto::envoy::route::QueryParameterMatcher| {
        if parameter.name.is_empty() {
            return Some("a query parameter has no name".to_owned());
        }
        match &parameter.query_parameter_match_specifier {
            Some(QueryParameterMatchSpecifier::StringMatch(text)) => of_text(text),
            Some(_) | None => None,
        }
    };
    in_path
        .or_else(|| wanted.headers.iter().find_map(in_header))
        .or_else(|| wanted.query_parameters.iter().find_map(in_query))
}

fn of_text(text: &StringMatcher) -> Option<String> {
    match text.match_pattern.as_ref()? {
        MatchPattern::Prefix(prefix) if prefix.is_empty() => Some("a prefix is empty".to_owned()),
        MatchPattern::SafeRegex(regex) => of_regex(&regex.regex),
        _ => None,
    }
}

fn of_regex(regex: &str) -> Option<String> {
    if regex.is_empty() {
        return Some("a regular expression is empty".to_owned());
    }
    proto::regexp::refusal(regex)
}

fn of_headers(headers: &[HeaderValueOption]) -> Option<String> {
    let bad = |text: &str| text.contains(['\r', '\n', '\0']);
    headers.iter().filter_map(|option| option.header.as_ref()).find_map(|header| {
        if header.key.is_empty() || bad(&header.key) {
            return Some(format!("{:?} is no name of a header", header.key));
        }
        bad(&header.value).then(|| format!("the value of header {} has a line break", header.key))
    })
}

fn of_action(action: &RouteAction) -> Option<String> {
    let in_cluster = match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) if name.is_empty() => {
            Some("there is no destination".to_owned())
        }
        Some(ClusterSpecifier::WeightedClusters(weighted)) => of_weights(weighted),
        Some(_) => None,
        None => Some("there is no destination".to_owned()),
    };
    let in_rewrite = action
        .regex_rewrite
        .as_ref()
        .and_then(|rewrite| rewrite.pattern.as_ref())
        .and_then(|pattern| of_regex(&pattern.regex));
    in_cluster
        .or(in_rewrite)
        .or_else(|| action.timeout.filter(is_negative).map(|_| "a timeout is negative".to_owned()))
        .or_else(|| action.retry_policy.as_ref().and_then(of_retries))
        .or_else(|| action.hash_policy.iter().find_map(of_hash))
}

fn of_weights(weighted: &WeightedCluster) -> Option<String> {
    let weights = weighted.clusters.iter().map(|cluster| cluster.weight.map_or(0, |weight| weight.value));
    match weights.map(u64::from).sum::<u64>() {
        0 => Some("no destination has a weight".to_owned()),
        1..=0xffff_ffff => {
            let headers =
                |of: fn(&proto::envoy::route::weighted_cluster::ClusterWeight) -> &[HeaderValueOption]| {
                    weighted.clusters.iter().find_map(|cluster| of_headers(of(cluster)))
                };
            headers(|cluster| &cluster.request_headers_to_add)
                .or_else(|| headers(|cluster| &cluster.response_headers_to_add))
        }
        _ => Some("the weights are too large together".to_owned()),
    }
}

fn of_retries(policy: &RetryPolicy) -> Option<String> {
    let backoff = policy.retry_back_off.as_ref().and_then(|backoff| backoff.base_interval);
    if backoff.is_some_and(|span| is_negative(&span) || is_zero(&span)) {
        return Some("the back-off of retries is not positive".to_owned());
    }
    policy.per_try_timeout.filter(is_negative).map(|_| "the timeout of a try is negative".to_owned())
}

fn of_hash(policy: &HashPolicy) -> Option<String> {
    let name = match policy.policy_specifier.as_ref()? {
        PolicySpecifier::Header(header) => &header.header_name,
        PolicySpecifier::Cookie(cookie) => &cookie.name,
        PolicySpecifier::QueryParameter(parameter) => &parameter.name,
        _ => return None,
    };
    name.is_empty().then(|| "what is to be hashed has no name".to_owned())
}

fn is_negative(span: &Duration) -> bool {
    span.seconds < 0 || span.nanos < 0
}

fn is_zero(span: &Duration) -> bool {
    span.seconds == 0 && span.nanos == 0
}
