//! A folder of plain files, as Secrets and ConfigMaps are mounted: names to contents. And one that only we may read.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Larger files are none that are meant.
const MAX_BYTES: u64 = 1024 * 1024;

/// Every file of a folder by its name; empty where there is no such folder. Folders below it and names that begin with
/// a dot, where the kubelet keeps its versions, are passed over.
pub fn read_flat(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Follows links, which is what the kubelet mounts.
        let metadata = fs::metadata(entry.path())?;
        if name.starts_with('.') || !metadata.is_file() {
            continue;
        }
        if metadata.len() > MAX_BYTES {
            let message = format!("{name} is larger than {MAX_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        files.insert(name, fs::read(entry.path())?);
    }
    Ok(files)
}

/// Writes files that nobody but this user may read, each whole or not at all.
pub fn write_private(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for (name, content) in files {
        let partial = folder.join(format!(".{name}.partial"));
        let _ = fs::remove_file(&partial);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&partial, folder.join(name))?;
    }
    Ok(())
}
