//! Names of outbound clusters: `outbound|port|subset|host`.

/// The name.
pub(super) fn outbound(port: u32, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// Host and port of a name of that form.
pub(super) fn parse(name: &str) -> Option<(&str, &str)> {
    let mut parts = name.split('|');
    let (_, port, _, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some((host, port))
}
