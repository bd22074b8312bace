//! Where outbound listeners bind: on the service's address as this proxy sees it, on every address, or locally; and
//! which ports they must leave alone (spec 4.1, rows L02, L28, S11, S13).

use mesh::{Registry, Service, UNSPECIFIED_V4};
use model::Protocol;
use scope::ProxyClass;

use crate::Context;

/// Addresses of a listener, the first of which names it, and whether it is a socket of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Addresses; empty where the service decides.
    pub(crate) addresses: Vec<String>,
    /// Whether it really binds, rather than standing for original destinations.
    pub(crate) to_port: bool,
}

impl Bind {
    /// The first address, empty if there is none.
    pub(crate) fn primary(&self) -> &str {
        self.addresses.first().map_or("", String::as_str)
    }
}

/// Every address of the proxy's families.
pub(crate) fn wildcards(class: &ProxyClass) -> Vec<String> {
    of_families(class, "0.0.0.0", "::")
}

/// The local addresses of the proxy's families.
pub(crate) fn localhosts(class: &ProxyClass) -> Vec<String> {
    of_families(class, "127.0.0.1", "::1")
}

fn of_families(class: &ProxyClass, v4: &str, v6: &str) -> Vec<String> {
    let families = class.ip_families;
    let mut list = Vec::new();
    if families.v4 || !families.v6 {
        list.push(v4.to_owned());
    }
    if families.v6 {
        list.push(v6.to_owned());
    }
    list
}

/// The address of a service for this proxy: one of its families, an automatically allocated one where its names are
/// resolved locally, else the first. May be a CIDR.
pub(crate) fn address_of<'s>(class: &ProxyClass, service: &'s Service) -> &'s str {
    let families = class.ip_families;
    let suits = |address: &&String| if address.contains(':') { families.v6 } else { families.v4 };
    let auto = || {
        let (v6, v4): (Vec<_>, Vec<_>) =
            service.auto_addresses.iter().filter(suits).partition(|address| address.contains(':'));
        v4.first().or(v6.first()).map(|address| address.as_str())
    };
    let addresses = service.addresses_for(&class.metadata.cluster_id);
    let first = addresses.first().map_or(UNSPECIFIED_V4, String::as_str);
    let suiting = if first == UNSPECIFIED_V4 {
        class.metadata.dns_capture.then(auto).flatten()
    } else {
        addresses.iter().find(suits).filter(|_| service.is_kubernetes()).map(String::as_str)
    };
    suiting.unwrap_or(first)
}

/// Where a TCP listener of a service binds, and the ranges its chains then need.
pub(crate) fn of_service(ctx: &Context<'_>, service: &Service) -> (Vec<String>, Vec<String>) {
    let class = ctx.class();
    let address = address_of(class, service);
    if address.contains('/') {
        return (wildcards(class), vec![address.to_owned()]);
    }
    if address == UNSPECIFIED_V4 && service.registry == Registry::External {
        return (wildcards(class), Vec::new());
    }
    let mut addresses = vec![address.to_owned()];
    if ctx.settings().features.dual_stack && class.ip_families.dual() && address != UNSPECIFIED_V4 {
        let own = service.addresses_for(&class.metadata.cluster_id);
        let all = if service.has_address() { own } else { &service.auto_addresses };
        addresses.extend(all.iter().filter(|other| *other != address).cloned());
    }
    (addresses, Vec::new())
}

/// Whether a listener may take that port: a proxy without privileges binds none below 1024, and nobody takes those
/// of the proxy itself on every address.
pub(crate) fn is_free(ctx: &Context<'_>, bind: &Bind, port: u32, protocol: Protocol) -> bool {
    let class = ctx.class();
    if bind.to_port && (1..1024).contains(&port) && class.metadata.unprivileged_pod {
        return false;
    }
    let everywhere = match bind.primary() {
        "" => protocol.is_http(),
        address => address == class.ip_families.wildcard(),
    };
    let own = [class.metadata.envoy_status_port, class.metadata.envoy_prometheus_port];
    !everywhere
        || !(own.contains(&Some(port)) || port == listen_port(ctx) || port == inbound_listen_port(ctx))
}

/// The port that outbound traffic is redirected to.
pub(crate) fn listen_port(ctx: &Context<'_>) -> u32 {
    positive(ctx.settings().config.proxy_listen_port).unwrap_or(15001)
}

fn inbound_listen_port(ctx: &Context<'_>) -> u32 {
    positive(ctx.settings().config.proxy_inbound_listen_port).unwrap_or(15006)
}

/// A port that is set.
pub(crate) fn positive(port: i32) -> Option<u32> {
    u32::try_from(port).ok().filter(|port| *port > 0)
}
