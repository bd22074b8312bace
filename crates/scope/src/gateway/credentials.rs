//! Which of the Gateway API's certificates a gateway's proxies may have (security specification, 6): those that a
//! Gateway which they serve names, in their own namespace, or lent to it by a ReferenceGrant. A user's Gateway that
//! names such a certificate of another namespace gets nothing.

use std::collections::BTreeSet;

use mesh::BoundGateway;
use proto::istio::networking::ServerTlsSettings;
use proto::istio::networking::server_tls_settings::TlSmode;

use crate::ProxyClass;

const SCHEME: &str = "kubernetes-gateway://";
const AUTHORITIES: &str = "-cacert";

/// The names that this Gateway may send to proxies of the class.
pub(super) fn granted(bound: &BoundGateway, class: &ProxyClass) -> BTreeSet<String> {
    let Some(account) = class.secret_access.account() else { return BTreeSet::new() };
    // The references of one that we made were checked when it was made.
    let is_lent = bound.made.as_ref().is_some_and(|made| {
        made.namespace == class.namespace && (made.account.is_empty() || made.account == account)
    });
    let is_own = bound.gateway.meta.namespace == class.namespace;
    let may = |name: &&str| {
        let object = name.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/'));
        object.is_some_and(|(namespace, _)| is_lent || is_own && *namespace == *class.namespace)
    };
    let servers = bound.gateway.spec.servers.iter().filter_map(|server| server.tls.as_ref());
    servers
        .flat_map(|tls| names(tls).into_iter().filter(may).map(|name| (tls, name)).collect::<Vec<_>>())
        .flat_map(|(tls, name)| {
            let verifies = matches!(tls.mode(), TlSmode::Mutual | TlSmode::OptionalMutual);
            [Some(name.to_owned()), verifies.then(|| format!("{name}{AUTHORITIES}"))].into_iter().flatten()
        })
        .collect()
}

fn names(tls: &ServerTlsSettings) -> Vec<&str> {
    let one = [&tls.credential_name, &tls.ca_cert_credential_name];
    one.into_iter().chain(&tls.credential_names).map(String::as_str).filter(|name| !name.is_empty()).collect()
}
