//! One type of one stream: what is wanted, what the client has, and so what is due. The client's state is kept as the
//! last set it was answered from, which shares everything with the snapshots; only names are the watch's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Fingerprint;

use crate::{
    Protocol, Rejection, RequestError, Resource, ResourceSet, ResourceType, SessionOptions, TypeStatus,
};

/// No more of a client's error message is kept.
const MAX_MESSAGE: usize = 8192;

/// Names that have to be sent although they did not change.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    all: bool,
    names: BTreeSet<Arc<str>>,
}

impl Demand {
    fn everything() -> Self {
        Self { all: true, names: BTreeSet::new() }
    }

    fn of<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Self {
        Self { all: false, names: resources.into_iter().map(|resource| resource.name().clone()).collect() }
    }

    fn is_empty(&self) -> bool {
        !self.all && self.names.is_empty()
    }

    fn contains(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.all |= more.all;
        self.names.extend(more.names);
        if self.all {
            self.names.clear();
        }
    }
}

/// What has to be sent.
pub(crate) struct Answer {
    pub(crate) resources: Vec<Resource>,
    pub(crate) removed: Vec<Arc<str>>,
    /// Those resources that are new to the client.
    pub(crate) changed: Demand,
}

#[derive(Debug, Default)]
pub(crate) struct Watch {
    wildcard: bool,
    /// Shared with the set that they were answered from, where they are all that it holds: a thousand proxies would
    /// otherwise spell the names of the mesh a thousand times.
    names: Arc<BTreeSet<Arc<str>>>,
    /// Names subscribed to since the last answer.
    fresh: BTreeSet<Arc<str>>,
    /// The whole subscription awaits an answer, even an empty one.
    due: bool,
    /// What the client says it has from an earlier stream.
    initial: BTreeMap<String, String>,
    /// What the last answer was taken from.
    have: ResourceSet,
    /// Names in the last response, until it is answered.
    pending: Vec<Arc<str>>,
    nonce_sent: String,
    version_sent: String,
    nonce_acked: String,
    version_acked: String,
    n_rejections: u64,
    last_rejection: Option<Rejection>,
    rejected: BTreeMap<Arc<str>, (Fingerprint, Arc<str>)>,
}

// What is wanted.
impl Watch {
    /// Begins, or begins again from nothing.
    pub(crate) fn start(&mut self, wildcard: bool, names: BTreeSet<Arc<str>>) {
        self.wildcard = wildcard;
        self.names = Arc::new(names);
        self.fresh.clear();
        self.due = true;
        self.have = ResourceSet::default();
    }

    /// The client has these versions already.
    pub(crate) fn resume(&mut self, initial: BTreeMap<String, String>) {
        self.initial = initial;
    }

    pub(crate) fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    pub(crate) fn n_names(&self) -> usize {
        self.names.len()
    }

    /// Wants exactly this from now on. Whether that is more than before.
    pub(crate) fn replace(&mut self, wildcard: bool, names: BTreeSet<Arc<str>>) -> bool {
        if wildcard && !self.wildcard {
            self.due = true;
        }
        if !wildcard && !self.wildcard {
            self.fresh.extend(names.difference(&self.names).cloned());
        }
        self.fresh.retain(|name| names.contains(name));
        self.wildcard = wildcard;
        // Every acknowledgement spells all names; those that are known keep their memory.
        if names != *self.names {
            let known = |name: Arc<str>| self.names.get(&name).cloned().unwrap_or(name);
            self.names = Arc::new(names.into_iter().map(known).collect());
        }
        self.due || !self.fresh.is_empty()
    }

    /// Wants this, too. Naming a thing again asks to have it again.
    pub(crate) fn subscribe(&mut self, all: bool, names: BTreeSet<Arc<str>>) -> bool {
        let widened = all && !self.wildcard;
        self.wildcard |= all;
        self.due |= widened;
        let grown = widened || !names.is_empty();
        self.fresh.extend(names.iter().cloned());
        if !names.is_subset(&self.names) {
            Arc::make_mut(&mut self.names).extend(names);
        }
        grown
    }

