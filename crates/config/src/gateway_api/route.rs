//! HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute and what they have in common.

use serde::Deserialize;

/// An HTTPRoute.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    /// Gateways or Services it attaches to.
    pub parent_refs: Vec<ParentReference>,
    /// Hosts; empty for those of the listener.
    pub hostnames: Vec<String>,
    /// Rules; one that takes everything unless stated.
    pub rules: Vec<HttpRouteRule>,
}

impl Default for HttpRoute {
    fn default() -> Self {
        Self { parent_refs: Vec::new(), hostnames: Vec::new(), rules: vec![HttpRouteRule::default()] }
    }
}

/// A GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRoute {
    /// Gateways or Services it attaches to.
    pub parent_refs: Vec<ParentReference>,
    /// Hosts; empty for those of the listener.
    pub hostnames: Vec<String>,
    /// Rules.
    pub rules: Vec<GrpcRouteRule>,
}

macro_rules! define_layer_4_routes {
    ($($name:ident)+) => {$(
        #[doc = concat!("A ", stringify!($name), ": hosts by SNI, if the protocol has it, and backends.")]
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            /// Gateways or Services it attaches to.
            pub parent_refs: Vec<ParentReference>,
            /// Hosts; of a TLSRoute only.
            pub hostnames: Vec<String>,
            /// Rules.
            pub rules: Vec<Layer4RouteRule>,
        }
    )+};
}
define_layer_4_routes!(TlsRoute TcpRoute UdpRoute);

/// A rule of a TLSRoute, TCPRoute or UDPRoute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Layer4RouteRule {
    /// Name.
    pub name: Option<String>,
    /// Backends.
    pub backend_refs: Vec<BackendReference>,
}

/// What a route attaches to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentReference {
    /// `gateway.networking.k8s.io` unless stated; empty for the core group.
    pub group: String,
    /// `Gateway` unless stated.
    pub kind: String,
    /// Namespace; the route's own unless stated.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// A listener by name.
    pub section_name: Option<String>,
    /// A listener, or a port of a Service, by number.
    pub port: Option<u32>,
}

impl Default for ParentReference {
    fn default() -> Self {
        Self {
            group: "gateway.networking.k8s.io".to_owned(),
            kind: "Gateway".to_owned(),
            namespace: None,
            name: String::new(),
            section_name: None,
            port: None,
        }
    }
}

/// A rule of an HTTPRoute.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteRule {
    /// Name.
    pub name: Option<String>,
    /// Matches, any of which suffices; every path unless stated. Empty takes everything.
    pub matches: Vec<HttpRouteMatch>,
    /// Filters in order.
    pub filters: Vec<RouteFilter>,
    /// Backends.
    pub backend_refs: Vec<BackendReference>,
    /// Timeouts.
    pub timeouts: Option<RouteTimeouts>,
    /// Retries.
    pub retry: Option<RouteRetry>,
    /// Session persistence.
    pub session_persistence: Option<SessionPersistence>,
}

impl Default for HttpRouteRule {
    fn default() -> Self {
        Self {
            name: None,
            matches: vec![HttpRouteMatch::default()],
            filters: Vec::new(),
            backend_refs: Vec::new(),
            timeouts: None,
            retry: None,
            session_persistence: None,
        }
    }
}

/// A rule of a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteRule {
    /// Name.
    pub name: Option<String>,
    /// Matches, any of which suffices; empty takes everything.
    pub matches: Vec<GrpcRouteMatch>,
    /// Filters in order.
    pub filters: Vec<RouteFilter>,
    /// Backends.
    pub backend_refs: Vec<BackendReference>,
    /// Session persistence.
    pub session_persistence: Option<SessionPersistence>,
}

/// A match of an HTTPRoute; all that is stated must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteMatch {
    /// Path; the prefix `/` unless stated.
    pub path: PathMatch,
    /// Headers.
    pub headers: Vec<ValueMatch>,
    /// Query parameters.
    pub query_params: Vec<ValueMatch>,
    /// Method.
    pub method: Option<String>,
}

/// A match on the path.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct PathMatch {
    /// `PathPrefix` unless stated, `Exact`, `RegularExpression`.
    #[serde(rename = "type")]
    pub match_type: String,
    /// `/` unless stated.
    pub value: String,
}

impl Default for PathMatch {
    fn default() -> Self {
        Self { match_type: "PathPrefix".to_owned(), value: "/".to_owned() }
    }
}

/// A match on a header or query parameter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct ValueMatch {
    /// `Exact` unless stated, or `RegularExpression`.
    #[serde(rename = "type")]
    pub match_type: String,
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

impl Default for ValueMatch {
    fn default() -> Self {
        Self { match_type: "Exact".to_owned(), name: String::new(), value: String::new() }
    }
}

/// A match of a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GrpcRouteMatch {
    /// Method.
    pub method: Option<GrpcMethodMatch>,
    /// Headers.
    pub headers: Vec<ValueMatch>,
}

