//! Kinds of the Gateway API, read leniently: what is an enumeration there is a string here, since a value of a later
//! version must become a condition in a status, not a rejection. Defaults of the API's own schema are applied.

mod gateway;
mod policy;
mod route;

pub use gateway::{
    AllowedRoutes, BackendClientCertificate, FrontendTls, FrontendTlsConfig, FrontendTlsPort,
    FrontendValidation, Gateway, GatewayAddress, GatewayClass, GatewayTls, Infrastructure, LabelExpression,
    LabelSelector, Listener, ListenerSet, ListenerTls, ObjectReference, RouteGroupKind, RouteNamespaces,
    XListenerSet,
};
pub use policy::{
    BackendTlsPolicy, BackendTlsValidation, GrantFrom, GrantTo, InferencePool, PolicyTarget, ReferenceGrant,
    SubjectAltName, XBackendTrafficPolicy,
};
pub use route::{
    BackendReference, CookieConfig, Cors, Fraction, GrpcMethodMatch, GrpcRoute, GrpcRouteMatch,
    GrpcRouteRule, HeaderModifier, HeaderValue, HttpRoute, HttpRouteMatch, HttpRouteRule, Layer4RouteRule,
    ParentReference, PathMatch, PathModifier, RequestMirror, RequestRedirect, RouteFilter, RouteRetry,
    RouteTimeouts, SessionPersistence, TcpRoute, TlsRoute, UdpRoute, UrlRewrite, ValueMatch,
};
