//! Model check: a client that subscribes, accepts, rejects, lags behind and reconnects at random ends with exactly
//! what it subscribed to of the last snapshot, every cluster with its endpoints, and then there is silence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use xds::ResourceType::{Cluster, Endpoint, Listener, Route};
use xds::Response;

use super::*;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const TYPES: [ResourceType; 4] = [Cluster, Endpoint, Listener, Route];

#[derive(Clone, Debug)]
enum Step {
    /// Content moves on: a name of a type gets this version, or goes.
    Change(usize, usize, Option<u32>),
    /// The client wants these names of a type (everything, of wildcard types).
    Subscribe(usize, BTreeSet<usize>),
    /// The server reads one request, and answers.
    Serve,
    /// The client reads one response, and rejects it if so told.
    Read(bool),
    /// The stream breaks and another one begins.
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4usize, 0..5usize, proptest::option::weighted(0.8, 0..4u32))
            .prop_map(|(t, name, version)| Step::Change(t, name, version)),
        3 => (0..4usize, proptest::collection::btree_set(0..5usize, 0..5)).prop_map(|(t, names)| Step::Subscribe(t, names)),
        4 => Just(Step::Serve),
        4 => proptest::bool::weighted(0.2).prop_map(Step::Read),
        1 => Just(Step::Reconnect),
    ]
}

#[derive(Default)]
struct Watch {
    wants: BTreeSet<String>,
    has: BTreeMap<String, String>,
    nonce: String,
}

struct Client {
    protocol: Protocol,
    watches: BTreeMap<ResourceType, Watch>,
    /// Clusters that came anew and await their endpoints.
    warming: BTreeSet<String>,
    requests: VecDeque<Request>,
    responses: VecDeque<Response>,
    session: Session,
}

impl Client {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            watches: BTreeMap::new(),
            warming: BTreeSet::new(),
            requests: VecDeque::new(),
            responses: VecDeque::new(),
            session: session(protocol),
        }
    }

    fn subscribe(&mut self, resource_type: ResourceType, wants: BTreeSet<String>) {
        let wants = if resource_type.is_wildcard() { BTreeSet::new() } else { wants };
        let first = !self.watches.contains_key(&resource_type);
        let watch = self.watches.entry(resource_type).or_default();
        let old = std::mem::replace(&mut watch.wants, wants);
        if !resource_type.is_wildcard() {
            watch.has.retain(|name, _| watch.wants.contains(name));
        }
        let mut request = Request::new(resource_type);
        match self.protocol {
            Protocol::Sotw => {
                request.subscribe = watch.wants.iter().cloned().collect();
                request.nonce.clone_from(&watch.nonce);
                if watch.wants.is_empty() && !resource_type.is_wildcard() {
                    self.watches.remove(&resource_type);
                }
            }
            Protocol::Delta => {
                request.subscribe = watch.wants.difference(&old).cloned().collect();
                request.unsubscribe = old.difference(&watch.wants).cloned().collect();
                if !first && request.subscribe.is_empty() && request.unsubscribe.is_empty() {
                    return;
                }
            }
        }
        self.requests.push_back(request);
    }

    fn reconnect(&mut self) {
        self.session = session(self.protocol);
        self.requests.clear();
        self.responses.clear();
        self.warming.clear();
        for (resource_type, watch) in &mut self.watches {
            watch.nonce.clear();
            let mut request = Request::new(*resource_type);
            request.subscribe = watch.wants.iter().cloned().collect();
            if self.protocol == Protocol::Delta {
                request.initial_versions.clone_from(&watch.has);
            }
            self.requests.push_back(request);
        }
    }

    fn serve(&mut self, snapshot: &Snapshot) {
        if let Some(request) = self.requests.pop_front() {
            self.session.on_request(request);
        }
        self.responses.extend(self.session.next(snapshot));
    }

    fn read(&mut self, reject: bool) {
        let Some(response) = self.responses.pop_front() else { return };
        let resource_type = response.resource_type;
        let mut request = Request::new(resource_type);
        request.nonce.clone_from(&response.nonce);
        request.error = reject.then(RequestError::default);
        let warming = &mut self.warming;
        let Some(watch) = self.watches.get_mut(&resource_type) else { return };
        watch.nonce = response.nonce;
        let wants = |name: &str| resource_type.is_wildcard() || watch.wants.contains(name);
        for name in &response.removed {
            watch.has.remove(&**name);
        }
        if reject {
            // As Envoy does: what is rejected stays as it was, what is left out goes all the same.
            if self.protocol == Protocol::Sotw && resource_type.is_wildcard() {
                watch.has.retain(|name, _| response.resources.iter().any(|sent| **sent.name() == **name));
            }
        } else {
            let mut news = BTreeMap::new();
            for resource in &response.resources {
                let name = resource.name().to_string();
                if wants(&name) {
                    news.insert(name, resource.version());
                }
            }
            for (name, version) in &news {
                if resource_type == Endpoint {
                    warming.remove(name);
                } else if resource_type == Cluster && watch.has.get(name) != Some(version) {
                    warming.insert(name.clone());
                }
            }
            if self.protocol == Protocol::Sotw && resource_type.is_wildcard() {
                watch.has.clear();
            }
            watch.has.extend(news);
        }
        if self.protocol == Protocol::Sotw {
            request.subscribe = watch.wants.iter().cloned().collect();
        }
        self.requests.push_back(request);
    }

    fn settle(&mut self, snapshot: &Snapshot) {
        for _ in 0..1000 {
            if self.requests.is_empty() && self.responses.is_empty() {
                let rest = self.session.next(snapshot);
                if rest.is_empty() {
                    return;
                }
                self.responses.extend(rest);
            }
            self.serve(snapshot);
            self.read(false);
        }
        unreachable!("client and server never fall silent");
    }

    fn check(&self, snapshot: &Snapshot) {
        for (resource_type, watch) in &self.watches {
            let set = snapshot.resources(*resource_type);
            let wants = |name: &str| resource_type.is_wildcard() || watch.wants.contains(name);
            let mut has = watch.has.clone();
            if self.protocol == Protocol::Sotw && !resource_type.is_wildcard() {
                // There is no way to say that one of these is gone.
                has.retain(|name, _| set.resource(name).is_some());
            }
            let want: BTreeMap<String, String> = set
                .iter()
                .filter(|resource| wants(resource.name()))
                .map(|resource| (resource.name().to_string(), resource.version()))
                .collect();
            assert_eq!(has, want, "{resource_type:?}");
            let view = self.session.sent(*resource_type);
            assert_eq!(view.len(), want.len(), "the session's own memory of {resource_type:?}");
        }
        if let Some(endpoints) = self.watches.get(&Endpoint) {
            let stuck = |name: &&String| {
                endpoints.wants.contains(*name) && snapshot.resources(Endpoint).resource(name).is_some()
            };
            assert_eq!(self.warming.iter().find(stuck), None, "a cluster that never got its endpoints");
        }
    }
}

