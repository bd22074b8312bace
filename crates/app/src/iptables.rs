//! `trierarch iptables`: leads the traffic of this machine, or of the network namespace it is run in, through Envoy, as
//! `pilot-agent istio-iptables` does in a Pod (platform specification, 6.5). Flags and variables have its names, so the
//! arguments of `istio-init` work unchanged. Rules of an earlier run are replaced.

mod kernel;
mod rules;

use std::io::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{ArgAction, Args, ValueEnum};

use rules::{Dns, Groups, Ranges, Settings};

/// Who answers questions for names.
pub(crate) const RESOLVERS: &str = "/etc/resolv.conf";

/// What `iptables` takes. Names are those of `pilot-agent istio-iptables`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Port of Envoy for what goes out.
    #[arg(short = 'p', long = "envoy-port", env = "ENVOY_PORT", default_value_t = 15001)]
    outbound_port: u16,
    /// Port of Envoy for what comes in.
    #[arg(short = 'z', long = "inbound-capture-port", env = "INBOUND_CAPTURE_PORT", default_value_t = 15006)]
    inbound_port: u16,
    /// Port for tunnels, which is never redirected.
    #[arg(short = 'e', long = "inbound-tunnel-port", env = "INBOUND_TUNNEL_PORT", default_value_t = 15008)]
    tunnel_port: u16,
    /// Users whose traffic is not redirected: Envoy's and the agent's.
    #[arg(short = 'u', long = "proxy-uid", env = "PROXY_UID", default_value = "1337", value_delimiter = ',')]
    uids: Vec<String>,
    /// Groups whose traffic is not redirected; the same as the users if unset.
    #[arg(short = 'g', long = "proxy-gid", env = "PROXY_GID", value_delimiter = ',')]
    gids: Vec<String>,
    /// How inbound connections come to Envoy; TPROXY keeps their source address.
    #[arg(
        short = 'm',
        long = "istio-inbound-interception-mode",
        env = "ISTIO_INBOUND_INTERCEPTION_MODE",
        value_enum,
        ignore_case = true,
        default_value = "REDIRECT"
    )]
    mode: Mode,
    /// Inbound ports that are redirected; * for all, empty for none.
    #[arg(short = 'b', long = "istio-inbound-ports", env = "ISTIO_INBOUND_PORTS", default_value = "")]
    inbound_ports: String,
    /// Inbound ports that are not, where all are.
    #[arg(
        short = 'd',
        long = "istio-local-exclude-ports",
        env = "ISTIO_LOCAL_EXCLUDE_PORTS",
        default_value = ""
    )]
    inbound_excluded: String,
    /// Interfaces whose traffic is left alone.
    #[arg(
        short = 'c',
        long = "istio-exclude-interfaces",
        env = "ISTIO_EXCLUDE_INTERFACES",
        default_value = ""
    )]
    interfaces_excluded: String,
    /// Ranges of addresses to which traffic is redirected; * for all, empty for none.
    #[arg(short = 'i', long = "istio-service-cidr", env = "ISTIO_SERVICE_CIDR", default_value = "")]
    ranges: String,
    /// Ranges to which it is not, where it is to all.
    #[arg(
        short = 'x',
        long = "istio-service-exclude-cidr",
        env = "ISTIO_SERVICE_EXCLUDE_CIDR",
        default_value = ""
    )]
    ranges_excluded: String,
    /// Outbound ports that are redirected whatever the address.
    #[arg(short = 'q', long = "istio-outbound-ports", env = "ISTIO_OUTBOUND_PORTS", default_value = "")]
    outbound_ports: String,
    /// Outbound ports that are not.
    #[arg(
        short = 'o',
        long = "istio-local-outbound-ports-exclude",
        env = "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE",
        default_value = ""
    )]
    outbound_excluded: String,
    /// Interfaces of virtual machines, whose inbound traffic counts as outbound.
    #[arg(short = 'k', long = "kube-virt-interfaces", env = "KUBE_VIRT_INTERFACES", default_value = "")]
    virtual_interfaces: String,
    /// Mark of packets in TPROXY mode.
    #[arg(
        short = 't',
        long = "istio-inbound-tproxy-mark",
        env = "ISTIO_INBOUND_TPROXY_MARK",
        default_value_t = 1337
    )]
    mark: u32,
    /// Table of routes for them.
    #[arg(
        short = 'r',
        long = "istio-inbound-tproxy-route-table",
        env = "ISTIO_INBOUND_TPROXY_ROUTE_TABLE",
        default_value_t = 133
    )]
    route_table: u32,
    /// Groups whose outbound traffic is redirected; * for all.
    #[arg(long, env = "ISTIO_OUTBOUND_OWNER_GROUPS", default_value = "*", hide = true)]
    owner_groups: String,
    /// Groups whose outbound traffic is not, where all groups' is.
    #[arg(long, env = "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", default_value = "", hide = true)]
    owner_groups_excluded: String,
    /// Questions for names to the servers of /etc/resolv.conf go to the agent's port 15053.
    #[arg(long = "redirect-dns", env = "ISTIO_META_DNS_CAPTURE", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    redirect_dns: bool,
    /// With --redirect-dns: questions to any server.
    #[arg(long = "capture-all-dns", env = "CAPTURE_ALL_DNS", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    all_dns: bool,
    /// Drop packets that belong to no connection instead of letting them reset one.
    #[arg(long = "drop-invalid", env = "INVALID_DROP", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    drop_invalid: bool,
    /// Rules for IPv6 beside those for IPv4; without it, only where the machine has no IPv4.
    #[arg(long = "dual-stack", env = "ISTIO_DUAL_STACK", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    dual_stack: bool,
    /// Print what iptables-restore would be given, and change nothing.
    #[arg(short = 'n', long = "dry-run", env = "DRY_RUN", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    dry_run: bool,
    /// Remove the rules, with the flags by which they were made.
    #[arg(long = "cleanup-only", alias = "cleanup", env = "CLEANUP_ONLY", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    cleanup: bool,
    /// Accepted for `istio-init`, whose rules are replaced here in any case.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    reconcile: Option<bool>,
    /// The same.
    #[arg(long = "force-apply", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    force_apply: Option<bool>,
    /// The same: logging is left to whoever runs this.
    #[arg(long = "log_output_level", hide = true)]
    log_output_level: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    #[value(name = "REDIRECT")]
    Redirect,
    #[value(name = "TPROXY")]
    Tproxy,
}

