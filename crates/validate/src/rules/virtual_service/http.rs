//! Rules for HTTP routes: conditions, the one action, and what else may be done to requests.

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::rules::virtual_service::{
    check_weighted, check_weights, destination, headers, is_claim, match_common,
};
use crate::values::{duration, header_name, percentage, port, regex, strict_header_name};

const MEGABYTE: usize = 1024 * 1024;

const RETRY_ON: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub(super) fn check(findings: &mut Findings, route: &Node<'_>, is_delegate: bool) {
    check_action(findings, route, is_delegate);
    for condition in route.at("match").items() {
        check_match(findings, &condition);
    }
    headers::check(findings, &route.at("headers"));
    headers::check_authority(findings, route);
    check_cors(findings, &route.at("corsPolicy"));
    check_fault(findings, &route.at("fault"));
    check_mirrors(findings, route);
    check_redirect(findings, &route.at("redirect"));
    check_direct_response(findings, &route.at("directResponse"));
    check_retries(findings, &route.at("retries"));
    check_rewrite(findings, &route.at("rewrite"));
    let destinations = route.at("route");
    check_weights(findings, &destinations);
    for item in destinations.items() {
        headers::check(findings, &item.at("headers"));
        check_weighted(findings, &item);
    }
    duration(findings, &route.at("timeout"));
}

/// Exactly one of route, redirect and direct response; none of them beside a delegate.
fn check_action(findings: &mut Findings, route: &Node<'_>, is_delegate: bool) {
    let delegate = route.at("delegate");
    if delegate.is_set() && !is_delegate {
        for name in ["redirect", "route"] {
            let action = route.at(name);
            if action.is_set() && (name != "route" || !action.is_empty()) {
                findings.error(
                    &action,
                    format!("a root HTTP route (one with a delegate) must not specify {name}"),
                );
            }
        }
        return;
    }
    if delegate.is_set() {
        findings.error(&delegate, "a delegate HTTP route cannot contain a delegate");
    }
    let has_route = !route.at("route").is_empty();
    let answers = ["redirect", "directResponse"].into_iter().filter(|name| route.has(name));
    let answers: Vec<&str> = answers.collect();
    for answer in &answers {
        if has_route {
            let message = format!("an HTTP route cannot contain both route and {answer}");
            findings.error(&route.at(answer), message);
        }
        for other in ["fault", "rewrite"] {
            if route.has(other) {
                let message = format!("an HTTP route cannot contain both {other} and {answer}");
                findings.error(&route.at(other), message);
            }
        }
    }
    match answers.len() {
        0 if !has_route => {
            findings.error(route, "an HTTP route, redirect or directResponse is required");
        }
        2 => findings.error(route, "an HTTP route cannot contain both redirect and directResponse"),
        _ => {}
    }
}

fn check_match(findings: &mut Findings, condition: &Node<'_>) {
    for name in ["uri", "scheme", "method", "authority"] {
        let text = condition.at(name);
        // An empty prefix of a path matches all paths; elsewhere it is a mistake.
        check_string(findings, &text, name, name != "uri");
    }
    for list in ["headers", "withoutHeaders"] {
        for (name, header) in condition.at(list).entries() {
            if !is_claim(name) {
                findings.require(&header, header_name(name));
            }
            // Without a header of whatever value: this is no regular expression.
            if list == "headers" || header.at("regex").text() != "*" {
                check_string(findings, &header, list, true);
            }
        }
    }
    for (_, parameter) in condition.at("queryParams").entries() {
        check_string(findings, &parameter, "queryParams", true);
    }
    match_common(findings, condition);
}

/// A StringMatch.
fn check_string(findings: &mut Findings, at: &Node<'_>, what: &str, no_empty_prefix: bool) {
    let pattern = at.at("regex");
    if pattern.is_set() {
        if pattern.text().is_empty() {
            findings.error(&pattern, format!("{what}: regex string match should not be empty"));
        } else {
            findings.require(&pattern, regex(pattern.text(), what));
        }
    }
    let prefix = at.at("prefix");
    if no_empty_prefix && prefix.is_set() && prefix.text().is_empty() {
        findings.error(&prefix, format!("{what}: prefix string match should not be empty"));
    }
}

