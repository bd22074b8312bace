//! Command line: the flags of `pilot-discovery`, so that a Deployment made for it starts this program unchanged.
//! Unknown flags are told and passed over.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::security::Flags;

/// A control plane for Envoy that takes istiod's place.
#[derive(Debug, Parser)]
#[command(name = "trierarch", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve configuration to proxies.
    #[command(
        after_help = "Example, without Kubernetes:\n  trierarch discovery --configDir examples/bookinfo"
    )]
    Discovery(Box<Discovery>),
    /// Run an Envoy outside Kubernetes: obtain and renew its certificate, carry its configuration, start and drain it.
    #[command(
        after_help = "Example, with a token and the roots of the control plane in files:\n  trierarch agent \\\n    \
                      --discoveryAddress plane.example:15012 --discoverySan istiod.istio-system.svc \\\n    \
                      --rootCert root-cert.pem --tokenPath istio-token \\\n    \
                      --podNamespace shop --serviceAccount reviews --label app=reviews\n\n\
                      It ends with 0 after a SIGTERM, and with 1 when Envoy ends by itself."
    )]
    Agent(Box<crate::agent::Agent>),
    /// Ask the debug server of a running control plane on this machine.
    Request {
        /// GET or POST.
        method: String,
        /// For instance /debug/syncz.
        path: String,
        /// Address of the debug server.
        #[arg(long, default_value = "127.0.0.1:15014")]
        address: String,
    },
    /// Put proxies into the Pods of a file, as the webhook would in a cluster.
    #[command(
        after_help = "Examples:\n  trierarch inject -f app.yaml | kubectl apply -f -\n  kubectl get deployment web \
                      -o yaml | trierarch inject -f - -n shop\n\nObjects that make no Pods stay as they are. What is \
                      left without a proxy, and why, is told on the standard error."
    )]
    Inject(Box<crate::injection::Options>),
    /// Tell what is wrong with objects of files or of a cluster, each by itself and all together.
    #[command(
        after_help = "Examples:\n  # Files, without a cluster\n  trierarch analyze -f mesh/\n\n  # Files as if they were \
                      applied to the cluster already\n  trierarch analyze --use-kube mesh/\n\n  # The cluster, but of \
                      one namespace\n  trierarch analyze -n shop\n\n  # What is piped in, for another program\n  kubectl \
                      get virtualservices,services -A -o yaml | trierarch analyze -f - -o json\n\n  # Without a finding \
                      that is meant\n  trierarch analyze -f mesh/ -S \"IST0101=VirtualService legacy.shop\"\n\nAn \
                      object with the annotation galley.istio.io/analyze-suppress: CODE,CODE (or *) is not told of.\n\
                      Codes beginning with IST are those of istioctl analyze; see \
                      https://istio.io/latest/docs/reference/config/analysis.\n\nIt ends with 79 when something at least \
                      as severe as --failure-threshold was found, with 65 when a document cannot be read (but see \
                      --ignore-unknown), with 1 when a file or the cluster cannot be."
    )]
    Analyze(Box<crate::analyze::Options>),
    /// Lead the traffic of this machine through Envoy, outside Kubernetes; as root.
    #[command(
        after_help = "Example, as in a Pod:\n  trierarch iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -b '*' \
                      -d 15090,15021,15020\n\nAnd to see it first: add --dry-run. To take it back: --cleanup-only \
                      with the same flags."
    )]
    Iptables(Box<crate::iptables::Options>),
    /// Print the CustomResourceDefinitions of Istio's kinds, as the chart `base` installs them.
    Crds,
    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What `discovery` takes. Names are those of `pilot-discovery discovery`.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_field_names)]
