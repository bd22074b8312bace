//! All collections together: a task for each, and one that gathers what they tell into events. The first event comes
//! when every first list has been taken in, and holds everything. Of a remote cluster only some kinds are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Kind, SourceEvent};
use kube::Client;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::decode::{Head, Item, decode};
use crate::definitions::Definitions;
use crate::place::Place;
use crate::reflector::{Event, reflect};

/// Events gather at most so many updates, so that a long stream of them does not hold back the first.
const MAX_GATHERED: usize = 10_000;

/// Who is asking.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Revision of this control plane; empty is the default one.
    pub revision: String,
    /// The ID of a remote cluster, for messages; `None` is our own.
    pub cluster: Option<Arc<str>>,
    /// The kinds that are looked at; empty for all.
    pub kinds: Vec<Kind>,
}

/// An API server being watched, until this is dropped.
#[derive(Debug)]
pub struct KubernetesSource {
    task: JoinHandle<()>,
}

impl KubernetesSource {
    /// Starts to list and watch, on the runtime of the caller. The first event holds everything and comes once every
    /// kind has been listed; there is none before that, however long it takes.
    pub fn start(
        client: Client,
        options: Options,
        on_event: impl FnMut(SourceEvent) + Send + 'static,
    ) -> Self {
        let (sender, updates) = unbounded_channel();
        let kinds = if options.kinds.is_empty() { Kind::ALL.to_vec() } else { options.kinds };
        let gatherer = Gatherer {
            client,
            revision: options.revision.into(),
            source: match &options.cluster {
                Some(id) => format!("the API server of cluster {id}").into(),
                None => "the API server".into(),
            },
            cluster: options.cluster,
            sender,
            catalog: Catalog::default(),
            definitions: Definitions::default(),
            has_definitions: kinds.iter().all(|kind| Place::of_built_in(*kind).is_some()),
            waiting: kinds.iter().copied().collect(),
            kinds,
            told: Vec::new(),
            is_first: true,
            collections: BTreeMap::new(),
            n_started: 0,
        };
        Self { task: tokio::spawn(gatherer.run(updates, on_event)) }
    }
}

impl Drop for KubernetesSource {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a collection told, with the number of the task that did.
enum Update {
    Listed(Kind, u64, Vec<Item>),
    Put(Kind, u64, Box<Item>),
    Removed(Kind, u64, Head),
    Failed(Kind, u64, Option<String>),
    Definitions(Vec<Defined>),
    DefinitionsFailed(Option<String>),
}

/// What became of definitions.
enum Defined {
    /// All that were known are gone.
    None,
    Put(String, Box<RawValue>),
    Removed(String),
}

/// A running task, ended when dropped.
struct Collection {
    number: u64,
    place: Place,
    task: JoinHandle<()>,
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Gatherer {
    client: Client,
    revision: Arc<str>,
    /// Where objects say that they come from.
    source: Arc<str>,
    /// The remote cluster that this is about.
    cluster: Option<Arc<str>>,
    kinds: Vec<Kind>,
    /// Why there is no first event yet, as it was told last.
    told: Vec<String>,
    sender: UnboundedSender<Update>,
    catalog: Catalog,
    definitions: Definitions,
    /// Kinds of which the first list is still to come.
    waiting: BTreeSet<Kind>,
    has_definitions: bool,
    is_first: bool,
    collections: BTreeMap<Kind, Collection>,
    n_started: u64,
}

impl Gatherer {
    async fn run(
        mut self,
        mut updates: UnboundedReceiver<Update>,
        mut on_event: impl FnMut(SourceEvent) + Send,
    ) {
        let sender = self.sender.clone();
        let mut listed = Vec::new();
        let definitions = reflect(self.client.clone(), Place::of_definitions(), move |event| {
            let put = |raw: &RawValue| Defined::Put(Head::read(raw).metadata.name, raw.to_owned());
            let update = match event {
                Event::ListBegins => return listed = vec![Defined::None],
                Event::Page(page) => return listed.extend(page.iter().map(|raw| put(raw))),
                Event::Listed => Update::Definitions(std::mem::take(&mut listed)),
                Event::Put(head, raw) => Update::Definitions(vec![Defined::Put(head.metadata.name, raw)]),
                Event::Removed(head) => Update::Definitions(vec![Defined::Removed(head.metadata.name)]),
                Event::Failed(message) => Update::DefinitionsFailed(Some(message)),
                Event::Recovered => Update::DefinitionsFailed(None),
            };
            let _ = sender.send(update);
        });
        // Ends with this task, as a collection does.
        let _definitions = (!self.has_definitions).then(|| Collection {
            number: 0,
            place: Place::of_definitions(),
            task: tokio::spawn(definitions),
        });
        for kind in self.kinds.clone() {
            if let Some(place) = Place::of_built_in(kind) {
                self.start(kind, place);
            }
        }
        while let Some(update) = updates.recv().await {
            self.take_in(update);
            for _ in 0..MAX_GATHERED {
                let Ok(update) = updates.try_recv() else { break };
                self.take_in(update);
            }
            if self.is_first && !(self.has_definitions && self.waiting.is_empty()) {
                self.tell_why_not();
                continue;
            }
            if let Some(event) = self.catalog.event(self.is_first) {
                self.is_first = false;
                on_event(event);
            }
        }
    }

