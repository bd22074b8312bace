//! `inboundClusterStatName` as the prefix of a TCP proxy's statistics. Fewer operators are known here than for
//! clusters: the target port stays as it is, and istiod's users have dashboards for that.

/// What a pattern is filled with.
pub(super) struct Subject<'a> {
    pub(super) host: &'a str,
    /// `name.namespace` of a Kubernetes Service, the host of anything else.
    pub(super) short: &'a str,
    /// The name of a Kubernetes Service, the host of anything else.
    pub(super) name: &'a str,
    pub(super) port: u32,
    pub(super) port_name: &'a str,
}

pub(super) fn filled(pattern: &str, subject: &Subject<'_>) -> String {
    pattern
        .replace("%SERVICE%", subject.short)
        .replace("%SERVICE_NAME%", subject.name)
        .replace("%SERVICE_FQDN%", subject.host)
        .replace("%SUBSET_NAME%", "")
        .replace("%SERVICE_PORT%", &subject.port.to_string())
        .replace("%SERVICE_PORT_NAME%", subject.port_name)
}
