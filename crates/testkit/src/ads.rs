//! A simulated proxy: speaks delta ADS as Envoy does (all clusters and listeners, endpoints and routes by the names
//! that these mention), accepts everything, reconnects with what it holds, and keeps what it was sent, so that a test
//! can ask what a proxy has, and whether anything was ever taken from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use proto::envoy::core::Node;
use proto::envoy::discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use proto::envoy::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use proto::type_url;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

/// The pause before a broken stream is begun again.
const PAUSE: Duration = Duration::from_millis(100);
/// Enough for the largest response of a test.
const MAX_MESSAGE: usize = 256 << 20;

/// A connected proxy, until this is dropped.
pub struct SimulatedProxy {
    id: String,
    view: Arc<Mutex<View>>,
    task: JoinHandle<()>,
}

/// What a proxy holds.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// By type URL and name: version and content.
    pub resources: BTreeMap<String, BTreeMap<String, Held>>,
    /// `type name` of everything that was ever taken away, in order.
    pub removed: Vec<String>,
    /// How many streams it has had an answer on.
    pub n_streams: usize,
    /// Types that were answered at least once.
    answered: BTreeSet<String>,
}

/// One resource.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// The version the server gave it.
    pub version: String,
    value: Vec<u8>,
    /// The names that it mentions of what is subscribed to by name: endpoints of clusters, routes of listeners.
    mentioned: BTreeSet<String>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {} of {} bytes", self.version, self.value.len())
    }
}

impl Drop for SimulatedProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SimulatedProxy {
    /// Connects on the runtime of the caller, and again whenever the stream breaks off. `metadata` is the node's.
    pub fn start(address: SocketAddr, id: &str, cluster: &str, metadata: &Value) -> Result<Self> {
        let node = serde_json::json!({"@type": format!("{}envoy.config.core.v3.Node", type_url::PREFIX),
                                      "id": id, "cluster": cluster, "metadata": metadata});
        let any = proto::json::json_to_any(&node, proto::json::UnknownFields::Refuse)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let node: Node = prost::Message::decode(&any.value[..])?;
        let view = Arc::new(Mutex::new(View::default()));
        let client = Client { address, node, view: Arc::clone(&view), names: BTreeMap::new() };
        Ok(Self { id: id.to_owned(), view, task: tokio::spawn(client.run()) })
    }

