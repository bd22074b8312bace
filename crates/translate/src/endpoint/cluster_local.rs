//! Hosts that belong to each cluster alone (row E18): those of the system namespace and of the API server, that of
//! the control plane, and what `serviceSettings` adds or takes away. The most specific entry decides.

use std::collections::BTreeMap;

use mesh::MeshSettings;
use model::Host;

/// Whether endpoints of other clusters are left out.
pub(super) fn is_cluster_local(host: &Host, settings: &MeshSettings) -> bool {
    let domain = &settings.domain;
    let mut defaults = vec![
        format!("*.kube-system.svc.{domain}"),
        format!("kubernetes.default.svc.{domain}"),
        discovery_host(settings),
    ];
    let mut entries: BTreeMap<&str, bool> = BTreeMap::new();
    for setting in &settings.config.service_settings {
        let local = setting.settings.as_ref().is_some_and(|settings| settings.cluster_local);
        for stated in &setting.hosts {
            if !local {
                let covers =
                    |default: &String| default.strip_prefix('*').is_some_and(|d| stated.ends_with(d));
                defaults.retain(|default| default != stated && !covers(default));
            }
            entries.insert(stated, local);
        }
    }
    entries.extend(defaults.iter().filter(|host| !host.is_empty()).map(|host| (host.as_str(), true)));
    let covering = entries.iter().filter(|(entry, _)| host.subset_of(entry));
    covering.max_by_key(|(entry, _)| (!entry.starts_with('*'), entry.len())).is_some_and(|(_, local)| *local)
}

/// The host that proxies know the control plane by, fully qualified.
fn discovery_host(settings: &MeshSettings) -> String {
    let address = settings.config.default_config.as_ref().map_or("", |config| &config.discovery_address);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    if host.is_empty() || host.ends_with(&settings.domain) {
        host.to_owned()
    } else {
        format!("{host}.{}", settings.domain)
    }
}
