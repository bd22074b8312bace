//! `trierarch agent`: flags and environment, by pilot-agent's names where it has them, to the settings of an agent.

mod node;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use agent::{
    Certificates, ControlPlane, Drain, EnvoySettings, KeyKind, NameService, NodeKind, Ports, Settings,
};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cli::duration;

/// What `agent` takes. Names are those of `pilot-agent proxy` and of its environment.
#[derive(Args, Clone, Debug)]
pub(crate) struct Agent {
    /// What the proxy is.
    #[arg(value_enum, default_value = "sidecar")]
    role: Role,

    /// host:port of the control plane's secure port. Unset means PROXY_CONFIG's discoveryAddress, else
    /// istiod.istio-system.svc:15012.
    #[arg(long = "discoveryAddress", env = "DISCOVERY_ADDRESS", help_heading = "Control plane")]
    discovery_address: Option<String>,
    /// host:port of the certificate authority; unset means the control plane.
    #[arg(long = "caAddress", env = "CA_ADDR", help_heading = "Control plane")]
    ca_address: Option<String>,
    /// Name that the control plane's certificate must have; unset means the host of the address.
    #[arg(
        long = "discoverySan",
        env = "ISTIOD_SAN",
        default_value = "",
        hide_default_value = true,
        help_heading = "Control plane"
    )]
    discovery_san: String,
    /// File with the roots that the control plane must have a certificate by; read anew for each connection.
    #[arg(
        long = "rootCert",
        env = "XDS_ROOT_CA",
        value_name = "FILE",
        default_value = "./var/run/secrets/istio/root-cert.pem",
        help_heading = "Control plane"
    )]
    root_cert: PathBuf,
    /// File with the token that proves who this is; read anew for each use. Where there is none, the certificate is
    /// the proof.
    #[arg(
        long = "tokenPath",
        env = "ISTIO_TOKEN_PATH",
        value_name = "FILE",
        default_value = "./var/run/secrets/tokens/istio-token",
        help_heading = "Control plane"
    )]
    token_path: PathBuf,

    /// Lifetime asked for.
    #[arg(
        long = "secretTTL",
        env = "SECRET_TTL",
        default_value = "24h",
        value_parser = duration,
        help_heading = "Certificate"
    )]
    secret_ttl: Duration,
    /// Part of the lifetime after which it is renewed.
    #[arg(
        long = "renewAt",
        env = "SECRET_GRACE_PERIOD_RATIO",
        default_value_t = 0.5,
        help_heading = "Certificate"
    )]
    renew_at: f64,
    /// How much that part may vary, so that not all renew at once.
    #[arg(
        long = "renewJitter",
        env = "SECRET_GRACE_PERIOD_RATIO_JITTER",
        default_value_t = 0.01,
        help_heading = "Certificate"
    )]
    renew_jitter: f64,
    /// Kind of the key; RSA takes WORKLOAD_RSA_KEY_SIZE bits.
    #[arg(long = "keyKind", value_enum, default_value = "p256", help_heading = "Certificate")]
    key_kind: Key,
    #[arg(long = "rsaKeySize", env = "WORKLOAD_RSA_KEY_SIZE", default_value_t = 2048, hide = true)]
    rsa_key_size: usize,
    /// Folder to which certificate, key and roots are also written.
    #[arg(long = "outputCerts", env = "OUTPUT_CERTS", value_name = "FOLDER", help_heading = "Certificate")]
    output_certs: Option<PathBuf>,
    /// Folder with a certificate and key that prove who this is where there is no token.
    #[arg(long = "provCert", env = "PROV_CERT", value_name = "FOLDER", help_heading = "Certificate")]
    provisioned: Option<PathBuf>,

    /// Name of the workload's instance; unset means the name of this machine.
    #[arg(long = "podName", env = "POD_NAME", help_heading = "Identity")]
    name: Option<String>,
    /// Its namespace.
    #[arg(
        long = "podNamespace",
        env = "POD_NAMESPACE",
        default_value = "default",
        help_heading = "Identity"
    )]
    namespace: String,
    /// Its service account.
    #[arg(
        long = "serviceAccount",
        env = "SERVICE_ACCOUNT",
        default_value = "default",
        help_heading = "Identity"
    )]
    service_account: String,
    /// Its addresses; unset means the one from which the control plane is reached.
    #[arg(long = "ip", env = "INSTANCE_IP", value_delimiter = ',', help_heading = "Identity")]
    addresses: Vec<IpAddr>,
    /// A label, as app=reviews; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", help_heading = "Identity")]
    labels: Vec<String>,
    /// Node metadata, as NETWORK=network1; may be repeated. ISTIO_META_… and ISTIO_METAJSON_… of the environment join.
    #[arg(long = "meta", value_name = "KEY=VALUE", help_heading = "Identity")]
    metadata: Vec<String>,
    /// Suffix of names without dots; unset means NAMESPACE.svc.cluster.local.
    #[arg(long, help_heading = "Identity")]
    domain: Option<String>,
    /// What Envoy calls its own cluster; unset means app.NAMESPACE.
    #[arg(long = "serviceCluster", help_heading = "Identity")]
    service_cluster: Option<String>,
    /// region/zone/subzone
    #[arg(long, default_value = "", hide_default_value = true, help_heading = "Identity")]
    locality: String,

    /// Envoy; unset means PROXY_CONFIG's binaryPath, else envoy on the PATH, else /usr/local/bin/envoy.
    #[arg(long = "binaryPath", env = "ENVOY_BINARY", value_name = "FILE", help_heading = "Envoy")]
    binary_path: Option<PathBuf>,
    /// Worker threads; unset means PROXY_CONFIG's concurrency, else 2; 0 means one per core.
    #[arg(long, help_heading = "Envoy")]
    concurrency: Option<u32>,
    /// Envoy's level of logs.
    #[arg(long = "proxyLogLevel", default_value = "warning", help_heading = "Envoy")]
    proxy_log_level: String,
    /// Levels of Envoy's components.
    #[arg(long = "proxyComponentLogLevel", default_value = "misc:error", help_heading = "Envoy")]
    proxy_component_log_level: String,
    /// Serve the sockets alone; somebody else runs Envoy.
    #[arg(long = "disableEnvoy", env = "DISABLE_ENVOY", help_heading = "Envoy")]
    disable_envoy: bool,
    /// How long Envoy gives connections of a listener that goes; unset means PROXY_CONFIG's drainDuration, else 45s.
    #[arg(long = "drainDuration", value_parser = duration, help_heading = "Envoy")]
    drain_duration: Option<Duration>,
    /// How long connections have to end at SIGTERM, in seconds or as 5s.
    #[arg(
        long = "terminationDrainDuration",
        env = "TERMINATION_DRAIN_DURATION_SECONDS",
        value_parser = seconds,
        help_heading = "Envoy"
    )]
    termination_drain: Option<Duration>,
    /// At SIGTERM wait until there are no connections, however long that takes.
    #[arg(
        long = "exitOnZeroActiveConnections",
        env = "EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
        help_heading = "Envoy"
    )]
    exit_on_zero: bool,
    /// But at least so long.
    #[arg(
        long = "minimumDrainDuration",
        env = "MINIMUM_DRAIN_DURATION",
        default_value = "5s",
        value_parser = duration,
        help_heading = "Envoy"
    )]
    minimum_drain: Duration,

    /// Envoy's administration.
    #[arg(long = "adminAddress", default_value = "127.0.0.1:15000", help_heading = "Addresses")]
    admin_address: SocketAddr,
    /// Readiness at /healthz/ready, through Envoy.
    #[arg(long = "readyAddress", default_value = "0.0.0.0:15021", help_heading = "Addresses")]
    ready_address: SocketAddr,
    /// Envoy's metrics at /stats/prometheus; port 0 turns them off.
    #[arg(long = "statsAddress", default_value = "0.0.0.0:15090", help_heading = "Addresses")]
    stats_address: SocketAddr,
    /// The agent's own pages: /healthz/ready, /stats/prometheus, /drain, /quitquitquit.
    #[arg(long = "statusAddress", default_value = "127.0.0.1:15020", help_heading = "Addresses")]
    status_address: SocketAddr,
    /// Where questions for names are answered from the mesh's own table; with ISTIO_META_DNS_CAPTURE=true.
    #[arg(
        long = "dnsAddress",
        env = "DNS_PROXY_ADDR",
        default_value = "127.0.0.1:15053",
        help_heading = "Addresses"
    )]
    dns_address: SocketAddr,
    /// Servers that are asked for other names; unset means those of /etc/resolv.conf.
    #[arg(long = "dnsServer", value_name = "ADDRESS", value_delimiter = ',', help_heading = "Addresses")]
    dns_servers: Vec<SocketAddr>,
    /// Folder for Envoy's bootstrap and the socket of its configuration.
    #[arg(
        long = "configPath",
        default_value = "./etc/istio/proxy",
        value_name = "FOLDER",
        help_heading = "Addresses"
    )]
    config_path: PathBuf,
    /// Folder for the socket of its secrets.
    #[arg(
        long = "secretsPath",
        default_value = "./var/run/secrets/workload-spiffe-uds",
        value_name = "FOLDER",
        help_heading = "Addresses"
    )]
    secrets_path: PathBuf,

    /// Levels: `default:info`, or `scope:level,…`; debug, info, warn, error, none.
    #[arg(long = "log_output_level", default_value = "default:info")]
    pub(crate) log_output_level: String,
    /// Log lines as JSON.
    #[arg(long = "log_as_json")]
    pub(crate) log_as_json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Beside an application.
    Sidecar,
    /// A gateway.
    Router,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    P256,
    P384,
    Rsa,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).or_else(|_| duration(text))
}

