//! What every system shares: opening, stating and listing relative to a
//! directory, and the walk over a new tree.
//!
//! Paths longer than the system's `PATH_MAX` work: they are opened a piece at a
//! time ([`Base::resolve`]).

use super::{Errno, Hint, Id, Kind, Listing, Now, Place, Stat, Token, Verdict, Visitor};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use walkdir::DirEntryExt;

/// The longest path handed to the kernel in one piece. `PATH_MAX` is 1024 on
/// the BSDs and macOS, 4096 on Linux, NUL included.
/// (A kqueue build on Linux may run over a BSD's kernel in the process.)
const PIECE: usize = if cfg!(all(target_os = "linux", not(feature = "libkqueue"))) {
    4000
} else {
    1000
};

/// Checks the result of a system call that answers -1 on failure.
pub fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result == -1 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// A name or path for the kernel; one with a NUL inside names nothing.
fn c_name(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno(libc::EINVAL))
}

/// A directory descriptor and a path relative to it, short enough for one call.
struct Base {
    dir: Option<OwnedFd>,
    rest: CString,
}

impl Base {
    /// Cuts a path of any length into a descriptor and a rest that fits.
    fn resolve(path: &[u8]) -> Result<Base, Errno> {
        let mut dir: Option<OwnedFd> = None;
        let mut rest = path;
        while rest.len() > PIECE {
            let cut = match rest[..PIECE].iter().rposition(|&b| b == b'/') {
                Some(0) | None => return Err(Errno(libc::ENAMETOOLONG)),
                Some(cut) => cut,
            };
            let at = dir.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd);
            dir = Some(open_at(at, &c_name(&rest[..cut])?, SEARCH_FLAGS)?);
            rest = &rest[cut + 1..];
        }
        Ok(Base {
            dir,
            rest: c_name(rest)?,
        })
    }

    fn fd(&self) -> RawFd {
        self.dir.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd)
    }
}

/// How a directory is opened on the way to something below it.
#[cfg(all(target_os = "linux", not(feature = "libkqueue")))]
const SEARCH_FLAGS: libc::c_int = libc::O_PATH | libc::O_DIRECTORY;
#[cfg(not(all(target_os = "linux", not(feature = "libkqueue"))))]
const SEARCH_FLAGS: libc::c_int = DIR_FLAGS & !libc::O_NOFOLLOW;

/// How a directory is opened in order to be read.
pub const DIR_FLAGS: libc::c_int =
    libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;

