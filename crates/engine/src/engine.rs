//! The engine: proxies grouped in classes over one mesh, moved from state to state by `commit`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use config::Changeset;
use mesh::{Base, Dirty, KeySets, Mesh, Reader, Reads};
use model::{Gauge, Issue, Namespace, findings};
use scope::{Proxy, ProxyClass, ProxyType};
use xds::{ResourceType, Snapshot};

use crate::cache::Cache;
use crate::class::Class;
use crate::issues::{All, Issues};
use crate::outbound::{Outbound, Stale};
use crate::readers::{Maker, Named, Readers};
use crate::report::Report;

/// A connected proxy, by a number that the shell chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyId(pub u64);

/// One connected proxy: the class it is in, and what that depended on.
struct Member {
    proxy: Proxy,
    class: u64,
    reads: Reads,
}

/// Everything that is derived from configuration and connected proxies.
pub struct Engine {
    mesh: Mesh,
    cache: Cache,
    readers: Readers,
    members: BTreeMap<ProxyId, Member>,
    classes: BTreeMap<u64, Class>,
    class_ids: HashMap<Arc<ProxyClass>, u64>,
    outbounds: BTreeMap<u64, Outbound>,
    outbound_ids: HashMap<Arc<ProxyClass>, u64>,
    /// How many members a class has, and how many classes an outbound.
    n_users: HashMap<Maker, usize>,
    /// Whose last user has left.
    unused: BTreeSet<Maker>,
    /// Makers that panicked: what they have is old, so they begin from nothing at the next commit.
    broken: BTreeSet<Maker>,
    issues: Issues,
    next_id: u64,
}

impl Engine {
    /// An engine without configuration and proxies.
    pub fn new(base: Base) -> Self {
        Self {
            mesh: Mesh::build(config::ConfigStore::default(), Arc::new(base)),
            cache: Cache::default(),
            readers: Readers::default(),
            members: BTreeMap::new(),
            classes: BTreeMap::new(),
            class_ids: HashMap::new(),
            outbounds: BTreeMap::new(),
            outbound_ids: HashMap::new(),
            n_users: HashMap::new(),
            unused: BTreeSet::new(),
            broken: BTreeSet::new(),
            issues: Issues::default(),
            next_id: 0,
        }
    }

    /// The mesh as it stands.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Takes in changes. Only what asked a question that has another answer now is done again.
    pub fn commit(&mut self, changes: Changeset) -> Report {
        let (mesh, dirty, changed) = self.mesh.advance(changes);
        let mut report = self.settle(mesh, &dirty);
        report.changed = changed;
        report
    }

    /// Takes in keys for tokens; those that are not among them are not known any more.
    pub fn learn(&mut self, key_sets: KeySets) -> Report {
        let (mesh, dirty) = self.mesh.with_key_sets(key_sets);
        self.settle(mesh, &dirty)
    }

    fn settle(&mut self, mesh: Mesh, dirty: &Dirty) -> Report {
        let mut report = Report::default();
        self.mesh = mesh;
        self.issues.forget_mesh();
        report.n_dirty = dirty.ids().len();
        if dirty.is_empty() && self.broken.is_empty() {
            return report;
        }
        let snapshots_before: BTreeMap<u64, Arc<Snapshot>> =
            self.classes.iter().map(|(id, class)| (*id, Arc::clone(&class.snapshot))).collect();
        let classes_before: Vec<(ProxyId, u64)> =
            self.members.iter().map(|(id, member)| (*id, member.class)).collect();
        let moved: Vec<ProxyId> = self
            .members
            .iter()
            .filter(|(_, member)| member.reads.meets(dirty.ids()))
            .map(|(id, _)| *id)
            .collect();
        self.advance(dirty, &mut report);
        for id in moved {
            if let Some(member) = self.members.remove(&id) {
                self.leave(Maker::Class(member.class));
                self.place(id, member.proxy, &mut report);
            }
        }
        self.drop_unused();
        self.keep_routes();
        self.note_pushed(&classes_before, &snapshots_before, &mut report);
        report.rendered = self.cache.take_rendered();
        self.cache.sweep();
        report
    }

