//! Protocols of service ports and how their names select them (spec rows K01, K02): the port's transport, then
//! `appProtocol`, then the name's prefix, then well-known port numbers.

/// What a service port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// TLS that carries HTTP; routed by SNI.
    Https,
    /// TLS; routed by SNI.
    Tls,
    /// Plain TCP.
    Tcp,
    /// MongoDB.
    Mongo,
    /// MySQL.
    MySql,
    /// Redis.
    Redis,
    /// UDP, not proxied.
    Udp,
    /// An HTTP forward proxy (Sidecar egress listeners).
    HttpProxy,
    /// HBONE (HTTP CONNECT over mutual TLS).
    Hbone,
    /// Not declared: sniffed.
    #[default]
    Unsupported,
}

impl Protocol {
    /// By its full name, any case, as ServiceEntry, Gateway and Sidecar ports state it.
    pub fn by_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "http" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "tcp" => Self::Tcp,
            "mongo" => Self::Mongo,
            "mysql" => Self::MySql,
            "redis" => Self::Redis,
            "udp" => Self::Udp,
            "http_proxy" => Self::HttpProxy,
            "hbone" => Self::Hbone,
            _ => Self::Unsupported,
        }
    }

    /// Of a Kubernetes Service port: `transport` is TCP, UDP or SCTP.
    pub fn of_service_port(number: u32, name: &str, transport: &str, app_protocol: Option<&str>) -> Self {
        if transport.eq_ignore_ascii_case("UDP") {
            return Self::Udp;
        }
        let name = match app_protocol {
            Some("kubernetes.io/h2c") => return Self::Http2,
            Some("kubernetes.io/ws") => return Self::Http,
            Some("kubernetes.io/wss") => return Self::Https,
            Some(app) => app,
            None => name,
        };
        if name.len() >= 8 && name.is_char_boundary(8) && name[..8].eq_ignore_ascii_case("grpc-web") {
            return Self::GrpcWeb;
        }
        let prefix = name.split('-').next().unwrap_or_default();
        match Self::by_name(prefix) {
            Self::Unsupported if matches!(number, 25 | 53 | 3306 | 27017) => Self::Tcp,
            protocol => protocol,
        }
    }

    /// HTTP in any form that an HTTP connection manager serves.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb | Self::HttpProxy)
    }

    /// HTTP/2 spoken without an upgrade.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// gRPC or gRPC-Web.
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcWeb)
    }

    /// Opaque streams, TLS among them.
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Https | Self::Tls | Self::Mongo | Self::MySql | Self::Redis)
    }

    /// TLS that is routed by its SNI.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// What is spoken inside when TLS has ended.
    pub fn after_tls(self) -> Self {
        match self {
            Self::Https => Self::Http,
            Self::Tls => Self::Tcp,
            other => other,
        }
    }

    /// Not declared, so sniffed.
    pub fn is_unsupported(self) -> bool {
        self == Self::Unsupported
    }
}
