//! Names of sidecar route configurations (spec 3.1) and what they ask for.

/// A name, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteName<'a> {
    /// `8080`: everything on that port.
    Port(u32),
    /// `<fqdn>:8080`: one service whose protocol is sniffed.
    Sniffed(&'a str, u32),
    /// `http_proxy`: every port.
    HttpProxy,
    /// `unix://path`: every port, on a socket.
    Unix(&'a str),
    /// Nothing we would have sent.
    Unknown,
}

impl<'a> RouteName<'a> {
    /// Reads a name.
    pub(super) fn parse(name: &'a str) -> Self {
        if name == "http_proxy" {
            return Self::HttpProxy;
        }
        if name.starts_with("unix://") {
            return Self::Unix(name);
        }
        let port = |text: &str| text.parse::<u32>().ok();
        match name.rsplit_once(':') {
            Some((host, number)) => port(number).map_or(Self::Unknown, |port| Self::Sniffed(host, port)),
            None => port(name).map_or(Self::Unknown, Self::Port),
        }
    }

    /// The listener's port, 0 for those of every port.
    pub(super) fn port(self) -> u32 {
        match self {
            Self::Port(port) | Self::Sniffed(_, port) => port,
            Self::HttpProxy | Self::Unix(_) | Self::Unknown => 0,
        }
    }

    /// The socket, empty when there is none.
    pub(super) fn bind(self) -> &'a str {
        match self {
            Self::Unix(path) => path,
            Self::Port(_) | Self::Sniffed(..) | Self::HttpProxy | Self::Unknown => "",
        }
    }
}
