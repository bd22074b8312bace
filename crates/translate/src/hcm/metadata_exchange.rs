//! `istio.metadata_exchange`: peers tell each other who they are, in headers or by the workload table (spec 4.4 #1).
//! Only Istio's build of Envoy has it.

use proto::envoy::google::{Value, bool_value, list_value, struct_of, struct_value};
use proto::envoy::hcm::HttpFilter;
use proto::istio::mesh::proxy_config::proxy_headers::MetadataExchangeMode;
use scope::Dialect;

use super::HcmOptions;
use crate::telemetry::Direction;

const TYPE_URL: &str = "type.googleapis.com/io.istio.http.peer_metadata.Config";

pub(super) fn filter(options: &HcmOptions) -> Option<HttpFilter> {
    let defaults = &options.defaults;
    if defaults.dialect == Dialect::Stock || !defaults.metadata_exchange {
        return None;
    }
    let side = match defaults.direction {
        Direction::Inbound => "downstream",
        Direction::Outbound | Direction::Gateway => "upstream",
    };
    let in_mesh = defaults
        .headers
        .metadata_exchange_headers
        .as_ref()
        .is_some_and(|headers| headers.mode() == MetadataExchangeMode::InMesh);
    // Whoever answers has a client that knows its own mesh; only clients can meet strangers.
    let skips = in_mesh && defaults.direction != Direction::Inbound;
    let discovery = [method("istio_headers", None), method("workload_discovery", None)];
    let propagation = [method("istio_headers", skips.then_some("skip_external_clusters"))];
    let value = struct_of([
        (format!("{side}_discovery"), list_value(discovery)),
        (format!("{side}_propagation"), list_value(propagation)),
    ]);
    let config = proto::udpa::TypedStruct { type_url: TYPE_URL.to_owned(), value: Some(value) };
    Some(super::http_filter("istio.metadata_exchange", &config))
}

fn method(name: &str, flag: Option<&str>) -> Value {
    struct_value([(name, struct_value(flag.map(|flag| (flag, bool_value(true)))))])
}
