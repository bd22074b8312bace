//! `syncz`, the page that `istioctl` and Kiali read, and `adsz`. Beside what istiod shows, `syncz` tells how often a
//! proxy rejected something and which resources it rejects now.

use serde_json::{Map, Value, json};
use xds::{ResourceType, TypeStatus};

use crate::time::rfc3339;
use crate::{Connection, Connections};

/// Types that `syncz` also shows at its top level, each by its name there.
const NAMED: &[(ResourceType, &str)] = &[
    (ResourceType::Cluster, "cluster"),
    (ResourceType::Listener, "listener"),
    (ResourceType::Route, "route"),
    (ResourceType::Endpoint, "endpoint"),
    (ResourceType::ExtensionConfig, "extensionconfig"),
];

/// What each proxy was sent and accepted; only those of a namespace if one is given.
pub(crate) fn sync_status(connections: &Connections, namespace: Option<&str>) -> Value {
    // Tools that only look are no proxies.
    let wanted = |connection: &Connection| {
        connection.proxy.metadata.generator != "event"
            && namespace.is_none_or(|namespace| connection.proxy.config_namespace.as_str() == namespace)
    };
    connections.all().iter().filter(|connection| wanted(connection)).map(|one| of_proxy(one)).collect()
}

fn of_proxy(connection: &Connection) -> Value {
    let proxy = &connection.proxy;
    let statuses = connection.status();
    let sent_at = connection.sent_at();
    let mut object = Map::new();
    for (key, value) in [
        ("cluster_id", proxy.metadata.cluster_id.as_str()),
        ("proxy", proxy.id.as_str()),
        ("proxy_type", proxy.proxy_type.as_str()),
        ("proxy_version", proxy.metadata.istio_version.as_str()),
        ("istio_version", proxy.metadata.istio_version.as_str()),
    ] {
        put(&mut object, key, value);
    }
    let mut resources = Map::new();
    for status in &statuses {
        if let Some((_, name)) = NAMED.iter().find(|(named, _)| *named == status.resource_type) {
            put(&mut object, &format!("{name}_sent"), &status.nonce_sent);
            put(&mut object, &format!("{name}_acked"), &status.nonce_acked);
        }
        let mut resource = of_type(status);
        if let Some(moment) = sent_at.get(&status.resource_type) {
            put(&mut resource, "sentTime", &rfc3339(*moment));
        }
        resources.insert(status.resource_type.type_url().to_owned(), resource.into());
    }
    object.insert("resources".to_owned(), resources.into());
    object.into()
}

fn of_type(status: &TypeStatus) -> Map<String, Value> {
    let mut object = Map::new();
    put(&mut object, "sent", &status.nonce_sent);
    put(&mut object, "acked", &status.nonce_acked);
    put(&mut object, "lastError", status.last_error().unwrap_or_default());
    if status.n_rejections > 0 {
        object.insert("rejections".to_owned(), status.n_rejections.into());
    }
    if !status.rejected.is_empty() {
        let rejected =
            |(name, message): &(std::sync::Arc<str>, String)| json!({"name": **name, "error": message});
        object.insert("rejected".to_owned(), status.rejected.iter().map(rejected).collect());
    }
    object
}

/// What is unknown is left out.
fn put(object: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        object.insert(key.to_owned(), value.into());
    }
}

/// Who is connected.
pub(crate) fn list(connections: &Connections) -> Value {
    let connections = connections.all();
    let clients: Vec<Value> = connections.iter().map(|connection| client(connection)).collect();
    json!({"totalClients": clients.len(), "clients": clients})
}

fn client(connection: &Connection) -> Value {
    let proxy = &connection.proxy;
    let watch = |status: TypeStatus| {
        let names = if status.wildcard { json!("*") } else { status.n_names.into() };
        (status.resource_type.type_url().to_owned(), names)
    };
    json!({
        "connectionId": connection.name(),
        "connectedAt": rfc3339(connection.connected_at),
        "address": connection.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        "labels": *proxy.labels,
        "metadata": proxy.metadata.raw,
        "locality": {
            "region": proxy.locality.region, "zone": proxy.locality.zone, "subZone": proxy.locality.subzone,
        },
        "watches": connection.status().into_iter().map(watch).collect::<Map<_, _>>(),
    })
}