/// `openat(2)`. The flags carry `O_CLOEXEC` on every call of ours.
pub fn open_at(dir: RawFd, name: &CStr, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: `name` is NUL-terminated and lives through the call; a closed or
    // foreign `dir` gives an error, not undefined behaviour.
    let fd = check(unsafe { libc::openat(dir, name.as_ptr(), flags | libc::O_CLOEXEC) })?;
    // SAFETY: the call succeeded, so `fd` is open and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens a path of any length.
pub fn open_path(path: &Path, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    let base = Base::resolve(path.as_os_str().as_bytes())?;
    open_at(base.fd(), &base.rest, flags)
}

/// `lstat` of a path of any length.
pub fn stat_path(path: &Path) -> Result<Stat, Errno> {
    let base = Base::resolve(path.as_os_str().as_bytes())?;
    stat_at(base.fd(), &base.rest)
}

/// `lstat` of `name` in an open directory.
pub fn stat_name(dir: RawFd, name: &[u8]) -> Result<Stat, Errno> {
    stat_at(dir, &c_name(name)?)
}

/// Opens `name` in an open directory.
pub fn open_name(dir: RawFd, name: &[u8], flags: libc::c_int) -> Result<OwnedFd, Errno> {
    open_at(dir, &c_name(name)?, flags)
}

#[cfg(target_os = "linux")]
fn statx(dir: RawFd, name: &CStr, flags: libc::c_int) -> Result<Stat, Errno> {
    let mut answer = std::mem::MaybeUninit::<libc::statx>::zeroed();
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: `name` is NUL-terminated, `answer` is a writable statx buffer.
    check(unsafe { libc::statx(dir, name.as_ptr(), flags, mask, answer.as_mut_ptr()) })?;
    // SAFETY: zeroed above and filled by a call that succeeded; every bit
    // pattern is a valid statx.
    let x = unsafe { answer.assume_init() };
    let ns = |t: libc::statx_timestamp| nanoseconds(t.tv_sec, i64::from(t.tv_nsec));
    Ok(Stat {
        id: Id {
            dev: libc::makedev(x.stx_dev_major, x.stx_dev_minor),
            ino: x.stx_ino,
        },
        birth_ns: if x.stx_mask & libc::STATX_BTIME != 0 {
            ns(x.stx_btime)
        } else {
            0
        },
        kind: Kind::of_mode(u32::from(x.stx_mode)),
        mode: u32::from(x.stx_mode) & 0o7777,
        nlink: x.stx_nlink,
        uid: x.stx_uid,
        gid: x.stx_gid,
        size: x.stx_size,
        mtime_ns: ns(x.stx_mtime),
        ctime_ns: ns(x.stx_ctime),
    })
}

#[cfg(target_os = "linux")]
fn stat_at(dir: RawFd, name: &CStr) -> Result<Stat, Errno> {
    statx(dir, name, libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT)
}

/// `fstat(2)`.
#[cfg(target_os = "linux")]
pub fn stat_fd(fd: RawFd) -> Result<Stat, Errno> {
    statx(fd, c"", libc::AT_EMPTY_PATH)
}

#[cfg(not(target_os = "linux"))]
fn stat_at(dir: RawFd, name: &CStr) -> Result<Stat, Errno> {
    let mut answer = std::mem::MaybeUninit::<libc::stat>::zeroed();
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: `name` is NUL-terminated, `answer` is a writable stat buffer.
    check(unsafe { libc::fstatat(dir, name.as_ptr(), answer.as_mut_ptr(), flags) })?;
    // SAFETY: zeroed above and filled by a call that succeeded.
    Ok(from_stat(&unsafe { answer.assume_init() }))
}

/// `fstat(2)`.
#[cfg(not(target_os = "linux"))]
pub fn stat_fd(fd: RawFd) -> Result<Stat, Errno> {
    let mut answer = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `answer` is a writable stat buffer.
    check(unsafe { libc::fstat(fd, answer.as_mut_ptr()) })?;
    // SAFETY: zeroed above and filled by a call that succeeded.
    Ok(from_stat(&unsafe { answer.assume_init() }))
}

// The widths of dev_t, ino_t, mode_t and nlink_t differ from system to system.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_cast)]
fn from_stat(s: &libc::stat) -> Stat {
    #[cfg(target_os = "netbsd")]
    let (mtime_nsec, ctime_nsec) = (s.st_mtimensec as i64, s.st_ctimensec as i64);
    #[cfg(not(target_os = "netbsd"))]
    let (mtime_nsec, ctime_nsec) = (s.st_mtime_nsec as i64, s.st_ctime_nsec as i64);
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    let birth = (s.st_birthtime as i64, s.st_birthtime_nsec as i64);
    #[cfg(target_os = "netbsd")]
    let birth = (s.st_birthtime as i64, s.st_birthtimensec as i64);
    #[cfg(target_os = "openbsd")]
    let birth = (s.st_birthtime as i64, s.st_birthtime_nsec as i64);
    #[cfg(target_os = "dragonfly")]
    let birth = (0, 0);
    Stat {
        id: Id {
            dev: s.st_dev as u64,
            ino: s.st_ino as u64,
        },
        // File systems that keep no birth time answer 0 or -1.
        birth_ns: if birth.0 > 0 {
            nanoseconds(birth.0, birth.1)
        } else {
            0
        },
        kind: Kind::of_mode(s.st_mode as u32),
        mode: s.st_mode as u32 & 0o7777,
        nlink: s.st_nlink as u32,
        uid: s.st_uid,
        gid: s.st_gid,
        size: s.st_size as u64,
        mtime_ns: nanoseconds(s.st_mtime as i64, mtime_nsec),
        ctime_ns: nanoseconds(s.st_ctime as i64, ctime_nsec),
    }
}

/// Saturates: a file can carry any time, also one that i64 nanoseconds cannot.
fn nanoseconds(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

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

/// The time now.
pub fn now() -> Now {
    let wall = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let mut monotonic = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the timespec is writable; CLOCK_MONOTONIC exists on every system we build for.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut monotonic) };
    Now {
        wall_ns: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX),
        since: Duration::new(monotonic.tv_sec as u64, monotonic.tv_nsec as u32),
    }
}

