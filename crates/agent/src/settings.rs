//! Everything that an agent is told, read elsewhere from flags and the environment under pilot-agent's names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{KeyKind, ProxyNode};

/// What an agent needs to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the control plane is and how it is known.
    pub control_plane: ControlPlane,
    /// The workload's certificate.
    pub certificates: Certificates,
    /// Who the proxy says it is.
    pub node: ProxyNode,
    /// Where things listen.
    pub ports: Ports,
    /// Questions for names; `None` leaves them to others.
    pub names: Option<NameService>,
    /// The Envoy to run; `None` serves the sockets alone.
    pub envoy: Option<EnvoySettings>,
    /// How Envoy ends.
    pub drain: Drain,
    /// Folder for the bootstrap and the socket of ADS.
    pub config_folder: PathBuf,
    /// Folder for the socket of SDS.
    pub secrets_folder: PathBuf,
}

/// Where the control plane is and how it is known.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// `host:port` of ADS.
    pub discovery: String,
    /// `host:port` of the CA; mostly the same.
    pub ca: String,
    /// The name that its certificate must have; empty means the host of the address.
    pub server_name: String,
    /// File with the roots that it must have a certificate by.
    pub roots: PathBuf,
    /// File with the token that is presented, read anew for every use; where there is none, the workload's certificate
    /// is the credential.
    pub token: PathBuf,
    /// Which cluster the token is of.
    pub cluster_id: String,
}

/// The workload's certificate.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// What is asked for.
    pub lifetime: Duration,
    /// At which part of its lifetime a certificate is renewed, from 0 to 1.
    pub renew_at: f64,
    /// By which part of its lifetime that varies, so that not all renew at once.
    pub jitter: f64,
    /// The kind of its key.
    pub key: KeyKind,
    /// Folder that certificates are also written to: `cert-chain.pem`, `key.pem`, `root-cert.pem`.
    pub output: Option<PathBuf>,
    /// Folder with a certificate of the same three files that proves who this is until there is a first one.
    pub provisioned: Option<PathBuf>,
}

/// Where things listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Envoy's administration.
    pub admin: SocketAddr,
    /// Readiness, answered through Envoy.
    pub ready: SocketAddr,
    /// Envoy's metrics; port 0 means nowhere.
    pub stats: SocketAddr,
    /// The agent itself.
    pub agent: SocketAddr,
}

/// Questions for names, answered for applications on this machine.
#[derive(Clone, Debug)]
pub struct NameService {
    /// Where, over UDP and TCP.
    pub address: SocketAddr,
    /// Who is asked for what the mesh does not know, in this order.
    pub servers: Vec<SocketAddr>,
    /// What resolvers put behind names that they are asked for.
    pub search: Vec<String>,
}

/// The Envoy to run.
#[derive(Clone, Debug)]
pub struct EnvoySettings {
    /// Its program.
    pub binary: PathBuf,
    /// Worker threads; 0 means one per core.
    pub concurrency: u32,
    /// `--log-level`
    pub log_level: String,
    /// `--component-log-level`; may be empty.
    pub component_log_level: String,
    /// How long Envoy gives connections on listeners that go.
    pub drain_time: Duration,
}

/// How Envoy ends.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// How long connections have to end.
    pub duration: Duration,
    /// End as soon as there are no connections, but not before `minimum`, instead of after `duration`.
    pub until_idle: bool,
    /// See `until_idle`.
    pub minimum: Duration,
}
