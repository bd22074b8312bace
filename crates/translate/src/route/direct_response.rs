//! `directResponse` of a route (row R18).

use proto::envoy::core::{DataSource, data_source};
use proto::envoy::route::DirectResponseAction;
use proto::istio::networking::HttpDirectResponse;
use proto::istio::networking::http_body::Specifier;

/// The action.
pub(super) fn action(response: &HttpDirectResponse) -> DirectResponseAction {
    let body = response.body.as_ref().and_then(|body| body.specifier.as_ref()).map(|body| match body {
        Specifier::String(text) => data_source::Specifier::InlineString(text.clone()),
        Specifier::Bytes(bytes) => data_source::Specifier::InlineBytes(bytes.clone()),
    });
    DirectResponseAction {
        status: response.status,
        body: body.map(|specifier| DataSource { specifier: Some(specifier), ..Default::default() }),
        ..Default::default()
    }
}
