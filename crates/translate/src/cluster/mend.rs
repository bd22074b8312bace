//! What of a cluster may be left out when Envoy would refuse it: settings that tune it. Who it reaches and how it is
//! secured may not; such a cluster is left out as a whole.

use prost::Message;
use proto::constraints::Violation;
use proto::envoy::cluster::Cluster;
use proto::envoy::upstreams_http::HttpProtocolOptions;

use crate::fit;

const HTTP: &str = "typed_extension_protocol_options";

/// Leaves out the part with the fault; false if there is none that may go.
#[expect(deprecated, reason = "proxies of the oldest supported version read the older fields of DNS")]
pub(super) fn mend(cluster: &mut Cluster, broken: &Violation) -> bool {
    let field = broken.path.split(['.', '[']).next().unwrap_or_default();
    match field {
        "connect_timeout" => cluster.connect_timeout.take().is_some(),
        "circuit_breakers" => cluster.circuit_breakers.take().is_some(),
        "outlier_detection" => cluster.outlier_detection.take().is_some(),
        "common_lb_config" => cluster.common_lb_config.take().is_some(),
        "upstream_connection_options" => cluster.upstream_connection_options.take().is_some(),
        "dns_refresh_rate" => cluster.dns_refresh_rate.take().is_some(),
        "dns_jitter" => cluster.dns_jitter.take().is_some(),
        "cleanup_interval" => cluster.cleanup_interval.take().is_some(),
        _ if field.ends_with("_lb_config") => cluster.lb_config.take().is_some(),
        HTTP => cluster.typed_extension_protocol_options.values_mut().any(|config| {
            let Ok(mut options) = HttpProtocolOptions::decode(config.value.as_slice()) else { return false };
            let is_mended = options.common_http_protocol_options.take().is_some();
            *config = proto::pack::any(&options);
            is_mended
        }),
        // One address is all that such a cluster can have.
        "load_assignment" if broken.path == field => {
            let Some(assignment) = &mut cluster.load_assignment else { return false };
            assignment.endpoints.retain(|locality| !locality.lb_endpoints.is_empty());
            let n_localities = assignment.endpoints.len();
            let n_first = assignment.endpoints.first().map_or(0, |locality| locality.lb_endpoints.len());
            assignment.endpoints.truncate(1);
            assignment.endpoints.iter_mut().for_each(|locality| locality.lb_endpoints.truncate(1));
            n_localities > 1 || n_first > 1
        }
        "load_assignment" => {
            let Some(assignment) = &mut cluster.load_assignment else { return false };
            let path = broken.path.split_once('.').map_or("", |(_, path)| path).to_owned();
            let inside = Violation { path, reason: String::new() };
            fit::leave_out_endpoint(&mut assignment.endpoints, &inside)
        }
        _ => false,
    }
}
