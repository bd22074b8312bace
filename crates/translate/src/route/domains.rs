//! Domains of a virtual host: all names by which a service may be called from the proxy's namespace (spec 3.2, rows
//! R01 to R04, R29).

use std::net::IpAddr;

use mesh::{Resolution, UNSPECIFIED_V4};
use scope::ProxyClass;

use super::services::ListedService;

/// The domains of one virtual host, and those among them that only a search domain makes of the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Domains {
    /// All of them.
    pub all: Vec<String>,
    /// Short forms: none of them may take a name from a service that is really called so.
    pub short: Vec<String>,
}

/// How domains are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct DomainStyle<'a> {
    /// `ns.svc.cluster.local`.
    pub proxy_domain: &'a str,
    /// Also with this port, for listeners of every port.
    pub port: Option<u32>,
    /// With the dot of an absolute name, too.
    pub absolute: bool,
    /// `ISTIO_DUAL_STACK`.
    pub dual_stack: bool,
}

impl Domains {
    /// Those of a host that is no service.
    pub(super) fn of_host(host: &str) -> Self {
        Self { all: vec![bracketed(host)], short: Vec::new() }
    }
}

/// Every name by which a host may be called from the proxy's namespace.
pub(crate) fn names_of(host: &str, proxy_domain: &str, absolute: bool) -> Vec<String> {
    let style = DomainStyle { proxy_domain, port: None, absolute, dual_stack: false };
    std::iter::once(host.to_owned()).chain(style.short_forms(host)).collect()
}

impl DomainStyle<'_> {
    /// The domains of a service.
    pub(super) fn service(&self, service: &ListedService, class: &ProxyClass) -> Domains {
        let mut result = Domains::default();
        for name in std::iter::once(service.service.host.as_str()).chain(service.aliases.iter().map(|a| &**a))
        {
            let short = self.short_forms(name);
            self.push(&mut result.all, name);
            result.all.extend(short.iter().cloned());
            result.short.extend(short);
        }
        if service.service.is_kubernetes() && service.service.resolution == Resolution::Passthrough {
            let wild: Vec<String> = result.all.iter().map(|domain| format!("*.{domain}")).collect();
            result.all.extend(wild);
        }
        for address in addresses(service, class, self.dual_stack) {
            self.push(&mut result.all, address);
        }
        result
    }

    fn push(&self, domains: &mut Vec<String>, name: &str) {
        let name = bracketed(name);
        let with_port = self.port.map(|port| format!("{name}:{port}"));
        domains.push(name);
        domains.extend(with_port);
    }

    fn short_forms(&self, host: &str) -> Vec<String> {
        let mut forms = Vec::new();
        if self.absolute && host.parse::<IpAddr>().is_err() {
            self.push(&mut forms, &format!("{host}."));
        }
        if let Some((namespace, cluster)) = self.proxy_domain.split_once(".svc.") {
            let in_cluster = host.strip_suffix(cluster).is_some_and(|head| head.ends_with(".svc."));
            if let Some((own, _)) = host.split_once(".svc.").filter(|_| in_cluster) {
                let Some((name, of)) = own.split_once('.') else { return forms };
                if of == namespace {
                    self.push(&mut forms, name);
                    self.push(&mut forms, &format!("{own}.svc"));
                    self.push(&mut forms, own);
                } else {
                    self.push(&mut forms, own);
                    self.push(&mut forms, &format!("{own}.svc"));
                }
            }
            return forms;
        }
        self.search_domain_forms(host, &mut forms);
        forms
    }

    /// Outside Kubernetes: what is left of the name without the suffix it shares with the proxy's domain.
    fn search_domain_forms(&self, host: &str, forms: &mut Vec<String>) {
        let labels: Vec<&str> = host.split('.').collect();
        let shared =
            labels.iter().rev().zip(self.proxy_domain.rsplit('.')).take_while(|(a, b)| *a == b).count();
        if shared == 0 {
            return;
        }
        let (own, suffix) = labels.split_at(labels.len() - shared);
        self.push(forms, &own.join("."));
        if let ([_, _], Some(first)) = (own, suffix.first()) {
            self.push(forms, &format!("{}.{first}", own.join(".")));
        }
    }
}

/// The addresses by which the class may call a service. A Kubernetes service has those of the families that the
/// proxy has too; without the dual stack feature a proxy of both uses the family that the service names first.
fn addresses<'s>(service: &'s ListedService, class: &ProxyClass, dual_stack: bool) -> Vec<&'s str> {
    let service = &*service.service;
    let automatic =
        class.metadata.dns_capture && !service.has_address() && !service.auto_addresses.is_empty();
    let own = service.addresses_for(&class.metadata.cluster_id);
    let all: Vec<&str> = if automatic { &service.auto_addresses } else { own }
        .iter()
        .map(String::as_str)
        .filter(|address| *address != UNSPECIFIED_V4 && !address.is_empty())
        .collect();
    if !automatic && !service.is_kubernetes() {
        return all.into_iter().take(1).collect();
    }
    let families = class.ip_families;
    let is_v6 = |address: &str| address.contains(':');
    let first_is_v6 = all.first().is_some_and(|first| is_v6(first));
    let usable = |address: &&str| {
        if families.dual() {
            dual_stack || is_v6(address) == first_is_v6
        } else if is_v6(address) {
            families.v6
        } else {
            families.v4
        }
    };
    all.into_iter().filter(usable).collect()
}

/// IPv6 addresses stand in brackets.
pub(super) fn bracketed(name: &str) -> String {
    if name.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{name}]") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short_forms(host: &str, proxy_domain: &str, port: Option<u32>) -> Vec<String> {
        DomainStyle { proxy_domain, port, absolute: false, dual_stack: false }.short_forms(host)
    }

    #[test]
    fn a_service_of_the_own_namespace_is_called_by_its_name() {
        let forms = short_forms("a.b.svc.cluster.local", "b.svc.cluster.local", None);
        assert_eq!(forms, ["a", "a.b.svc", "a.b"]);
    }

    #[test]
    fn a_service_of_another_namespace_is_called_with_it() {
        let forms = short_forms("a.b.svc.cluster.local", "c.svc.cluster.local", Some(81));
        assert_eq!(forms, ["a.b", "a.b:81", "a.b.svc", "a.b.svc:81"]);
    }

    #[test]
    fn hosts_outside_of_the_cluster_have_no_short_forms() {
        assert!(short_forms("a.example.com", "b.svc.cluster.local", None).is_empty());
        assert!(short_forms("a.b.svc.other.local", "b.svc.cluster.local", None).is_empty());
    }

    #[test]
    fn outside_of_kubernetes_the_shared_suffix_goes() {
        assert_eq!(short_forms("a.local.campus.net", "local.campus.net", None), ["a"]);
        assert_eq!(
            short_forms("a.local.campus.net", "remote.campus.net", None),
            ["a.local", "a.local.campus"]
        );
        assert!(short_forms("a.example.com", "campus.net", None).is_empty());
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets() {
        assert_eq!(bracketed("fd00::1"), "[fd00::1]");
        assert_eq!(bracketed("10.0.0.1"), "10.0.0.1");
    }
}