    /// The id of its node.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it holds now.
    pub fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl View {
    /// Whether every type that it asks for by itself was answered.
    pub fn is_complete(&self) -> bool {
        [type_url::CLUSTER, type_url::LISTENER].iter().all(|one| self.answered.contains(*one))
    }

    /// How many resources it holds.
    pub fn len(&self) -> usize {
        self.resources.values().map(BTreeMap::len).sum()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One resource as JSON; null if it does not hold it.
    pub fn json(&self, url: &str, name: &str) -> Value {
        let held = self.resources.get(url).and_then(|of_type| of_type.get(name));
        held.and_then(|held| proto::json::any_to_json(url, &held.value).ok()).unwrap_or_default()
    }

    /// How many resources of a type it holds whose names contain this.
    pub fn count(&self, url: &str, part: &str) -> usize {
        self.resources
            .get(url)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter(|name| name.contains(part))
            .count()
    }

    /// Whether it holds a resource whose name contains this.
    pub fn mentions(&self, part: &str) -> bool {
        self.resources.values().any(|of_type| of_type.keys().any(|name| name.contains(part)))
    }

    /// What another has otherwise, as lines of text.
    pub fn differences(&self, other: &View) -> Vec<String> {
        let keys = |view: &View| -> BTreeSet<(String, String)> {
            let of_type = |(url, named): (&String, &BTreeMap<String, Held>)| {
                named.keys().map(|name| (url.clone(), name.clone())).collect::<Vec<_>>()
            };
            view.resources.iter().flat_map(of_type).collect()
        };
        let get = |view: &View, url: &str, name: &str| view.resources.get(url)?.get(name).cloned();
        let mut lines = Vec::new();
        if self.resources == other.resources {
            return lines;
        }
        for (url, name) in keys(self).union(&keys(other)) {
            let (ours, theirs) = (get(self, url, name), get(other, url, name));
            if ours != theirs {
                let json = |held: &Option<Held>| {
                    held.as_ref().and_then(|held| proto::json::any_to_json(url, &held.value).ok())
                };
                let diff = crate::parity::diff(json(&ours).as_ref(), json(&theirs).as_ref());
                lines.push(format!("{} {name}: {ours:?}, {theirs:?}\n{diff}", short(url)));
            }
        }
        lines
    }
}

struct Client {
    address: SocketAddr,
    node: Node,
    view: Arc<Mutex<View>>,
    /// By type: what is subscribed to by name on the stream.
    names: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Client {
    async fn run(mut self) {
        loop {
            // A control plane that is away, or asks to come again, is the way of the world.
            let _ = self.stream().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn stream(&mut self) -> Result<()> {
        let client = AggregatedDiscoveryServiceClient::connect(format!("http://{}", self.address)).await?;
        let mut client = client.max_decoding_message_size(MAX_MESSAGE);
        let (requests, outgoing) = mpsc::channel(1024);
        self.names.clear();
        let mut first = true;
        for url in [type_url::CLUSTER, type_url::ENDPOINT, type_url::LISTENER, type_url::ROUTE] {
            let held: HashMap<String, String> = self
                .locked()
                .resources
                .get(url)
                .map(|of_type| {
                    of_type.iter().map(|(name, held)| (name.clone(), held.version.clone())).collect()
                })
                .unwrap_or_default();
            let is_named = matches!(url, type_url::ENDPOINT | type_url::ROUTE);
            if is_named && held.is_empty() {
                continue;
            }
            let names: BTreeSet<String> =
                if is_named { held.keys().cloned().collect() } else { BTreeSet::new() };
            let request = DeltaDiscoveryRequest {
                node: std::mem::take(&mut first).then(|| self.node.clone()),
                type_url: url.to_owned(),
                resource_names_subscribe: names.iter().cloned().collect(),
                initial_resource_versions: held,
                ..DeltaDiscoveryRequest::default()
            };
            if is_named {
                self.names.insert(url, names);
            }
            requests.send(request).await?;
        }
        let mut responses =
            client.delta_aggregated_resources(ReceiverStream::new(outgoing)).await?.into_inner();
        let mut is_new = true;
        while let Some(response) = responses.message().await? {
            if std::mem::take(&mut is_new) {
                self.locked().n_streams += 1;
            }
            requests
                .send(DeltaDiscoveryRequest {
                    type_url: response.type_url.clone(),
                    response_nonce: response.nonce.clone(),
                    ..DeltaDiscoveryRequest::default()
                })
                .await?;
            let url = response.type_url.clone();
            self.take_in(response)?;
            let named = match url.as_str() {
                type_url::CLUSTER => type_url::ENDPOINT,
                type_url::LISTENER => type_url::ROUTE,
                _ => continue,
            };
            if let Some(request) = self.subscribe(&url, named) {
                requests.send(request).await?;
            }
        }
        Ok(())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, response: DeltaDiscoveryResponse) -> Result<()> {
        let mut view = self.locked();
        let view = &mut *view;
        view.answered.insert(response.type_url.clone());
        let of_type = view.resources.entry(response.type_url.clone()).or_default();
        for resource in response.resources {
            let value = resource.resource.map(|any| any.value).unwrap_or_default();
            let mentioned = mentioned(&response.type_url, &resource.name, &value)?;
            of_type.insert(resource.name, Held { version: resource.version, value, mentioned });
        }
        for name in response.removed_resources {
            if of_type.remove(&name).is_some() {
                view.removed.push(format!("{} {name}", short(&response.type_url)));
            }
        }
        Ok(())
    }

    /// Asks for what the resources of one type mention of another, and no more for what they do not.
    fn subscribe(&mut self, url: &str, named: &'static str) -> Option<DeltaDiscoveryRequest> {
        let mut view = self.locked();
        let holders = view.resources.get(url).into_iter().flat_map(BTreeMap::values);
        let wanted: BTreeSet<String> = holders.flat_map(|held| held.mentioned.iter().cloned()).collect();
        // Envoy forgets what nothing mentions any more.
        if let Some(of_type) = view.resources.get_mut(named) {
            of_type.retain(|name, _| wanted.contains(name));
        }
        drop(view);
        let subscribed = self.names.entry(named).or_default();
        let request = DeltaDiscoveryRequest {
            type_url: named.to_owned(),
            resource_names_subscribe: wanted.difference(subscribed).cloned().collect(),
            resource_names_unsubscribe: subscribed.difference(&wanted).cloned().collect(),
            ..DeltaDiscoveryRequest::default()
        };
        *subscribed = wanted;
        let is_empty =
            request.resource_names_subscribe.is_empty() && request.resource_names_unsubscribe.is_empty();
        (!is_empty).then_some(request)
    }
}

/// The names of endpoints that a cluster mentions, or of routes that a listener does.
fn mentioned(url: &str, name: &str, value: &[u8]) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    if !matches!(url, type_url::CLUSTER | type_url::LISTENER) {
        return Ok(names);
    }
    let json = proto::json::any_to_json(url, value).with_context(|| name.to_owned())?;
    if url == type_url::LISTENER {
        routes(&json, &mut names);
    } else if json["type"] == "EDS" {
        let service = json["edsClusterConfig"]["serviceName"].as_str().filter(|text| !text.is_empty());
        names.insert(service.unwrap_or(name).to_owned());
    }
    Ok(names)
}

fn routes(json: &Value, into: &mut BTreeSet<String>) {
    match json {
        Value::Object(members) => {
            if let Some(name) = members.get("rds").and_then(|rds| rds["routeConfigName"].as_str()) {
                into.insert(name.to_owned());
            }
            members.values().for_each(|value| routes(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| routes(value, into)),
        _ => {}
    }
}

fn short(url: &str) -> &str {
    url.rsplit('.').next().unwrap_or(url)
}
