//! The bootstrap of Envoy: who it is, where its administration, its configuration and its secrets are, and two listeners
//! that work without any configuration, for metrics and for readiness. Names are those of Istio's own bootstrap, since
//! configuration refers to its clusters.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Ports;

/// The first part of a node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Beside an application.
    Sidecar,
    /// A gateway.
    Router,
}

/// Who the proxy says it is.
#[derive(Clone, Debug)]
pub struct ProxyNode {
    /// Sidecar or gateway.
    pub kind: NodeKind,
    /// The workload's addresses, the first of which names it.
    pub addresses: Vec<IpAddr>,
    /// The name of the pod, or of what stands for it.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Suffix of names without dots, as `bookinfo.svc.cluster.local`.
    pub domain: String,
    /// What Envoy calls its own cluster.
    pub cluster: String,
    /// `region/zone/subzone`; may be empty.
    pub locality: String,
    /// Node metadata by the names of pilot-agent.
    pub metadata: Map<String, Value>,
}

impl ProxyNode {
    /// `sidecar~10.0.0.1~reviews-v1.bookinfo~bookinfo.svc.cluster.local`
    pub fn id(&self) -> String {
        let kind = match self.kind {
            NodeKind::Sidecar => "sidecar",
            NodeKind::Router => "router",
        };
        let address = self.addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        format!("{kind}~{address}~{}.{}~{}", self.name, self.namespace, self.domain)
    }

    fn to_json(&self) -> Value {
        let mut parts = self.locality.splitn(3, '/');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let locality = json!({"region": part(), "zone": part(), "sub_zone": part()});
        json!({"id": self.id(), "cluster": self.cluster, "locality": locality, "metadata": self.metadata})
    }
}

/// The bootstrap as JSON, which Envoy reads as well as YAML.
pub(crate) fn bootstrap(node: &ProxyNode, ports: Ports, ads: &Path, sds: &Path) -> Value {
    // No resource is given up on because the control plane is slow.
    let over_ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    let mut listeners = vec![listener("ready", ports.ready, "/healthz/ready", "agent")];
    if ports.stats.port() != 0 {
        listeners.push(listener("prometheus", ports.stats, "/stats/prometheus", "prometheus_stats"));
    }
    json!({
        "node": node.to_json(),
        "admin": {"address": socket_address(ports.admin), "ignore_global_conn_limit": true},
        "layered_runtime": {"layers": [
            {"name": "global config", "static_layer": {
                "envoy.deprecated_features:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": true,
                "re2.max_program_size.error_level": "32768",
            }},
            {"name": "admin", "admin_layer": {}},
        ]},
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
            },
        }],
        "dynamic_resources": {
            "lds_config": over_ads,
            "cds_config": over_ads,
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {
            "clusters": [
                plain("prometheus_stats", socket_address(ports.admin)),
                plain("agent", socket_address(ports.agent)),
                grpc("sds-grpc", sds),
                grpc("xds-grpc", ads),
            ],
            "listeners": listeners,
        },
    })
}

fn plain(name: &str, address: Value) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}

fn grpc(name: &str, socket: &Path) -> Value {
    let mut cluster = plain(name, json!({"pipe": {"path": socket.display().to_string()}}));
    cluster["connect_timeout"] = json!("1s");
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        },
    });
    // Resources count as requests here; a limit would stop large meshes.
    let unlimited =
        json!({"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000});
    cluster["circuit_breakers"] = json!({"thresholds": [
        with_priority(&unlimited, "DEFAULT"),
        with_priority(&unlimited, "HIGH"),
    ]});
    cluster
}

fn with_priority(thresholds: &Value, priority: &str) -> Value {
    let mut thresholds = thresholds.clone();
    thresholds["priority"] = json!(priority);
    thresholds
}

/// A listener for one path that leads to one cluster.
fn listener(name: &str, address: SocketAddr, path: &str, cluster: &str) -> Value {
    json!({
        "name": name,
        "address": socket_address(address),
        "ignore_global_conn_limit": true,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "codec_type": "AUTO",
                "stat_prefix": if cluster == "agent" { "agent" } else { "stats" },
                "route_config": {"virtual_hosts": [{
                    "name": "backend",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": path}, "route": {"cluster": cluster}}],
                }]},
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }],
            },
        }]}],
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
