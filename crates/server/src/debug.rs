//! `/debug/*`: who is connected, what they were sent, and the pages of others (platform specification, 4.1).
//! Each shows itself only to those who may see it.

mod access;
mod config_dump;
mod connections;
mod redact;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use xds::ResourceType;

use crate::caller::Credentials;
use crate::{Connection, Connections, DebugSource};

pub use access::DebugAccess;
pub(crate) use access::Sight;

/// Who knows what debug pages show.
pub struct Debug {
    connections: Arc<Connections>,
    source: Arc<dyn DebugSource>,
    access: DebugAccess,
}

type Parameters = BTreeMap<String, String>;

const PAGES: &[(&str, &str)] = &[
    ("adsz", "Connected proxies"),
    ("config_dump", "What a proxy was sent, as Envoy's admin page shows it: ?proxyID="),
    ("connections", "Connected proxies"),
    ("ecdsz", "Extension configurations a proxy was sent: ?proxyID="),
    ("edsz", "Endpoints a proxy was sent: ?proxyID="),
    ("list", "The names of all pages"),
    ("ndsz", "Name table a proxy was sent: ?proxyID="),
    ("syncz", "What each proxy was sent and accepted"),
];

impl Debug {
    /// Pages about connections, and those of `source`.
    pub fn new(connections: Arc<Connections>, source: Arc<dyn DebugSource>, access: DebugAccess) -> Self {
        Self { connections, source, access }
    }

    pub(crate) fn access(&self) -> &DebugAccess {
        &self.access
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Every page with a line of help, by name.
    fn pages(&self) -> BTreeMap<&'static str, &'static str> {
        PAGES.iter().copied().chain(self.source.pages()).collect()
    }

    /// The content of a page for somebody who sees so much.
    pub(crate) fn page(
        &self,
        name: &str,
        query: &Parameters,
        sight: &Sight,
    ) -> Result<Value, (StatusCode, String)> {
        if !sight.has_page(name) {
            return Err((StatusCode::FORBIDDEN, format!("workloads may not see the page {name:?}")));
        }
        match name {
            "list" => Ok(json!(self.pages().into_keys().filter(|name| *name != "list").collect::<Vec<_>>())),
            "syncz" => {
                Ok(connections::sync_status(&self.connections, query.get("namespace").map(String::as_str)))
            }
            "adsz" | "connections" => Ok(connections::list(&self.connections)),
            "config_dump" => self.proxy(query, sight).map(|connection| config_dump::dump(&connection, query)),
            "edsz" => self.resources(query, sight, ResourceType::Endpoint),
            "ecdsz" => self.resources(query, sight, ResourceType::ExtensionConfig),
            "ndsz" => self.resources(query, sight, ResourceType::NameTable),
            _ => {
                let unknown = || (StatusCode::NOT_FOUND, format!("there is no page {name:?}"));
                self.source.page(name, query).ok_or_else(unknown)
            }
        }
    }

    fn resources(
        &self,
        query: &Parameters,
        sight: &Sight,
        resource_type: ResourceType,
    ) -> Result<Value, (StatusCode, String)> {
        let connection = self.proxy(query, sight)?;
        Ok(connection.sent(resource_type).iter().map(config_dump::resource).collect())
    }

    fn proxy(&self, query: &Parameters, sight: &Sight) -> Result<Arc<Connection>, (StatusCode, String)> {
        let missing = || (StatusCode::BAD_REQUEST, "you must provide a proxyID in the query".to_owned());
        let id = query.get("proxyID").filter(|id| !id.is_empty()).ok_or_else(missing)?;
        let unknown = || (StatusCode::NOT_FOUND, format!("proxy {id:?} is not connected to this instance"));
        self.connections.find(id, |connection| sight.has(connection)).ok_or_else(unknown)
    }
}

pub(crate) fn router(debug: Arc<Debug>) -> Router {
    Router::new()
        .route("/debug", get(index))
        .route("/debug/", get(index))
        .route("/debug/{page}", get(page))
        .with_state(debug)
}

async fn index(
    State(debug): State<Arc<Debug>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    match debug.access.of_request(peer, &Credentials::of_http(&headers, peer)).await {
        None => return StatusCode::UNAUTHORIZED.into_response(),
        Some(Sight::Namespaces(_)) => return StatusCode::FORBIDDEN.into_response(),
        Some(Sight::All) => {}
    }
    let row = |(name, help): (&str, &str)| {
        format!("<tr><td><a href=\"/debug/{name}\">{name}</a></td><td>{help}</td></tr>\n")
    };
    let rows: Vec<String> = debug.pages().into_iter().map(row).collect();
    let title = "<!DOCTYPE html><title>Debug pages</title><h1>Debug pages</h1>";
    Html(format!("{title}<table>\n{}</table>", rows.concat())).into_response()
}

async fn page(
    State(debug): State<Arc<Debug>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let credentials = Credentials::of_http(&headers, peer);
    let Some(sight) = debug.access.of_request(peer, &credentials).await else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    match debug.page(&name, &query, &sight) {
        Ok(content) => {
            let text =
                if query.contains_key("pretty") { format!("{content:#}") } else { content.to_string() };
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}
