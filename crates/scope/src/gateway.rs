//! The Gateways of a router as one: servers by the port and address they are bound to, each with the name of its
//! route configuration (spec 3.1, 4.3, rows L17, L18, L22). Server ports become the target ports of the router's own
//! services. A server that cannot stand beside the older ones is left out, and its owner is told.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use config::Object;
use mesh::{BoundGateway, OwnService, Reader};
use model::{Fingerprint, Issue, Namespace, Protocol};
use proto::istio::networking::server_tls_settings::TlSmode;
use proto::istio::networking::{Gateway, Server, ServerTlsSettings};

use crate::ProxyClass;

mod credentials;
mod http3;

/// A label of Services: gateways behind it bind the port as the Gateway states it.
const PORT_TRANSLATION_OFF: &str = "experimental.istio.io/disable-gateway-port-translation";

/// One server of a Gateway. Its `Hash` and equality are those of its fingerprint.
#[derive(Clone, Debug)]
pub struct GatewayServer {
    /// `namespace/name` of the Gateway, the name by which VirtualServices are bound to it.
    pub gateway: String,
    /// The namespace of the Gateway.
    pub namespace: Namespace,
    /// As written, but for the hosts: `./host` names the Gateway's namespace and `*/host` is just the host.
    pub server: Server,
    /// The port it is bound to.
    pub port: u32,
    /// The port as declared, which names virtual hosts and is what VirtualServices match.
    pub declared_port: u32,
    /// What it speaks.
    pub protocol: Protocol,
    /// The name of its route configuration; empty for servers that are not HTTP.
    pub route_name: String,
    /// Whether HTTP/3 is served beside it, on the UDP port of the same number.
    pub http3: bool,
    /// Over all of the above.
    pub fingerprint: Fingerprint,
}

impl PartialEq for GatewayServer {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for GatewayServer {}

impl Hash for GatewayServer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl GatewayServer {
    /// The TLS settings, where it has some.
    pub fn tls(&self) -> Option<&ServerTlsSettings> {
        self.server.tls.as_ref()
    }

    /// The mode of its TLS settings; `None` without settings.
    pub fn tls_mode(&self) -> Option<TlSmode> {
        self.tls().map(ServerTlsSettings::mode)
    }

    /// Whether TLS connections are forwarded as they come.
    pub fn is_passthrough(&self) -> bool {
        matches!(self.tls_mode(), Some(TlSmode::Passthrough | TlSmode::AutoPassthrough))
    }

    /// Whether it terminates TLS and serves HTTP inside.
    pub fn is_https_terminating(&self) -> bool {
        self.protocol == Protocol::Https && self.tls().is_some() && !self.is_passthrough()
    }

    /// Whether connections are told apart by their server name. The TLS settings of an HTTP server only redirect.
    pub fn is_tls(&self) -> bool {
        self.tls().is_some() && !self.protocol.is_http()
    }

    /// Whether plaintext requests are told to come back with TLS.
    pub fn redirects_to_https(&self) -> bool {
        self.tls().is_some_and(|tls| tls.https_redirect)
    }

    /// Server names that select it, sorted; empty for any.
    pub fn server_names(&self) -> Vec<String> {
        if !self.is_tls() {
            return Vec::new();
        }
        let names: BTreeSet<&str> = self.server.hosts.iter().map(|host| bare_host(host)).collect();
        if names.contains("*") { Vec::new() } else { names.into_iter().map(str::to_owned).collect() }
    }

    /// The hosts that VirtualServices of `namespace` may serve here.
    pub fn hosts_for<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a str> {
        self.server.hosts.iter().filter_map(move |host| match host.split_once('/') {
            None => Some(host.as_str()),
            Some((only, host)) => (only == "*" || only == namespace).then_some(host),
        })
    }
}

/// A host of a server without the namespace in front of it.
fn bare_host(host: &str) -> &str {
    host.split_once('/').map_or(host, |(_, host)| host)
}

/// Servers of one protocol that share a port and address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerGroup {
    /// The port it is bound to.
    pub port: u32,
    /// The address it is bound to; empty for the wildcard.
    pub bind: String,
    /// What the first server speaks.
    pub protocol: Protocol,
    /// The route configuration of plaintext HTTP; empty for all else.
    pub route_name: String,
    /// Oldest first.
    pub servers: Vec<Arc<GatewayServer>>,
}

