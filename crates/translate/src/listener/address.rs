//! Where a listener listens: `unix://path` is a socket, everything else an IP address.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use prost::Message;
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

/// Makes all addresses of a listener ones of UDP.
pub(super) fn over_udp(listener: &mut envoy::listener::Listener) {
    let more = listener.additional_addresses.iter_mut().filter_map(|more| more.address.as_mut());
    for address in listener.address.iter_mut().chain(more) {
        if let Some(address::Address::SocketAddress(socket)) = &mut address.address {
            socket.protocol = socket_address::Protocol::Udp as i32;
        }
    }
}

/// A socket of the system: where Envoy lets one listener listen, but no second one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    ip: IpAddr,
    port: u32,
    is_udp: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_udp { " (UDP)" } else { "" };
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}{kind}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}{kind}", self.port),
        }
    }
}

/// The places of an encoded listener, read without reading the rest of it.
pub(super) fn places(any: &Bytes) -> Vec<Place> {
    /// `google.protobuf.Any` whose value is not copied.
    #[derive(prost::Message)]
    struct Packed {
        #[prost(bytes = "bytes", tag = "2")]
        value: Bytes,
    }
    #[derive(prost::Message)]
    struct Places {
        #[prost(message, optional, tag = "2")]
        address: Option<envoy::core::Address>,
        #[prost(message, repeated, tag = "33")]
        additional: Vec<envoy::listener::AdditionalAddress>,
    }
    // The bytes were encoded in this crate.
    let Ok(read) = Packed::decode(any.clone()).and_then(|packed| Places::decode(packed.value)) else {
        return Vec::new();
    };
    let more = read.additional.into_iter().filter_map(|additional| additional.address);
    read.address.into_iter().chain(more).filter_map(place).collect()
}

fn place(address: envoy::core::Address) -> Option<Place> {
    let Some(address::Address::SocketAddress(socket)) = address.address else { return None };
    let Some(socket_address::PortSpecifier::PortValue(port)) = socket.port_specifier else { return None };
    if port == 0 {
        // Each listener gets one of its own.
        return None;
    }
    let is_udp = socket.protocol == socket_address::Protocol::Udp as i32;
    Some(Place { ip: socket.address.parse().ok()?, port, is_udp })
}
