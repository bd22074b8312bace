//! Many bootstraps become one, so that one start of Envoy checks them all: clusters and listeners get names of their
//! own, listeners addresses of their own. What was equal within one bootstrap stays equal, so that clashes still show.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

/// One bootstrap that holds the clusters and listeners of all; 200 at most, for each has a network of its own.
pub fn merged_bootstraps(bootstraps: impl IntoIterator<Item = Value>) -> Value {
    let mut all = json!({});
    let (mut clusters, mut listeners) = (Vec::new(), Vec::new());
    for (index, mut bootstrap) in bootstraps.into_iter().enumerate() {
        // What the first has for itself stands for all: node and ADS.
        let taken = bootstrap["staticResources"].take();
        if index == 0 {
            all = bootstrap;
            clusters.push(json!({"name": "xds-grpc", "type": "STATIC", "connectTimeout": "1s"}));
        }
        let mut of = Part { index, names: BTreeMap::new(), addresses: BTreeMap::new() };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let (mut own_clusters, mut own_listeners) = (list(&taken["clusters"]), list(&taken["listeners"]));
        own_clusters.iter().chain(&own_listeners).for_each(|one| of.note_name(one));
        own_clusters.iter_mut().chain(&mut own_listeners).for_each(|one| of.rename(one));
        for listener in &mut own_listeners {
            of.move_listener(listener);
        }
        clusters.append(&mut own_clusters);
        listeners.append(&mut own_listeners);
    }
    all["staticResources"] = json!({"clusters": clusters, "listeners": listeners});
    all
}

struct Part {
    index: usize,
    names: BTreeMap<String, String>,
    addresses: BTreeMap<String, usize>,
}

impl Part {
    fn note_name(&mut self, named: &Value) {
        if let Some(name) = named["name"].as_str().filter(|name| !name.is_empty()) {
            self.names.insert(name.to_owned(), format!("{}/{name}", self.index));
        }
    }

    /// Every text that is such a name. A text that is one by chance does no harm: nothing else need be unique.
    fn rename(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(name) = self.names.get(text) {
                    *text = name.clone();
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|one| self.rename(one)),
            Value::Object(fields) => {
                // Names of DNS caches are unique too, with one content each.
                if let Some(Value::String(name)) = fields.get_mut("dnsCacheConfig").map(|c| &mut c["name"]) {
                    *name = format!("{}/{name}", self.index);
                }
                fields.iter_mut().filter(|(key, _)| *key != "@type").for_each(|(_, one)| self.rename(one));
            }
            _ => {}
        }
    }

    fn move_listener(&mut self, listener: &mut Value) {
        self.move_address(&mut listener["address"]);
        if let Some(Value::Array(more)) = listener.get_mut("additionalAddresses") {
            for one in more {
                self.move_address(&mut one["address"]);
            }
        }
        if listener["address"].is_null() {
            listener.as_object_mut().and_then(|fields| fields.remove("address"));
        }
    }

    /// An address that is none stays, for Envoy to find.
    fn move_address(&mut self, address: &mut Value) {
        let Some(Value::String(text)) = address.pointer_mut("/socketAddress/address") else { return };
        let Ok(ip) = text.parse::<IpAddr>() else { return };
        let next = self.addresses.len();
        let at = *self.addresses.entry(text.clone()).or_insert(next) as u16;
        let index = self.index as u16;
        *text = match ip {
            IpAddr::V4(_) => Ipv4Addr::new(127, index as u8 + 1, (at >> 8) as u8, at as u8).to_string(),
            IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, index, at).to_string(),
        };
    }
}
