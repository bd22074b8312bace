//! Which addresses hosts of ServiceEntries without any should be given, so that clients that resolve names through the
//! mesh can tell them apart: one of each family a host, from two prefixes. Whoever leads writes the answer into the
//! status; what the status then holds is what [`allocate`] wants, so two who write at once agree (row S14).

use std::collections::BTreeSet;
use std::net::IpAddr;

use config::{ConfigKey, ConfigStore, Kind, Object};
use ipnet::IpNet;
use model::Host;
use proto::istio::networking::ServiceEntry;

use crate::service_entry::may_allocate;

/// The two ranges from which addresses are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// For IPv4.
    pub v4: IpNet,
    /// For IPv6.
    pub v6: IpNet,
}

/// What should stand in the status of an entry instead of what does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The entry.
    pub key: ConfigKey,
    /// Host and address, in the order in which they are written. Empty takes away what was given.
    pub addresses: Vec<(String, IpAddr)>,
}

/// The entries whose status should be another. What was given stays given for as long as it may; of two that have the
/// same address the older keeps it, and an address that a user wrote into a specification is nobody else's.
pub fn allocate(store: &ConfigStore, prefixes: &Prefixes) -> Vec<Allocation> {
    let mut entries: Vec<&Object<ServiceEntry>> =
        store.service_entries().iter().map(|object| &**object).collect();
    entries.sort_by_key(|entry| (entry.meta.creation, entry.meta.namespace.clone(), entry.meta.name.clone()));
    let stated = entries.iter().flat_map(|entry| &entry.spec.addresses).filter_map(|text| text.parse().ok());
    let mut used: BTreeSet<IpAddr> = stated.collect();
    let ranges = [prefixes.v4, prefixes.v6];

    // First what there is is kept, then what is missing is found.
    let mut kept = Vec::new();
    for entry in &entries {
        let given = given(entry);
        let of_host = |host: &str, range: &IpNet, used: &BTreeSet<IpAddr>| {
            let mut own = given.iter().filter(|(of, _)| of.eq_ignore_ascii_case(host)).map(|(_, a)| *a);
            own.find(|address| range.contains(address) && !used.contains(address))
        };
        let mut of_entry = Vec::new();
        for host in hosts(entry) {
            of_entry.push((
                host,
                ranges.map(|range| {
                    let address = of_host(host, &range, &used);
                    used.extend(address);
                    address
                }),
            ));
        }
        kept.push((*entry, given, of_entry));
    }
    let mut next = ranges.map(|range| range.hosts().skip_while(move |address| *address == range.network()));
    let mut changed = Vec::new();
    for (entry, given, of_entry) in kept {
        let mut addresses = Vec::new();
        for (host, own) in of_entry {
            for (own, next) in own.into_iter().zip(&mut next) {
                let address = own.or_else(|| next.find(|address| used.insert(*address)));
                addresses.extend(address.map(|address| (host.to_owned(), address)));
            }
        }
        // Addresses from elsewhere are not ours to take away.
        let is_ours = |address: &IpAddr| ranges.iter().any(|range| range.contains(address));
        let differs = if addresses.is_empty() {
            given.iter().any(|(_, address)| is_ours(address))
        } else {
            addresses != given
        };
        if differs {
            let key =
                ConfigKey::new(Kind::ServiceEntry, entry.meta.namespace.clone(), entry.meta.name.clone());
            changed.push(Allocation { key, addresses });
        }
    }
    changed
}

/// The hosts of an entry that are given addresses, each once.
fn hosts(entry: &Object<ServiceEntry>) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let hosts = entry.spec.hosts.iter().filter(|host| may_allocate(entry, &Host::from(host.to_lowercase())));
    hosts.filter(|host| seen.insert(host.to_lowercase())).map(String::as_str).collect()
}