/// Makes the rules, prints them, or removes them.
pub(crate) fn run(options: &Options) -> Result<()> {
    let settings = options.settings()?;
    let families = kernel::families(options.dual_stack);
    if options.dry_run {
        ensure!(!options.cleanup, "--dry-run and --cleanup-only do not go together");
        let mut output = std::io::stdout().lock();
        for family in families {
            let text = settings.rules(*family).to_restore();
            writeln!(output, "# {}-restore --noflush\n{text}", family.program())?;
        }
        return Ok(());
    }
    let route = kernel::Route { mark: options.mark.to_string(), table: options.route_table.to_string() };
    for family in families {
        let rules = settings.rules(*family);
        kernel::remove(*family, &rules, &route)?;
        if !options.cleanup {
            kernel::apply(*family, &rules, settings.tproxy.then_some(&route))?;
        }
    }
    Ok(())
}

impl Options {
    fn settings(&self) -> Result<Settings> {
        let number = |what: &str, list: Vec<String>| -> Result<Vec<String>> {
            for one in &list {
                ensure!(one.parse::<u32>().is_ok(), "{what}: {one:?} is no number");
            }
            Ok(list)
        };
        let port = |flag: &str, text: &str| -> Result<Vec<String>> {
            let list = list(text);
            for one in &list {
                ensure!(one.parse::<u16>().is_ok(), "{flag}: {one:?} is no port");
            }
            Ok(list)
        };
        let interface = |flag: &str, text: &str| -> Result<Vec<String>> {
            let list = list(text);
            let is_name = |name: &str| {
                name.len() < 16 && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@+".contains(c))
            };
            for one in &list {
                ensure!(is_name(one), "{flag}: {one:?} is no name of an interface");
            }
            Ok(list)
        };
        let inbound_ports = match self.inbound_ports.trim() {
            "*" => vec!["*".to_owned()],
            text => port("--istio-inbound-ports", text)?,
        };
        let ranges = match self.ranges.trim() {
            "*" => Ranges::All,
            text => Ranges::These(ranges("--istio-service-cidr", text)?),
        };
        let uids = number("--proxy-uid", self.uids.clone())?;
        let gids =
            if self.gids.is_empty() { uids.clone() } else { number("--proxy-gid", self.gids.clone())? };
        let groups = match self.owner_groups.trim() {
            "*" => Groups::AllBut(number(
                "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE",
                list(&self.owner_groups_excluded),
            )?),
            text => Groups::These(number("ISTIO_OUTBOUND_OWNER_GROUPS", list(text))?),
        };
        Ok(Settings {
            outbound_port: self.outbound_port.to_string(),
            inbound_port: self.inbound_port.to_string(),
            tunnel_port: self.tunnel_port.to_string(),
            uids,
            gids,
            tproxy: self.mode == Mode::Tproxy,
            mark: self.mark.to_string(),
            inbound_ports,
            inbound_excluded: port("--istio-local-exclude-ports", &self.inbound_excluded)?,
            interfaces_excluded: interface("--istio-exclude-interfaces", &self.interfaces_excluded)?,
            ranges,
            ranges_excluded: ranges_of(&self.ranges_excluded)?,
            outbound_ports: port("--istio-outbound-ports", &self.outbound_ports)?,
            outbound_excluded: port("--istio-local-outbound-ports-exclude", &self.outbound_excluded)?,
            virtual_interfaces: interface("--kube-virt-interfaces", &self.virtual_interfaces)?,
            groups,
            dns: self.dns()?,
            drop_invalid: self.drop_invalid,
        })
    }