    pub(crate) fn unsubscribe(&mut self, not_all: bool, names: &BTreeSet<Arc<str>>) {
        self.wildcard &= !not_all;
        for name in names {
            self.fresh.remove(name);
        }
        if !names.is_disjoint(&self.names) {
            Arc::make_mut(&mut self.names).retain(|name| !names.contains(name));
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }
}

// What is due.
impl Watch {
    /// What brings the client to this set, if anything. `demand` has to be sent even if it did not change.
    pub(crate) fn answer(
        &mut self,
        set: &ResourceSet,
        demand: &Demand,
        resource_type: ResourceType,
        options: &SessionOptions,
    ) -> Option<Answer> {
        let mut answer = if self.due {
            Some(self.answer_all(set, demand, resource_type, options))
        } else {
            self.answer_changes(set, demand, resource_type, options)
        };
        if options.protocol == Protocol::Sotw {
            let empty = self.empty(set, resource_type);
            if !empty.is_empty() {
                let nothing =
                    || Answer { resources: Vec::new(), removed: Vec::new(), changed: Demand::default() };
                answer.get_or_insert_with(nothing).resources.extend(empty);
            }
        }
        self.share_names(set);
        self.have = set.clone();
        self.due = false;
        self.fresh.clear();
        self.initial.clear();
        answer
    }

    /// A client of the state of the world cannot be told that a name is unknown, and may wait for it: it gets something
    /// empty under that name. Endpoints that are gone become none; routes that are gone stay with the client, whose
    /// connections may still drain by them (row E23, specification 2.1 and 3.1 of traffic).
    fn empty(&self, set: &ResourceSet, resource_type: ResourceType) -> Vec<Resource> {
        let asked = if self.due { &*self.names } else { &self.fresh };
        let mut names: BTreeSet<&Arc<str>> = asked.iter().collect();
        if resource_type == ResourceType::Endpoint {
            let gone = self.have.changes(set).removed;
            names.extend(gone.into_iter().filter(|name| self.names.contains(*name)));
        }
        names.retain(|name| set.resource(name).is_none());
        names.into_iter().filter_map(|name| Resource::empty(resource_type, name)).collect()
    }

    /// Lets names new to this watch be those of the set, which all sessions share, and the whole of them one list.
    fn share_names(&mut self, set: &ResourceSet) {
        if !self.due && self.fresh.is_empty() {
            return;
        }
        if set.is_named(&self.names) {
            self.names = set.names();
            return;
        }
        let new = if self.due { &*self.names } else { &self.fresh };
        let is_wanted = |name: &&Arc<str>| self.names.contains(*name);
        let known = new.iter().filter_map(|name| set.resource(name)).map(Resource::name);
        let shared: Vec<Arc<str>> = known.filter(is_wanted).cloned().collect();
        let names = Arc::make_mut(&mut self.names);
        for name in shared {
            names.replace(name);
        }
    }

    /// The whole subscription, less what the client has from an earlier stream.
    fn answer_all(
        &self,
        set: &ResourceSet,
        demand: &Demand,
        resource_type: ResourceType,
        options: &SessionOptions,
    ) -> Answer {
        let mut resources = Vec::new();
        // Both ascend, so one pass tells what the client has of what it wants, and what it has beside that.
        let mut initial = self.initial.iter().peekable();
        let mut beside: Vec<&str> = Vec::new();
        for resource in self.wanted(set) {
            let name = &**resource.name();
            while let Some((before, _)) = initial.next_if(|(known, _)| known.as_str() < name) {
                beside.push(before);
            }
            let known = initial.next_if(|(known, _)| known.as_str() == name);
            let has = known.is_some_and(|(_, version)| resource.has_version(version));
            if !has || demand.contains(name) {
                resources.push(resource.clone());
            }
        }
        beside.extend(initial.map(|(name, _)| name.as_str()));
        let mut removed = BTreeSet::new();
        if options.protocol == Protocol::Delta && resource_type.is_removable() {
            beside.retain(|name| set.resource(name).is_none());
            removed.extend(beside.into_iter().map(Arc::from));
            let unknown = set.of_names(&self.names).filter(|(_, resource)| resource.is_none());
            removed.extend(unknown.map(|(name, _)| Arc::clone(name)));
            let gone = self.have.iter().filter(|resource| set.resource(resource.name()).is_none());
            removed.extend(gone.map(|resource| Arc::clone(resource.name())));
        }
        // Naming each of a large mesh's clusters would cost memory and say the same.
        let all = self.initial.is_empty() && !resources.is_empty();
        let changed = if all { Demand::everything() } else { Demand::of(&resources) };
        Answer { resources, removed: removed.into_iter().collect(), changed }
    }

