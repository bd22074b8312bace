//! Which files a folder holds: `*.yaml`, `*.yml`, `*.json` at any depth, in the order of their paths. Entries that
//! start with a dot are passed over, among them the `..data` and `..2026_…` folders that a mounted ConfigMap hides
//! behind its visible links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::documents::MAX_BYTES;

/// What one pass over the folder found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// By path below the folder, written with `/`.
    pub(crate) files: BTreeMap<String, Found>,
    /// Folders below, by path, that could not be listed: what is known of their files still holds.
    pub(crate) unreadable: BTreeMap<String, String>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Found {
    /// By which it can be told that nobody has written it since; none if it may still be written within what the
    /// filesystem's clock can tell apart.
    pub(crate) stamp: Option<Stamp>,
    /// Content, or why it could not be read; none if it has not been written since it was last read.
    pub(crate) content: Option<Result<Vec<u8>, String>>,
}

/// What changes with every writing of a file: which file it is, when that last changed, in nanoseconds, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    changed: i128,
    length: u64,
}

/// Filesystems count time in steps of milliseconds, some in steps of a second or two.
const SETTLED: i128 = 3_000_000_000;

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        Self { device: metadata.dev(), inode: metadata.ino(), changed, length: metadata.len() }
    }

    /// Whether another writing would have another stamp.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        now - self.changed >= SETTLED
    }
}

/// Reads the folder, but for files that have their known stamp. An error means that the folder itself cannot be listed.
pub(crate) fn scan(folder: &Path, known: impl Fn(&str) -> Option<Stamp>) -> io::Result<Scan> {
    let mut found = Scan::default();
    let mut visited = BTreeSet::new();
    visit(folder, "", &known, &mut visited, &mut found)?;
    Ok(found)
}

fn visit(
    folder: &Path,
    below: &str,
    known: &impl Fn(&str) -> Option<Stamp>,
    visited: &mut BTreeSet<PathBuf>,
    found: &mut Scan,
) -> io::Result<()> {
    // Links may lead in circles.
    if !visited.insert(fs::canonicalize(folder)?) {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = entry.path();
        let place = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                if let Err(error) = visit(&path, &place, known, visited, found) {
                    found.unreadable.insert(place, error.to_string());
                }
            }
            Ok(metadata) if metadata.is_file() && is_config(&path) => {
                // Looked at before the content is, so that what is written in between counts as new.
                let stamp = Stamp::of(&metadata);
                if known(&place) == Some(stamp) {
                    found.files.insert(place, Found { stamp: Some(stamp), content: None });
                    continue;
                }
                let stamp = Some(stamp).filter(|stamp| stamp.is_settled(SystemTime::now()));
                match read(&path) {
                    // It went between the listing and the reading.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    outcome => {
                        let content = Some(outcome.map_err(|error| error.to_string()));
                        found.files.insert(place, Found { stamp, content });
                    }
                }
            }
            // Other files are none of ours; a link to nothing is as good as no file.
            _ => {}
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("the file is longer than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

fn is_config(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}
