//! Debug pages over ADS, as `istioctl proxy-status` asks for them (platform specification, 4.2): each request is
//! answered at once and never becomes a subscription. Only for clients that have proved who they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use bytes::Bytes;
use prost::Message;
use proto::envoy::admin::UpdateFailureState;
use proto::envoy::core::Node;
use proto::envoy::google::{Any, Timestamp, string_value, struct_of};
use proto::envoy::status::ClientConfig;
use proto::envoy::status::ConfigStatus;
use proto::envoy::status::client_config::GenericXdsConfig;
use proto::json::{UnknownFields, json_to_any};
use proto::type_url;
use scope::ProxyType;
use tonic::Status;
use xds::SyncState;

use crate::debug::Sight;
use crate::{Connection, Connections, Debug};

/// What answers debug types on ADS streams.
pub(crate) struct DebugTypes {
    pub(crate) pages: Arc<Debug>,
    /// Who answers, as JSON; `istioctl` tells replicas apart by it.
    pub(crate) identifier: String,
}

impl DebugTypes {
    /// Resources of a debug type, and who answers where that is asked for.
    pub(crate) fn answer(
        &self,
        url: &str,
        names: &[String],
        sight: &Sight,
    ) -> Result<(Vec<Bytes>, Option<String>), Status> {
        match url {
            type_url::DEBUG_SYNC_STATUS => {
                Ok((sync_status(self.pages.connections(), sight), Some(self.identifier.clone())))
            }
            type_url::DEBUG_CONFIG_DUMP => Ok((self.config_dump(names, sight)?, None)),
            type_url::DEBUG => Ok((vec![self.page(names, sight)?], None)),
            _ => Err(Status::invalid_argument("there is no such debug type")),
        }
    }

    /// A page of the HTTP server, as `page?key=value`.
    fn page(&self, names: &[String], sight: &Sight) -> Result<Bytes, Status> {
        let [name] = names else {
            return Err(Status::invalid_argument("exactly one page has to be named"));
        };
        let (name, query) = name.split_once('?').unwrap_or((name, ""));
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        };
        let query: BTreeMap<_, _> = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
        let name = name.strip_prefix("/debug/").unwrap_or(name);
        let content = self.pages.page(name, &query, sight).map_err(status)?;
        let any = Any { type_url: type_url::DEBUG.to_owned(), value: content.to_string().into_bytes() };
        Ok(any.encode_to_vec().into())
    }

    /// The parts of a proxy's dump, each as what it is.
    fn config_dump(&self, names: &[String], sight: &Sight) -> Result<Vec<Bytes>, Status> {
        let [name] = names else {
            return Err(Status::invalid_argument("exactly one proxy has to be named"));
        };
        let query = BTreeMap::from([("proxyID".to_owned(), name.clone())]);
        let dump = self.pages.page("config_dump", &query, sight).map_err(status)?;
        let parts = dump["configs"].as_array().map(Vec::as_slice).unwrap_or_default();
        // A part that does not fit the message any more, because something in it was struck out, is left out.
        let part = |part| json_to_any(part, UnknownFields::Ignore).ok();
        Ok(parts.iter().filter_map(part).map(|any| any.encode_to_vec().into()).collect())
    }
}

fn status((code, reason): (StatusCode, String)) -> Status {
    match code {
        StatusCode::FORBIDDEN => Status::permission_denied(reason),
        _ => Status::invalid_argument(reason),
    }
}

/// One message per proxy that can be seen; clients that are no proxies are left out.
fn sync_status(connections: &Connections, sight: &Sight) -> Vec<Bytes> {
    let is_proxy = |connection: &Connection| {
        !connection.proxy.metadata.proxy_config.is_null() || connection.proxy.proxy_type == ProxyType::Ztunnel
    };
    let all = connections.all();
    all.iter()
        .filter(|connection| is_proxy(connection) && sight.has(connection))
        .map(|one| proto::pack::any(&client_config(one)).encode_to_vec().into())
        .collect()
}

fn client_config(connection: &Connection) -> ClientConfig {
    let metadata = &connection.proxy.metadata;
    let known = [
        ("CLUSTER_ID", &metadata.cluster_id),
        ("NAMESPACE", &metadata.namespace),
        ("ISTIO_VERSION", &metadata.istio_version),
    ];
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    let node = Node {
        id: connection.proxy.id.clone(),
        metadata: Some(struct_of(known.map(|(key, value)| (key, string_value(value.as_str()))))),
        ..Node::default()
    };
    let sent_at = connection.sent_at();
    let mut configs: Vec<GenericXdsConfig> = connection
        .status()
        .into_iter()
        .map(|status| GenericXdsConfig {
            type_url: status.resource_type.type_url().to_owned(),
            config_status: match status.state() {
                SyncState::NotSent => ConfigStatus::NotSent,
                SyncState::Synced => ConfigStatus::Synced,
                SyncState::Stale => ConfigStatus::Stale,
                SyncState::Error => ConfigStatus::Error,
            }
            .into(),
            last_updated: sent_at.get(&status.resource_type).copied().map(timestamp),
            error_state: status
                .last_error()
                .map(|details| UpdateFailureState { details: details.to_owned(), ..Default::default() }),
            ..GenericXdsConfig::default()
        })
        .collect();
    configs.sort_by(|a, b| a.type_url.cmp(&b.type_url));
    ClientConfig { node: Some(node), generic_xds_configs: configs, ..ClientConfig::default() }
}

fn timestamp(moment: SystemTime) -> Timestamp {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 }
}