fn check_cors(findings: &mut Findings, policy: &Node<'_>) {
    for origin in policy.at("allowOrigins").items() {
        let text =
            ["exact", "prefix", "regex"].into_iter().map(|kind| origin.at(kind).text()).collect::<String>();
        if text.is_empty() {
            findings.error(&origin, "an origin in allowOrigins must not be empty");
        } else {
            check_string(findings, &origin, "corsPolicy.allowOrigins", false);
        }
    }
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];
    for method in policy.at("allowMethods").items() {
        if !methods.contains(&method.text()) {
            findings.error(&method, format!("{} is not a supported HTTP method", quoted(method.text())));
        }
    }
    for list in ["allowHeaders", "exposeHeaders"] {
        for name in policy.at(list).items().into_iter().filter(|name| name.text() != "*") {
            findings.require(&name, strict_header_name(name.text()));
        }
    }
    let age = policy.at("maxAge");
    duration(findings, &age);
    if proto::wkt::Duration::parse(age.text()).is_some_and(|age| age.nanos > 0) {
        findings.error(&age, "maxAge is accurate only to seconds");
    }
}

fn check_fault(findings: &mut Findings, fault: &Node<'_>) {
    if !fault.is_set() {
        return;
    }
    let (abort, delay) = (fault.at("abort"), fault.at("delay"));
    if !abort.is_set() && !delay.is_set() {
        findings.error(fault, "HTTP fault injection must have an abort and/or a delay");
    }
    if abort.is_set() {
        percentage(findings, &abort.at("percentage"));
        let (grpc, http) = (abort.at("grpcStatus"), abort.at("httpStatus"));
        if grpc.is_set() {
            if !GRPC_STATUS.contains(&grpc.text()) {
                let name = quoted(grpc.text());
                findings.error(
                    &grpc,
                    format!("gRPC status {name} is not supported; write for example NOT_FOUND"),
                );
            }
        } else if abort.has("http2Error") {
            findings.error(&abort.at("http2Error"), "HTTP/2 abort fault injection is not supported yet");
        } else if http.is_set() {
            status(findings, &http);
        }
    }
    percentage(findings, &delay.at("percentage"));
    duration(findings, &delay.at("fixedDelay"));
    let exponential = delay.at("exponentialDelay");
    if exponential.is_set() {
        findings.error(&exponential, "exponentialDelay is not supported yet");
    }
}

fn status(findings: &mut Findings, at: &Node<'_>) {
    let status = at.integer();
    if !(200..=600).contains(&status) {
        findings.error(at, format!("HTTP status {status} is not in range 200-599"));
    }
}

fn check_mirrors(findings: &mut Findings, route: &Node<'_>) {
    let (mirror, mirrors) = (route.at("mirror"), route.at("mirrors"));
    if mirror.is_set() && !mirrors.is_empty() && !route.has("delegate") {
        findings.error(&mirrors, "an HTTP route cannot contain both mirror and mirrors");
    }
    destination(findings, &mirror);
    for item in mirrors.items() {
        let to = item.at("destination");
        if !to.is_set() {
            findings.error(&to, "destination is required for mirrors");
        }
        destination(findings, &to);
        share(findings, &item.at("percentage"), "percentage");
    }
    let old = route.at("mirrorPercent");
    if old.is_set() {
        if old.integer() > 100 {
            findings.error(&old, format!("mirrorPercent must be at most 100 (it is {})", old.integer()));
        }
        findings.warn(&old, "using deprecated setting \"mirrorPercent\", use \"mirrorPercentage\" instead");
    }
    share(findings, &route.at("mirrorPercentage"), "mirrorPercentage");
}

fn share(findings: &mut Findings, at: &Node<'_>, what: &str) {
    let value = at.at("value").number().unwrap_or_default();
    if !(0.0..=100.0).contains(&value) {
        findings.error(at, format!("{what} must be between 0 and 100 (it is {value})"));
    }
}

