//! The `PILOT_*` switches that shape what is generated, with istiod's defaults. Read from the environment by `app`
//! alone, and asked for through the reader like any other fact, so that flipping one is just a change.

use std::time::Duration;

/// Switches; the name of each field's variable stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Features {
    /// `CLUSTER_ID`: the id of the own cluster.
    pub cluster_id: String,
    /// `PILOT_ENABLE_ALPN_FILTER`.
    pub alpn_filter: bool,
    /// `PILOT_ENABLE_METADATA_EXCHANGE`.
    pub metadata_exchange: bool,
    /// `PILOT_DISABLE_MX_ALPN`.
    pub disable_mx_alpn: bool,
    /// `PILOT_HTTP10`.
    pub http10: bool,
    /// `ISTIO_DUAL_STACK`.
    pub dual_stack: bool,
    /// `PILOT_SEND_UNHEALTHY_ENDPOINTS`.
    pub send_unhealthy_endpoints: bool,
    /// `PILOT_ENABLE_PERSISTENT_SESSION_FILTER`.
    pub persistent_session_filter: bool,
    /// `PILOT_PERSISTENT_SESSION_LABEL`.
    pub persistent_session_label: String,
    /// `PILOT_PERSISTENT_SESSION_HEADER_LABEL`.
    pub persistent_session_header_label: String,
    /// `PILOT_DRAINING_LABEL`.
    pub draining_label: String,
    /// `PILOT_ENABLE_MONGO_FILTER`.
    pub mongo_filter: bool,
    /// `PILOT_ENABLE_MYSQL_FILTER`.
    pub mysql_filter: bool,
    /// `PILOT_ENABLE_REDIS_FILTER`.
    pub redis_filter: bool,
    /// `PILOT_ENABLE_SERVICEENTRY_SELECT_PODS`.
    pub service_entry_select_pods: bool,
    /// `PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS`.
    pub workload_entry_health_checks: bool,
    /// `PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES`.
    pub kubernetes_select_workload_entries: bool,
    /// `PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN`.
    pub absolute_fqdn_domain: bool,
    /// `PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION`.
    pub route_collapse: bool,
    /// `PILOT_SCOPE_GATEWAY_TO_NAMESPACE`.
    pub scope_gateway_to_namespace: bool,
    /// `PILOT_FILTER_GATEWAY_CLUSTER_CONFIG`.
    pub filter_gateway_cluster_config: bool,
    /// `PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES`.
    pub eds_for_headless: bool,
    /// `ENABLE_100_CONTINUE_HEADERS`.
    pub proxy_100_continue: bool,
    /// `PILOT_SIDECAR_USE_REMOTE_ADDRESS`.
    pub sidecar_use_remote_address: bool,
    /// `PILOT_SKIP_VALIDATE_TRUST_DOMAIN`.
    pub skip_validate_trust_domain: bool,
    /// `ENABLE_TLS_ON_SIDECAR_INGRESS`.
    pub tls_on_sidecar_ingress: bool,
    /// `PILOT_ENABLE_TELEMETRY_LABEL` and `PILOT_ENDPOINT_TELEMETRY_LABEL`.
    pub telemetry_label: bool,
    /// `PILOT_DNS_JITTER_DURATION`.
    pub dns_jitter: Duration,
    /// `PILOT_DNS_CARES_UDP_MAX_QUERIES`.
    pub dns_cares_udp_max_queries: u32,
    /// `PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT`.
    pub transport_socket_connect_timeout: Duration,
    /// `MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP`.
    pub max_connections_per_socket_event_loop: u32,
    /// `DISABLE_TRACK_REMAINING_CB_METRICS`.
    pub disable_track_remaining: bool,
    /// `DISABLE_SHADOW_HOST_SUFFIX`.
    pub disable_shadow_host_suffix: bool,
    /// `PILOT_TRACE_SAMPLING`, in hundredths of a percent.
    pub trace_sampling_basis_points: u32,
    /// `PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY`.
    pub spawn_upstream_span_for_gateway: bool,
    /// `PILOT_ENABLE_QUIC_LISTENERS`.
    pub quic_listeners: bool,
    /// `PILOT_ENABLE_ALPHA_GATEWAY_API`: TCP listeners, TCPRoutes and experimental kinds count.
    pub alpha_gateway_api: bool,
    /// `K8S_INGRESS_NS`: the namespace of what Ingresses become.
    pub ingress_namespace: String,
    /// `PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS`: several providers may authorize for one workload.
    pub multiple_custom_providers: bool,
    /// `COMPLIANCE_POLICY`: what every TLS context is held to.
    pub compliance: Compliance,
}

/// A rule about cryptography that holds whatever users ask for (security specification, 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compliance {
    /// None.
    #[default]
    None,
    /// `fips-140-2`: TLS 1.2 and what that standard approves.
    Fips140,
    /// `pqc`: TLS 1.3 with a key exchange that withstands quantum computers.
    PostQuantum,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            cluster_id: "Kubernetes".to_owned(),
            alpn_filter: true,
            metadata_exchange: true,
            disable_mx_alpn: false,
            http10: false,
            dual_stack: false,
            send_unhealthy_endpoints: false,
            persistent_session_filter: false,
            persistent_session_label: "istio.io/persistent-session".to_owned(),
            persistent_session_header_label: "istio.io/persistent-session-header".to_owned(),
            draining_label: "istio.io/draining".to_owned(),
            mongo_filter: true,
            mysql_filter: false,
            redis_filter: false,
            service_entry_select_pods: true,
            workload_entry_health_checks: true,
            kubernetes_select_workload_entries: true,
            absolute_fqdn_domain: true,
            route_collapse: true,
            scope_gateway_to_namespace: false,
            filter_gateway_cluster_config: false,
            eds_for_headless: false,
            proxy_100_continue: true,
            sidecar_use_remote_address: false,
            skip_validate_trust_domain: false,
            tls_on_sidecar_ingress: false,
            telemetry_label: true,
            dns_jitter: Duration::from_millis(100),
            dns_cares_udp_max_queries: 100,
            transport_socket_connect_timeout: Duration::from_secs(15),
            max_connections_per_socket_event_loop: 1,
            disable_track_remaining: true,
            disable_shadow_host_suffix: true,
            trace_sampling_basis_points: 100,
            spawn_upstream_span_for_gateway: true,
            quic_listeners: false,
            alpha_gateway_api: false,
            ingress_namespace: "istio-system".to_owned(),
            multiple_custom_providers: false,
            compliance: Compliance::None,
        }
    }
}
