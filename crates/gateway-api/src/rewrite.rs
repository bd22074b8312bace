//! Redirects and rewrites of HTTPRoutes.

use config::gateway_api::{RequestRedirect, UrlRewrite};
use proto::istio::networking::http_redirect::{RedirectPort, RedirectPortSelection};
use proto::istio::networking::{HttpRedirect, HttpRewrite, RegexRewrite};

/// A redirect. A redirect to a prefix says so in front of it.
pub(crate) fn redirect(redirect: &RequestRedirect) -> HttpRedirect {
    let derived = match redirect.scheme {
        Some(_) => RedirectPortSelection::FromProtocolDefault,
        None => RedirectPortSelection::FromRequestPort,
    };
    let path = redirect.path.as_ref();
    let uri = path.and_then(|path| match path.modifier_type.as_str() {
        "ReplaceFullPath" => path.replace_full_path.clone(),
        "ReplacePrefixMatch" => path.replace_prefix_match.as_ref().map(|to| format!("%PREFIX()%{to}")),
        _ => None,
    });
    HttpRedirect {
        uri: uri.unwrap_or_default(),
        authority: redirect.hostname.clone().unwrap_or_default(),
        redirect_code: redirect.status_code,
        scheme: redirect.scheme.clone().unwrap_or_default(),
        redirect_port: Some(match redirect.port {
            Some(port) => RedirectPort::Port(port),
            None => RedirectPort::DerivePort(derived as i32),
        }),
    }
}

/// A rewrite; none if it changes nothing.
pub(crate) fn rewrite(rewrite: &UrlRewrite) -> Option<HttpRewrite> {
    let mut made =
        HttpRewrite { authority: rewrite.hostname.clone().unwrap_or_default(), ..Default::default() };
    if let Some(path) = &rewrite.path {
        match (path.modifier_type.as_str(), &path.replace_prefix_match, &path.replace_full_path) {
            ("ReplacePrefixMatch", Some(to), _) => {
                let to = to.strip_suffix('/').unwrap_or(to);
                // A slash alone takes the prefix away.
                if to.is_empty() { "/" } else { to }.clone_into(&mut made.uri);
            }
            ("ReplaceFullPath", _, Some(to)) => {
                made.uri_regex_rewrite =
                    Some(RegexRewrite { r#match: "/.*".to_owned(), rewrite: to.clone() });
            }
            _ => {}
        }
    }
    (made != HttpRewrite::default()).then_some(made)
}
