//! Names in certificates: the identities of a client, and the DNS names of the control plane.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::*;

use crate::Identity;

/// The identities that a client's certificate, already verified, is for. Names of any other form are left out.
pub fn identities_of(certificate: &CertificateDer<'_>) -> Vec<Identity> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Identity::parse(uri).ok(),
        _ => None,
    };
    names.value.general_names.iter().filter_map(uri).collect()
}

/// The DNS names that proxies and API servers call the control plane by, each once: hosts of the operator's own, the
/// host of `discoveryAddress`, and those of its Services.
pub fn serving_names(
    custom_hosts: &[String],
    discovery_address: &str,
    namespace: &str,
    revision: &str,
) -> Vec<String> {
    let host = discovery_address.rsplit_once(':').map_or(discovery_address, |(host, _)| host);
    let mut names: Vec<String> = custom_hosts.to_vec();
    names.push(host.to_owned());
    let services =
        ["istiod", "istiod-remote", "istio-pilot"].map(|service| format!("{service}.{namespace}.svc"));
    names.extend(services);
    if !revision.is_empty() && revision != "default" {
        names.push(format!("istiod-{revision}.{namespace}.svc"));
    }
    let mut known = Vec::with_capacity(names.len());
    for name in names {
        let name = name.trim().to_owned();
        if is_dns_name(&name) && !known.contains(&name) {
            known.push(name);
        }
    }
    known
}

fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_is_called_by_the_names_of_its_services_and_of_its_operator() {
        let names =
            serving_names(&["a.test".into(), " a.test".into()], "istiod.sys.svc:15012", "sys", "canary");
        assert_eq!(
            names,
            [
                "a.test",
                "istiod.sys.svc",
                "istiod-remote.sys.svc",
                "istio-pilot.sys.svc",
                "istiod-canary.sys.svc"
            ]
        );
        let names = serving_names(&[], "", "istio-system", "default");
        assert_eq!(names[0], "istiod.istio-system.svc");
        assert_eq!(names.len(), 3);
    }
}
