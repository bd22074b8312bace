//! Node metadata: an object in which booleans may be strings, numbers may be strings and lists may be strings that
//! hold JSON (platform specification, 2.2). The whole object is kept beside the known keys, for EnvoyFilter matches.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::Labels;
use serde_json::Value;

/// How traffic gets into the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterceptionMode {
    /// By redirection; also when nothing is said.
    #[default]
    Redirect,
    /// Transparently, source addresses kept.
    Tproxy,
    /// Not at all: the application dials the proxy.
    None,
}

/// A port of the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodPort {
    /// Its name, may be empty.
    pub name: String,
    /// Its number.
    pub container_port: u32,
    /// TCP, UDP or SCTP.
    pub protocol: String,
}

/// Paths of certificates mounted into the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsFiles {
    /// The chain.
    pub cert_chain: String,
    /// The private key.
    pub key: String,
    /// The trusted roots.
    pub root_cert: String,
}

impl TlsFiles {
    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Metadata by its known keys. An empty text, list or `None` stands for a key that is absent or of another form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeMetadata {
    /// `ISTIO_VERSION`
    pub istio_version: String,
    /// `ISTIO_REVISION`
    pub istio_revision: String,
    /// `LABELS`, else `STATIC_LABELS`
    pub labels: Labels,
    /// `STATIC_LABELS`, which hold beside those of the pod
    pub static_labels: Labels,
    /// `ANNOTATIONS`
    pub annotations: Labels,
    /// `INSTANCE_IPS`, valid ones only
    pub instance_ips: Vec<IpAddr>,
    /// `NAMESPACE`
    pub namespace: String,
    /// `NAME`
    pub name: String,
    /// `NODE_NAME`
    pub node_name: String,
    /// `WORKLOAD_NAME`
    pub workload_name: String,
    /// `SERVICE_ACCOUNT`
    pub service_account: String,
    /// `OWNER`
    pub owner: String,
    /// `CLUSTER_ID`
    pub cluster_id: String,
    /// `NETWORK`
    pub network: String,
    /// `REQUESTED_NETWORK_VIEW`
    pub requested_network_view: Vec<String>,
    /// `MESH_ID`
    pub mesh_id: String,
    /// `INTERCEPTION_MODE`
    pub interception_mode: InterceptionMode,
    /// `POD_PORTS`; `None` when absent
    pub pod_ports: Option<Vec<PodPort>>,
    /// `APP_CONTAINERS`
    pub app_containers: Vec<String>,
    /// `PROXY_CONFIG`, a ProxyConfig as JSON; null when absent
    pub proxy_config: Value,
    /// `TLS_SERVER_…`
    pub tls_server: TlsFiles,
    /// `TLS_CLIENT_…`
    pub tls_client: TlsFiles,
    /// `HTTP_PROXY_PORT`
    pub http_proxy_port: Option<u32>,
    /// `IDLE_TIMEOUT`, a Go duration
    pub idle_timeout: String,
    /// `HTTP10`
    pub http10: Option<bool>,
    /// `GENERATOR`
    pub generator: String,
    /// `DNS_CAPTURE`
    pub dns_capture: bool,
    /// `DNS_AUTO_ALLOCATE`
    pub dns_auto_allocate: bool,
    /// `ENABLE_HBONE`
    pub enable_hbone: bool,
    /// `DISABLE_HBONE_SEND`
    pub disable_hbone_send: bool,
    /// `UNPRIVILEGED_POD`
    pub unprivileged_pod: bool,
    /// `AUTO_REGISTER_GROUP`
    pub auto_register_group: String,
    /// `WORKLOAD_ENTRY`
    pub workload_entry: String,
    /// `ROUTER_MODE`
    pub router_mode: String,
    /// `ENVOY_STATUS_PORT`
    pub envoy_status_port: Option<u32>,
    /// `ENVOY_PROMETHEUS_PORT`
    pub envoy_prometheus_port: Option<u32>,
    /// `STS_PORT`
    pub sts_port: String,
    /// `OUTLIER_LOG_PATH`
    pub outlier_log_path: String,
    /// `INBOUND_LISTENER_EXACT_BALANCE`
    pub inbound_listener_exact_balance: bool,
    /// `OUTBOUND_LISTENER_EXACT_BALANCE`
    pub outbound_listener_exact_balance: bool,
    /// `credential`: secrets come from a socket beside the proxy
    pub credential: bool,
    /// `file-credential`: file secrets do, too
    pub file_credential: bool,
    /// Every key as it came
    pub raw: BTreeMap<String, Value>,
}

impl NodeMetadata {
    /// Reads an object; anything else counts as an empty one.
    pub fn parse(metadata: &Value) -> Self {
        let raw: BTreeMap<String, Value> = metadata
            .as_object()
            .map(|object| object.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
            .unwrap_or_default();
        let keys = Keys(&raw);
        let labels = match keys.labels("LABELS") {
            labels if labels.is_empty() => keys.labels("STATIC_LABELS"),
            labels => labels,
        };
        Self {
            istio_version: keys.text("ISTIO_VERSION"),
            istio_revision: keys.text("ISTIO_REVISION"),
            labels,
            static_labels: keys.labels("STATIC_LABELS"),
            annotations: keys.labels("ANNOTATIONS"),
            instance_ips: keys.list("INSTANCE_IPS").iter().filter_map(|ip| ip.parse().ok()).collect(),
            namespace: keys.text("NAMESPACE"),
            name: keys.text("NAME"),
            node_name: keys.text("NODE_NAME"),
            workload_name: keys.text("WORKLOAD_NAME"),
            service_account: keys.text("SERVICE_ACCOUNT"),
            owner: keys.text("OWNER"),
            cluster_id: keys.text("CLUSTER_ID"),
            network: keys.text("NETWORK"),
            requested_network_view: keys.list("REQUESTED_NETWORK_VIEW"),
            mesh_id: keys.text("MESH_ID"),
            interception_mode: match keys.text("INTERCEPTION_MODE").as_str() {
                "TPROXY" => InterceptionMode::Tproxy,
                "NONE" => InterceptionMode::None,
                _ => InterceptionMode::Redirect,
            },
            pod_ports: keys.pod_ports(),
            app_containers: keys.list("APP_CONTAINERS"),
            proxy_config: keys.json("PROXY_CONFIG"),
            tls_server: keys.tls_files("SERVER"),
            tls_client: keys.tls_files("CLIENT"),
            http_proxy_port: keys.number("HTTP_PROXY_PORT"),
            idle_timeout: idle_timeout(keys.text("IDLE_TIMEOUT")),
            http10: keys.flag("HTTP10"),
            generator: keys.text("GENERATOR"),
            dns_capture: keys.is_on("DNS_CAPTURE"),
            dns_auto_allocate: keys.is_on("DNS_AUTO_ALLOCATE"),
            enable_hbone: keys.is_on("ENABLE_HBONE"),
            disable_hbone_send: keys.is_on("DISABLE_HBONE_SEND"),
            unprivileged_pod: keys.is_on("UNPRIVILEGED_POD"),
            auto_register_group: keys.text("AUTO_REGISTER_GROUP"),
            workload_entry: keys.text("WORKLOAD_ENTRY"),
            router_mode: keys.text("ROUTER_MODE"),
            envoy_status_port: keys.number("ENVOY_STATUS_PORT"),
            envoy_prometheus_port: keys.number("ENVOY_PROMETHEUS_PORT"),
            sts_port: keys.text("STS_PORT"),
            outlier_log_path: keys.text("OUTLIER_LOG_PATH"),
            inbound_listener_exact_balance: keys.is_on("INBOUND_LISTENER_EXACT_BALANCE"),
            outbound_listener_exact_balance: keys.is_on("OUTBOUND_LISTENER_EXACT_BALANCE"),
            credential: keys.is_on("credential"),
            file_credential: keys.is_on("file-credential"),
            raw,
        }
    }

    /// The value of a key as text, as EnvoyFilter matches compare it; `None` unless it came as a string.
    pub fn raw_text(&self, key: &str) -> Option<&str> {
        self.raw.get(key).and_then(Value::as_str)
    }
}

struct Keys<'a>(&'a BTreeMap<String, Value>);

impl Keys<'_> {
    fn text(&self, key: &str) -> String {
        self.0.get(key).map(scalar).unwrap_or_default()
    }

