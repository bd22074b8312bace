//! Listeners in the making, by bind and port, and what happens when services meet in one (spec 4.1, the table of
//! conflicts; rows L06, L07, L29).

use std::collections::BTreeMap;

use model::Protocol;

use super::bind::Bind;
use super::chain::Chain;

/// One listener in the making.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where it listens.
    pub(crate) bind: Bind,
    /// The port, 0 for a socket.
    pub(crate) port: u32,
    /// What it speaks; undeclared as soon as it has to tell protocols apart.
    pub(crate) protocol: Protocol,
    /// Whether it was declared by a Sidecar, so that services on other ports' terms stay out.
    pub(crate) locked: bool,
    /// Its chains, in order of arrival.
    pub(crate) chains: Vec<Chain>,
}

/// All listeners in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries(BTreeMap<(String, u32), Entry>);

impl Entries {
    /// The entry at that place.
    pub(crate) fn get(&self, bind: &Bind, port: u32) -> Option<&Entry> {
        self.0.get(&(bind.primary().to_owned(), port))
    }

    /// Closes everything that there is so far.
    pub(crate) fn lock(&mut self) {
        self.0.values_mut().for_each(|entry| entry.locked = true);
    }

    /// The entries, in the order of their names.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.0.into_values()
    }

    /// Adds the chains of a service port that speaks `declared`. `protocol` is what the listener speaks if it is the
    /// first one there. Whether all of them could be taken in.
    pub(crate) fn add(
        &mut self,
        bind: Bind,
        port: u32,
        declared: Protocol,
        protocol: Protocol,
        chains: Vec<Chain>,
    ) -> bool {
        let key = (bind.primary().to_owned(), port);
        let entry = Entry { bind, port, protocol, locked: false, chains };
        let Some(existing) = self.0.get_mut(&key) else {
            self.0.insert(key, entry);
            return true;
        };
        if existing.locked {
            return true;
        }
        if shares_badly(declared, existing.protocol) {
            return false;
        }
        match (kind(existing.protocol), kind(declared)) {
            (Kind::Http | Kind::Sniffed, Kind::Http) | (Kind::Sniffed, Kind::Sniffed) => true,
            (Kind::Http, Kind::Sniffed) => {
                *existing = entry;
                true
            }
            (Kind::Tcp | Kind::Sniffed, Kind::Tcp) => existing.merge(entry.chains),
            (Kind::Tcp, Kind::Http | Kind::Sniffed) | (Kind::Http, Kind::Tcp) => {
                let all = existing.merge(entry.chains);
                existing.protocol = Protocol::Unsupported;
                all
            }
        }
    }
}

impl Entry {
    /// Takes the chains that can be told apart from those it has. Whether these were all.
    fn merge(&mut self, chains: Vec<Chain>) -> bool {
        let mut all = true;
        for chain in chains {
            if self.chains.iter().any(|known| known.conflicts_with(&chain)) {
                all = false;
            } else {
                self.chains.push(chain);
            }
        }
        all
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tcp,
    Sniffed,
}

fn kind(protocol: Protocol) -> Kind {
    if protocol.is_http() {
        Kind::Http
    } else if protocol.is_tcp() {
        Kind::Tcp
    } else {
        Kind::Sniffed
    }
}

/// Inspection waits for the client to speak, which breaks protocols where the server speaks first.
fn shares_badly(incoming: Protocol, existing: Protocol) -> bool {
    let first_to_speak = |protocol| matches!(protocol, Protocol::Mongo | Protocol::MySql);
    incoming != existing && (first_to_speak(incoming) || first_to_speak(existing))
}

#[cfg(test)]
mod tests;
