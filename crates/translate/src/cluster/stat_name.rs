//! Names under which clusters keep statistics (spec 1.7, row C25): the cluster's own name, or the mesh's pattern; a
//! `;` ends it, so that statistics can be told from their prefix.

use mesh::Service;

/// The statistics name of a cluster without a pattern, or of whatever text.
pub(super) fn delimited(name: &str) -> String {
    format!("{name};")
}

/// What a pattern is filled with.
pub(super) struct Subject<'a> {
    pub(super) service: &'a Service,
    pub(super) port: u32,
    pub(super) port_name: &'a str,
    pub(super) target_port: u32,
    pub(super) subset: &'a str,
}

/// Fills `%SERVICE%` and its kin.
pub(super) fn filled(pattern: &str, subject: &Subject<'_>) -> String {
    let service = subject.service;
    let (short, name) = if service.is_kubernetes() {
        (format!("{}.{}", service.name, service.namespace), service.name.clone())
    } else {
        (service.host.to_string(), service.host.to_string())
    };
    let filled = pattern
        .replace("%SERVICE%", &short)
        .replace("%SERVICE_NAME%", &name)
        .replace("%SERVICE_FQDN%", &service.host)
        .replace("%SUBSET_NAME%", subject.subset)
        .replace("%TARGET_PORT%", &subject.target_port.to_string())
        .replace("%SERVICE_PORT%", &subject.port.to_string())
        .replace("%SERVICE_PORT_NAME%", subject.port_name);
    delimited(&filled)
}

/// Fills a pattern for a listener that no service declares; `name` stands for all its names.
pub(super) fn filled_for(pattern: &str, name: &str, port: u32, port_name: &str, target_port: u32) -> String {
    let filled = pattern
        .replace("%SERVICE%", name)
        .replace("%SERVICE_NAME%", name)
        .replace("%SERVICE_FQDN%", name)
        .replace("%SUBSET_NAME%", "")
        .replace("%TARGET_PORT%", &target_port.to_string())
        .replace("%SERVICE_PORT%", &port.to_string())
        .replace("%SERVICE_PORT_NAME%", port_name);
    delimited(&filled)
}
