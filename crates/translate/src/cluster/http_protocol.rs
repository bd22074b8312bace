//! Which HTTP a cluster speaks: `HttpProtocolOptions`, present only when something asked for them (spec 1.5, rows
//! C19). Without a choice of protocol present options mean HTTP/1.1.

use envoy::upstreams_http::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
    explicit_http_config::ProtocolConfig,
};
use proto::envoy;
use proto::envoy::core::{Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions};

/// The key of the options in a cluster.
const KEY: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The protocol towards the endpoints.
#[derive(Clone, Debug, Default)]
enum Upstream {
    #[default]
    Unsaid,
    Http1,
    Http2(Box<Http2ProtocolOptions>),
    AsDownstream,
}

/// Options in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct ProtocolOptions {
    upstream: Upstream,
    preserve_case: bool,
    common: Option<HttpProtocolOptions>,
    names: Option<envoy::core::UpstreamHttpProtocolOptions>,
}

impl ProtocolOptions {
    /// Header names of HTTP/1 stay as the client wrote them.
    pub(super) fn preserve_case(&mut self) {
        self.upstream = Upstream::Http1;
        self.preserve_case = true;
    }

    /// HTTP/2, unless another protocol was chosen before.
    pub(super) fn choose_http2(&mut self) {
        if matches!(self.upstream, Upstream::Unsaid) {
            self.upstream = Upstream::Http2(Box::default());
        }
    }

    /// Whatever the client speaks; wins over what was chosen before.
    pub(super) fn follow_client(&mut self) {
        self.upstream = Upstream::AsDownstream;
    }

    /// Whether HTTP/2 is chosen.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.upstream, Upstream::Http2(_))
    }

    /// Whether the client decides.
    pub(super) fn follows_client(&self) -> bool {
        matches!(self.upstream, Upstream::AsDownstream)
    }

    /// The options of HTTP/2, when it is chosen.
    pub(super) fn http2(&mut self) -> Option<&mut Http2ProtocolOptions> {
        match &mut self.upstream {
            Upstream::Http2(options) => Some(options),
            Upstream::Unsaid | Upstream::Http1 | Upstream::AsDownstream => None,
        }
    }

    /// Options that all protocols share.
    pub(super) fn common(&mut self) -> &mut HttpProtocolOptions {
        self.common.get_or_insert_default()
    }

    /// SNI and validated names taken from the request.
    pub(super) fn names(&mut self) -> &mut envoy::core::UpstreamHttpProtocolOptions {
        self.names.get_or_insert_default()
    }

    /// Puts the options into the cluster, if there are any.
    pub(super) fn finish(self, cluster: &mut envoy::cluster::Cluster) {
        if matches!(self.upstream, Upstream::Unsaid) && self.common.is_none() && self.names.is_none() {
            return;
        }
        let http1 = Http1ProtocolOptions {
            header_key_format: self.preserve_case.then(preserved_case),
            ..Default::default()
        };
        let explicit = |config| {
            UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(config) })
        };
        let upstream = match self.upstream {
            Upstream::Unsaid | Upstream::Http1 => explicit(ProtocolConfig::HttpProtocolOptions(http1)),
            Upstream::Http2(options) => explicit(ProtocolConfig::Http2ProtocolOptions(*options)),
            Upstream::AsDownstream => {
                UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
                    http_protocol_options: Some(http1),
                    http2_protocol_options: Some(Http2ProtocolOptions::default()),
                    ..Default::default()
                })
            }
        };
        let options = envoy::upstreams_http::HttpProtocolOptions {
            common_http_protocol_options: self.common,
            upstream_http_protocol_options: self.names,
            upstream_protocol_options: Some(upstream),
            ..Default::default()
        };
        cluster.typed_extension_protocol_options.insert(KEY.to_owned(), proto::pack::any(&options));
    }
}

fn preserved_case() -> envoy::core::http1_protocol_options::HeaderKeyFormat {
    use envoy::core::http1_protocol_options::{HeaderKeyFormat, header_key_format::HeaderFormat};
    let formatter = envoy::preserve_case::PreserveCaseFormatterConfig::default();
    HeaderKeyFormat {
        header_format: Some(HeaderFormat::StatefulFormatter(envoy::core::TypedExtensionConfig {
            name: "preserve_case".to_owned(),
            typed_config: Some(proto::pack::any(&formatter)),
        })),
    }
}
