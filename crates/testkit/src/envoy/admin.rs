//! Envoy's admin pages, read as a test needs them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use crate::http::{self, Response};

/// The admin port of one Envoy.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    /// The admin port at an address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Whether the first configuration is complete. An Envoy that does not answer yet is not ready.
    pub fn is_ready(&self) -> io::Result<bool> {
        Ok(http::get(self.address, "/ready").send()?.status == 200)
    }

    /// The names of the active listeners with their addresses, as `127.0.0.1:9080`.
    pub fn listeners(&self) -> io::Result<BTreeMap<String, String>> {
        let page = self.get("/listeners?format=json")?.json()?;
        let statuses = page["listener_statuses"].as_array().cloned().unwrap_or_default();
        let address = |status: &Value| {
            let socket = &status["local_address"]["socket_address"];
            format!("{}:{}", socket["address"].as_str().unwrap_or_default(), socket["port_value"])
        };
        Ok(statuses
            .iter()
            .map(|status| (status["name"].as_str().unwrap_or_default().to_owned(), address(status)))
            .collect())
    }

    /// Counters and gauges whose names match a regular expression.
    pub fn stats(&self, filter: &str) -> io::Result<BTreeMap<String, u64>> {
        let page = self.get(&format!("/stats?format=json&filter={filter}"))?.json()?;
        let stats = page["stats"].as_array().cloned().unwrap_or_default();
        Ok(stats
            .iter()
            .filter_map(|stat| Some((stat["name"].as_str()?.to_owned(), stat["value"].as_u64()?)))
            .collect())
    }

    /// How many updates of any type this Envoy has refused.
    pub fn n_rejected(&self) -> io::Result<u64> {
        Ok(self.stats("update_rejected$")?.values().sum())
    }

    /// The whole configuration, with endpoints.
    pub fn config_dump(&self) -> io::Result<Value> {
        self.get("/config_dump?include_eds")?.json()
    }

    /// Any other page.
    pub fn get(&self, path: &str) -> io::Result<Response> {
        let response = http::get(self.address, path).send()?;
        if response.status == 200 {
            return Ok(response);
        }
        Err(io::Error::other(format!("{path} answered {}: {}", response.status, response.text())))
    }
}
