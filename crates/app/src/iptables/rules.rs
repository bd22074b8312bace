//! From what shall be redirected to the rules that do it, in the order in which the kernel asks them. Chains and marks
//! have the names and values that Istio's tools and runbooks know.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Where the agent answers questions for names.
pub(super) const DNS_PORT: &str = "15053";
/// Marks what a proxy sends to its own workload by the workload's address, in TPROXY mode.
const OUTBOUND_MARK: &str = "1338";
/// The beginning of the names of our chains.
pub(super) const OURS: &str = "ISTIO_";

const INBOUND: &str = "ISTIO_INBOUND";
const OUTPUT: &str = "ISTIO_OUTPUT";
const OUTPUT_DNS: &str = "ISTIO_OUTPUT_DNS";
const REDIRECT: &str = "ISTIO_REDIRECT";
const IN_REDIRECT: &str = "ISTIO_IN_REDIRECT";
const DIVERT: &str = "ISTIO_DIVERT";
const TPROXY: &str = "ISTIO_TPROXY";
const DROP: &str = "ISTIO_DROP";

/// Ranges of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    /// `*`
    All,
    /// These, as `10.0.0.0/8`; none means none.
    These(Vec<(IpAddr, String)>),
}

/// Whose traffic, by the group it runs under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Groups {
    /// Everybody's but these groups'.
    AllBut(Vec<String>),
    /// These groups' alone.
    These(Vec<String>),
}

/// What shall be redirected.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) outbound_port: String,
    pub(super) inbound_port: String,
    pub(super) tunnel_port: String,
    pub(super) uids: Vec<String>,
    pub(super) gids: Vec<String>,
    /// Inbound connections keep their source address; else they are redirected.
    pub(super) tproxy: bool,
    pub(super) mark: String,
    /// `*`, or ports; none means nothing inbound.
    pub(super) inbound_ports: Vec<String>,
    pub(super) inbound_excluded: Vec<String>,
    pub(super) interfaces_excluded: Vec<String>,
    pub(super) ranges: Ranges,
    pub(super) ranges_excluded: Vec<(IpAddr, String)>,
    pub(super) outbound_ports: Vec<String>,
    pub(super) outbound_excluded: Vec<String>,
    pub(super) virtual_interfaces: Vec<String>,
    pub(super) groups: Groups,
    /// Servers whose questions the agent answers; `None` leaves names alone, `All` takes every question.
    pub(super) dns: Option<Dns>,
    pub(super) drop_invalid: bool,
}

/// Which questions for names go to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dns {
    /// Those to any server.
    All,
    /// Those to these servers.
    Servers(Vec<IpAddr>),
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }

    fn loopback(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.1/32",
            Self::V6 => "::1/128",
        }
    }

    /// From where a proxy speaks to its own workload.
    fn inbound_source(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.6/32",
            Self::V6 => "::6/128",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) table: &'static str,
    pub(super) chain: &'static str,
    /// What is matched and done.
    pub(super) text: String,
}

/// All rules of a family in order.
pub(super) struct Rules(pub(super) Vec<Rule>);

impl Rules {
    fn add(&mut self, table: &'static str, chain: &'static str, text: impl Into<String>) {
        self.0.push(Rule { table, chain, text: text.into() });
    }

    /// Before all others of the chain.
    fn put_first(&mut self, table: &'static str, chain: &'static str, text: impl Into<String>) {
        let at = self.0.iter().position(|rule| rule.table == table && rule.chain == chain);
        self.0.insert(at.unwrap_or(self.0.len()), Rule { table, chain, text: text.into() });
    }

    /// What `iptables-restore --noflush` takes: chains of our own, then the rules.
    pub(super) fn to_restore(&self) -> String {
        let mut tables: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in &self.0 {
            tables.entry(rule.table).or_default().push(rule);
        }
        let mut text = String::new();
        for (table, rules) in tables {
            let _ = writeln!(text, "*{table}");
            let targets = rules.iter().filter_map(|rule| rule.text.rsplit_once("-j ")?.1.split(' ').next());
            let mut chains: Vec<&str> = rules.iter().map(|rule| rule.chain).chain(targets).collect();
            chains.retain(|chain| chain.starts_with(OURS));
            chains.sort_unstable();
            chains.dedup();
            for chain in chains {
                let _ = writeln!(text, "-N {chain}");
            }
            for rule in rules {
                let _ = writeln!(text, "-A {} {}", rule.chain, rule.text);
            }
            text.push_str("COMMIT\n");
        }
        text
    }
}

impl Settings {
    /// The rules of one family.
    pub(super) fn rules(&self, family: Family) -> Rules {
        let mut rules = Rules(Vec::new());
        self.leave_interfaces_alone(&mut rules);
        if self.drop_invalid {
            rules.add("mangle", "PREROUTING", format!("-m conntrack --ctstate INVALID -j {DROP}"));
            rules.add("mangle", DROP, "-j DROP");
        }
        self.inbound(family, &mut rules);
        self.outbound(family, &mut rules);
        if self.tproxy {
            self.mark_packets(family, &mut rules);
        }
        rules
    }

