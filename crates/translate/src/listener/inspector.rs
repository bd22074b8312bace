//! Listener filters that look at the first bytes of a connection.

use proto::envoy;
use proto::envoy::google;
use proto::envoy::listener::{ListenerFilter, listener_filter::ConfigType};

/// Bytes that the TLS inspector asks for at first.
const TLS_READ_BUFFER: u32 = 512;

/// Tells TLS from other bytes, and reads SNI and ALPN.
pub fn tls() -> ListenerFilter {
    filter(
        "envoy.filters.listener.tls_inspector",
        proto::pack::any(&envoy::tls_inspector::TlsInspector {
            initial_read_buffer_size: Some(google::uint32(TLS_READ_BUFFER)),
            ..Default::default()
        }),
    )
}

/// Tells HTTP from other bytes.
pub fn http() -> ListenerFilter {
    filter(
        "envoy.filters.listener.http_inspector",
        proto::pack::any(&envoy::http_inspector::HttpInspector::default()),
    )
}

/// A listener filter of that name and configuration.
pub fn filter(name: &str, config: google::Any) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}