    fn take_in(&mut self, update: Update) {
        match update {
            Update::Listed(kind, number, items) if self.is_current(kind, number) => {
                self.waiting.remove(&kind);
                self.catalog.replace(kind, items);
            }
            Update::Put(kind, number, item) if self.is_current(kind, number) => self.catalog.put(*item),
            Update::Removed(kind, number, head) if self.is_current(kind, number) => {
                self.catalog.remove(head.key(kind));
            }
            Update::Failed(kind, number, message) if self.is_current(kind, number) => {
                self.catalog.fault(&self.named(&kind.to_string()), message);
            }
            Update::Definitions(defined) => self.take_in_definitions(defined),
            Update::DefinitionsFailed(message) => {
                // Who may read the workloads of a remote cluster need not be allowed to read its definitions.
                if message.is_some() && self.cluster.is_some() {
                    self.has_definitions = true;
                    self.waiting.retain(|kind| Place::of_built_in(*kind).is_some());
                }
                self.catalog.fault(&self.named(&Place::of_definitions().name_of_kind), message);
            }
            // The last words of a task that was ended.
            _ => {}
        }
    }

    fn take_in_definitions(&mut self, defined: Vec<Defined>) {
        for one in defined {
            match one {
                Defined::None => {
                    self.has_definitions = true;
                    self.definitions = Definitions::default();
                }
                Defined::Put(name, raw) => self.definitions.put(&name, &raw),
                Defined::Removed(name) => self.definitions.remove(&name),
            }
        }
        self.settle_collections();
    }

    /// Starts and ends tasks so that each kind that is served is watched where it is served.
    fn settle_collections(&mut self) {
        let mut places = self.definitions.places();
        let kinds = self.kinds.clone();
        for kind in kinds.iter().filter(|kind| Place::of_built_in(**kind).is_none()) {
            match places.remove(kind) {
                Some(place) if self.collections.get(kind).is_some_and(|running| running.place == place) => {}
                Some(place) => self.start(*kind, place),
                None => {
                    self.collections.remove(kind);
                    self.waiting.remove(kind);
                    self.catalog.replace(*kind, Vec::new());
                    self.catalog.fault(&self.named(&kind.to_string()), None);
                }
            }
        }
    }

    fn start(&mut self, kind: Kind, place: Place) {
        self.n_started += 1;
        let number = self.n_started;
        let (sender, revision, at) = (self.sender.clone(), self.revision.clone(), place.clone());
        let source = Arc::clone(&self.source);
        let read = move |raw: &RawValue| decode(kind, &at, &revision, &source, raw);
        let mut listed = Vec::new();
        let on_event = move |event: Event<'_>| {
            let update = match event {
                Event::ListBegins => return listed.clear(),
                Event::Page(page) => return listed.extend(page.iter().map(|raw| read(raw))),
                Event::Listed => Update::Listed(kind, number, std::mem::take(&mut listed)),
                Event::Put(_, raw) => Update::Put(kind, number, Box::new(read(&raw))),
                Event::Removed(head) => Update::Removed(kind, number, head),
                Event::Failed(message) => Update::Failed(kind, number, Some(message)),
                Event::Recovered => Update::Failed(kind, number, None),
            };
            // A failure means that the source was dropped, which ends this task too.
            let _ = sender.send(update);
        };
        let task = tokio::spawn(reflect(self.client.clone(), place.clone(), on_event));
        self.collections.insert(kind, Collection { number, place, task });
    }

    fn is_current(&self, kind: Kind, number: u64) -> bool {
        self.collections.get(&kind).is_some_and(|running| running.number == number)
    }

    /// A collection as messages name it.
    fn named(&self, collection: &str) -> String {
        match &self.cluster {
            Some(id) => format!("{collection} of cluster {id}"),
            None => collection.to_owned(),
        }
    }

    /// Before the first event nobody else can tell what it waits for.
    fn tell_why_not(&mut self) {
        let faults: Vec<String> = self.catalog.faults().collect();
        for message in faults.iter().filter(|message| !self.told.contains(message)) {
            match &self.cluster {
                Some(id) => tracing::warn!("cluster {id} is not known yet: {message}"),
                None => tracing::warn!("not ready: {message}"),
            }
        }
        self.told = faults;
    }
}
