//! Which addresses may be asked for keys. What is reachable only from inside (this machine, private networks, the
//! link, with it the metadata service of a cloud) is refused, in whatever notation of IPv6 it hides, unless somebody
//! allowed it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Tells addresses that may be asked from those that may not.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Allowed although they are not public.
    pub allowed: Vec<IpNet>,
    /// Refused whatever else is said: `BLOCKED_CIDRS_IN_JWKS_URIS`.
    pub blocked: Vec<IpNet>,
}

impl Guard {
    /// Whether this address may be connected to.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = embedded(address);
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        !is_in(&self.blocked) && (is_in(&self.allowed) || is_public(address))
    }
}

/// The IPv4 address that an IPv6 one leads to.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        // Itself and the unspecified one are no IPv4 addresses in the old notation.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        // Mapped, compatible, translated.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // NAT64, of everybody and of one network.
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => v4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // This network, shared between providers and their clients, protocols, benchmarks, the future.
        || a == 0
        || a == 100 && (64..128).contains(&b)
        || a == 192 && b == 0 && c == 0
        || a == 198 && (b == 18 || b == 19)
        || a >= 240;
    !is_special
}

/// Global addresses begin with the bits 001; some of these are documentation or tunnels.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000 && !(first == 0x2001 && (second < 0x200 || second == 0xdb8)) && first != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(guard: &Guard, address: &str) -> bool {
        guard.permits(address.parse().expect("an address"))
    }

    #[test]
    fn what_is_inside_is_refused_in_every_notation() {
        let guard = Guard::default();
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "100.127.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
        ] {
            assert!(!permits(&guard, inside), "{inside}");
        }
        for outside in
            ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1"]
        {
            assert!(permits(&guard, outside), "{outside}");
        }
    }

    #[test]
    fn a_network_may_be_allowed_and_a_blocked_one_stays_blocked() {
        let net = |text: &str| vec![text.parse::<IpNet>().expect("a network")];
        let guard = Guard { allowed: net("10.0.0.0/8"), blocked: net("10.1.0.0/16") };
        assert!(permits(&guard, "10.2.0.1") && permits(&guard, "::ffff:10.2.0.1"));
        assert!(!permits(&guard, "10.1.0.1") && !permits(&guard, "::ffff:10.1.0.1"));
        assert!(!permits(&guard, "192.168.0.1"));
        let guard = Guard { allowed: Vec::new(), blocked: net("8.8.8.0/24") };
        assert!(!permits(&guard, "8.8.8.8") && permits(&guard, "8.8.4.4"));
    }
}
