//! Names and versions, each kept once for all streams: a thousand streams know the same mesh.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// A text, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u32);

/// All texts.
#[derive(Default)]
pub(crate) struct Names(RwLock<Known>);

#[derive(Default)]
struct Known {
    ids: HashMap<Arc<str>, Id>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The number of a text, which it has from now on if it had none.
    pub(crate) fn id(&self, text: &str) -> Id {
        if let Some(id) = self.0.read().ids.get(text) {
            return *id;
        }
        let known = &mut *self.0.write();
        if let Some(id) = known.ids.get(text) {
            return *id;
        }
        let id = Id(u32::try_from(known.texts.len()).unwrap_or(u32::MAX));
        let text: Arc<str> = text.into();
        known.texts.push(Arc::clone(&text));
        known.ids.insert(text, id);
        id
    }

    /// Shows the text of each number.
    pub(crate) fn texts(&self, ids: impl IntoIterator<Item = Id>, mut each: impl FnMut(&str)) {
        let known = self.0.read();
        for id in ids {
            if let Some(text) = known.texts.get(id.0 as usize) {
                each(text);
            }
        }
    }
}
