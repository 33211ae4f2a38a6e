//! Reading a directory.

use crate::kernel::{Errno, Hint, Kind, Listing};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

// The 64-bit kind: on 32-bit systems the other fails for large inode numbers.
#[cfg(not(target_os = "linux"))]
use libc::{dirent, readdir};
#[cfg(target_os = "linux")]
use libc::{dirent64 as dirent, readdir64 as readdir};

/// An open directory stream, closed when dropped.
struct Stream(std::ptr::NonNull<libc::DIR>);

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: opened by fdopendir, closed only here.
        unsafe { libc::closedir(self.0.as_ptr()) };
    }
}

/// Reads a directory to its end. Takes the descriptor, whose position is used up.
pub fn list(dir: OwnedFd, into: &mut Listing) -> Result<(), Errno> {
    into.clear();
    // SAFETY: the descriptor is open and ours; on success the stream owns it.
    let stream = unsafe { libc::fdopendir(dir.as_raw_fd()) };
    let stream = Stream(std::ptr::NonNull::new(stream).ok_or_else(Errno::last)?);
    std::mem::forget(dir);
    loop {
        errno::set_errno(errno::Errno(0));
        // SAFETY: the stream is open, and only this thread uses it.
        let entry = unsafe { readdir(stream.0.as_ptr()) };
        if entry.is_null() {
            return match Errno::last() {
                Errno(0) => Ok(()),
                error => Err(error),
            };
        }
        // SAFETY: readdir answered with an entry, which is valid until the next
        // call on the stream. Only the fields are read: the struct may be
        // shorter than its declaration, so no reference to the whole is made.
        let (name, ino, kind) = unsafe {
            let name = CStr::from_ptr(std::ptr::addr_of!((*entry).d_name).cast());
            (name.to_bytes(), inode_number(entry), (*entry).d_type)
        };
        if name != b"." && name != b".." {
            into.push(
                name,
                Hint {
                    ino,
                    kind: kind_of_type(kind),
                },
            );
        }
    }
}

/// # Safety
/// `entry` must point to an entry that readdir returned.
unsafe fn inode_number(entry: *const dirent) -> u64 {
    #[cfg(any(
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    ))]
    // SAFETY: as the caller promises.
    return unsafe { (*entry).d_fileno };
    #[cfg(not(any(
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    )))]
    // SAFETY: as the caller promises.
    return unsafe { (*entry).d_ino };
}

fn kind_of_type(d_type: u8) -> Option<Kind> {
    match d_type {
        libc::DT_REG => Some(Kind::File),
        libc::DT_DIR => Some(Kind::Dir),
        libc::DT_LNK => Some(Kind::Symlink),
        libc::DT_UNKNOWN => None,
        _ => Some(Kind::Other),
    }
}
