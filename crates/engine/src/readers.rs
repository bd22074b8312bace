//! The reverse maps: from a question to those who asked it. They may name more than still care, which only causes
//! work; they never name fewer (rule 1).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use mesh::{Dirty, Reads};

use crate::class::ClassId;

/// A named resource: its type's short name and its name.
pub(crate) type Named = (&'static str, Arc<str>);

/// Who asked which question.
#[derive(Default)]
pub(crate) struct Readers {
    classes: HashMap<u64, BTreeSet<ClassId>>,
    resources: HashMap<u64, BTreeSet<Named>>,
}

impl Readers {
    /// Notes that a class as a whole (its scope, clusters or listeners) asked these questions.
    pub(crate) fn class_read(&mut self, class: ClassId, reads: &Reads) {
        for id in reads.ids() {
            self.classes.entry(id).or_default().insert(class);
        }
    }

    /// Notes that a named resource, whatever the class, asked these questions.
    pub(crate) fn resource_read(&mut self, kind: &'static str, name: &Arc<str>, reads: &Reads) {
        for id in reads.ids() {
            let of_question = self.resources.entry(id).or_default();
            if !of_question.contains(&(kind, Arc::clone(name))) {
                of_question.insert((kind, Arc::clone(name)));
            }
        }
    }

    /// Forgets a class that is gone.
    pub(crate) fn forget(&mut self, class: ClassId) {
        self.classes.retain(|_, classes| {
            classes.remove(&class);
            !classes.is_empty()
        });
    }

    /// The classes and the named resources that asked a question which has another answer now.
    pub(crate) fn concerned(&self, dirty: &Dirty) -> (BTreeSet<ClassId>, BTreeSet<Named>) {
        let classes = dirty.ids().iter().filter_map(|id| self.classes.get(id)).flatten().copied().collect();
        let resources =
            dirty.ids().iter().filter_map(|id| self.resources.get(id)).flatten().cloned().collect();
        (classes, resources)
    }
}
