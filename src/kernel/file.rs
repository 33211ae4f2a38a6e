//! A file of the caller's: read as a whole, replaced as a whole.

use super::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Its content.
pub fn read(path: &Path) -> Result<Vec<u8>, Errno> {
    Ok(fs::read(path)?)
}

/// Gives a file this content, or leaves it as it is: whoever opens it, also after a crash, sees
/// what was in it before or all of what is in it now. Only its owner may read it.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), Errno> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    // A directory cannot be replaced, nor can nothing.
    let name = path.file_name().ok_or(Errno(libc::EISDIR))?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let (process, number) = (std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
    let beside = dir.join(format!(".kw-{process}-{number}.tmp"));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600);
    let written = file.open(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, dir.join(name))
    });
    if let Err(error) = written {
        if error.kind() != std::io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(&beside);
        }
        return Err(error.into());
    }
    // Not every file system can do that, and none needs it for the order of things.
    let _ = File::open(dir).and_then(|dir| dir.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_or_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap(), b"two");
        let missing = dir.path().join("no/f");
        assert!(replace(&missing, b"x").unwrap_err().is_absent());
        fs::create_dir(dir.path().join("d")).unwrap();
        assert!(replace(&dir.path().join("d"), b"x").is_err());
        assert!(replace(Path::new("/"), b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