/// All Gateways of a router. Its `Hash` and equality are those of its fingerprint.
#[derive(Clone, Debug)]
pub struct MergedGateway {
    /// In the order of their first servers.
    pub groups: Vec<ServerGroup>,
    /// The servers behind every route configuration, oldest first.
    pub by_route: BTreeMap<String, Vec<Arc<GatewayServer>>>,
    /// Whether some server forwards by the server names of clusters.
    pub auto_passthrough: bool,
    /// Names of the Gateway API's credentials (`kubernetes-gateway://`) that may be sent to this class.
    pub credentials: BTreeSet<String>,
    /// What was left out.
    pub issues: Vec<Issue>,
    /// Over all of the above.
    pub fingerprint: Fingerprint,
}

impl PartialEq for MergedGateway {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for MergedGateway {}

impl Hash for MergedGateway {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl MergedGateway {
    /// The Gateways of a router as one; `None` when there is none.
    pub(crate) fn build(class: &ProxyClass, reader: &Reader<'_>) -> Option<Arc<Self>> {
        let gateways = reader.gateways(&class.namespace, &class.labels, &class.own_services);
        let credentials = gateways.iter().flat_map(|bound| credentials::granted(bound, class)).collect();
        let quic = reader.settings().features.quic_listeners;
        (!gateways.is_empty()).then(|| Arc::new(merge(&gateways, &class.own_services, credentials, quic)))
    }
}

/// `quic` is whether gateways serve HTTP/3 at all.
fn merge(
    gateways: &[BoundGateway],
    own: &[OwnService],
    credentials: BTreeSet<String>,
    quic: bool,
) -> MergedGateway {
    let mut merge = Merge::default();
    for bound in gateways {
        let gateway = &*bound.gateway;
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let issue = |message: String| {
                let object = format!("Gateway {}/{}", gateway.meta.namespace, gateway.meta.name);
                Issue { object, path: format!("spec.servers[{index}]"), message }
            };
            let http3 = quic && http3::is_wanted(bound, server, own);
            let refusal = http3::refusal(server).filter(|_| http3);
            for port in ports(bound, server, own) {
                let added = resolved(gateway, server, port, http3 && refusal.is_none())
                    .and_then(|server| merge.add(server));
                merge.issues.extend(added.err().map(issue));
            }
            merge.issues.extend(refusal.map(|reason| issue(reason.to_owned())));
        }
    }
    let Merge { groups, by_route, auto_passthrough, issues, .. } = merge;
    let fingerprint = Fingerprint::of_hash(&(&groups, &by_route, auto_passthrough, &credentials, &issues));
    MergedGateway { groups, by_route, auto_passthrough, credentials, issues, fingerprint }
}

/// The ports of the workload that a server is bound to. A Gateway that selects by labels may mean a port of a Service
/// or one of the workload; one that names Services means their ports alone, which may lead to several of the workload,
/// or to none.
fn ports(bound: &BoundGateway, server: &Server, own: &[OwnService]) -> Vec<u32> {
    let declared = server.port.as_ref().map_or(0, |port| port.number);
    let is_declared = |own: &&OwnService| own.port.number == declared;
    if let Some(services) = &bound.services {
        let targets: BTreeSet<u32> = services.iter().filter(is_declared).map(|own| own.target_port).collect();
        return targets.into_iter().collect();
    }
    let mut translated = own.iter().filter(|own| own.service.labels.value(PORT_TRANSLATION_OFF).is_none());
    vec![translated.find(is_declared).map_or(declared, |own| own.target_port)]
}

/// A server with its port, protocol, hosts and route name worked out.
fn resolved(
    gateway: &Object<Gateway>,
    server: &Server,
    port: u32,
    http3: bool,
) -> Result<Arc<GatewayServer>, String> {
    let declared = server.port.as_ref().ok_or("the server has no port, so it is left out")?;
    let meta = &gateway.meta;
    if !(1..=65_535).contains(&declared.number) {
        return Err(format!("{} is no port, so the server is left out", declared.number));
    }
    if server.tls.as_ref().is_some_and(|tls| TlSmode::try_from(tls.mode).is_err()) {
        return Err("its TLS mode is unknown, so the server is left out".to_owned());
    }
    let server = Server { hosts: qualified(&server.hosts, &meta.namespace), ..server.clone() };
    let mut server = GatewayServer {
        gateway: format!("{}/{}", meta.namespace, meta.name),
        namespace: meta.namespace.clone(),
        port,
        declared_port: declared.number,
        protocol: Protocol::by_name(&declared.protocol),
        route_name: String::new(),
        http3,
        fingerprint: Fingerprint::of_hash(&(
            &meta.namespace,
            &meta.name,
            port,
            http3,
            &*proto::pack::bytes(&server),
        )),
        server,
    };
    server.route_name = route_name(&server, &declared.name, &meta.name);
    Ok(Arc::new(server))
}

fn route_name(server: &GatewayServer, port_name: &str, gateway: &str) -> String {
    let name = if server.protocol.is_http() {
        format!("http.{}", server.port)
    } else if server.is_https_terminating() {
        format!("https.{}.{port_name}.{gateway}.{}", server.declared_port, server.namespace)
    } else {
        return String::new();
    };
    if server.server.bind.is_empty() { name } else { format!("{name}.{}", server.server.bind) }
}

/// `./host` becomes `namespace/host`, `*/host` the host alone; `*/*` makes all others pointless.
fn qualified(hosts: &[String], namespace: &str) -> Vec<String> {
    if hosts.iter().any(|host| host == "*/*") {
        return vec!["*".to_owned()];
    }
    hosts
        .iter()
        .map(|host| match host.split_once('/') {
            Some((".", host)) => format!("{namespace}/{host}"),
            Some(("*", host)) => host.to_owned(),
            _ => host.clone(),
        })
        .collect()
}

#[derive(Default)]
struct Merge {
    groups: Vec<ServerGroup>,
    by_route: BTreeMap<String, Vec<Arc<GatewayServer>>>,
    auto_passthrough: bool,
    issues: Vec<Issue>,
    /// What plaintext servers of a port and address speak.
    plaintext: BTreeMap<(u32, String), Protocol>,
    /// Hosts of servers with TLS settings, with the address they were last seen on.
    tls_hosts: BTreeMap<(u32, String), String>,
}

impl Merge {
    fn add(&mut self, server: Arc<GatewayServer>) -> Result<(), String> {
        let (port, bind) = (server.port, server.server.bind.as_str());
        if server.tls().is_some() {
            self.take_hosts(&server)?;
        }
        let place = (port, bind.to_owned());
        if let Some(protocol) = self.plaintext.get(&place) {
            if !(server.protocol.is_http() && protocol.is_http()) {
                return Err(format!(
                    "port {port} already serves {protocol:?}, which {:?} cannot share; the server is left out",
                    server.protocol
                ));
            }
        } else if !server.is_tls() {
            self.plaintext.insert(place, server.protocol);
        } else if !server.route_name.is_empty() && self.by_route.contains_key(&server.route_name) {
            return Err(format!(
                "another server of this Gateway has the same port and port name ({}); the server is left out",
                server.route_name
            ));
        }
        self.auto_passthrough |= server.tls_mode() == Some(TlSmode::AutoPassthrough);
        if !server.route_name.is_empty() {
            self.by_route.entry(server.route_name.clone()).or_default().push(Arc::clone(&server));
        }
        let group = self.groups.iter_mut().find(|group| {
            group.port == port
                && group.bind == bind
                && (group.protocol == server.protocol
                    || group.protocol.is_http() && server.protocol.is_http())
        });
        match group {
            Some(group) => group.servers.push(server),
            None => self.groups.push(ServerGroup {
                port,
                bind: bind.to_owned(),
                protocol: server.protocol,
                route_name: if server.protocol.is_http() { server.route_name.clone() } else { String::new() },
                servers: vec![server],
            }),
        }
        Ok(())
    }

    /// Two servers of one port cannot both have a host: Envoy tells them apart by server name alone. One that is left
    /// out takes nothing from those after it.
    fn take_hosts(&mut self, server: &GatewayServer) -> Result<(), String> {
        let key = |host: &String| (server.port, host.clone());
        let bind = &server.server.bind;
        let hosts = &server.server.hosts;
        let is_taken = |host: &&String| self.tls_hosts.get(&key(host)) == Some(bind);
        let taken: Vec<&str> = hosts.iter().filter(is_taken).map(String::as_str).collect();
        if taken.is_empty() {
            self.tls_hosts.extend(hosts.iter().map(|host| (key(host), bind.clone())));
            return Ok(());
        }
        Err(format!(
            "an older server on port {} has {} already; the server is left out",
            server.port,
            taken.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests;
