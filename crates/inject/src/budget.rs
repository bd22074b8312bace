//! How much work a template may do, counted in bytes touched: the same for every machine, and known without a clock.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one rendering may spend; Istio's templates spend less than a hundredth.
const WORK: u64 = 64 * 1024 * 1024;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(WORK))
    }

    /// Takes a price; `false` once it is all spent.
    pub(crate) fn pay(&self, price: usize) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        let after = left.saturating_sub(price as u64);
        self.0.store(after, Ordering::Relaxed);
        after > 0
    }
}
