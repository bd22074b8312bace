//! `PILOT_*` variables to [`mesh::Features`]: the one place that knows their names. A value that does not parse is
//! told and the default stays, as a typing slip must not take a mesh down.

use std::time::Duration;

use mesh::{Compliance, Features};

/// Reads every switch through `variable` (the environment, or a map in tests). Returns what could not be read.
pub(crate) fn features(variable: &dyn Fn(&str) -> Option<String>) -> (Features, Vec<String>) {
    let mut source = Source { variable, problems: Vec::new() };
    let mut f = Features::default();
    source.text("CLUSTER_ID", &mut f.cluster_id);
    source.flag("PILOT_ENABLE_ALPN_FILTER", &mut f.alpn_filter);
    source.flag("PILOT_ENABLE_METADATA_EXCHANGE", &mut f.metadata_exchange);
    source.flag("PILOT_DISABLE_MX_ALPN", &mut f.disable_mx_alpn);
    source.flag("PILOT_HTTP10", &mut f.http10);
    source.flag("ISTIO_DUAL_STACK", &mut f.dual_stack);
    source.flag("PILOT_SEND_UNHEALTHY_ENDPOINTS", &mut f.send_unhealthy_endpoints);
    source.flag("PILOT_ENABLE_PERSISTENT_SESSION_FILTER", &mut f.persistent_session_filter);
    source.text("PILOT_PERSISTENT_SESSION_LABEL", &mut f.persistent_session_label);
    source.text("PILOT_PERSISTENT_SESSION_HEADER_LABEL", &mut f.persistent_session_header_label);
    source.text("PILOT_DRAINING_LABEL", &mut f.draining_label);
    source.flag("PILOT_ENABLE_MONGO_FILTER", &mut f.mongo_filter);
    source.flag("PILOT_ENABLE_MYSQL_FILTER", &mut f.mysql_filter);
    source.flag("PILOT_ENABLE_REDIS_FILTER", &mut f.redis_filter);
    source.flag("PILOT_ENABLE_SERVICEENTRY_SELECT_PODS", &mut f.service_entry_select_pods);
    source.flag("PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS", &mut f.workload_entry_health_checks);
    source.flag("PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES", &mut f.kubernetes_select_workload_entries);
    source.flag("PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN", &mut f.absolute_fqdn_domain);
    source.flag("PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION", &mut f.route_collapse);
    source.flag("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", &mut f.scope_gateway_to_namespace);
    source.flag("PILOT_FILTER_GATEWAY_CLUSTER_CONFIG", &mut f.filter_gateway_cluster_config);
    source.flag("PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES", &mut f.eds_for_headless);
    source.flag("ENABLE_100_CONTINUE_HEADERS", &mut f.proxy_100_continue);
    source.flag("PILOT_SIDECAR_USE_REMOTE_ADDRESS", &mut f.sidecar_use_remote_address);
    source.flag("PILOT_SKIP_VALIDATE_TRUST_DOMAIN", &mut f.skip_validate_trust_domain);
    source.flag("ENABLE_TLS_ON_SIDECAR_INGRESS", &mut f.tls_on_sidecar_ingress);
    source.flag("DISABLE_TRACK_REMAINING_CB_METRICS", &mut f.disable_track_remaining);
    source.flag("DISABLE_SHADOW_HOST_SUFFIX", &mut f.disable_shadow_host_suffix);
    source.flag("PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY", &mut f.spawn_upstream_span_for_gateway);
    source.flag("PILOT_ENABLE_QUIC_LISTENERS", &mut f.quic_listeners);
    source.flag("PILOT_ENABLE_ALPHA_GATEWAY_API", &mut f.alpha_gateway_api);
    source.text("K8S_INGRESS_NS", &mut f.ingress_namespace);
    source.duration("PILOT_DNS_JITTER_DURATION", &mut f.dns_jitter);
    source
        .duration("PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT", &mut f.transport_socket_connect_timeout);
    source.number("PILOT_DNS_CARES_UDP_MAX_QUERIES", &mut f.dns_cares_udp_max_queries);
    source.number("MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP", &mut f.max_connections_per_socket_event_loop);
    source.flag("PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", &mut f.multiple_custom_providers);
    source.read("COMPLIANCE_POLICY", compliance, "fips-140-2 or pqc", &mut f.compliance);
    let mut label = f.telemetry_label;
    let mut endpoint_label = f.telemetry_label;
    source.flag("PILOT_ENABLE_TELEMETRY_LABEL", &mut label);
    source.flag("PILOT_ENDPOINT_TELEMETRY_LABEL", &mut endpoint_label);
    f.telemetry_label = label && endpoint_label;
    let mut sampling = f64::from(f.trace_sampling_basis_points) / 100.0;
    source.number("PILOT_TRACE_SAMPLING", &mut sampling);
    f.trace_sampling_basis_points = (sampling.clamp(0.0, 100.0) * 100.0).round() as u32;
    (f, source.problems)
}

fn compliance(text: &str) -> Option<Compliance> {
    match text {
        "fips-140-2" => Some(Compliance::Fips140),
        "pqc" => Some(Compliance::PostQuantum),
        _ => None,
    }
}

/// How long the control thread waits for quiet before a push, and at the most.
pub(crate) struct Debounce {
    pub(crate) after: Duration,
    pub(crate) max: Duration,
}

