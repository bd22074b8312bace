//! Where a listener listens: `unix://path` is a socket, everything else an IP address.

use proto::envoy;
use proto::envoy::core::{address, socket_address};

/// What the bind of a Unix domain socket begins with.
pub const UNIX_PREFIX: &str = "unix://";

/// The address of a bind; a socket has no port.
pub fn address(bind: &str, port: u32) -> envoy::core::Address {
    let address = match bind.strip_prefix(UNIX_PREFIX) {
        Some(path) => {
            address::Address::Pipe(envoy::core::Pipe { path: path.to_owned(), ..Default::default() })
        }
        None => address::Address::SocketAddress(envoy::core::SocketAddress {
            address: bind.to_owned(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(port)),
            ..Default::default()
        }),
    };
    envoy::core::Address { address: Some(address) }
}

/// Further addresses of one listener.
pub fn additional_addresses(binds: &[String], port: u32) -> Vec<envoy::listener::AdditionalAddress> {
    binds
        .iter()
        .map(|bind| envoy::listener::AdditionalAddress {
            address: Some(address(bind, port)),
            ..Default::default()
        })
        .collect()
}