    fn dns(&self) -> Result<Option<Dns>> {
        match (self.redirect_dns, self.all_dns) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(Dns::All)),
            (true, false) => {
                let text = std::fs::read_to_string(RESOLVERS).with_context(|| RESOLVERS.to_owned())?;
                let servers = servers(&text);
                ensure!(
                    !servers.is_empty(),
                    "--redirect-dns: {RESOLVERS} names no server; --capture-all-dns takes questions to any"
                );
                Ok(Some(Dns::Servers(servers)))
            }
        }
    }
}

fn ranges_of(text: &str) -> Result<Vec<(IpAddr, String)>> {
    ensure!(text.trim() != "*", "--istio-service-exclude-cidr: * would leave nothing to redirect");
    ranges("--istio-service-exclude-cidr", text)
}

/// The parts of a list, without blanks and empty ones.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Ranges in the form `10.0.0.0/8`.
fn ranges(flag: &str, text: &str) -> Result<Vec<(IpAddr, String)>> {
    let one = |range: String| {
        let (address, length) = range.split_once('/')?;
        let (address, length) = (address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
        (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, range.clone()))
    };
    let mut all = Vec::new();
    for range in list(text) {
        match one(range.clone()) {
            Some(range) => all.push(range),
            None => bail!("{flag}: {range:?} is no range as 10.0.0.0/8"),
        }
    }
    Ok(all)
}

/// The servers that a `resolv.conf` names.
pub(crate) fn servers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then_some(words.next()?.parse().ok())?
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_range_is_refused_by_name() {
        let all = ranges("-i", " 10.0.0.0/8 ,fd00::/8,").expect("ranges");
        let texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["10.0.0.0/8", "fd00::/8"]);
        for wrong in ["10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/8;reboot"] {
            assert!(ranges("-i", wrong).is_err_and(|error| error.to_string().contains(wrong)), "{wrong}");
        }
        assert!(ranges_of("*").is_err());
    }

    #[test]
    fn servers_are_read_from_resolv_conf() {
        let text =
            "# nameserver 1.1.1.1\nnameserver 10.0.0.53\nsearch x\nnameserver fd00::53 \nnameserver y\n";
        let expected: Vec<IpAddr> =
            ["10.0.0.53", "fd00::53"].iter().filter_map(|ip| ip.parse().ok()).collect();
        assert_eq!(servers(text), expected);
    }
}