fn run(protocol: Protocol, steps: Vec<Step>) {
    let mut client = Client::new(protocol);
    let mut snapshot = Snapshot::default();
    for step in steps {
        match step {
            Step::Change(t, name, version) => {
                let mut builder = snapshot.to_builder();
                match version {
                    Some(version) => builder.insert(TYPES[t], resource(NAMES[name], version)),
                    None => builder.remove(TYPES[t], NAMES[name]),
                };
                snapshot = builder.build();
            }
            Step::Subscribe(t, names) => {
                client.subscribe(TYPES[t], names.into_iter().map(|name| NAMES[name].to_owned()).collect());
            }
            Step::Serve => client.serve(&snapshot),
            Step::Read(reject) => client.read(reject),
            Step::Reconnect => client.reconnect(),
        }
    }
    // What was rejected comes again only when it changes.
    let mut builder = snapshot.to_builder();
    for resource_type in TYPES {
        for old in snapshot.resources(resource_type).iter() {
            builder.insert(resource_type, resource(old.name(), 100));
        }
    }
    let snapshot = builder.build();
    client.settle(&snapshot);
    client.check(&snapshot);
    client.reconnect();
    if protocol == Protocol::Delta {
        while let Some(request) = client.requests.pop_front() {
            client.session.on_request(request);
        }
        for response in client.session.next(&snapshot) {
            assert!(response.resources.is_empty(), "sent again though unchanged: {response:?}");
            client.responses.push_back(response);
        }
    }
    client.settle(&snapshot);
    client.check(&snapshot);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_state_of_the_world_client_ends_with_what_it_subscribed_to(steps in proptest::collection::vec(step(), 0..60)) {
        run(Protocol::Sotw, steps);
    }

    #[test]
    fn a_delta_client_ends_with_what_it_subscribed_to(steps in proptest::collection::vec(step(), 0..60)) {
        run(Protocol::Delta, steps);
    }
}
