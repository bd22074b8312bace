//! The names of the mesh as an application may say them: in full, and for Services of Kubernetes the short forms that
//! a resolver in a pod would complete.

use std::collections::HashMap;
use std::net::IpAddr;

use proto::nds::NameTable;

/// Names to addresses. Names are in lower case, without a dot at the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Table(HashMap<String, Vec<IpAddr>>);

/// What a name was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The name in the table, where the one asked for had a search domain behind it.
    pub(crate) alias: Option<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Table {
    /// `domain` is the proxy's, as `shop.svc.cluster.local`.
    pub(crate) fn new(sent: &NameTable, namespace: &str, domain: &str) -> Self {
        let mut table = HashMap::new();
        // What pods of other namespaces have in common with this one.
        let common = domain.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('.')).unwrap_or(domain);
        let service = common.split('.').next().unwrap_or_default();
        for (host, info) in &sent.table {
            let addresses: Vec<IpAddr> = info.ips.iter().filter_map(|ip| ip.parse().ok()).collect();
            let mut names = vec![host.trim_end_matches('.').to_ascii_lowercase()];
            let (short, of) = (info.shortname.to_ascii_lowercase(), info.namespace.to_ascii_lowercase());
            let is_near = names[0].ends_with(&format!(".{common}")) && !common.is_empty();
            if info.registry == "Kubernetes" && !short.is_empty() && is_near {
                names.push(format!("{short}.{of}"));
                names.push(format!("{short}.{of}.{service}"));
                if of == namespace {
                    names.push(short);
                }
            }
            for name in names {
                // A host that was given in full goes before what a short form would mean.
                if name == *host || !sent.table.contains_key(&name) {
                    table.insert(name, addresses.clone());
                }
            }
        }
        Self(table)
    }

    /// Looks a name up, also without one of the domains that resolvers put behind names.
    pub(crate) fn find(&self, name: &str, search: &[String]) -> Option<Found> {
        if let Some(addresses) = self.get(name) {
            return Some(Found { alias: None, addresses: addresses.to_vec() });
        }
        search.iter().find_map(|domain| {
            let bare = name.strip_suffix(domain.as_str())?.strip_suffix('.')?;
            let addresses = self.get(bare)?.to_vec();
            Some(Found { alias: Some(bare.to_owned()), addresses })
        })
    }

    /// By the name, or by the longest `*.` that covers it.
    fn get(&self, name: &str) -> Option<&[IpAddr]> {
        if let Some(addresses) = self.0.get(name) {
            return Some(addresses);
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(addresses) = self.0.get(&format!("*.{parent}")) {
                return Some(addresses);
            }
            rest = parent;
        }
        None
    }
}
