//! One stream: a request changes what is wanted, and `next` says what has to be sent of a snapshot. Both protocols
//! (platform specification, 2.4 and 2.5) pass through the same watches; only reading requests differs.
//!
//! Envoy holds a new or changed cluster back until its endpoints come once more, so every cluster that is sent makes
//! its load assignment due again, changed or not.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::watch::{Answer, Demand, Watch};
use crate::{Outcome, Rejection, Request, Resource, ResourceType, Response, Snapshot, TypeStatus};

/// How responses are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// State of the world.
    Sotw,
    /// Incremental.
    Delta,
}

/// What a session has to know of its stream.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// State of the world or delta.
    pub protocol: Protocol,
    /// Every nonce begins with it; unique among streams, so that no nonce fits another stream.
    pub nonce_prefix: String,
    /// State-of-the-world responses hold all that is subscribed, for every type, as gRPC clients expect.
    pub always_full: bool,
}

/// One stream of one client.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    watches: [Option<Watch>; ResourceType::ALL.len()],
    /// Clusters sent since endpoints were last sent.
    warming: Demand,
    n_responses: u64,
}

impl Session {
    /// A stream on which nothing was said yet.
    pub fn new(options: SessionOptions) -> Self {
        Self { options, watches: Default::default(), warming: Demand::default(), n_responses: 0 }
    }

    /// Takes a request in. Whatever it turned out to be, call [`Session::next`] afterwards.
    pub fn on_request(&mut self, request: Request) -> Outcome {
        match self.options.protocol {
            Protocol::Sotw => self.on_sotw(request),
            Protocol::Delta => self.on_delta(request),
        }
    }

    /// What has to be sent so that the client comes to have what it subscribed to of this snapshot; nothing when it
    /// has all of it. In the order in which it has to be sent.
    pub fn next(&mut self, snapshot: &Snapshot) -> Vec<Response> {
        let mut responses = Vec::new();
        for resource_type in ResourceType::ALL {
            let Some(watch) = &mut self.watches[resource_type.index()] else { continue };
            let demand = match resource_type {
                ResourceType::Endpoint => std::mem::take(&mut self.warming),
                _ => Demand::default(),
            };
            let set = snapshot.resources(resource_type);
            let Some(answer) = watch.answer(set, &demand, resource_type, &self.options) else { continue };
            let Answer { resources, removed, changed } = answer;
            if resource_type == ResourceType::Cluster {
                self.warming.add(changed);
            }
            self.n_responses += 1;
            let nonce = format!("{}{}", self.options.nonce_prefix, self.n_responses);
            let version_info = set.version();
            watch.sent(&nonce, &version_info, &resources);
            responses.push(Response { resource_type, version_info, nonce, resources, removed });
        }
        responses
    }

    /// Where the stream stands with each type it watches.
    pub fn status(&self) -> Vec<TypeStatus> {
        let watched = |resource_type: ResourceType| {
            self.watches[resource_type.index()].as_ref().map(|watch| watch.status(resource_type))
        };
        ResourceType::ALL.into_iter().filter_map(watched).collect()
    }

    /// What the client was sent of a type and still subscribes to, by name.
    pub fn sent(&self, resource_type: ResourceType) -> Vec<Resource> {
        self.watches[resource_type.index()].as_ref().map(Watch::view).unwrap_or_default()
    }

    /// Whether anything of that type was subscribed to.
    pub fn watches(&self, resource_type: ResourceType) -> bool {
        self.watches[resource_type.index()].is_some()
    }

    /// How many names it is subscribed to, all types together.
    pub fn n_names(&self) -> usize {
        self.watches.iter().flatten().map(Watch::n_names).sum()
    }

    /// The protocol of the stream.
    pub fn protocol(&self) -> Protocol {
        self.options.protocol
    }

    fn on_sotw(&mut self, request: Request) -> Outcome {
        let resource_type = request.resource_type;
        let names = names(&request.subscribe);
        let wildcard = request.subscribe.iter().any(|name| name == "*");
        let slot = &mut self.watches[resource_type.index()];
        let nothing = request.subscribe.is_empty();
        if request.error.is_some() {
            // What a rejection of the last response names is wanted as well; it may never be said again.
            if let Some(watch) = slot.as_mut().filter(|watch| watch.is_last(&request.nonce)) {
                let wildcard = wildcard || nothing && watch.is_wildcard();
                watch.replace(wildcard, names);
            }
            return Outcome::Rejected(reject(slot, request));
        }
        if nothing && !resource_type.is_wildcard() {
            *slot = None;
            return Outcome::Unsubscribed;
        }
        match slot {
            Some(watch) if !request.nonce.is_empty() => {
                if !watch.acknowledge(&request.nonce) {
                    return Outcome::Stale;
                }
                // Naming nothing went on meaning everything only if it meant that from the start.
                let wildcard = wildcard || nothing && watch.is_wildcard();
                if watch.replace(wildcard, names) { Outcome::Subscribed } else { Outcome::Acknowledged }
            }
            _ => {
                let mut watch = slot.take().unwrap_or_default();
                watch.start(wildcard || nothing, names);
                *slot = Some(watch);
                Outcome::Subscribed
            }
        }
    }

    fn on_delta(&mut self, mut request: Request) -> Outcome {
        let resource_type = request.resource_type;
        let slot = &mut self.watches[resource_type.index()];
        let subscribe = names(&request.subscribe);
        let unsubscribe = names(&request.unsubscribe);
        let has_star = |names: &[String]| names.iter().any(|name| name == "*");
        let (all, not_all) = (has_star(&request.subscribe), has_star(&request.unsubscribe));
        let Some(watch) = slot else {
            if request.error.is_some() {
                return Outcome::Rejected(reject(slot, request));
            }
            let nothing = request.subscribe.is_empty() && resource_type.is_wildcard();
            let mut watch = Watch::default();
            let mut wanted = subscribe;
            let wildcard = (all || nothing) && !not_all;
            if !wildcard && !resource_type.is_wildcard() {
                wanted.extend(request.initial_versions.keys().map(|name| Arc::from(name.as_str())));
            }
            wanted.retain(|name| !unsubscribe.contains(name));
            watch.start(wildcard, wanted);
            watch.resume(std::mem::take(&mut request.initial_versions));
            *slot = Some(watch);
            return Outcome::Subscribed;
        };
        // Subscriptions are increments: they count even if the rest of the message came too late.
        let grown = watch.subscribe(all, subscribe);
        watch.unsubscribe(not_all, &unsubscribe);
        if request.error.is_some() {
            return Outcome::Rejected(reject(slot, request));
        }
        if !request.nonce.is_empty() && !watch.acknowledge(&request.nonce) {
            return Outcome::Stale;
        }
        if grown {
            Outcome::Subscribed
        } else if request.nonce.is_empty() && !unsubscribe.is_empty() {
            Outcome::Unsubscribed
        } else {
            Outcome::Acknowledged
        }
    }
}

/// Records a rejection; of a type that is not watched there is nothing to remember.
fn reject(slot: &mut Option<Watch>, request: Request) -> Rejection {
    let error = request.error.unwrap_or_default();
    match slot {
        Some(watch) => watch.reject(request.resource_type, request.nonce, error),
        None => Rejection {
            resource_type: request.resource_type,
            nonce: request.nonce,
            version_info: String::new(),
            error,
            names: Vec::new(),
        },
    }
}

fn names(names: &[String]) -> BTreeSet<Arc<str>> {
    names.iter().filter(|name| *name != "*").map(|name| Arc::from(name.as_str())).collect()
}