    /// What classes share first, then the classes that are concerned themselves or whose shared part moved.
    fn advance(&mut self, dirty: &Dirty, report: &mut Report) {
        let (makers, named) = self.readers.concerned(dirty);
        let broken = std::mem::take(&mut self.broken);
        let mut failed = BTreeSet::new();
        let mut with_new_scope = BTreeSet::new();
        for (id, outbound) in &mut self.outbounds {
            let maker = Maker::Outbound(*id);
            let is_broken = broken.contains(&maker);
            let asked = |name: &Named| outbound.has(name);
            if !is_broken && !makers.contains(&maker) && !named.iter().any(asked) {
                continue;
            }
            let stale = if is_broken { Stale::All } else { Stale::Asked(dirty, &named) };
            let (mesh, cache, readers) = (&self.mesh, &self.cache, &mut self.readers);
            match caught(|| outbound.advanced(mesh, cache, &stale, readers, report)) {
                Ok((next, has_new_scope)) => {
                    if is_broken || has_new_scope {
                        with_new_scope.insert(*id);
                    }
                    *outbound = next;
                }
                Err(message) => {
                    report.panics.push(message);
                    failed.insert(maker);
                }
            }
        }
        for (id, class) in &mut self.classes {
            let maker = Maker::Class(*id);
            let Some(outbound) = self.outbounds.get_mut(&class.outbound) else { continue };
            if failed.contains(&Maker::Outbound(outbound.id)) {
                // Half of a new state is none: the last good snapshot stays.
                failed.insert(maker);
                continue;
            }
            let is_all = broken.contains(&maker) || with_new_scope.contains(&outbound.id);
            if !is_all && !makers.contains(&maker) && !class.is_behind(outbound) {
                continue;
            }
            let stale = if is_all { Stale::All } else { Stale::Asked(dirty, &named) };
            let (mesh, cache, readers) = (&self.mesh, &self.cache, &mut self.readers);
            match caught(|| class.advanced(outbound, mesh, cache, &stale, readers, report)) {
                Ok(next) => *class = next,
                Err(message) => {
                    report.panics.push(message);
                    failed.insert(maker);
                }
            }
        }
        self.broken = failed;
    }

    /// Takes in a proxy, or one that is known and has changed, and returns what it should have. The report says what
    /// had to be made for it.
    pub fn connect(&mut self, id: ProxyId, proxy: Proxy) -> (Arc<Snapshot>, Report) {
        let mut report = Report::default();
        if let Some(before) = self.members.remove(&id) {
            self.leave(Maker::Class(before.class));
        }
        self.place(id, proxy, &mut report);
        self.drop_unused();
        report.rendered = self.cache.take_rendered();
        (self.snapshot(id).unwrap_or_default(), report)
    }

    /// Forgets a proxy, and its class when it was the last one in it.
    pub fn disconnect(&mut self, id: ProxyId) {
        if let Some(member) = self.members.remove(&id) {
            self.leave(Maker::Class(member.class));
        }
        self.drop_unused();
        self.cache.sweep();
    }

    /// What a connected proxy should have.
    pub fn snapshot(&self, id: ProxyId) -> Option<Arc<Snapshot>> {
        let class = self.members.get(&id)?.class;
        self.classes.get(&class).map(|class| Arc::clone(&class.snapshot))
    }

    /// How many classes the connected proxies make.
    pub fn n_classes(&self) -> usize {
        self.classes.len()
    }

    /// The secrets that connected proxies have, by the namespace of the proxies and name.
    pub fn secrets(&self) -> BTreeMap<(Namespace, Arc<str>), xds::Resource> {
        let mut all = BTreeMap::new();
        for class in self.classes.values() {
            let of_class = class.snapshot.resources(ResourceType::Secret);
            if of_class.is_empty() {
                continue;
            }
            for secret in of_class.iter() {
                all.insert((class.proxies.namespace.clone(), Arc::clone(secret.name())), secret.clone());
            }
        }
        all
    }

    /// How many different worlds of calls these classes have.
    pub fn n_outbounds(&self) -> usize {
        self.outbounds.len()
    }

    /// How many rendered pieces are kept.
    pub fn n_pieces(&self) -> usize {
        self.cache.len()
    }

    /// What users should know of their configuration, from every class and from the mesh itself; the same list until
    /// something was made again.
    pub fn issues(&self) -> Arc<[Issue]> {
        Arc::clone(&self.found().issues)
    }

    /// What the gauges of the push status show.
    pub fn counted(&self) -> BTreeMap<Gauge, usize> {
        let has_no_service = |class: &&Class| {
            class.proxies.proxy_type == ProxyType::Sidecar && class.proxies.own_services.is_empty()
        };
        let n_proxies = |class: &Class| self.n_users.get(&Maker::Class(class.id)).copied().unwrap_or(0);
        let mut counted = self.found().counted.clone();
        counted.insert(findings::NO_IP, self.classes.values().filter(has_no_service).map(n_proxies).sum());
        counted
    }

    fn found(&self) -> &All {
        self.issues.all(&self.mesh, || {
            let outbounds = self.outbounds.values().map(Outbound::findings);
            outbounds.chain(self.classes.values().map(Class::findings)).collect()
        })
    }