    /// What changed since the last answer or was asked for since.
    fn answer_changes(
        &self,
        set: &ResourceSet,
        demand: &Demand,
        resource_type: ResourceType,
        options: &SessionOptions,
    ) -> Option<Answer> {
        let changes = self.have.changes(set);
        let mut changed: BTreeMap<&str, &Resource> = BTreeMap::new();
        for resource in changes.changed {
            if self.wants(resource.name()) {
                changed.insert(resource.name(), resource);
            }
        }
        for name in &self.fresh {
            if let Some(resource) = set.resource(name) {
                changed.insert(name, resource);
            }
        }
        let mut removed: BTreeSet<Arc<str>> =
            changes.removed.into_iter().filter(|name| self.wants(name)).cloned().collect();
        match options.protocol {
            Protocol::Delta => {
                removed.extend(self.fresh.iter().filter(|name| set.resource(name).is_none()).cloned());
                if !resource_type.is_removable() {
                    removed.clear();
                }
            }
            Protocol::Sotw => {
                let full = resource_type.is_full_state() || options.always_full;
                let gone = full && !removed.is_empty();
                removed.clear();
                if full && (gone || !changed.is_empty() || !self.fresh.is_empty()) {
                    let changed = Demand::of(changed.into_values());
                    let resources = self.wanted(set).cloned().collect();
                    return Some(Answer { resources, removed: Vec::new(), changed });
                }
            }
        }
        let news = Demand::of(changed.values().copied());
        if !demand.is_empty() {
            let again = |resource: &&Resource| demand.contains(resource.name());
            changed.extend(self.wanted(set).filter(again).map(|resource| (&**resource.name(), resource)));
        }
        if changed.is_empty() && removed.is_empty() && self.fresh.is_empty() {
            return None;
        }
        Some(Answer {
            resources: changed.into_values().cloned().collect(),
            removed: removed.into_iter().collect(),
            changed: news,
        })
    }

    fn wanted<'a>(&'a self, set: &'a ResourceSet) -> impl Iterator<Item = &'a Resource> {
        let all = self.wildcard.then(|| set.iter()).into_iter().flatten();
        let names = (!self.wildcard).then(|| set.of_names(&self.names)).into_iter().flatten();
        all.chain(names.filter_map(|(_, resource)| resource))
    }

    /// What the client was sent and still wants.
    pub(crate) fn view(&self) -> Vec<Resource> {
        let not_yet = |resource: &&Resource| !self.fresh.contains(resource.name());
        self.wanted(&self.have).filter(not_yet).cloned().collect()
    }
}

// What was sent, and what became of it.
impl Watch {
    pub(crate) fn sent(&mut self, nonce: &str, version: &str, resources: &[Resource]) {
        nonce.clone_into(&mut self.nonce_sent);
        version.clone_into(&mut self.version_sent);
        self.pending = resources.iter().map(|resource| resource.name().clone()).collect();
    }

    /// Whether the last response had this nonce.
    pub(crate) fn is_last(&self, nonce: &str) -> bool {
        nonce == self.nonce_sent
    }

    /// The client answered without complaint; `false` if that was not about the last response. After a rejection
    /// the same nonce comes again with later requests, which is no acceptance.
    pub(crate) fn acknowledge(&mut self, nonce: &str) -> bool {
        if !self.is_last(nonce) {
            return false;
        }
        if self.last_rejection.as_ref().is_some_and(|rejection| rejection.nonce == nonce) {
            return true;
        }
        self.nonce_acked.clone_from(&self.nonce_sent);
        self.version_acked.clone_from(&self.version_sent);
        for name in std::mem::take(&mut self.pending) {
            self.rejected.remove(&name);
        }
        true
    }

