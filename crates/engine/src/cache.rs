//! The render cache: input fingerprint to bytes. There is no invalidation, a changed fact makes a different key;
//! pieces that no snapshot holds any more are swept out when the cache has doubled since the last sweep.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use model::Fingerprint;
use translate::{Piece, RenderCache};

/// Pieces by key, and how many were rendered since the counts were last taken.
#[derive(Default)]
pub(crate) struct Cache {
    pieces: RefCell<HashMap<Fingerprint, Arc<Piece>>>,
    rendered: RefCell<BTreeMap<&'static str, usize>>,
    sweep_at: RefCell<usize>,
}

impl Cache {
    /// How many pieces of each input type were rendered since the last call.
    pub(crate) fn take_rendered(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut *self.rendered.borrow_mut())
    }

    /// Drops pieces that nobody else holds, if the cache has grown enough to make that worth while.
    pub(crate) fn sweep(&self) {
        let mut pieces = self.pieces.borrow_mut();
        let mut sweep_at = self.sweep_at.borrow_mut();
        if pieces.len() < *sweep_at {
            return;
        }
        pieces.retain(|_, piece| Arc::strong_count(piece) > 1);
        *sweep_at = pieces.len() * 2 + 1024;
    }

    /// How many pieces are known.
    pub(crate) fn len(&self) -> usize {
        self.pieces.borrow().len()
    }
}

impl RenderCache for Cache {
    fn piece(&self, key: Fingerprint, tag: &'static str, render: &mut dyn FnMut() -> Piece) -> Arc<Piece> {
        if let Some(piece) = self.pieces.borrow().get(&key) {
            return Arc::clone(piece);
        }
        let piece = Arc::new(render());
        *self.rendered.borrow_mut().entry(tag).or_default() += 1;
        self.pieces.borrow_mut().insert(key, Arc::clone(&piece));
        piece
    }
}
