//! Rules into the kernel and out of it, by the programs of the package iptables, and by `ip` what TPROXY needs of
//! routes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::rules::{Family, OURS, Rules};

const TABLES: &[&str] = &["raw", "mangle", "nat"];

/// By which mark packets of the TPROXY mode find their way to this machine, and the table that tells it.
pub(super) struct Route {
    pub(super) mark: String,
    pub(super) table: String,
}

/// IPv4, and IPv6 where it is asked for or is all there is.
pub(super) fn families(both: bool) -> &'static [Family] {
    let only_v6 = || !has_route("192.0.2.1:9") && has_route("[2001:db8::1]:9");
    if both || only_v6() { &[Family::V4, Family::V6] } else { &[Family::V4] }
}

/// Whether packets would find a way; none is sent.
fn has_route(address: &str) -> bool {
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    std::net::UdpSocket::bind(any).and_then(|socket| socket.connect(address)).is_ok()
}

impl Family {
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::V4 => "iptables",
            Self::V6 => "ip6tables",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }
}

/// Puts rules in, and the route where one is given.
pub(super) fn apply(family: Family, rules: &Rules, route: Option<&Route>) -> Result<()> {
    restore(family, &rules.to_restore())?;
    if let Some(Route { mark, table }) = route {
        // Marked packets are for this machine, whatever their address.
        let any = if family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
        call("ip", &[family.flag(), "rule", "add", "fwmark", mark, "lookup", table])?;
        call("ip", &[family.flag(), "route", "add", "local", any, "dev", "lo", "table", table])?;
    }
    if family == Family::V6 {
        // The source of what the inbound proxy sends to the application; it may be there from before.
        let _ = call("ip", &["-6", "addr", "add", "::6/128", "dev", "lo"]);
    }
    Ok(())
}

/// Removes our rules: those of built-in chains one by one, ours with their chains.
pub(super) fn remove(family: Family, rules: &Rules, route: &Route) -> Result<()> {
    let program = family.program();
    let mut input = String::new();
    for table in TABLES {
        // Where a table is not there, nothing of ours is in it.
        let Ok(saved) = call(&format!("{program}-save"), &["-t", table]) else { continue };
        let own = rules.0.iter().filter(|rule| rule.table == *table && !rule.chain.starts_with(OURS));
        for rule in own.filter(|rule| !rule.text.contains(&format!("-j {OURS}"))) {
            let words: Vec<&str> = rule.text.split(' ').collect();
            let with = |action| [&["-w", "-t", table, action, rule.chain][..], &words].concat();
            while call(program, &with("-C")).is_ok() {
                call(program, &with("-D"))?;
            }
        }
        let part = removal(&saved);
        if !part.is_empty() {
            let _ = write!(input, "*{table}\n{part}COMMIT\n");
        }
    }
    let Route { mark, table } = route;
    // Each fails where there is none.
    while call("ip", &[family.flag(), "rule", "del", "fwmark", mark, "lookup", table]).is_ok() {}
    let _ = call("ip", &[family.flag(), "route", "flush", "table", table]);
    if input.is_empty() { Ok(()) } else { restore(family, &input) }
}

/// From a saved table to what removes our chains and the ways to them.
fn removal(saved: &str) -> String {
    let is_ours = |chain: &str| chain.starts_with(OURS);
    let mut text = String::new();
    for line in saved.lines() {
        let Some((chain, rest)) = line.strip_prefix("-A ").and_then(|rule| rule.split_once(' ')) else {
            continue;
        };
        let leads_to_us = rest.split(' ').skip_while(|word| *word != "-j").nth(1).is_some_and(is_ours);
        if !is_ours(chain) && leads_to_us {
            let _ = writeln!(text, "-D {chain} {rest}");
        }
    }
    let chains = saved.lines().filter_map(|line| line.strip_prefix(':')?.split(' ').next());
    let chains: Vec<&str> = chains.filter(|chain| is_ours(chain)).collect();
    for action in ["-F", "-X"] {
        for chain in &chains {
            let _ = writeln!(text, "{action} {chain}");
        }
    }
    text
}

fn restore(family: Family, input: &str) -> Result<()> {
    let program = format!("{}-restore", family.program());
    let mut command = Command::new(&program);
    command.args(["--noflush", "-w"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| missing(&program))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} refuses: {}; it needs CAP_NET_ADMIN and CAP_NET_RAW",
        errors.trim()
    );
    Ok(())
}

fn missing(program: &str) -> String {
    format!("{program} cannot be run; Debian has it in the package iptables")
}

fn call(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| missing(program))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_takes_ways_to_our_chains_and_leaves_other_rules() {
        let saved = "*nat\n:OUTPUT ACCEPT [0:0]\n:ISTIO_OUTPUT - [0:0]\n:KUBE - [0:0]\n-A OUTPUT -j KUBE\n\
                     -A OUTPUT -p tcp -j ISTIO_OUTPUT\n-A ISTIO_OUTPUT -j RETURN\nCOMMIT\n";
        let expected = "-D OUTPUT -p tcp -j ISTIO_OUTPUT\n-F ISTIO_OUTPUT\n-X ISTIO_OUTPUT\n";
        assert_eq!(removal(saved), expected);
        assert_eq!(removal("*nat\n:KUBE - [0:0]\n-A OUTPUT -j KUBE\nCOMMIT\n"), "");
    }
}