fn check_redirect(findings: &mut Findings, redirect: &Node<'_>) {
    if !redirect.is_set() {
        return;
    }
    let texts = ["uri", "authority", "scheme"].iter().all(|name| redirect.at(name).text().is_empty());
    if texts && !redirect.has("port") && !redirect.has("derivePort") {
        findings.error(redirect, "redirect must specify uri, authority, scheme, or port");
    }
    let code = redirect.at("redirectCode");
    if code.integer() != 0 && !(300..=399).contains(&code.integer()) {
        findings.error(&code, format!("{} is not a valid redirect code, must be 3xx", code.integer()));
    }
    let scheme = redirect.at("scheme");
    if !matches!(scheme.text(), "" | "http" | "https") {
        findings.error(&scheme, "invalid redirect scheme, must be \"http\" or \"https\"");
    }
    if redirect.at("port").integer() > 0 {
        port(findings, &redirect.at("port"));
    }
}

fn check_direct_response(findings: &mut Findings, response: &Node<'_>) {
    if !response.is_set() {
        return;
    }
    let body = response.at("body");
    let size = body.at("string").text().len().max(body.at("bytes").text().len() / 4 * 3);
    if size > MEGABYTE {
        findings.error(&body, "the body of a direct response must be less than 1MB");
    } else if size > MEGABYTE / 1024 * 100 {
        findings.warn(&body, "large direct responses may impact control plane performance");
    }
    status(findings, &response.at("status"));
}

fn check_retries(findings: &mut Findings, retries: &Node<'_>) {
    if !retries.is_set() {
        return;
    }
    let attempts = retries.at("attempts");
    if attempts.integer() < 0 {
        findings.error(&attempts, "attempts cannot be negative");
    }
    let on = retries.at("retryOn");
    let others =
        retries.has("perTryTimeout") || !on.text().is_empty() || retries.has("retryRemoteLocalities");
    if attempts.integer() == 0 && others {
        findings.error(retries, "a retry policy is configured when attempts are set to 0 (disabled)");
    }
    duration(findings, &retries.at("perTryTimeout"));
    duration(findings, &retries.at("backoff"));
    for policy in on.text().split(',').filter(|_| !on.text().is_empty()) {
        if !RETRY_ON.contains(&policy) && !is_http_status(policy) {
            findings.error(&on, format!("{} is not a valid retryOn policy", quoted(policy)));
        }
    }
}

/// Whether this is a status code that has a name.
fn is_http_status(text: &str) -> bool {
    let Ok(code) = text.parse::<u16>() else { return false };
    let named = [
        100..=103,
        200..=208,
        226..=226,
        300..=305,
        307..=308,
        400..=418,
        421..=426,
        428..=429,
        431..=431,
        451..=451,
        500..=508,
        510..=511,
    ];
    named.iter().any(|codes| codes.contains(&code))
}

fn check_rewrite(findings: &mut Findings, rewrite: &Node<'_>) {
    if !rewrite.is_set() {
        return;
    }
    let (uri, by_regex) = (rewrite.at("uri"), rewrite.at("uriRegexRewrite"));
    if !uri.text().is_empty() && by_regex.is_set() {
        findings.error(rewrite, "rewrite may only contain one of uri and uriRegexRewrite");
    } else if uri.text().is_empty() && !by_regex.is_set() && rewrite.at("authority").text().is_empty() {
        findings.error(rewrite, "rewrite must specify at least one of uri, uriRegexRewrite, or authority");
    }
    if by_regex.is_set() {
        let (pattern, to) = (by_regex.at("match"), by_regex.at("rewrite"));
        if pattern.text().is_empty() || to.text().is_empty() {
            findings.error(&by_regex, "uriRegexRewrite requires both rewrite and match");
        } else {
            findings.require(&pattern, regex(pattern.text(), "uriRegexRewrite"));
        }
    }
}