/// A match on a gRPC method.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct GrpcMethodMatch {
    /// `Exact` unless stated, or `RegularExpression`.
    #[serde(rename = "type")]
    pub match_type: String,
    /// Service; none for any.
    pub service: Option<String>,
    /// Method; none for any.
    pub method: Option<String>,
}

impl Default for GrpcMethodMatch {
    fn default() -> Self {
        Self { match_type: "Exact".to_owned(), service: None, method: None }
    }
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct BackendReference {
    /// The core group unless stated.
    pub group: String,
    /// `Service` unless stated.
    pub kind: String,
    /// Namespace; the route's own unless stated.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Port.
    pub port: Option<u32>,
    /// Share; 1 unless stated.
    pub weight: u32,
    /// Filters for requests that go there.
    pub filters: Vec<RouteFilter>,
}

impl Default for BackendReference {
    fn default() -> Self {
        Self {
            group: String::new(),
            kind: "Service".to_owned(),
            namespace: None,
            name: String::new(),
            port: None,
            weight: 1,
            filters: Vec::new(),
        }
    }
}

/// A filter: its type, and the member that goes with it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteFilter {
    /// `RequestHeaderModifier`, `RequestRedirect`, ...
    #[serde(rename = "type")]
    pub filter_type: String,
    /// Changes of request headers.
    pub request_header_modifier: Option<HeaderModifier>,
    /// Changes of response headers.
    pub response_header_modifier: Option<HeaderModifier>,
    /// A mirror.
    pub request_mirror: Option<RequestMirror>,
    /// A redirect.
    pub request_redirect: Option<RequestRedirect>,
    /// A rewrite.
    pub url_rewrite: Option<UrlRewrite>,
    /// CORS.
    pub cors: Option<Cors>,
    /// A filter of an implementation.
    pub extension_ref: Option<super::gateway::ObjectReference>,
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HeaderModifier {
    /// Overwritten.
    pub set: Vec<HeaderValue>,
    /// Appended.
    pub add: Vec<HeaderValue>,
    /// Removed.
    pub remove: Vec<String>,
}

/// A header and its value.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HeaderValue {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A mirror.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestMirror {
    /// Where copies go.
    pub backend_ref: BackendReference,
    /// Share in percent.
    pub percent: Option<u32>,
    /// Share as a fraction.
    pub fraction: Option<Fraction>,
}

/// A fraction.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Fraction {
    /// Numerator.
    pub numerator: u32,
    /// Denominator; 100 unless stated.
    pub denominator: u32,
}

impl Default for Fraction {
    fn default() -> Self {
        Self { numerator: 0, denominator: 100 }
    }
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestRedirect {
    /// New scheme.
    pub scheme: Option<String>,
    /// New host.
    pub hostname: Option<String>,
    /// New path.
    pub path: Option<PathModifier>,
    /// New port.
    pub port: Option<u32>,
    /// Status code; 302 unless stated.
    pub status_code: u32,
}

impl Default for RequestRedirect {
    fn default() -> Self {
        Self { scheme: None, hostname: None, path: None, port: None, status_code: 302 }
    }
}

/// A rewrite.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct UrlRewrite {
    /// New host.
    pub hostname: Option<String>,
    /// New path.
    pub path: Option<PathModifier>,
}

/// A change of the path.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PathModifier {
    /// `ReplaceFullPath` or `ReplacePrefixMatch`.
    #[serde(rename = "type")]
    pub modifier_type: String,
    /// Instead of the path.
    pub replace_full_path: Option<String>,
    /// Instead of the prefix that matched.
    pub replace_prefix_match: Option<String>,
}

/// CORS.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cors {
    /// Origins.
    pub allow_origins: Vec<String>,
    /// Whether credentials are allowed.
    pub allow_credentials: Option<bool>,
    /// Methods.
    pub allow_methods: Vec<String>,
    /// Request headers.
    pub allow_headers: Vec<String>,
    /// Response headers.
    pub expose_headers: Vec<String>,
    /// Seconds an answer may be kept; 5 unless stated.
    pub max_age: i64,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            allow_origins: Vec::new(),
            allow_credentials: None,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            max_age: 5,
        }
    }
}

/// Timeouts, as durations of Go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteTimeouts {
    /// Of the request as a whole.
    pub request: Option<String>,
    /// Of one try.
    pub backend_request: Option<String>,
}

/// Retries.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RouteRetry {
    /// Status codes.
    pub codes: Vec<u32>,
    /// Number.
    pub attempts: Option<u32>,
    /// Pause, a duration of Go.
    pub backoff: Option<String>,
}

/// Session persistence.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionPersistence {
    /// Name of the cookie or header.
    pub session_name: Option<String>,
    /// Longest life, a duration of Go.
    pub absolute_timeout: Option<String>,
    /// Longest idleness, a duration of Go.
    pub idle_timeout: Option<String>,
    /// `Cookie` if not stated, or `Header`.
    #[serde(rename = "type")]
    pub persistence_type: Option<String>,
    /// The cookie.
    pub cookie_config: Option<CookieConfig>,
}

/// The cookie of a session.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieConfig {
    /// `Session` if not stated, or `Permanent`.
    pub lifetime_type: Option<String>,
}
