//! Files that others change while we run, and files that others read while we write.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Longer files are no certificates and no tokens.
const MAX: u64 = 4 << 20;

/// The text of a file. The error names the file.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let length = fs::metadata(path).map_err(named)?.len();
    if length > MAX {
        return Err(named(io::Error::other("the file is too long")));
    }
    fs::read_to_string(path).map_err(named)
}

/// A token; `None` where there is no file or nothing in it.
pub(crate) fn token(path: &Path) -> io::Result<Option<String>> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    match read(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file whole, readable by its owner alone; readers see the old one or the new one.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Makes a folder that only its owner may enter; one that is there stays as it is.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    fs::create_dir_all(path).map_err(named)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(named)
}