    /// `None` when absent or no boolean.
    fn flag(&self, key: &str) -> Option<bool> {
        match self.text(key).as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        }
    }

    fn is_on(&self, key: &str) -> bool {
        self.flag(key) == Some(true)
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.text(key).parse().ok()
    }

    /// A list as such, as JSON in a string, or joined by commas.
    fn list(&self, key: &str) -> Vec<String> {
        match self.json(key) {
            Value::Array(items) => items.iter().map(scalar).collect(),
            other => {
                let parts = scalar(&other);
                parts.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
        }
    }

    /// A value that may be wrapped in a string as JSON.
    fn json(&self, key: &str) -> Value {
        match self.0.get(key) {
            Some(Value::String(text)) if text.trim_start().starts_with(['[', '{']) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
            }
            Some(value) => value.clone(),
            None => Value::Null,
        }
    }

    fn labels(&self, key: &str) -> Labels {
        let Value::Object(object) = self.json(key) else { return Labels::default() };
        Labels::new(object.iter().map(|(key, value)| (key.clone(), scalar(value))).collect())
    }

    fn pod_ports(&self) -> Option<Vec<PodPort>> {
        let Value::Array(ports) = self.json("POD_PORTS") else { return None };
        let port = |port: &Value| PodPort {
            name: port.get("name").map(scalar).unwrap_or_default(),
            container_port: port
                .get("containerPort")
                .and_then(|number| scalar(number).parse().ok())
                .unwrap_or(0),
            protocol: port.get("protocol").map(scalar).unwrap_or_default(),
        };
        Some(ports.iter().map(port).collect())
    }

    fn tls_files(&self, side: &str) -> TlsFiles {
        TlsFiles {
            cert_chain: self.text(&format!("TLS_{side}_CERT_CHAIN")),
            key: self.text(&format!("TLS_{side}_KEY")),
            root_cert: self.text(&format!("TLS_{side}_ROOT_CERT")),
        }
    }
}

/// Text, number or boolean as text; anything else is empty.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// Envoy would refuse every listener with a time less than none, so such a text counts as no text.
fn idle_timeout(text: String) -> String {
    let is_negative = proto::wkt::Duration::parse(&text).is_some_and(|duration| duration.as_nanos() < 0);
    if is_negative { String::new() } else { text }
}