/// `PILOT_DEBOUNCE_AFTER`, `PILOT_DEBOUNCE_MAX`.
pub(crate) fn debounce(variable: &dyn Fn(&str) -> Option<String>) -> (Debounce, Vec<String>) {
    let mut source = Source { variable, problems: Vec::new() };
    let mut debounce = Debounce { after: Duration::from_millis(100), max: Duration::from_secs(10) };
    source.duration("PILOT_DEBOUNCE_AFTER", &mut debounce.after);
    source.duration("PILOT_DEBOUNCE_MAX", &mut debounce.max);
    (debounce, source.problems)
}

/// `PILOT_PUSH_THROTTLE`: pushes at once; 0 or absent means 15 and 5 for each core, 100 at most.
pub(crate) fn push_throttle(
    variable: &dyn Fn(&str) -> Option<String>,
    n_cores: usize,
) -> (usize, Vec<String>) {
    let mut source = Source { variable, problems: Vec::new() };
    let mut throttle = 0_usize;
    source.number("PILOT_PUSH_THROTTLE", &mut throttle);
    (if throttle == 0 { (15 + 5 * n_cores).min(100) } else { throttle }, source.problems)
}

/// `PILOT_MAX_REQUESTS_PER_SECOND`: new streams per second. Nothing bounds them by default: a proxy of a class that is
/// known costs next to nothing, those of new classes wait for the control thread, and responses are made within the
/// push throttle. istiod refuses all beyond a few dozen each second, whatever they cost.
pub(crate) fn max_streams_per_second(variable: &dyn Fn(&str) -> Option<String>) -> (u32, Vec<String>) {
    let mut source = Source { variable, problems: Vec::new() };
    let mut limit = 0_u32;
    source.number("PILOT_MAX_REQUESTS_PER_SECOND", &mut limit);
    (limit, source.problems)
}

/// `PILOT_XDS_SEND_TIMEOUT`: how long a client may take to read a response; 0 is for ever, as istiod has it by default.
/// Without it half a minute: what a proxy does not read is held for it.
pub(crate) fn send_timeout(variable: &dyn Fn(&str) -> Option<String>) -> (Duration, Vec<String>) {
    let mut source = Source { variable, problems: Vec::new() };
    let mut limit = Duration::from_secs(30);
    source.duration("PILOT_XDS_SEND_TIMEOUT", &mut limit);
    (limit, source.problems)
}

/// A switch on its own; a slip is told among the problems and keeps the default.
pub(crate) fn parse_flag(
    variable: &dyn Fn(&str) -> Option<String>,
    name: &str,
    default: bool,
    problems: &mut Vec<String>,
) -> bool {
    let mut source = Source { variable, problems: Vec::new() };
    let mut value = default;
    source.flag(name, &mut value);
    problems.append(&mut source.problems);
    value
}

/// Reads variables one by one and remembers what could not be read.
pub(crate) struct Source<'a> {
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) problems: Vec<String>,
}

impl Source<'_> {
    fn read<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>, expected: &str, into: &mut T) {
        let Some(text) = (self.variable)(name).filter(|text| !text.is_empty()) else { return };
        match parse(&text) {
            Some(value) => *into = value,
            None => self.problems.push(format!("{name}={text:?} is not {expected}; the default stays")),
        }
    }

    pub(crate) fn text(&mut self, name: &str, into: &mut String) {
        self.read(name, |text| Some(text.to_owned()), "text", into);
    }

    pub(crate) fn flag(&mut self, name: &str, into: &mut bool) {
        let parse = |text: &str| match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        };
        self.read(name, parse, "true or false", into);
    }

    pub(crate) fn number<T: std::str::FromStr>(&mut self, name: &str, into: &mut T) {
        self.read(name, |text| text.parse().ok(), "a number", into);
    }

    pub(crate) fn duration(&mut self, name: &str, into: &mut Duration) {
        self.read(name, parse_duration, "a duration such as 100ms or 1m30s", into);
    }
}

/// A duration as Go writes it; negative ones are none.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let duration = proto::wkt::Duration::parse(text)?;
    u64::try_from(duration.as_nanos()).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_read_as_go_reads_them_and_slips_keep_the_default() {
        let variables = |name: &str| match name {
            "PILOT_HTTP10" => Some("1".to_owned()),
            "PILOT_ENABLE_ALPN_FILTER" => Some("nope".to_owned()),
            "PILOT_TRACE_SAMPLING" => Some("12.5".to_owned()),
            "PILOT_DNS_JITTER_DURATION" => Some("1.5s".to_owned()),
            _ => None,
        };
        let (features, problems) = features(&variables);
        assert!(features.http10 && features.alpn_filter);
        assert_eq!(features.trace_sampling_basis_points, 1250);
        assert_eq!(features.dns_jitter, Duration::from_millis(1500));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("PILOT_ENABLE_ALPN_FILTER=\"nope\" is not true or false"));
    }

    #[test]
    fn the_push_throttle_grows_with_the_cores_up_to_a_hundred() {
        assert_eq!(push_throttle(&|_| None, 2).0, 25);
        assert_eq!(push_throttle(&|_| None, 64).0, 100);
        assert_eq!(push_throttle(&|_| Some("7".to_owned()), 64).0, 7);
    }

    #[test]
    fn clients_may_take_half_a_minute_to_read_unless_told_otherwise() {
        assert_eq!(send_timeout(&|_| None).0, Duration::from_secs(30));
        assert_eq!(send_timeout(&|_| Some("5s".to_owned())).0, Duration::from_secs(5));
        assert_eq!(send_timeout(&|_| Some("0s".to_owned())).0, Duration::ZERO);
        let (limit, problems) = send_timeout(&|_| Some("-1s".to_owned()));
        assert_eq!((limit, problems.len()), (Duration::from_secs(30), 1));
    }
}
