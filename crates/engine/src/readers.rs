//! The reverse maps: from a question to those who asked it. They may name more than still care, which only causes
//! work; they never name fewer (rule 1).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use mesh::{Dirty, Reads};

/// A named resource: its type's short name and its name.
pub(crate) type Named = (&'static str, Arc<str>);

/// Something that is made as a whole and asked questions for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Maker {
    /// What classes that call alike share.
    Outbound(u64),
    /// What a class has of its own.
    Class(u64),
}

/// Who asked which question.
#[derive(Default)]
pub(crate) struct Readers {
    makers: HashMap<u64, BTreeSet<Maker>>,
    resources: HashMap<u64, BTreeSet<Named>>,
}

impl Readers {
    /// Notes that a maker asked these questions.
    pub(crate) fn maker_read(&mut self, maker: Maker, reads: &Reads) {
        for id in reads.ids() {
            self.makers.entry(id).or_default().insert(maker);
        }
    }

    /// Notes that a named resource, whoever made it, asked these questions.
    pub(crate) fn resource_read(&mut self, kind: &'static str, name: &Arc<str>, reads: &Reads) {
        for id in reads.ids() {
            let of_question = self.resources.entry(id).or_default();
            if !of_question.contains(&(kind, Arc::clone(name))) {
                of_question.insert((kind, Arc::clone(name)));
            }
        }
    }

    /// Forgets a maker that is gone, of which these are the last questions. What it asked before and not any more is
    /// forgotten when somebody asks who was concerned.
    pub(crate) fn forget<'r>(&mut self, maker: Maker, reads: impl Iterator<Item = &'r Reads>) {
        for id in reads.flat_map(Reads::ids) {
            if let Some(makers) = self.makers.get_mut(&id) {
                makers.remove(&maker);
                if makers.is_empty() {
                    self.makers.remove(&id);
                }
            }
        }
    }

    /// The makers and the named resources that asked a question which has another answer now.
    pub(crate) fn concerned(&self, dirty: &Dirty) -> (BTreeSet<Maker>, BTreeSet<Named>) {
        let makers = dirty.ids().iter().filter_map(|id| self.makers.get(id)).flatten().copied().collect();
        let resources =
            dirty.ids().iter().filter_map(|id| self.resources.get(id)).flatten().cloned().collect();
        (makers, resources)
    }
}
