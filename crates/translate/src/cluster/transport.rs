//! TLS towards the endpoints of a cluster (spec 1.6; security 2.1, 2.2; rows C13 to C16, C21): the DestinationRule's
//! choice, or mutual TLS where the mesh allows it, then per endpoint; and the PROXY header around either.

use istio::networking::ClientTlsSettings;
use istio::networking::client_tls_settings::TlSmode;
use istio::networking::traffic_policy::{ProxyProtocol, proxy_protocol::Version};
use mesh::{MeshSettings, MtlsMode, Service};
use proto::envoy::google;
use proto::{envoy, istio};

use super::client::ClientFacts;
use super::http_protocol::ProtocolOptions;
use super::{discovery_type, is_dynamic_forward_proxy};
use crate::{Reference, tls};

/// What the choice depends on beside the user's settings.
pub(super) struct Transport<'a> {
    pub(super) client: &'a ClientFacts,
    pub(super) settings: &'a MeshSettings,
    pub(super) service: &'a Service,
    /// How the service takes connections, as far as clients can tell.
    pub(super) mode: MtlsMode,
    /// Accounts behind the service, and names declared for it.
    pub(super) names: &'a [String],
    /// The name asked for where nobody states one; empty for none.
    pub(super) sni: &'a str,
    /// Whether the rule selects its clients.
    pub(super) selective_rule: bool,
    /// Whether the port is declared as HTTP.
    pub(super) http_port: bool,
}

/// The kind of TLS that holds.
enum Choice {
    Plain,
    /// Mutual TLS of the mesh; `detected` leaves endpoints without it in plain text.
    Mesh {
        names: Vec<String>,
        sni: String,
        detected: bool,
    },
    Originated(ClientTlsSettings),
}

impl Transport<'_> {
    /// Applies the user's settings, or what stands for having none.
    pub(super) fn apply(
        &self,
        cluster: &mut envoy::cluster::Cluster,
        protocol: &mut ProtocolOptions,
        stated: Option<&ClientTlsSettings>,
        references: &mut Vec<Reference>,
    ) {
        match self.choice(stated) {
            Choice::Plain => {}
            Choice::Mesh { names, sni, detected } => {
                let http2 = protocol.is_http2();
                // What is offered is fixed; where the client decides, HTTP/1.1 may not be what follows.
                let http1 = self.http_port && !protocol.follows_client();
                let alpn = tls::client_alpn(self.settings, self.client.dialect, http1, http2);
                let context = tls::mesh_client_context(self.settings, &names, &sni, alpn);
                let socket = tls::client_socket(&context);
                let original =
                    discovery_type(cluster) == Some(envoy::cluster::cluster::DiscoveryType::OriginalDst);
                if detected && !original {
                    cluster.transport_socket_matches = vec![
                        socket_match("tlsMode-istio", Some("istio"), socket),
                        socket_match("tlsMode-disabled", None, tls::raw_buffer_socket()),
                    ];
                } else {
                    cluster.transport_socket = Some(socket);
                }
                if is_dynamic_forward_proxy(cluster) {
                    let unverified = stated.is_some_and(is_unverified);
                    names_from_request(cluster, protocol, sni.is_empty(), names.is_empty(), unverified);
                }
            }
            Choice::Originated(settings) => self.originate(cluster, protocol, &settings, references),
        }
    }

    fn choice(&self, stated: Option<&ClientTlsSettings>) -> Choice {
        let files = &self.client.certificates;
        let Some(stated) = stated else {
            let automatic = self.settings.config.enable_auto_mtls.as_ref().is_none_or(|flag| flag.value);
            if self.service.external
                || !automatic
                || matches!(self.mode, MtlsMode::Unknown | MtlsMode::Disable)
            {
                return Choice::Plain;
            }
            return if files.cert_chain.is_empty() {
                Choice::Mesh { names: self.names.to_vec(), sni: self.sni.to_owned(), detected: true }
            } else {
                Choice::Originated(self.with_own_files(self.names, self.sni, None))
            };
        };
        match stated.mode() {
            TlSmode::Disable => Choice::Plain,
            TlSmode::Simple => Choice::Originated(stated.clone()),
            // Certificates of the proxy's own stand in for those of the rule, except towards strangers.
            TlSmode::Mutual | TlSmode::IstioMutual
                if !files.cert_chain.is_empty() && !self.service.external =>
            {
                let names = &stated.subject_alt_names;
                Choice::Originated(self.with_own_files(names, &stated.sni, stated.insecure_skip_verify))
            }
            TlSmode::Mutual => Choice::Originated(stated.clone()),
            TlSmode::IstioMutual => {
                let stated_names = &stated.subject_alt_names;
                let names = if stated_names.is_empty() { self.names } else { stated_names };
                let sni = if stated.sni.is_empty() { self.sni } else { &stated.sni };
                Choice::Mesh { names: names.to_vec(), sni: sni.to_owned(), detected: false }
            }
        }
    }

    fn with_own_files(
        &self,
        names: &[String],
        sni: &str,
        insecure_skip_verify: Option<proto::wkt::BoolValue>,
    ) -> ClientTlsSettings {
        let files = &self.client.certificates;
        ClientTlsSettings {
            mode: TlSmode::Mutual as i32,
            client_certificate: files.cert_chain.clone(),
            private_key: files.key.clone(),
            ca_certificates: files.root_cert.clone(),
            subject_alt_names: names.to_vec(),
            sni: sni.to_owned(),
            insecure_skip_verify,
            ..Default::default()
        }
    }

    fn originate(
        &self,
        cluster: &mut envoy::cluster::Cluster,
        protocol: &mut ProtocolOptions,
        settings: &ClientTlsSettings,
        references: &mut Vec<Reference>,
    ) {
        // A secret named by a rule for everybody would be sent to every sidecar in its reach.
        let named =
            !settings.credential_name.is_empty() && !settings.credential_name.starts_with("configmap://");
        if named && self.client.sidecar && !self.selective_rule {
            return;
        }
        let own_names = &settings.subject_alt_names;
        let unverified = is_unverified(settings);
        names_from_request(cluster, protocol, settings.sni.is_empty(), own_names.is_empty(), unverified);
        let names =
            if own_names.is_empty() && !self.service.is_kubernetes() { self.names } else { own_names };
        let what = tls::Originate {
            tls: settings,
            names,
            http2: protocol.is_http2(),
            credential_socket: self.client.credential_socket,
            file_socket: self.client.file_socket,
        };
        if let Some(context) = tls::origination_context(self.settings, &what) {
            references.extend(tls::secret_references(context.common_tls_context.as_ref()));
            cluster.transport_socket = Some(tls::client_socket(&context));
        }
    }
}

