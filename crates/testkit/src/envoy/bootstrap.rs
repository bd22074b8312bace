//! From a node and two addresses to the bootstrap that the sidecar agent would write, as far as a control plane
//! sees it: node id and metadata, ADS over gRPC, and an admin page. Nothing else is static.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value, json};

/// Who the proxy says it is.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: NodeKind,
    /// The pod's address.
    pub address: IpAddr,
    /// The pod's name.
    pub name: String,
    pub namespace: String,
    pub service_account: String,
    pub labels: BTreeMap<String, String>,
    /// Entries that replace or join the usual metadata.
    pub metadata: Map<String, Value>,
}

/// The first part of a node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    Sidecar,
    Router,
}

/// How the proxy speaks ADS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Only what changed.
    Delta,
    /// The whole state of the world each time.
    StateOfTheWorld,
}

/// Everything an Envoy needs to start.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    pub node: Node,
    /// The plaintext gRPC port of the control plane.
    pub discovery: SocketAddr,
    pub admin: SocketAddr,
    pub protocol: Protocol,
}

impl Node {
    /// A node with its labels and no metadata of its own.
    pub fn new(
        kind: NodeKind,
        address: IpAddr,
        name: &str,
        namespace: &str,
        labels: &[(&str, &str)],
    ) -> Self {
        Self {
            kind,
            address,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            service_account: "default".to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            metadata: Map::new(),
        }
    }

    /// `sidecar~10.0.0.1~reviews-v1.bookinfo~bookinfo.svc.cluster.local`
    pub fn id(&self) -> String {
        let kind = match self.kind {
            NodeKind::Sidecar => "sidecar",
            NodeKind::Router => "router",
        };
        let Self { address, name, namespace, .. } = self;
        format!("{kind}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local")
    }

    /// The name by which debug pages know the proxy.
    pub fn proxy_id(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }

    fn to_json(&self) -> Value {
        let app = self.labels.get("app").unwrap_or(&self.name);
        let mut metadata = json!({
            "CLUSTER_ID": "Kubernetes",
            "INSTANCE_IPS": self.address.to_string(),
            "ISTIO_VERSION": "1.30.0",
            "LABELS": self.labels,
            "MESH_ID": "cluster.local",
            "NAME": self.name,
            "NAMESPACE": self.namespace,
            "PROXY_CONFIG": {"discoveryAddress": "istiod.istio-system.svc:15012"},
            "SERVICE_ACCOUNT": self.service_account,
            "WORKLOAD_NAME": self.name,
        });
        if let Some(map) = metadata.as_object_mut() {
            map.extend(self.metadata.clone());
        }
        json!({"id": self.id(), "cluster": format!("{app}.{}", self.namespace), "metadata": metadata})
    }
}

impl Bootstrap {
    /// The file to hand to Envoy, which reads JSON as YAML.
    pub fn to_json(&self) -> Value {
        let api_type = match self.protocol {
            Protocol::Delta => "DELTA_GRPC",
            Protocol::StateOfTheWorld => "GRPC",
        };
        // As istiod's proxies: no resource is given up on because the control plane is slow.
        let over_ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        json!({
            "node": self.node.to_json(),
            "admin": {"address": socket_address(self.admin), "ignore_global_conn_limit": true},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": api_type,
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
                },
                "cds_config": over_ads,
                "lds_config": over_ads,
            },
            // As under Istio's agent: Envoy's own limit for regular expressions is lower.
            "layered_runtime": {"layers": [
                {"name": "static", "static_layer": {"re2.max_program_size.error_level": 32768}},
            ]},
            "static_resources": {"clusters": [self.discovery_cluster()]},
        })
    }

    fn discovery_cluster(&self) -> Value {
        json!({
            "name": "xds-grpc",
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            },
            "load_assignment": {
                "cluster_name": "xds-grpc",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(self.discovery)}}]}],
            },
        })
    }
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
