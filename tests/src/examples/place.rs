//! Where an example lives: the files say 127.20.x.y, and where another run holds that network, a copy is moved to
//! another one, so that several runs on one machine do not meet.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};

/// The network that the files name, and the others to move to.
const WRITTEN: u8 = 20;
const OTHERS: std::ops::Range<u8> = 120..200;
/// Who listens on this port of a network holds the network.
const CLAIM_PORT: u16 = 14999;

/// A network of the loopback interface, held as long as this lives.
pub(super) struct Place {
    network: u8,
    _claim: TcpListener,
}

impl Place {
    /// The first network that nobody holds.
    pub(super) fn claim() -> Result<Self> {
        [WRITTEN]
            .into_iter()
            .chain(OTHERS)
            .find_map(|network| {
                let claim = TcpListener::bind(SocketAddr::from(([127, network, 0, 1], CLAIM_PORT))).ok()?;
                Some(Self { network, _claim: claim })
            })
            .context("every network for examples is taken")
    }

    /// Copies a file into a folder, moved to this network.
    pub(super) fn copy(&self, file: &Path, folder: &Path) -> Result<()> {
        let name = file.file_name().with_context(|| format!("{} is no file", file.display()))?;
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        std::fs::create_dir_all(folder)?;
        Ok(std::fs::write(folder.join(name), self.moved(&text))?)
    }

    fn moved(&self, text: &str) -> String {
        text.replace(&format!("127.{WRITTEN}."), &format!("127.{}.", self.network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_get_two_networks_and_files_move_along() {
        let (a, b) = (Place::claim().unwrap(), Place::claim().unwrap());
        assert_ne!(a.network, b.network);
        assert_eq!(b.moved("bind: 127.20.3.2"), format!("bind: 127.{}.3.2", b.network));
        assert_eq!(b.moved("10.96.30.1 127.0.0.1"), "10.96.30.1 127.0.0.1");
    }
}
