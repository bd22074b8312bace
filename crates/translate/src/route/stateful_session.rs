//! Sticky sessions of a service by its labels, when `PILOT_ENABLE_PERSISTENT_SESSION_FILTER` is on (spec 3.4 "sticky
//! services"): a cookie, with a path after a colon, or a header.

use mesh::{Features, Service};
use proto::envoy;
use proto::envoy::google::Any;
use proto::pack;

/// The name of the filter.
pub(super) const FILTER: &str = "envoy.filters.http.stateful_session";

/// How a service keeps its sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Session {
    /// In a cookie.
    Cookie { name: String, path: String },
    /// In a header.
    Header(String),
}

/// How that service keeps its sessions.
pub(super) fn of(features: &Features, service: &Service) -> Option<Session> {
    if !features.persistent_session_filter {
        return None;
    }
    let label = |key: &str| service.labels.value(key).filter(|value| !value.is_empty());
    if let Some(cookie) = label(&features.persistent_session_label) {
        let (name, path) = cookie.split_once(':').unwrap_or((cookie, "/"));
        return Some(Session::Cookie { name: name.to_owned(), path: path.to_owned() });
    }
    label(&features.persistent_session_header_label).map(|name| Session::Header(name.to_owned()))
}

/// The filter's configuration for one route or virtual host.
pub(super) fn per_route(session: &Session) -> Any {
    let state = match session {
        Session::Cookie { name, path } => envoy::core::TypedExtensionConfig {
            name: "envoy.http.stateful_session.cookie".to_owned(),
            typed_config: Some(pack::any(&envoy::stateful_session_cookie::CookieBasedSessionState {
                cookie: Some(envoy::http::Cookie {
                    name: name.clone(),
                    path: path.clone(),
                    ..Default::default()
                }),
            })),
        },
        Session::Header(name) => envoy::core::TypedExtensionConfig {
            name: "envoy.http.stateful_session.header".to_owned(),
            typed_config: Some(pack::any(&envoy::stateful_session_header::HeaderBasedSessionState {
                name: name.clone(),
            })),
        },
    };
    let session =
        envoy::stateful_session::StatefulSession { session_state: Some(state), ..Default::default() };
    pack::any(&envoy::stateful_session::StatefulSessionPerRoute {
        r#override: Some(envoy::stateful_session::stateful_session_per_route::Override::StatefulSession(
            session,
        )),
    })
}
