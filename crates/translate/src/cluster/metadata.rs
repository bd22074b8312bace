//! What a cluster says of itself under `istio` in its filter metadata: the services behind it, the DestinationRule,
//! the subset, and switches for Istio's filters (spec 1.7, row C26).

use mesh::{MergedDestinationRule, Service};
use proto::envoy;
use proto::envoy::cluster::Cluster;
use proto::envoy::google;

const KEY: &str = "istio";

/// Sets one member of the `istio` metadata.
pub(super) fn set(cluster: &mut Cluster, key: &str, value: google::Value) {
    let metadata = cluster.metadata.get_or_insert_with(Default::default);
    let istio = metadata.filter_metadata.entry(KEY.to_owned()).or_default();
    istio.fields.insert(key.to_owned(), value);
}

/// Names the services behind a cluster.
pub(super) fn set_services<'a>(cluster: &mut Cluster, services: impl IntoIterator<Item = &'a Service>) {
    let list = services.into_iter().map(|service| {
        google::struct_value([
            ("host", google::string_value(service.host.as_str())),
            ("name", google::string_value(service.name.as_str())),
            ("namespace", google::string_value(service.namespace.as_str())),
        ])
    });
    set(cluster, "services", google::list_value(list));
}

/// Names the DestinationRule.
pub(super) fn set_rule(cluster: &mut Cluster, rule: &MergedDestinationRule) {
    set(cluster, "config", google::string_value(rule_path(rule)));
}

fn rule_path(rule: &MergedDestinationRule) -> String {
    format!("/apis/networking.istio.io/v1/namespaces/{}/destination-rule/{}", rule.namespace, rule.name)
}

/// The filter by which two Istio builds exchange metadata over TCP (row C27).
pub(super) fn exchange_filter() -> envoy::cluster::Filter {
    let settings = google::struct_of([
        ("protocol", google::string_value("istio-peer-exchange")),
        ("enable_discovery", google::bool_value(true)),
    ]);
    let config = proto::udpa::TypedStruct {
        type_url: proto::pack::url::<proto::metadata_exchange::MetadataExchange>(),
        value: Some(settings),
    };
    envoy::cluster::Filter {
        name: "istio.metadata_exchange".to_owned(),
        typed_config: Some(proto::pack::any(&config)),
        ..Default::default()
    }
}