/// What a walk needs of a kernel, for each entry the visitor wants.
pub trait Walk {
    /// Watches and stats a directory and reports it to the visitor. Whether to
    /// go on into it: not if it is no directory (any more) or not to be had.
    fn walk_dir(&mut self, place: Place<'_>, visitor: &mut dyn Visitor) -> bool;
    /// Watches and stats anything that is not to be gone into. May put it off.
    fn walk_leaf(
        &mut self,
        dir: Place<'_>,
        name: &[u8],
        token: Token,
        hint: Hint,
        visitor: &mut dyn Visitor,
    );
    /// The walk leaves a directory behind or is over: what was put off is due.
    fn walk_flush(&mut self, visitor: &mut dyn Visitor);
    /// A directory was read.
    fn walk_listed(&mut self);
}

/// Walks the tree below `root` with walkdir, which yields a directory before it
/// reads it: that is the moment at which it is watched.
///
/// walkdir reads directories by path. A rename during the walk may therefore
/// show it the inside of another directory; every directory on the way has been
/// watched by then, so a note of that rename is waiting, and the engine reads
/// again what the walk had reached through it.
pub fn walk<W: Walk>(kernel: &mut W, root: Place<'_>, visitor: &mut dyn Visitor) {
    if !kernel.walk_dir(root, visitor) {
        return;
    }
    // The tokens of the directories on the way to the current entry.
    let mut way: Vec<Token> = vec![root.token];
    let mut walk = walkdir::WalkDir::new(root.path)
        .follow_root_links(false)
        .into_iter();
    kernel.walk_listed();
    while let Some(step) = walk.next() {
        let entry = match step {
            Ok(entry) => entry,
            Err(error) => {
                // Depth d: the entry at that depth could not be read. One that
                // vanished since its parent was listed is reported by a note.
                let depth = error.depth();
                let errno = error.io_error().and_then(std::io::Error::raw_os_error);
                // walkdir gives a directory that it cannot open its own depth, and
                // one that it cannot read on the depth of its entries.
                let inner = way.get(depth).copied();
                let outer = depth.checked_sub(1).and_then(|d| way.get(d)).copied();
                for dir in inner
                    .into_iter()
                    .chain(outer.filter(|_| error.path().is_none()))
                {
                    visitor.unlisted(dir, Errno(errno.unwrap_or(libc::EIO)));
                }
                continue;
            }
        };
        let depth = entry.depth();
        if depth == 0 {
            continue;
        }
        if way.len() > depth {
            way.truncate(depth);
        }
        let (Some(&parent), Some(parent_path)) = (way.last(), entry.path().parent()) else {
            continue;
        };
        let hint = Hint {
            ino: entry.ino(),
            kind: kind_of_file_type(entry.file_type()),
        };
        let is_dir = hint.kind == Some(Kind::Dir);
        let name = entry.file_name().as_bytes();
        let dir = Place {
            token: parent,
            path: parent_path,
            id: None,
            doubted: false,
        };
        let go_in = match visitor.found(parent, name, hint) {
            Verdict::Skip => false,
            Verdict::Leaf(token) => {
                kernel.walk_leaf(dir, name, token, hint, visitor);
                false
            }
            Verdict::Enter(token) if is_dir => {
                kernel.walk_flush(visitor);
                way.push(token);
                let place = Place {
                    token,
                    path: entry.path(),
                    id: None,
                    doubted: false,
                };
                kernel.walk_dir(place, visitor)
            }
            Verdict::Enter(token) => {
                kernel.walk_leaf(dir, name, token, hint, visitor);
                false
            }
        };
        if go_in {
            kernel.walk_listed();
        } else if is_dir {
            walk.skip_current_dir();
        }
    }
    kernel.walk_flush(visitor);
}

fn kind_of_file_type(kind: std::fs::FileType) -> Option<Kind> {
    Some(if kind.is_dir() {
        Kind::Dir
    } else if kind.is_file() {
        Kind::File
    } else if kind.is_symlink() {
        Kind::Symlink
    } else {
        Kind::Other
    })
}

/// The process's limits on open descriptors, soft and hard.
fn descriptor_limits() -> Result<libc::rlimit, Errno> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the rlimit is writable.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok(limit)
}

/// The process's soft limit on open descriptors.
// The type's signedness differs between systems.
#[allow(clippy::unnecessary_cast)]
pub fn descriptor_limit() -> u64 {
    descriptor_limits().map_or(0, |limit| limit.rlim_cur as u64)
}

/// Raises the process's soft limit on open descriptors as far as it goes.
///
/// macOS has a hard limit of infinity by default, to which `setrlimit(2)` does not
/// raise the soft one: not above `kern.maxfilesperproc`, and according to its manual
/// not above `OPEN_MAX`.
pub fn raise_descriptor_limit() -> Result<(), Errno> {
    let mut limit = descriptor_limits()?;
    if limit.rlim_cur >= limit.rlim_max {
        return Ok(());
    }
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the rlimit is read during the call only.
    let raised = check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) });
    if raised.is_ok() || cfg!(not(target_vendor = "apple")) {
        return raised.map(drop);
    }
    /// `sys/syslimits.h` of macOS.
    const OPEN_MAX: libc::rlim_t = 10240;
    if before >= OPEN_MAX {
        return Ok(());
    }
    limit.rlim_cur = OPEN_MAX;
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }).map(drop)
}
