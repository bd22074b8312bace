//! `redirect` of a route (row R17).

use mesh::RouteSemantics;
use proto::envoy::route::RedirectAction;
use proto::envoy::route::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use proto::istio::networking::HttpRedirect;
use proto::istio::networking::http_redirect::{RedirectPort, RedirectPortSelection};

/// The action; `None` for a status that cannot redirect. `port` is the listener's.
pub(super) fn action(
    redirect: &HttpRedirect,
    semantics: RouteSemantics,
    port: u32,
    tls: bool,
) -> Option<RedirectAction> {
    let code = match redirect.redirect_code {
        0 | 301 => RedirectResponseCode::MovedPermanently,
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => return None,
    };
    let port_redirect = match &redirect.redirect_port {
        Some(RedirectPort::Port(port)) => *port,
        // Envoy cannot take it from the request; but there is one route table for each port.
        Some(RedirectPort::DerivePort(from)) if *from == RedirectPortSelection::FromRequestPort as i32 => {
            port
        }
        Some(RedirectPort::DerivePort(_)) | None => 0,
    };
    let scheme = match redirect.scheme.as_str() {
        "" if tls => "https",
        "" => "http",
        scheme => scheme,
    };
    // Without a port of its own, the redirect keeps what the scheme implies.
    let usual = matches!((port_redirect, scheme), (80, "http") | (443, "https"));
    Some(RedirectAction {
        host_redirect: redirect.authority.clone(),
        port_redirect: if usual { 0 } else { port_redirect },
        response_code: code as i32,
        path_rewrite_specifier: Some(path(redirect, semantics)),
        scheme_rewrite_specifier: Some(redirect.scheme.clone())
            .filter(|scheme| !scheme.is_empty())
            .map(SchemeRewriteSpecifier::SchemeRedirect),
        ..Default::default()
    })
}

/// A new path; for routes of the Gateway API `%PREFIX()%` marks one that only replaces the matched prefix.
fn path(redirect: &HttpRedirect, semantics: RouteSemantics) -> PathRewriteSpecifier {
    match redirect.uri.strip_prefix("%PREFIX()%") {
        Some(prefix) if semantics.is_gateway_api() => PathRewriteSpecifier::PrefixRewrite(prefix.to_owned()),
        _ => PathRewriteSpecifier::PathRedirect(redirect.uri.clone()),
    }
}
