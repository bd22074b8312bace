//! The services of every egress listener to listeners in the making (spec 4.1; rows L01 to L06, L28, L29).

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::{EndpointAddress, Resolution, Service, ServicePort, UNSPECIFIED_V4, VirtualService};
use model::{Host, Protocol, findings};
use proto::istio::networking::CaptureMode;
use scope::{EgressListener, InterceptionMode};

use super::bind::{self, Bind};
use super::chain::{Chain, Content, HttpContent};
use super::entry::{Entries, Entry};
use super::stream_port::StreamPort;
use super::{tcp, tls};
use crate::listener::address::UNIX_PREFIX;
use crate::listener::tcp_route::Origin;
use crate::{Context, declared_by, route};

/// All outbound listeners of services, in the order of their names.
pub(crate) fn entries(ctx: &Context<'_>) -> impl Iterator<Item = Entry> {
    let mut builder =
        Builder { ctx, entries: Entries::default(), stream_routes: Vec::new(), aliases: BTreeMap::new() };
    for listener in &ctx.scope.egress {
        builder.add_listener(listener);
    }
    builder.entries.into_entries()
}

struct Builder<'c, 'a> {
    ctx: &'c Context<'a>,
    entries: Entries,
    /// VirtualServices of the listener at hand that say something of TCP or TLS.
    stream_routes: Vec<Arc<VirtualService>>,
    /// Its services that stand for others.
    aliases: BTreeMap<Host, Host>,
}

impl Builder<'_, '_> {
    fn add_listener(&mut self, listener: &EgressListener) {
        let bind = self.declared_bind(listener);
        let streams = listener.virtual_services.iter().filter(|vs| vs.routes_streams());
        self.stream_routes = streams.cloned().collect();
        self.aliases = route::aliases(listener);
        if let Some(declared) = listener.port() {
            let protocol = Protocol::by_name(&declared.protocol);
            if bind::is_free(self.ctx, &bind, declared.number, protocol) {
                for service in &listener.services {
                    self.add(service, (declared.number, &declared.name), protocol, bind.clone());
                }
            }
            return;
        }
        self.entries.lock();
        for service in &listener.services {
            for port in &service.ports {
                if bind::is_free(self.ctx, &bind, port.number, port.protocol) {
                    self.add_port(service, port, &bind);
                }
            }
        }
    }

    /// What a Sidecar, or the lack of redirection, says about binding.
    fn declared_bind(&self, listener: &EgressListener) -> Bind {
        let class = self.ctx.class();
        let unredirected = class.metadata.interception_mode == InterceptionMode::None
            || listener.config.as_ref().is_some_and(|c| c.capture_mode() == CaptureMode::None)
            || listener.bind().starts_with(UNIX_PREFIX);
        let addresses = match listener.bind() {
            "" if unredirected => bind::localhosts(class),
            "" => Vec::new(),
            stated => vec![stated.to_owned()],
        };
        Bind { addresses, to_port: unredirected }
    }

    /// A port of a service without address whose connections keep their destination has one listener for each
    /// endpoint; others one.
    fn add_port(&mut self, service: &Arc<Service>, port: &ServicePort, bind: &Bind) {
        let class = self.ctx.class();
        let by_endpoint = bind.addresses.is_empty()
            && service.resolution == Resolution::Passthrough
            && bind::address_of(class, service) == UNSPECIFIED_V4
            && (port.protocol.is_tcp() || port.protocol.is_unsupported());
        if !by_endpoint {
            return self.add(service, (port.number, &port.name), port.protocol, bind.clone());
        }
        let set = self.ctx.reader.endpoints(&service.host, &service.namespace);
        let mut endpoints =
            set.endpoints.iter().filter(|endpoint| endpoint.port_name == port.name).peekable();
        if endpoints.peek().is_none() && !service.is_kubernetes() && service.selector.is_empty() {
            return self.add(service, (port.number, &port.name), port.protocol, bind.clone());
        }
        let own = class.ip_addresses.first().map(ToString::to_string);
        for endpoint in endpoints {
            let EndpointAddress::Ip(ip, _) = &endpoint.address else { continue };
            // Traffic of a workload to itself never gets to an outbound listener.
            if own.as_ref() == Some(ip) {
                continue;
            }
            let mut addresses = vec![ip.clone()];
            addresses.extend(endpoint.additional_addresses.iter().cloned());
            let bind = Bind { addresses, to_port: bind.to_port };
            self.add(service, (port.number, &port.name), port.protocol, bind);
        }
    }

