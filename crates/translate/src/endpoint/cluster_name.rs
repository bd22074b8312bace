//! Names of clusters that have a load assignment: `outbound|port|subset|host`, and `outbound_.port_.subset_.host` for
//! routers that pass mutual TLS on by server name (spec 1.1).

/// What the name of a cluster says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterName<'a> {
    /// The form of server names: only endpoints that take mutual TLS count.
    pub server_name: bool,
    /// The service port.
    pub port: u32,
    /// The subset; empty for the whole service.
    pub subset: &'a str,
    /// The host of the service.
    pub host: &'a str,
}

impl<'a> ClusterName<'a> {
    /// Reads a name; none for one of another form.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (server_name, separator, rest) = match name.strip_prefix("outbound|") {
            Some(rest) => (false, "|", rest),
            None => (true, "_.", name.strip_prefix("outbound_.")?),
        };
        let mut parts = rest.splitn(3, separator);
        let (port, subset, host) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        Some(Self { server_name, port, subset, host })
    }
}
