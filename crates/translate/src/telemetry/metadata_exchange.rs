//! The TCP metadata exchange filter of inbound chains, by which peers tell each other who they are. Only Istio's
//! build of Envoy has it (spec 4.2).

use mesh::MeshSettings;
use proto::envoy;
use proto::envoy::google::{bool_value, string_value, struct_of};
use proto::envoy::listener::filter::ConfigType;
use scope::Dialect;

const TYPE_URL: &str = "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange";

/// The filter, where the proxy has it and the mesh wants it.
pub fn metadata_exchange_network_filter(
    settings: &MeshSettings,
    dialect: Dialect,
) -> Option<envoy::listener::Filter> {
    if dialect == Dialect::Stock || !settings.features.metadata_exchange {
        return None;
    }
    let value = struct_of([
        ("enable_discovery", bool_value(true)),
        ("protocol", string_value("istio-peer-exchange")),
    ]);
    let config = proto::udpa::TypedStruct { type_url: TYPE_URL.to_owned(), value: Some(value) };
    Some(envoy::listener::Filter {
        name: "istio.metadata_exchange".to_owned(),
        config_type: Some(ConfigType::TypedConfig(proto::pack::any(&config))),
    })
}