    fn place(&mut self, id: ProxyId, proxy: Proxy, report: &mut Report) {
        let reader = Reader::new(&self.mesh);
        let class = Arc::new(ProxyClass::of(&proxy, &reader));
        let outbound = Arc::new(class.outbound(&reader));
        let reads = reader.take_reads();
        let known = self.class_ids.get(&class).copied();
        let class_id = known.unwrap_or_else(|| self.new_id());
        self.members.insert(id, Member { proxy, class: class_id, reads });
        self.join(Maker::Class(class_id));
        let shares = |class: &Class| self.outbound_ids.get(&outbound) == Some(&class.outbound);
        if self.classes.get(&class_id).is_some_and(shares) {
            return;
        }
        // Which labels tell calls apart may have changed: then a class that is known shares another outbound now.
        let Some(outbound_id) = self.outbound(outbound, report) else { return };
        let Some(outbound) = self.outbounds.get_mut(&outbound_id) else { return };
        let (mesh, cache, readers) = (&self.mesh, &self.cache, &mut self.readers);
        let neighbour = self.classes.values().find(|class| class.outbound == outbound_id);
        let of = Arc::clone(&class);
        let built = caught(|| Class::build(class_id, of, neighbour, outbound, mesh, cache, readers, report));
        match built {
            Ok(built) => {
                self.join(Maker::Outbound(outbound_id));
                if let Some(before) = self.classes.insert(class_id, built) {
                    self.leave(Maker::Outbound(before.outbound));
                }
                self.class_ids.insert(class, class_id);
            }
            Err(message) => report.panics.push(message),
        }
        self.issues.forget_made();
    }

    /// The outbound of that key, built if it is new; `None` if that panicked.
    fn outbound(&mut self, key: Arc<ProxyClass>, report: &mut Report) -> Option<u64> {
        if let Some(id) = self.outbound_ids.get(&key) {
            return Some(*id);
        }
        let id = self.new_id();
        let (mesh, cache, readers) = (&self.mesh, &self.cache, &mut self.readers);
        let neighbour = self.outbounds.values().next();
        match caught(|| Outbound::build(id, Arc::clone(&key), neighbour, mesh, cache, readers, report)) {
            Ok(built) => {
                self.outbounds.insert(id, built);
                self.outbound_ids.insert(key, id);
                // Nobody uses it yet; whoever asked is about to.
                self.n_users.insert(Maker::Outbound(id), 0);
                self.unused.insert(Maker::Outbound(id));
                Some(id)
            }
            Err(message) => {
                report.panics.push(message);
                None
            }
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn join(&mut self, maker: Maker) {
        *self.n_users.entry(maker).or_default() += 1;
    }

    fn leave(&mut self, maker: Maker) {
        if let Some(n) = self.n_users.get_mut(&maker) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.unused.insert(maker);
            }
        }
    }

    /// Every proxy whose snapshot has other content than before.
    fn note_pushed(
        &self,
        classes_before: &[(ProxyId, u64)],
        snapshots_before: &BTreeMap<u64, Arc<Snapshot>>,
        report: &mut Report,
    ) {
        let mut differs: BTreeMap<(u64, u64), bool> = BTreeMap::new();
        for (id, class_before) in classes_before {
            let Some(class) = self.members.get(id).map(|member| member.class) else { continue };
            let Some(new) = self.classes.get(&class).map(|class| &class.snapshot) else { continue };
            let differs = differs.entry((*class_before, class)).or_insert_with(|| {
                snapshots_before
                    .get(class_before)
                    .is_none_or(|old| !Arc::ptr_eq(old, new) && old.version() != new.version())
            });
            if *differs {
                report.pushed.push((*id, Arc::clone(new)));
            }
        }
    }

    /// Drops classes without members and outbounds without classes.
    fn drop_unused(&mut self) {
        while let Some(maker) = self.unused.pop_first() {
            if self.n_users.get(&maker).is_some_and(|n| *n > 0) {
                continue;
            }
            self.n_users.remove(&maker);
            self.broken.remove(&maker);
            self.issues.forget_made();
            match maker {
                Maker::Class(id) => {
                    let Some(class) = self.classes.remove(&id) else { continue };
                    self.class_ids.remove(&class.proxies);
                    self.readers.forget(maker, class.reads());
                    self.leave(Maker::Outbound(class.outbound));
                }
                Maker::Outbound(id) => {
                    let Some(outbound) = self.outbounds.remove(&id) else { continue };
                    self.outbound_ids.remove(&outbound.key);
                    self.readers.forget(maker, outbound.reads());
                }
            }
        }
    }

    /// Lets go of route configurations that no class names any more.
    fn keep_routes(&mut self) {
        let mut wanted: BTreeMap<u64, BTreeSet<Arc<str>>> = BTreeMap::new();
        for class in self.classes.values() {
            let of_outbound = wanted.entry(class.outbound).or_default();
            if !class.routes.is_subset(of_outbound) {
                of_outbound.extend(class.routes.iter().cloned());
            }
        }
        for outbound in self.outbounds.values_mut() {
            outbound.keep_routes(&wanted);
        }
    }
}

/// Runs the building of one class; a panic there is that class's trouble alone (invariant I6).
fn caught<T>(build: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(build)).map_err(|payload| {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned())
    })
}