fn is_unverified(settings: &ClientTlsSettings) -> bool {
    settings.insecure_skip_verify.as_ref().is_some_and(|flag| flag.value)
}

/// Without a stated SNI the request's host is asked for, and without stated names it is what the server must prove
/// to be. Of a forwarding proxy that is always demanded; where it cannot be, Envoy has to be told.
fn names_from_request(
    cluster: &mut envoy::cluster::Cluster,
    protocol: &mut ProtocolOptions,
    no_sni: bool,
    no_names: bool,
    unverified: bool,
) {
    let forwards = is_dynamic_forward_proxy(cluster);
    let validates = (forwards || (no_sni && no_names)) && !unverified;
    if no_sni {
        protocol.names().auto_sni = true;
    }
    if validates {
        protocol.names().auto_san_validation = true;
    }
    if forwards && !(no_sni && validates) {
        super::dynamic_forward_proxy::allow_insecure(cluster);
    }
}

fn socket_match(
    name: &str,
    mode: Option<&str>,
    socket: envoy::core::TransportSocket,
) -> envoy::cluster::cluster::TransportSocketMatch {
    let members = mode.map(|mode| ("tlsMode", google::string_value(mode)));
    envoy::cluster::cluster::TransportSocketMatch {
        name: name.to_owned(),
        r#match: Some(google::struct_of(members)),
        transport_socket: Some(socket),
    }
}

/// Puts the PROXY header around every transport.
pub(super) fn wrap_in_proxy_protocol(
    cluster: &mut envoy::cluster::Cluster,
    settings: Option<&ProxyProtocol>,
) {
    let Some(settings) = settings else { return };
    use envoy::core::proxy_protocol_config::Version as EnvoyVersion;
    let version = match settings.version() {
        Version::V1 => EnvoyVersion::V1,
        Version::V2 => EnvoyVersion::V2,
    };
    let wrapped = |inner: envoy::core::TransportSocket| {
        let config = envoy::upstream_proxy_protocol::ProxyProtocolUpstreamTransport {
            config: Some(envoy::core::ProxyProtocolConfig { version: version as i32, ..Default::default() }),
            transport_socket: Some(inner),
            ..Default::default()
        };
        tls::socket("envoy.transport_sockets.upstream_proxy_protocol", proto::pack::any(&config))
    };
    for entry in &mut cluster.transport_socket_matches {
        entry.transport_socket = entry.transport_socket.take().map(wrapped);
    }
    if let Some(socket) = cluster.transport_socket.take() {
        cluster.transport_socket = Some(wrapped(socket));
    } else if cluster.transport_socket_matches.is_empty() {
        let plain =
            envoy::core::TransportSocket { name: "raw_buffer".to_owned(), ..tls::raw_buffer_socket() };
        cluster.transport_socket = Some(wrapped(plain));
    }
}