    pub(crate) fn reject(
        &mut self,
        resource_type: ResourceType,
        nonce: String,
        mut error: RequestError,
    ) -> Rejection {
        error.message.truncate(error.message.floor_char_boundary(MAX_MESSAGE));
        let last = self.is_last(&nonce);
        let pending = if last { std::mem::take(&mut self.pending) } else { Vec::new() };
        let mut names: Vec<_> =
            pending.iter().filter(|name| names_it(&error.message, name)).cloned().collect();
        if names.is_empty() && pending.len() == 1 {
            names = pending;
        }
        let message: Arc<str> = error.message.as_str().into();
        for name in &names {
            if let Some(resource) = self.have.resource(name) {
                self.rejected.insert(name.clone(), (resource.fingerprint(), message.clone()));
            }
        }
        let version_info = if last { self.version_sent.clone() } else { String::new() };
        let rejection = Rejection { resource_type, nonce, version_info, error, names };
        self.n_rejections += 1;
        self.last_rejection = Some(rejection.clone());
        rejection
    }

    pub(crate) fn status(&self, resource_type: ResourceType) -> TypeStatus {
        let still = |(name, (fingerprint, message)): (&Arc<str>, &(Fingerprint, Arc<str>))| {
            let same = self.have.resource(name).is_some_and(|now| now.fingerprint() == *fingerprint);
            same.then(|| (name.clone(), message.to_string()))
        };
        TypeStatus {
            resource_type,
            wildcard: self.wildcard,
            n_names: self.names.len(),
            nonce_sent: self.nonce_sent.clone(),
            version_sent: self.version_sent.clone(),
            nonce_acked: self.nonce_acked.clone(),
            version_acked: self.version_acked.clone(),
            n_rejections: self.n_rejections,
            last_rejection: self.last_rejection.clone(),
            rejected: self.rejected.iter().filter_map(still).collect(),
        }
    }
}

/// Whether the message holds the name as a word of its own, not as part of a longer name.
fn names_it(message: &str, name: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || "_-|*".contains(character);
    !name.is_empty()
        && message.match_indices(name).any(|(at, _)| {
            let before = message[..at].chars().next_back();
            let mut after = message[at + name.len()..].chars();
            let longer = match after.next() {
                Some('.') => after.next().is_some_and(part),
                Some(character) => part(character),
                None => false,
            };
            !longer && !before.is_some_and(|character| part(character) || character == '.')
        })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn set(names: &[&str]) -> ResourceSet {
        let mut set = ResourceSet::default();
        for name in names {
            set.insert(Resource::new(*name, Bytes::copy_from_slice(name.as_bytes())));
        }
        set
    }

    fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn answer(watch: &mut Watch, set: &ResourceSet) {
        let options =
            SessionOptions { protocol: Protocol::Delta, nonce_prefix: String::new(), always_full: false };
        let _ = watch.answer(set, &Demand::default(), ResourceType::Endpoint, &options);
    }

    #[test]
    fn watches_of_everything_keep_its_names_once() {
        let (before, mut after) = (set(&["a", "b"]), set(&["a", "b"]));
        after.insert(Resource::new("c", Bytes::new()));
        let mut watches = [Watch::default(), Watch::default()];
        for watch in &mut watches {
            watch.start(false, names(&["a"]));
            answer(watch, &before);
            watch.subscribe(false, names(&["b"]));
            answer(watch, &before);
        }
        assert!(Arc::ptr_eq(&watches[0].names, &watches[1].names));
        for watch in &mut watches {
            answer(watch, &after);
            watch.subscribe(false, names(&["b", "c"]));
            answer(watch, &after);
        }
        assert!(Arc::ptr_eq(&watches[0].names, &watches[1].names));
        assert_eq!(*watches[0].names, names(&["a", "b", "c"]));
        watches[0].unsubscribe(false, &names(&["a"]));
        assert_eq!(*watches[0].names, names(&["b", "c"]), "what one gives up");
        assert_eq!(*watches[1].names, names(&["a", "b", "c"]), "the other keeps");
    }
}