    fn leave_interfaces_alone(&self, rules: &mut Rules) {
        let tables: &[&str] = if self.tproxy { &["nat", "mangle"] } else { &["nat"] };
        for table in tables {
            for interface in &self.interfaces_excluded {
                rules.add(table, "PREROUTING", format!("-i {interface} -j RETURN"));
                rules.add(table, "OUTPUT", format!("-o {interface} -j RETURN"));
            }
        }
        for interface in &self.virtual_interfaces {
            rules.put_first("nat", "PREROUTING", format!("-i {interface} -j RETURN"));
        }
    }

    fn inbound(&self, family: Family, rules: &mut Rules) {
        rules.add("nat", INBOUND, format!("-p tcp --dport {} -j RETURN", self.tunnel_port));
        rules.add("nat", REDIRECT, format!("-p tcp -j REDIRECT --to-ports {}", self.outbound_port));
        rules.add("nat", IN_REDIRECT, format!("-p tcp -j REDIRECT --to-ports {}", self.inbound_port));
        if self.inbound_ports.is_empty() {
            return;
        }
        let table = if self.tproxy { "mangle" } else { "nat" };
        if self.tproxy {
            rules.add("mangle", DIVERT, format!("-j MARK --set-mark {}", self.mark));
            rules.add("mangle", DIVERT, "-j ACCEPT");
            let (loopback, mark, port) = (family.loopback(), &self.mark, &self.inbound_port);
            rules.add(
                "mangle",
                TPROXY,
                format!("! -d {loopback} -p tcp -j TPROXY --tproxy-mark {mark}/0xffffffff --on-port {port}"),
            );
        }
        rules.add(table, "PREROUTING", format!("-p tcp -j {INBOUND}"));
        let takes_all = self.inbound_ports.iter().any(|port| port == "*");
        if takes_all {
            for port in &self.inbound_excluded {
                rules.add(table, INBOUND, format!("-p tcp --dport {port} -j RETURN"));
            }
        }
        for port in &self.inbound_ports {
            let to = if takes_all { "-p tcp".to_owned() } else { format!("-p tcp --dport {port}") };
            if self.tproxy {
                let known = "-m conntrack --ctstate RELATED,ESTABLISHED";
                rules.add("mangle", INBOUND, format!("{to} {known} -j {DIVERT}"));
                rules.add("mangle", INBOUND, format!("{to} -j {TPROXY}"));
            } else {
                rules.add("nat", INBOUND, format!("{to} -j {IN_REDIRECT}"));
            }
            if takes_all {
                break;
            }
        }
    }

    fn outbound(&self, family: Family, rules: &mut Rules) {
        rules.add("nat", "OUTPUT", format!("-j {OUTPUT}"));
        for port in &self.outbound_excluded {
            rules.add("nat", OUTPUT, format!("-p tcp --dport {port} -j RETURN"));
            rules.add("nat", OUTPUT, format!("-p udp --dport {port} -j RETURN"));
        }
        // The inbound proxy on its way to the application.
        rules.add("nat", OUTPUT, format!("-o lo -s {} -j RETURN", family.inbound_source()));
        let owners = self.uids.iter().map(|uid| ("uid", uid)).chain(self.gids.iter().map(|gid| ("gid", gid)));
        for (kind, id) in owners.clone() {
            self.own_traffic(family, kind, id, rules);
        }
        match &self.groups {
            Groups::AllBut(groups) => {
                for group in groups {
                    rules.add("nat", OUTPUT, format!("-m owner --gid-owner {group} -j RETURN"));
                }
            }
            Groups::These(groups) => {
                let none: Vec<String> =
                    groups.iter().map(|group| format!("-m owner ! --gid-owner {group} ")).collect();
                let none = none.concat();
                rules.add("nat", OUTPUT, format!("{none}-j RETURN"));
            }
        }
        if let Some(dns) = &self.dns {
            names(family, dns, &owners.collect::<Vec<_>>(), rules);
        }
        rules.add("nat", OUTPUT, format!("-d {} -j RETURN", family.loopback()));
        for (_, range) in self.ranges_excluded.iter().filter(|(address, _)| family.has(*address)) {
            rules.add("nat", OUTPUT, format!("-d {range} -j RETURN"));
        }
        for port in &self.outbound_ports {
            rules.add("nat", OUTPUT, format!("-p tcp --dport {port} -j {REDIRECT}"));
        }
        let ranges: Vec<String> = match &self.ranges {
            Ranges::All => vec![String::new()],
            Ranges::These(ranges) => {
                let own = ranges.iter().filter(|(address, _)| family.has(*address));
                own.map(|(_, range)| format!("-d {range} ")).collect()
            }
        };
        for range in ranges {
            rules.add("nat", OUTPUT, format!("{range}-j {REDIRECT}"));
            for interface in &self.virtual_interfaces {
                rules.put_first("nat", "PREROUTING", format!("-i {interface} {range}-j {REDIRECT}"));
            }
        }
    }

