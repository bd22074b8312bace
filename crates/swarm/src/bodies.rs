//! What a cluster or listener makes an Envoy ask for next. Each different body is looked into once for all streams.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use proto::envoy::google::Any;
use proto::envoy::{cluster, listener};
use xxhash_rust::xxh3::xxh3_64;

use crate::Kind;
use crate::names::{Id, Names};

/// References by the hash of the body that holds them.
#[derive(Default)]
pub(crate) struct Bodies(Mutex<HashMap<u64, Arc<[Id]>>>);

impl Bodies {
    /// Names that the body of a cluster or listener refers to: load assignments or route configurations.
    pub(crate) fn references(&self, body: &[u8], names: &Names) -> Arc<[Id]> {
        let hash = xxh3_64(body);
        if let Some(known) = self.0.lock().get(&hash) {
            return Arc::clone(known);
        }
        let found = references(body).unwrap_or_default();
        let found: Arc<[Id]> = found.iter().map(|name| names.id(name)).collect();
        self.0.lock().insert(hash, Arc::clone(&found));
        found
    }
}

fn references(body: &[u8]) -> Option<Vec<String>> {
    let any = Any::decode(body).ok()?;
    match Kind::of(&any.type_url)? {
        Kind::Cluster => {
            let cluster = cluster::Cluster::decode(&any.value[..]).ok()?;
            let service = cluster.eds_cluster_config?.service_name;
            Some(vec![if service.is_empty() { cluster.name } else { service }])
        }
        Kind::Listener => {
            let listener = listener::Listener::decode(&any.value[..]).ok()?;
            let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
            let mut names: Vec<String> =
                chains.flat_map(|chain| &chain.filters).filter_map(route_of).collect();
            names.dedup();
            Some(names)
        }
        Kind::Endpoint | Kind::Route => None,
    }
}

fn route_of(filter: &listener::Filter) -> Option<String> {
    use proto::envoy::hcm::{HttpConnectionManager, http_connection_manager::RouteSpecifier};
    let Some(listener::filter::ConfigType::TypedConfig(any)) = &filter.config_type else { return None };
    if !any.type_url.ends_with("HttpConnectionManager") {
        return None;
    }
    match HttpConnectionManager::decode(&any.value[..]).ok()?.route_specifier? {
        RouteSpecifier::Rds(rds) => Some(rds.route_config_name),
        _ => None,
    }
}
