//! `timeout` of a route: the same span for gRPC requests, none when nothing was said (row R11).

use proto::envoy;
use proto::envoy::google;
use proto::wkt;

/// Sets both timeouts.
#[expect(deprecated, reason = "max_grpc_timeout is what istiod sends")]
pub(super) fn apply(action: &mut envoy::route::RouteAction, timeout: Option<&wkt::Duration>) {
    let span = timeout.map_or(google::seconds(0), duration);
    action.max_grpc_timeout = Some(span);
    action.timeout = Some(span);
}

/// Istio's span as Envoy's.
pub(super) fn duration(span: &wkt::Duration) -> google::Duration {
    google::Duration { seconds: span.seconds, nanos: span.nanos }
}