    /// What the proxy itself sends.
    fn own_traffic(&self, family: Family, kind: &str, id: &str, rules: &mut Rules) {
        let (loopback, tunnel) = (family.loopback(), &self.tunnel_port);
        let answers_names = self.dns.is_some();
        // An application that calls its own service: from the outbound proxy back in by the inbound one.
        let ports = if answers_names && kind == "uid" {
            format!("-m multiport ! --dports 53,{tunnel}")
        } else {
            format!("! --dport {tunnel}")
        };
        rules.add(
            "nat",
            OUTPUT,
            format!("-o lo ! -d {loopback} -p tcp {ports} -m owner --{kind}-owner {id} -j {IN_REDIRECT}"),
        );
        // An application that calls itself by its own address, unless loopback is asked for.
        let asks_for_loopback =
            matches!(&self.ranges, Ranges::These(ranges) if ranges.iter().any(|(ip, _)| ip.is_loopback()));
        if !asks_for_loopback {
            let but_names = if answers_names { "-p tcp ! --dport 53 " } else { "" };
            rules.add("nat", OUTPUT, format!("-o lo {but_names}-m owner ! --{kind}-owner {id} -j RETURN"));
        }
        rules.add("nat", OUTPUT, format!("-m owner --{kind}-owner {id} -j RETURN"));
    }

    /// In TPROXY mode packets are told apart by marks, so that none goes round in a circle.
    fn mark_packets(&self, family: Family, rules: &mut Rules) {
        let mark = &self.mark;
        rules.add("mangle", "PREROUTING", format!("-p tcp -m mark --mark {mark} -j CONNMARK --save-mark"));
        rules.add("mangle", "OUTPUT", format!("-p tcp -o lo -m mark --mark {mark} -j RETURN"));
        let owners = self.uids.iter().map(|uid| ("uid", uid)).chain(self.gids.iter().map(|gid| ("gid", gid)));
        for (kind, id) in owners {
            let loopback = family.loopback();
            rules.add(
                "mangle",
                "OUTPUT",
                format!(
                    "! -d {loopback} -p tcp -o lo -m owner --{kind}-owner {id} -j MARK --set-mark {OUTBOUND_MARK}"
                ),
            );
        }
        rules.add("mangle", "OUTPUT", format!("-p tcp -m connmark --mark {mark} -j CONNMARK --restore-mark"));
        let source = family.inbound_source();
        rules.put_first(
            "mangle",
            INBOUND,
            format!("-p tcp -i lo -m mark ! --mark {OUTBOUND_MARK} -j RETURN"),
        );
        rules.put_first("mangle", INBOUND, format!("-p tcp -s {source} -i lo -j RETURN"));
        rules.put_first("mangle", INBOUND, format!("-p tcp -m mark --mark {mark} -j RETURN"));
    }
}

/// Questions for names to the agent. The agent's own questions and those of applications are tracked apart, since both
/// may come from one port to one server.
fn names(family: Family, dns: &Dns, owners: &[(&str, &String)], rules: &mut Rules) {
    let to: Vec<(String, String)> = match dns {
        Dns::All => vec![(String::new(), String::new())],
        Dns::Servers(servers) => {
            let own = servers.iter().filter(|server| family.has(**server));
            let length = if family == Family::V4 { 32 } else { 128 };
            own.map(|server| (format!("-d {server}/{length} "), format!("-s {server}/{length} "))).collect()
        }
    };
    rules.add("raw", "OUTPUT", format!("-j {OUTPUT_DNS}"));
    if !to.is_empty() {
        rules.add("nat", OUTPUT, format!("-j {OUTPUT_DNS}"));
    }
    for protocol in ["tcp", "udp"] {
        for (server, _) in &to {
            rules.add(
                "nat",
                OUTPUT_DNS,
                format!("-p {protocol} --dport 53 {server}-j REDIRECT --to-ports {DNS_PORT}"),
            );
        }
    }
    for (kind, id) in owners {
        let owner = format!("-m owner --{kind}-owner {id}");
        rules.add("raw", OUTPUT_DNS, format!("-p udp --dport 53 {owner} -j CT --zone 1"));
        rules.add("raw", OUTPUT_DNS, format!("-p udp --sport {DNS_PORT} {owner} -j CT --zone 2"));
    }
    if !to.is_empty() {
        rules.add("raw", "PREROUTING", format!("-j {INBOUND}"));
    }
    for (server, source) in &to {
        rules.add("raw", OUTPUT_DNS, format!("-p udp --dport 53 {server}-j CT --zone 2"));
        rules.add("raw", INBOUND, format!("-p udp --sport 53 {source}-j CT --zone 1"));
    }
}

#[cfg(test)]
mod tests;
