//! One endpoint as Envoy reads it: address, health, weight, and the metadata by which transport sockets and statistics
//! know it (spec 2.2; rows E02, E03, E20, K09).

use mesh::{Endpoint, EndpointAddress, Health};
use proto::envoy;
use proto::envoy::google::{self, Struct};

const TRANSPORT_SOCKET_MATCH: &str = "envoy.transport_socket_match";

/// The message of an endpoint. `mutual_tls` says whether clients may use mutual TLS, `telemetry` whether the workload
/// is described. None for an endpoint without an address.
pub fn lb_endpoint(
    endpoint: &Endpoint,
    mutual_tls: bool,
    weight: u32,
    telemetry: bool,
) -> Option<envoy::endpoint::LbEndpoint> {
    use envoy::endpoint::lb_endpoint::HostIdentifier;
    let host = envoy::endpoint::Endpoint {
        address: Some(address(&endpoint.address)?),
        additional_addresses: additional_addresses(endpoint),
        ..Default::default()
    };
    let filter_metadata = [
        (TRANSPORT_SOCKET_MATCH, tls_mode(endpoint, mutual_tls)),
        (
            "istio",
            telemetry.then(|| google::struct_of([("workload", google::string_value(workload(endpoint)))])),
        ),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect();
    Some(envoy::endpoint::LbEndpoint {
        health_status: health(endpoint.health) as i32,
        metadata: Some(envoy::core::Metadata { filter_metadata, ..Default::default() }),
        load_balancing_weight: Some(google::uint32(weight)),
        host_identifier: Some(HostIdentifier::Endpoint(host)),
    })
}

/// The address of an endpoint; none for a placeholder of a workload in another network.
pub fn address(address: &EndpointAddress) -> Option<envoy::core::Address> {
    use envoy::core::{Pipe, SocketAddress, address::Address, socket_address::PortSpecifier};
    let address = match address {
        EndpointAddress::Ip(host, port) | EndpointAddress::Host(host, port) => {
            Address::SocketAddress(SocketAddress {
                address: host.clone(),
                port_specifier: Some(PortSpecifier::PortValue(*port)),
                ..Default::default()
            })
        }
        EndpointAddress::Pipe(path) => Address::Pipe(Pipe { path: path.clone(), mode: 0 }),
        EndpointAddress::Network(_) => return None,
    };
    Some(envoy::core::Address { address: Some(address) })
}

fn additional_addresses(endpoint: &Endpoint) -> Vec<envoy::endpoint::endpoint::AdditionalAddress> {
    let EndpointAddress::Ip(_, port) = &endpoint.address else { return Vec::new() };
    let more = endpoint.additional_addresses.iter();
    more.map(|ip| envoy::endpoint::endpoint::AdditionalAddress {
        address: address(&EndpointAddress::Ip(ip.clone(), *port)),
    })
    .collect()
}

fn health(health: Health) -> envoy::core::HealthStatus {
    match health {
        Health::Unknown => envoy::core::HealthStatus::Unknown,
        Health::Healthy => envoy::core::HealthStatus::Healthy,
        Health::Unhealthy | Health::Terminating => envoy::core::HealthStatus::Unhealthy,
        Health::Draining => envoy::core::HealthStatus::Draining,
    }
}

fn tls_mode(endpoint: &Endpoint, mutual_tls: bool) -> Option<Struct> {
    let mode = endpoint.tls_mode.as_str();
    let says_something = mutual_tls && !mode.is_empty() && mode != "disabled";
    says_something.then(|| google::struct_of([("tlsMode", google::string_value(mode))]))
}

/// `name;namespace;canonical name;canonical revision;cluster`, the default revision left out.
fn workload(endpoint: &Endpoint) -> String {
    let label = |keys: [&str; 3]| keys.iter().find_map(|key| endpoint.labels.value(key));
    let name = label(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
        .unwrap_or(&endpoint.workload_name);
    let revision = label(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    let revision = revision.filter(|revision| *revision != "latest").unwrap_or_default();
    let Endpoint { workload_name, namespace, cluster, .. } = endpoint;
    format!("{workload_name};{namespace};{name};{revision};{cluster}")
}
