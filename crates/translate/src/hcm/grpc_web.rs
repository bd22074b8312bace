//! `envoy.filters.http.grpc_web` on gRPC-Web ports (spec 4.4 #9).

use model::Protocol;
use proto::envoy::hcm::HttpFilter;

use super::HcmOptions;

pub(super) fn filter(options: &HcmOptions) -> Option<HttpFilter> {
    (options.protocol == Protocol::GrpcWeb).then(|| {
        super::http_filter("envoy.filters.http.grpc_web", &proto::envoy::grpc_web::GrpcWeb::default())
    })
}
