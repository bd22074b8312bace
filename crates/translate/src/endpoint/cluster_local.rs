//! Hosts that belong to each cluster alone (row E18): those of the system namespace and of the API server, that of
//! the control plane, and what `serviceSettings` adds or takes away. The most specific entry decides.

use std::collections::BTreeMap;

use mesh::MeshSettings;
use model::Host;

/// Whether endpoints of other clusters are left out.
pub(super) fn is_cluster_local(host: &Host, settings: &MeshSettings) -> bool {
    let domain = &settings.domain;
    let mut entries: BTreeMap<String, bool> = [
        format!("*.kube-system.svc.{domain}"),
        format!("kubernetes.default.svc.{domain}"),
        discovery_host(settings),
    ]
    .into_iter()
    .filter(|host| !host.is_empty())
    .map(|host| (host, true))
    .collect();
    for setting in &settings.config.service_settings {
        let local = setting.settings.as_ref().is_some_and(|settings| settings.cluster_local);
        for stated in &setting.hosts {
            if !local {
                // Taking away an entry takes those below it, too.
                entries.retain(|entry, _| !Host::from(entry.as_str()).subset_of(stated));
            }
            entries.insert(stated.clone(), local);
        }
    }
    let covering = entries.iter().filter(|(entry, _)| host.subset_of(entry));
    covering.max_by_key(|(entry, _)| (!entry.starts_with('*'), entry.len())).is_some_and(|(_, local)| *local)
}

/// The host that proxies know the control plane by, fully qualified.
fn discovery_host(settings: &MeshSettings) -> String {
    let address = settings.config.default_config.as_ref().map_or("", |config| &config.discovery_address);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    match host.strip_suffix(".svc") {
        Some(_) => format!("{host}.{}", settings.domain),
        None => host.to_owned(),
    }
}
