//! What one commit did. The engine logs and counts nothing itself; the shell does it from here.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::ConfigKey;
use xds::Snapshot;

use crate::ProxyId;

/// What one commit did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Objects that differ from before.
    pub changed: Vec<ConfigKey>,
    /// How many questions have another answer now.
    pub n_dirty: usize,
    /// How many classes had their scope resolved again.
    pub n_scopes: usize,
    /// How many resources had their inputs gathered again, by type (`cds` and `lds` once a class, the others by
    /// resource).
    pub selected: BTreeMap<&'static str, usize>,
    /// How many messages were rendered because their input was new, by input type.
    pub rendered: BTreeMap<&'static str, usize>,
    /// Proxies whose snapshot moved, with the new one.
    pub pushed: Vec<(ProxyId, Arc<Snapshot>)>,
    /// How many secrets were made, or made again.
    pub n_secrets: usize,
    /// How many secrets were not there, or not allowed.
    pub n_withheld: usize,
    /// Classes whose last good snapshot stays because building the new one panicked, with the panic's message.
    pub panics: Vec<String>,
}

impl Report {
    /// All messages that were rendered.
    pub fn n_rendered(&self) -> usize {
        self.rendered.values().sum()
    }

    pub(crate) fn select(&mut self, kind: &'static str) {
        *self.selected.entry(kind).or_default() += 1;
    }
}
