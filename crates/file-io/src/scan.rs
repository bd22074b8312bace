//! Which files a folder holds: `*.yaml`, `*.yml`, `*.json` at any depth, in the order of their paths. Entries that
//! start with a dot are passed over, among them the `..data` and `..2026_…` folders that a mounted ConfigMap hides
//! behind its visible links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::documents::MAX_BYTES;

/// What one pass over the folder found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Content, or why it could not be read, by path below the folder, written with `/`.
    pub(crate) files: BTreeMap<String, Result<Vec<u8>, String>>,
    /// Folders below, by path, that could not be listed: what is known of their files still holds.
    pub(crate) unreadable: BTreeMap<String, String>,
}

/// Reads the folder. An error means that the folder itself cannot be listed.
pub(crate) fn scan(folder: &Path) -> io::Result<Scan> {
    let mut found = Scan::default();
    let mut visited = BTreeSet::new();
    visit(folder, "", &mut visited, &mut found)?;
    Ok(found)
}

fn visit(folder: &Path, below: &str, visited: &mut BTreeSet<PathBuf>, found: &mut Scan) -> io::Result<()> {
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
                if let Err(error) = visit(&path, &place, visited, found) {
                    found.unreadable.insert(place, error.to_string());
                }
            }
            Ok(metadata) if metadata.is_file() && is_config(&path) => {
                match read(&path) {
                    // It went between the listing and the reading.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    outcome => {
                        found.files.insert(place, outcome.map_err(|error| error.to_string()));
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