/// Runs an agent.
pub(crate) async fn run(options: Agent) -> Result<()> {
    crate::logging::start(&options.log_output_level, options.log_as_json)?;
    let settings = options.settings(&std::env::vars().collect::<Vec<_>>())?;
    Ok(Box::pin(agent::run(settings)).await?)
}

impl Agent {
    fn settings(self, environment: &[(String, String)]) -> Result<Settings> {
        let config = match environment.iter().find(|(key, _)| key == "PROXY_CONFIG") {
            Some((_, text)) => {
                serde_yaml::from_str::<Value>(text).context("PROXY_CONFIG is not a ProxyConfig in YAML")?
            }
            None => Value::Null,
        };
        let text = |key: &str| config[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let time = |key: &str| text(key).and_then(|text| duration(&text).ok());
        if !(0.0..=1.0).contains(&self.renew_at) || !(0.0..=1.0).contains(&self.renew_jitter) {
            bail!("--renewAt and --renewJitter are parts of a lifetime, from 0 to 1");
        }
        let discovery = self.discovery_address.clone().or_else(|| text("discoveryAddress"));
        let discovery = discovery.unwrap_or_else(|| "istiod.istio-system.svc:15012".to_owned());
        for address in [Some(&discovery), self.ca_address.as_ref()].into_iter().flatten() {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                bail!("{address:?} is not host:port");
            }
        }
        let kind = match self.role {
            Role::Sidecar => NodeKind::Sidecar,
            Role::Router => NodeKind::Router,
        };
        let node = node::node(&self, kind, environment, &config, &discovery)?;
        let cluster_id = node.metadata.get("CLUSTER_ID").and_then(Value::as_str).unwrap_or_default();
        let captures_names = node.metadata.get("DNS_CAPTURE").and_then(Value::as_str) == Some("true");
        let names = captures_names.then(|| self.name_service());
        let control_plane = ControlPlane {
            ca: self.ca_address.unwrap_or_else(|| discovery.clone()),
            discovery,
            server_name: self.discovery_san,
            roots: self.root_cert,
            token: self.token_path,
            cluster_id: cluster_id.to_owned(),
        };
        let certificates = Certificates {
            lifetime: self.secret_ttl,
            renew_at: self.renew_at,
            jitter: self.renew_jitter,
            key: match self.key_kind {
                Key::P256 => KeyKind::P256,
                Key::P384 => KeyKind::P384,
                Key::Rsa => KeyKind::Rsa(self.rsa_key_size),
            },
            output: self.output_certs,
            provisioned: self.provisioned,
        };
        let concurrency = config["concurrency"].as_u64().and_then(|n| u32::try_from(n).ok());
        let envoy = EnvoySettings {
            binary: self
                .binary_path
                .or_else(|| text("binaryPath").map(PathBuf::from))
                .unwrap_or_else(on_path),
            concurrency: self.concurrency.or(concurrency).unwrap_or(2),
            log_level: self.proxy_log_level,
            component_log_level: self.proxy_component_log_level,
            drain_time: self
                .drain_duration
                .or_else(|| time("drainDuration"))
                .unwrap_or(Duration::from_secs(45)),
        };
        let termination = self.termination_drain.or_else(|| time("terminationDrainDuration"));
        Ok(Settings {
            control_plane,
            certificates,
            node,
            ports: Ports {
                admin: self.admin_address,
                ready: self.ready_address,
                stats: self.stats_address,
                agent: self.status_address,
            },
            names,
            envoy: (!self.disable_envoy).then_some(envoy),
            drain: Drain {
                duration: termination.unwrap_or(Duration::from_secs(5)),
                until_idle: self.exit_on_zero,
                minimum: self.minimum_drain,
            },
            config_folder: self.config_path,
            secrets_folder: self.secrets_path,
        })
    }
}

impl Agent {
    fn name_service(&self) -> NameService {
        let text = std::fs::read_to_string(crate::iptables::RESOLVERS).unwrap_or_default();
        let mut servers = self.dns_servers.clone();
        if servers.is_empty() {
            servers.extend(crate::iptables::servers(&text).into_iter().map(|ip| SocketAddr::new(ip, 53)));
        }
        // It would ask itself.
        servers.retain(|server| *server != self.dns_address);
        NameService { address: self.dns_address, servers, search: search(&text) }
    }
}

/// The domains that a `resolv.conf` puts behind names; the last line counts.
fn search(text: &str) -> Vec<String> {
    let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix("search"));
    let words = lines.next_back().unwrap_or_default().split_ascii_whitespace();
    words
        .map(|word| word.trim_end_matches('.').to_ascii_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The Envoy that a shell would start.
fn on_path() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("envoy")).find(|file| file.is_file());
    found.unwrap_or_else(|| PathBuf::from("/usr/local/bin/envoy"))
}

/// The address from which a host is reached; nothing is sent.
fn own_address(target: &str) -> IpAddr {
    let probe = || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(target)?;
        socket.local_addr()
    };
    probe().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

#[cfg(test)]
mod tests;
