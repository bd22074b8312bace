//! `/debug/*`: who is connected, what they were sent, and the pages of others (platform specification, 4.1).
//! Loopback may see everything; anybody else is refused as long as nobody can prove who they are.

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
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use xds::ResourceType;

use crate::{Connection, Connections, DebugSource};

/// Who knows what debug pages show.
pub struct Debug {
    connections: Arc<Connections>,
    source: Arc<dyn DebugSource>,
    loopback_only: bool,
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
    /// Pages about connections, and those of `source`. With `loopback_only`, other clients get 401.
    pub fn new(connections: Arc<Connections>, source: Arc<dyn DebugSource>, loopback_only: bool) -> Self {
        Self { connections, source, loopback_only }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Every page with a line of help, by name.
    fn pages(&self) -> BTreeMap<&'static str, &'static str> {
        PAGES.iter().copied().chain(self.source.pages()).collect()
    }

    /// The content of a page.
    pub(crate) fn page(&self, name: &str, query: &Parameters) -> Result<Value, (StatusCode, String)> {
        match name {
            "list" => Ok(json!(self.pages().into_keys().filter(|name| *name != "list").collect::<Vec<_>>())),
            "syncz" => {
                Ok(connections::sync_status(&self.connections, query.get("namespace").map(String::as_str)))
            }
            "adsz" | "connections" => Ok(connections::list(&self.connections)),
            "config_dump" => self.proxy(query).map(|connection| config_dump::dump(&connection, query)),
            "edsz" => self.resources(query, ResourceType::Endpoint),
            "ecdsz" => self.resources(query, ResourceType::ExtensionConfig),
            "ndsz" => self.resources(query, ResourceType::NameTable),
            _ => {
                let unknown = || (StatusCode::NOT_FOUND, format!("there is no page {name:?}"));
                self.source.page(name, query).ok_or_else(unknown)
            }
        }
    }

    fn resources(
        &self,
        query: &Parameters,
        resource_type: ResourceType,
    ) -> Result<Value, (StatusCode, String)> {
        let connection = self.proxy(query)?;
        Ok(connection.sent(resource_type).iter().map(config_dump::resource).collect())
    }

    fn proxy(&self, query: &Parameters) -> Result<Arc<Connection>, (StatusCode, String)> {
        let missing = || (StatusCode::BAD_REQUEST, "you must provide a proxyID in the query".to_owned());
        let id = query.get("proxyID").filter(|id| !id.is_empty()).ok_or_else(missing)?;
        let unknown = || (StatusCode::NOT_FOUND, format!("proxy {id:?} is not connected to this instance"));
        self.connections.find(id).ok_or_else(unknown)
    }
}

pub(crate) fn router(debug: Arc<Debug>) -> Router {
    Router::new()
        .route("/debug", get(index))
        .route("/debug/", get(index))
        .route("/debug/{page}", get(page))
        .with_state(debug)
}

async fn index(State(debug): State<Arc<Debug>>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    if debug.refuses(peer) {
        return StatusCode::UNAUTHORIZED.into_response();
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
) -> Response {
    if debug.refuses(peer) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match debug.page(&name, &query) {
        Ok(content) => {
            let text =
                if query.contains_key("pretty") { format!("{content:#}") } else { content.to_string() };
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

impl Debug {
    fn refuses(&self, peer: SocketAddr) -> bool {
        self.loopback_only && !peer.ip().to_canonical().is_loopback()
    }
}