    /// Adds one port of one service to the listener that is responsible for it.
    fn add(&mut self, service: &Arc<Service>, port: (u32, &str), protocol: Protocol, mut bind: Bind) {
        let (port, name) = port;
        if service.resolution == Resolution::Alias || protocol == Protocol::Udp {
            return;
        }
        let class = self.ctx.class();
        let mut ranges = Vec::new();
        if bind.addresses.is_empty() {
            (bind.addresses, ranges) = if protocol.is_http() {
                (bind::wildcards(class), Vec::new())
            } else {
                bind::of_service(self.ctx, service)
            };
        }
        if self.entries.get(&bind, port).is_some_and(|entry| entry.locked) {
            return;
        }
        // Without an address of its own a stream is looked for on every address, the proxy's own ports among them.
        if !bind::is_free(self.ctx, &bind, port, protocol) {
            let message = format!(
                "port {port} of every address is the proxy's own, so connections to it stay without a listener"
            );
            self.ctx.tell(declared_by(service), "spec.ports", message);
            return;
        }
        let everywhere = bind.primary() == class.ip_families.wildcard();
        if protocol.is_http() {
            let mut chain = http_chain(service, port, protocol, &bind, false);
            // Shared with whatever else is sent to that port, so HTTP is told from the rest.
            chain.sniffed_http = everywhere && protocol != Protocol::HttpProxy;
            let speaks = if chain.sniffed_http { Protocol::Unsupported } else { protocol };
            self.entries.add(bind, port, protocol, speaks, vec![chain]);
            return;
        }
        let mut chains = self.tcp_chains(service, (port, name), protocol, &ranges, bind.primary());
        if protocol.is_unsupported() {
            let own_table = !everywhere;
            let mut chain = http_chain(service, port, protocol, &bind, own_table);
            chain.sniffed_http = true;
            chains.push(chain);
        }
        let place = bind.primary().to_owned();
        let is_tcp = protocol.is_tcp();
        if !self.entries.add(bind, port, protocol, protocol, chains) && is_tcp {
            self.conflicting(service, &place, port);
        }
    }

    /// Connections to a service cannot be told from those to an older one.
    fn conflicting(&self, service: &Service, place: &str, port: u32) {
        self.ctx.count(findings::CONFLICTING_OUTBOUND, format!("{place}_{port}"));
        let message = format!(
            "connections to port {port} of {place} cannot be told from those to an older service, and go there"
        );
        self.ctx.tell(declared_by(service), "spec.ports", message);
    }

    fn tcp_chains(
        &self,
        service: &Service,
        (port, port_name): (u32, &str),
        protocol: Protocol,
        ranges: &[String],
        address: &str,
    ) -> Vec<Chain> {
        let class = self.ctx.class();
        let (labels, namespace) = (&class.labels, &class.namespace);
        let origin = Origin { gateways: &["mesh"], labels, namespace, port, port_name };
        let applicable: Vec<Arc<VirtualService>> = self
            .stream_routes
            .iter()
            .filter(|vs| vs.hosts.iter().any(|host| host.matches(&service.host)))
            .cloned()
            .collect();
        let port = StreamPort {
            service,
            protocol,
            virtual_services: &applicable,
            address,
            ranges,
            origin,
            aliases: &self.aliases,
        };
        if protocol.is_tls() { tls::chains(self.ctx, &port) } else { tcp::chains(self.ctx, &port) }
    }
}

/// The HTTP chain of a port. Its route table is the port's, or the service's own for a sniffed service that has a
/// listener to itself; on a socket it is named after that.
fn http_chain(service: &Service, port: u32, protocol: Protocol, bind: &Bind, own_table: bool) -> Chain {
    let route = match port {
        0 => bind.primary().to_owned(),
        _ if own_table => format!("{}:{port}", service.host),
        _ => port.to_string(),
    };
    Chain::of(Content::Http(HttpContent { route, protocol, resolves: tls::resolved_name(service) }))
}