pub(crate) struct Discovery {
    /// Folder of YAML files with the objects that a cluster would hold; changes are taken in while running.
    #[arg(long = "configDir", value_name = "FOLDER")]
    pub(crate) config_dir: Option<PathBuf>,
    /// Where configuration comes from besides --configDir: Kubernetes, or Mock for nowhere. Unset means Kubernetes
    /// where there is no --configDir, where --kubeconfig is given, and in a pod.
    #[arg(long, value_delimiter = ',')]
    pub(crate) registries: Vec<String>,
    /// File that tells how to reach the API server; without it, `KUBECONFIG`, the home folder or the pod's own account.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Suffix of Kubernetes service names.
    #[arg(long, default_value = "cluster.local")]
    pub(crate) domain: String,
    /// Namespace of the control plane.
    #[arg(short = 'n', long, env = "POD_NAMESPACE", default_value = "istio-system")]
    pub(crate) namespace: String,
    /// Namespace of the Secrets that tell of remote clusters; unset means that of the control plane.
    #[arg(long = "clusterRegistriesNamespace", value_name = "NAMESPACE")]
    pub(crate) cluster_registries_namespace: Option<String>,
    /// Id of the own cluster.
    #[arg(long = "clusterID", env = "CLUSTER_ID", default_value = "Kubernetes")]
    pub(crate) cluster_id: String,
    /// Revision of this control plane.
    #[arg(long, env = "REVISION", default_value = "", hide = true)]
    pub(crate) revision: String,
    /// Readiness and debug pages.
    #[arg(long = "httpAddr", default_value = ":8080")]
    pub(crate) http_addr: String,
    /// Plaintext ADS; empty turns it off.
    #[arg(long = "grpcAddr", default_value = ":15010")]
    pub(crate) grpc_addr: String,
    /// ADS and signing of workload certificates over TLS; empty turns it off.
    #[arg(long = "secureGRPCAddr", default_value = ":15012")]
    pub(crate) secure_grpc_addr: String,
    /// Folder in which a root of our own is kept where there is no Kubernetes and nothing is plugged in; workloads
    /// trust its ca-cert.pem. Unset means a new root at each start.
    #[arg(long = "caRootFolder", value_name = "FOLDER")]
    pub(crate) ca_root_folder: Option<PathBuf>,
    /// Certificate of our own TLS ports; with --tlsKeyFile and --caCertFile. Changes are taken in while running.
    #[arg(long = "tlsCertFile", value_name = "FILE", default_value = "", hide_default_value = true)]
    pub(crate) tls_cert_file: String,
    /// Key of that certificate.
    #[arg(long = "tlsKeyFile", value_name = "FILE", default_value = "", hide_default_value = true)]
    pub(crate) tls_key_file: String,
    /// Roots of that certificate: what webhooks and workloads are told to trust, and callers are verified by beside
    /// the roots of the CA.
    #[arg(long = "caCertFile", value_name = "FILE", default_value = "", hide_default_value = true)]
    pub(crate) ca_cert_file: String,
    /// Least version of TLS at 15012 and 15017: 1.2 or 1.3.
    #[arg(long = "tls-min-version", value_name = "VERSION", default_value = "1.2")]
    pub(crate) tls_min_version: server::MinVersion,
    /// Cipher suites of TLS 1.2 at 15012 and 15017, by the names of the IANA; all good ones if empty.
    #[arg(long = "tls-cipher-suites", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) tls_cipher_suites: Vec<String>,
    /// Webhooks over TLS. If empty, `/inject` is served in plain text at --httpAddr.
    #[arg(long = "httpsAddr", default_value = ":15017")]
    pub(crate) https_addr: String,
    /// Metrics, version and debug pages; empty serves them at --httpAddr.
    #[arg(long = "monitoringAddr", default_value = ":15014")]
    pub(crate) monitoring_addr: String,
    /// How long streams may take to end at a stop.
    #[arg(long = "shutdownDuration", default_value = "10s", value_parser = duration)]
    pub(crate) shutdown_duration: std::time::Duration,
    /// Interval of keepalive pings.
    #[arg(long = "keepaliveInterval", default_value = "30s", value_parser = duration)]
    pub(crate) keepalive_interval: std::time::Duration,
    /// How long a ping may stay unanswered.
    #[arg(long = "keepaliveTimeout", default_value = "10s", value_parser = duration)]
    pub(crate) keepalive_timeout: std::time::Duration,
    /// After how long a connection is asked to reconnect; unset means never.
    #[arg(long = "keepaliveMaxServerConnectionAge", value_parser = duration)]
    pub(crate) max_connection_age: Option<std::time::Duration>,
    /// Levels: `default:info`, or `scope:level,…`; debug, info, warn, error, none.
    #[arg(long = "log_output_level", default_value = "default:info")]
    pub(crate) log_output_level: String,
    /// Log lines as JSON.
    #[arg(long = "log_as_json", default_value_t = false)]
    pub(crate) log_as_json: bool,
}

impl Discovery {
    /// What it says of TLS and the CA.
    pub(crate) fn security(&self) -> Flags {
        Flags {
            ca_root_folder: self.ca_root_folder.clone(),
            ca_cert_file: (&self.ca_cert_file).into(),
            tls_cert_file: (&self.tls_cert_file).into(),
            tls_key_file: (&self.tls_key_file).into(),
            tls_min_version: self.tls_min_version,
            tls_cipher_suites: self
                .tls_cipher_suites
                .iter()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect(),
        }
    }
}

pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::features::parse_duration(text).ok_or_else(|| "expected a duration such as 10s or 1m30s".to_owned())
}

/// The arguments less the flags that `discovery` does not know, and these.
pub(crate) fn without_unknown_flags(args: Vec<String>) -> (Vec<String>, Vec<String>) {
    if args.get(1).map(String::as_str) != Some("discovery") {
        return (args, Vec::new());
    }
    let command = Cli::command();
    let Some(discovery) = command.find_subcommand("discovery") else { return (args, Vec::new()) };
    let known = |flag: &str| {
        matches!(flag, "help" | "version")
            || discovery.get_arguments().any(|argument| argument.get_long() == Some(flag))
    };
    let (mut kept, mut unknown) = (Vec::new(), Vec::new());
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let Some(flag) = arg.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            kept.push(arg);
            continue;
        };
        let name = flag.split('=').next().unwrap_or_default();
        if known(name) {
            kept.push(arg);
            continue;
        }
        // A value that follows in an argument of its own belongs to the unknown flag.
        if !flag.contains('=') && args.peek().is_some_and(|next| !next.starts_with('-')) {
            args.next();
        }
        unknown.push(format!("--{name}"));
    }
    (kept, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_flags_of_discovery_are_passed_over_with_their_values() {
        let args = [
            "trierarch",
            "discovery",
            "--ctrlz_port",
            "0",
            "--profile=true",
            "--domain",
            "x.y",
            "--configDir=a",
        ];
        let (kept, unknown) = without_unknown_flags(args.map(str::to_owned).to_vec());
        assert_eq!(unknown, ["--ctrlz_port", "--profile"]);
        let Command::Discovery(discovery) = Cli::try_parse_from(kept).expect("valid arguments").command
        else {
            unreachable!("discovery was asked for")
        };
        assert_eq!(discovery.domain, "x.y");
    }

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
