//! The engine: proxies grouped in classes over one mesh, moved from state to state by `commit`.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use config::Changeset;
use mesh::{Base, Mesh, Reader, Reads};
use model::Issue;
use scope::{Proxy, ProxyClass};
use xds::Snapshot;

use crate::cache::Cache;
use crate::class::{Class, ClassId};
use crate::readers::Readers;
use crate::report::Report;

/// A connected proxy, by a number that the shell chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyId(pub u64);

/// One connected proxy: the class it is in, and what that depended on.
struct Member {
    proxy: Proxy,
    class: ClassId,
    reads: Reads,
}

/// Everything that is derived from configuration and connected proxies.
pub struct Engine {
    mesh: Mesh,
    cache: Cache,
    readers: Readers,
    members: BTreeMap<ProxyId, Member>,
    classes: BTreeMap<ClassId, Class>,
    ids: HashMap<Arc<ProxyClass>, ClassId>,
    next_class: u64,
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
            ids: HashMap::new(),
            next_class: 0,
        }
    }

    /// The mesh as it stands.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Takes in changes. Only what asked a question that has another answer now is done again.
    pub fn commit(&mut self, changes: Changeset) -> Report {
        let mut report = Report::default();
        let (mesh, dirty, changed) = self.mesh.advance(changes);
        self.mesh = mesh;
        report.changed = changed;
        report.n_dirty = dirty.ids().len();
        if dirty.is_empty() {
            return report;
        }
        let snapshots_before: BTreeMap<ClassId, Arc<Snapshot>> =
            self.classes.iter().map(|(id, class)| (*id, Arc::clone(&class.snapshot))).collect();
        let classes_before: Vec<(ProxyId, ClassId)> =
            self.members.iter().map(|(id, member)| (*id, member.class)).collect();
        let moved: Vec<ProxyId> = self
            .members
            .iter()
            .filter(|(_, member)| member.reads.meets(dirty.ids()))
            .map(|(id, _)| *id)
            .collect();
        let (mut classes, named) = self.readers.concerned(&dirty);
        if !named.is_empty() {
            classes.extend(self.classes.keys());
        }
        for id in classes {
            let Some(class) = self.classes.get(&id) else { continue };
            let (mesh, cache, readers) = (&self.mesh, &self.cache, &mut self.readers);
            match caught(|| class.advanced(mesh, cache, &dirty, &named, readers, &mut report)) {
                Ok(next) => {
                    self.classes.insert(id, next);
                }
                Err(message) => report.panics.push(message),
            }
        }
        for id in moved {
            if let Some(member) = self.members.remove(&id) {
                self.place(id, member.proxy, &mut report);
            }
        }
        self.drop_empty_classes();
        self.note_pushed(&classes_before, &snapshots_before, &mut report);
        report.rendered = self.cache.take_rendered();
        self.cache.sweep();
        report
    }

    /// Takes in a proxy and returns what it should have. The report says what had to be made for it.
    pub fn connect(&mut self, id: ProxyId, proxy: Proxy) -> (Arc<Snapshot>, Report) {
        let mut report = Report::default();
        self.place(id, proxy, &mut report);
        report.rendered = self.cache.take_rendered();
        (self.snapshot(id).unwrap_or_default(), report)
    }

    /// Forgets a proxy, and its class when it was the last one in it.
    pub fn disconnect(&mut self, id: ProxyId) {
        self.members.remove(&id);
        self.drop_empty_classes();
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

    /// How many rendered pieces are kept.
    pub fn n_pieces(&self) -> usize {
        self.cache.len()
    }

    /// What users should know of their configuration, from every class and from the mesh itself.
    pub fn issues(&self) -> Vec<Issue> {
        let mut issues: std::collections::BTreeSet<Issue> =
            self.mesh.settings_issues().iter().cloned().collect();
        issues.extend(self.mesh.virtual_service_issues().iter().cloned());
        issues.extend(self.mesh.dangling_references());
        issues.extend(self.classes.values().flat_map(Class::issues));
        issues.into_iter().collect()
    }

    fn place(&mut self, id: ProxyId, proxy: Proxy, report: &mut Report) {
        let reader = Reader::new(&self.mesh);
        let class = Arc::new(ProxyClass::of(&proxy, &reader));
        let reads = reader.take_reads();
        let known = self.ids.get(&class).copied();
        let class_id = known.unwrap_or_else(|| {
            self.next_class += 1;
            ClassId(self.next_class)
        });
        self.members.insert(id, Member { proxy, class: class_id, reads });
        if known.is_some() {
            return;
        }
        let (mesh, cache, readers) = (&self.mesh, &self.cache, &mut self.readers);
        match caught(|| Class::build(class_id, Arc::clone(&class), mesh, cache, readers, report)) {
            Ok(built) => {
                self.classes.insert(class_id, built);
                self.ids.insert(class, class_id);
            }
            Err(message) => report.panics.push(message),
        }
    }

    /// Every proxy whose snapshot has other content than before.
    fn note_pushed(
        &self,
        classes_before: &[(ProxyId, ClassId)],
        snapshots_before: &BTreeMap<ClassId, Arc<Snapshot>>,
        report: &mut Report,
    ) {
        let mut differs: BTreeMap<(ClassId, ClassId), bool> = BTreeMap::new();
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

    fn drop_empty_classes(&mut self) {
        let used: std::collections::BTreeSet<ClassId> =
            self.members.values().map(|member| member.class).collect();
        let empty: Vec<ClassId> = self.classes.keys().filter(|id| !used.contains(id)).copied().collect();
        for id in empty {
            if let Some(class) = self.classes.remove(&id) {
                self.ids.remove(&class.proxies);
                self.readers.forget(id);
            }
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