/// What the status says.
fn given(entry: &Object<ServiceEntry>) -> Vec<(String, IpAddr)> {
    let list =
        entry.status.as_ref().and_then(|status| status.get("addresses")).and_then(|list| list.as_array());
    list.into_iter()
        .flatten()
        .filter_map(|item| {
            let host = item.get("host").and_then(|host| host.as_str()).unwrap_or_default();
            Some((host.to_owned(), item.get("value")?.as_str()?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn prefixes() -> Prefixes {
        Prefixes { v4: "240.240.0.0/16".parse().unwrap(), v6: "2001:2::/48".parse().unwrap() }
    }

    fn entry(name: &str, second: u8, spec: Value, addresses: &[(&str, &str)]) -> Value {
        let mut spec = spec;
        spec["ports"] = json!([{"number": 80, "name": "tcp", "protocol": "TCP"}]);
        let addresses: Vec<Value> =
            addresses.iter().map(|(host, value)| json!({"host": host, "value": value})).collect();
        json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "spec": spec,
               "metadata": {"name": name, "namespace": "n", "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")},
               "status": {"addresses": addresses}})
    }

    fn hosts(names: &[&str]) -> Value {
        json!({"hosts": names, "resolution": "DNS"})
    }

    fn store(entries: &[Value]) -> ConfigStore {
        entries.iter().map(|entry| config::parse(entry.clone(), "test").unwrap().unwrap()).collect()
    }

    fn wanted(entries: &[Value]) -> Vec<String> {
        let text = |allocation: Allocation| {
            let addresses: Vec<String> =
                allocation.addresses.iter().map(|(host, address)| format!("{host}={address}")).collect();
            format!("{}: {}", allocation.key.name, addresses.join(" "))
        };
        allocate(&store(entries), &prefixes()).into_iter().map(text).collect()
    }

    #[test]
    fn every_host_is_given_one_address_of_each_family_in_the_order_of_age() {
        let entries = [
            entry("new", 2, hosts(&["c.test"]), &[]),
            entry("old", 1, hosts(&["a.test", "b.test", "A.test"]), &[]),
        ];
        let old = "old: a.test=240.240.0.1 a.test=2001:2::1 b.test=240.240.0.2 b.test=2001:2::2";
        assert_eq!(wanted(&entries), [old, "new: c.test=240.240.0.3 c.test=2001:2::3"]);
    }

    #[test]
    fn what_was_written_is_wanted_no_more_and_is_kept_when_others_come() {
        let written =
            entry("a", 5, hosts(&["a.test"]), &[("a.test", "240.240.0.1"), ("a.test", "2001:2::1")]);
        assert_eq!(wanted(std::slice::from_ref(&written)), [""; 0]);
        let older = entry("b", 1, hosts(&["b.test"]), &[]);
        assert_eq!(wanted(&[written, older]), ["b: b.test=240.240.0.2 b.test=2001:2::2"]);
    }

    #[test]
    fn of_two_with_one_address_the_older_keeps_it_and_a_users_own_is_nobody_elses() {
        let both = [("x.test", "240.240.0.1"), ("x.test", "2001:2::1")];
        let entries =
            [entry("young", 9, hosts(&["x.test"]), &both), entry("old", 1, hosts(&["x.test"]), &both)];
        assert_eq!(wanted(&entries), ["young: x.test=240.240.0.2 x.test=2001:2::2"]);
        let mut own = hosts(&["own.test"]);
        own["addresses"] = json!(["240.240.0.1"]);
        let entries = [entry("old", 1, hosts(&["x.test"]), &both), entry("own", 9, own, &[])];
        assert_eq!(wanted(&entries), ["old: x.test=240.240.0.2 x.test=2001:2::1"]);
    }

    #[test]
    fn who_may_have_none_loses_what_was_given_but_not_what_others_gave() {
        let mut none = hosts(&["x.test"]);
        none["resolution"] = json!("NONE");
        assert_eq!(wanted(&[entry("a", 1, none.clone(), &[("x.test", "240.240.0.9")])]), ["a: "]);
        assert_eq!(wanted(&[entry("a", 1, none, &[("x.test", "203.0.113.1")])]), [""; 0]);
        assert_eq!(wanted(&[entry("a", 1, hosts(&["*.x.test"]), &[])]), [""; 0]);
    }

    #[test]
    fn a_range_that_is_used_up_gives_nothing_and_takes_nothing() {
        let small = Prefixes { v4: "240.240.0.0/31".parse().unwrap(), v6: "2001:2::/127".parse().unwrap() };
        let all = store(&[entry("a", 1, hosts(&["a.test", "b.test", "c.test"]), &[])]);
        assert_eq!(allocate(&all, &small)[0].addresses.len(), 2);
    }
}
