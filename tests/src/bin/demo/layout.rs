//! Who lives where: the addresses that examples/bookinfo gives its pods, as the demo needs them. A test holds the
//! two together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};

use anyhow::{Context, Result};
use serde_json::json;
use testkit::agent::ADMIN_PORT;
use testkit::envoy::{Node, NodeKind};

/// A pod of the example with an application in it.
pub(crate) struct Workload {
    pub(crate) app: &'static str,
    pub(crate) version: &'static str,
    /// The last byte of its addresses.
    pub(crate) number: u8,
    /// The services that the application asks for every request.
    pub(crate) asks: &'static [&'static str],
}

pub(crate) const NAMESPACE: &str = "bookinfo";
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload { app: "productpage", version: "v1", number: 11, asks: &["details", "reviews"] },
    Workload { app: "details", version: "v1", number: 12, asks: &[] },
    Workload { app: "reviews", version: "v1", number: 13, asks: &[] },
    Workload { app: "reviews", version: "v2", number: 14, asks: &["ratings"] },
    Workload { app: "reviews", version: "v3", number: 15, asks: &["ratings"] },
    Workload { app: "ratings", version: "v1", number: 16, asks: &[] },
];

/// Where the gateway listens.
pub(crate) const GATEWAY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(GATEWAY_POD, 8080));
const GATEWAY_POD: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 10);
/// The port of every application's service, on a pod's address and on its outbound address alike.
pub(crate) const SERVICE_PORT: u16 = 9080;

impl Workload {
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.app, self.version)
    }

    /// Where the sidecar takes requests for the application.
    pub(crate) fn inbound(&self) -> SocketAddr {
        SocketAddr::from((self.pod(), SERVICE_PORT))
    }

    /// Where the sidecar takes requests from the application.
    pub(crate) fn outbound(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 2, self.number], SERVICE_PORT))
    }

    /// Where the application itself listens.
    pub(crate) fn application(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 19000 + u16::from(self.number)))
    }

    fn pod(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, 1, self.number)
    }

    fn node(&self) -> Node {
        let labels = [
            ("app", self.app),
            ("version", self.version),
            ("service.istio.io/canonical-name", self.app),
            ("service.istio.io/canonical-revision", self.version),
        ];
        let mut node = Node::new(NodeKind::Sidecar, IpAddr::V4(self.pod()), &self.name(), NAMESPACE, &labels);
        node.service_account = format!("bookinfo-{}", self.app);
        node.metadata.insert("INTERCEPTION_MODE".to_owned(), json!("NONE"));
        node
    }
}

/// Every proxy of the mesh, the gateway first.
pub(crate) fn nodes() -> Vec<Node> {
    let labels = [("app", "istio-ingressgateway"), ("istio", "ingressgateway")];
    let gateway = IpAddr::V4(GATEWAY_POD);
    let mut gateway = Node::new(NodeKind::Router, gateway, "istio-ingressgateway", "istio-system", &labels);
    gateway.service_account = String::from("istio-ingressgateway");
    [gateway].into_iter().chain(WORKLOADS.iter().map(Workload::node)).collect()
}

/// The admin port of a proxy, on its pod's address.
pub(crate) fn admin(node: &Node) -> SocketAddr {
    SocketAddr::new(node.address, ADMIN_PORT)
}

/// Fails early and clearly when another demo, or anything else, holds one of the addresses.
pub(crate) fn check_addresses_are_free() -> Result<()> {
    let of_workloads = WORKLOADS.iter().flat_map(|w| [w.inbound(), w.outbound(), w.application()]);
    let of_admins = nodes().iter().map(admin).collect::<Vec<_>>();
    for address in of_workloads.chain(of_admins).chain([GATEWAY]) {
        TcpListener::bind(address)
            .with_context(|| format!("{address} is taken; is another demo running?"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_example_binds_the_addresses_of_the_layout() {
        let folder = testkit::workspace().join("examples/bookinfo");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let values = |text: &str, key: &str| -> BTreeSet<String> {
            text.lines()
                .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key))
                .map(|value| value.trim().to_owned())
                .collect()
        };
        let bound: BTreeSet<String> =
            WORKLOADS.iter().flat_map(|w| [w.inbound(), w.outbound()]).map(|a| a.ip().to_string()).collect();
        assert_eq!(values(&read("sidecars.yaml"), "bind:"), bound);
        let applications: BTreeSet<String> = WORKLOADS.iter().map(|w| w.application().to_string()).collect();
        assert_eq!(values(&read("sidecars.yaml"), "defaultEndpoint:"), applications);
        let pods: BTreeSet<String> = WORKLOADS.iter().map(|w| w.pod().to_string()).collect();
        assert_eq!(values(&read("workloads.yaml"), "podIP:"), pods);
        assert_eq!(values(&read("gateway.yaml"), "bind:"), BTreeSet::from([GATEWAY.ip().to_string()]));
    }
}
