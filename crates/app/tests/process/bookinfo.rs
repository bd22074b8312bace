//! examples/bookinfo on loopback addresses of the test's own, with a productpage and a version 2 of reviews that are
//! small servers in this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::json;
use testkit::envoy::{Node, NodeKind};
use testkit::http;
use testkit::http_server::{Answer, Received, Server};

use super::*;

/// The example, moved.
pub(crate) struct Bookinfo {
    pub(crate) folder: Folder,
    /// The second byte of the addresses.
    block: u8,
    servers: [Server; 2],
}

impl Bookinfo {
    /// Every test has a number of its own below 4, so that several can run at once.
    pub(crate) fn new(test: &str, number: u8) -> Self {
        // Also apart from other runs on the same machine, and from the demo.
        let block = 4 + (std::process::id() % 62) as u8 * 4 + number;
        let outbound = SocketAddr::from(([127, block, 2, 11], 9080));
        let productpage = serve(move |request| {
            let mut asked = http::get(outbound, "/").header("host", "reviews:9080");
            if let Some(user) = request.header("end-user") {
                asked = asked.header("end-user", user);
            }
            match asked.send() {
                Ok(response) => Answer::new(200, format!("{} {}", response.status, response.text())),
                Err(error) => Answer::new(500, error.to_string()),
            }
        });
        let reviews = serve(|_| Answer::new(200, "reviews v2"));
        let bookinfo = Self { folder: Folder::new(test), block, servers: [productpage, reviews] };
        let [productpage, reviews] = bookinfo.servers.each_ref().map(Server::address);
        let example = testkit::workspace().join("examples/bookinfo");
        for file in ["gateway.yaml", "mesh.yaml", "routing.yaml", "sidecars.yaml", "workloads.yaml"] {
            let text = std::fs::read_to_string(example.join(file)).unwrap();
            let moved = text
                .replace("127.0.0.1:19011", &productpage.to_string())
                .replace("127.0.0.1:19014", &reviews.to_string())
                .replace("127.0.1.", &format!("127.{block}.1."))
                .replace("127.0.2.", &format!("127.{block}.2."));
            bookinfo.folder.write(file, &moved);
        }
        bookinfo
    }

    /// Most of `tests/bad-input` beside it. The rest has certificates that no agent brings here, or is a second mesh
    /// configuration; names are not resolved.
    pub(crate) fn add_bad_input(&self) {
        let folder = testkit::workspace().join("tests/bad-input");
        for name in ["fields", "hosts", "missing", "patches", "ports", "regexes", "weights", "wildcards"] {
            let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
            let text = text.replace("resolution: DNS", "resolution: NONE");
            self.folder.write(&format!("bad-{name}.yaml"), &text);
        }
    }

    /// Where the gateway listens.
    pub(crate) fn entry(&self) -> SocketAddr {
        SocketAddr::new(self.pod(10), 8080)
    }

    pub(crate) fn gateway(&self) -> Node {
        let labels = [("app", "istio-ingressgateway"), ("istio", "ingressgateway")];
        Node::new(NodeKind::Router, self.pod(10), "istio-ingressgateway", "istio-system", &labels)
    }

    pub(crate) fn productpage(&self) -> Node {
        self.sidecar("productpage", "v1", 11)
    }

    pub(crate) fn reviews(&self) -> Node {
        self.sidecar("reviews", "v2", 14)
    }

    fn sidecar(&self, app: &str, version: &str, number: u8) -> Node {
        let labels = [("app", app), ("version", version)];
        let name = format!("{app}-{version}");
        let mut node = Node::new(NodeKind::Sidecar, self.pod(number), &name, "bookinfo", &labels);
        node.metadata.insert("INTERCEPTION_MODE".to_owned(), json!("NONE"));
        node
    }

    fn pod(&self, number: u8) -> IpAddr {
        IpAddr::from([127, self.block, 1, number])
    }
}

fn serve(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), answer).unwrap()
}
