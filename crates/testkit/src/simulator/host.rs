//! The virtual host of a request: an exact domain, else the longest `*suffix`, else the longest `prefix*`, else `*`.

use serde_json::Value;

use super::{list, text};

/// The virtual host that takes a host name.
pub(super) fn virtual_host<'a>(configuration: &'a Value, host: &str) -> Option<&'a Value> {
    let host = host.to_ascii_lowercase();
    let host = match host.rsplit_once(':') {
        Some((name, _)) if configuration["ignorePortInHostMatching"] == true => name,
        _ => &*host,
    };
    let hosts = list(&configuration["virtualHosts"]);
    let ranked = hosts.iter().filter_map(|virtual_host| {
        let rank =
            list(&virtual_host["domains"]).iter().filter_map(|domain| rank(text(domain), host)).max()?;
        Some((rank, virtual_host))
    });
    // The first one wins where two rank alike, which Envoy would refuse.
    ranked
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, virtual_host)| virtual_host)
}

/// How well a domain fits: kind first, then length.
fn rank(domain: &str, host: &str) -> Option<(u8, usize)> {
    let domain = domain.to_ascii_lowercase();
    if domain == host {
        return Some((3, 0));
    }
    if domain == "*" {
        return Some((0, 0));
    }
    if let Some(suffix) = domain.strip_prefix('*') {
        return (host.len() > suffix.len() && host.ends_with(suffix)).then_some((2, suffix.len()));
    }
    let prefix = domain.strip_suffix('*')?;
    (host.len() > prefix.len() && host.starts_with(prefix)).then_some((1, prefix.len()))
}
