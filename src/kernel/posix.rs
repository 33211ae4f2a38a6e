//! What every system shares: opening and stating relative to a directory.
//!
//! Paths longer than the system's `PATH_MAX` work: they are opened a piece at a
//! time ([`with_path`]).

use super::{Errno, Id, Kind, Now, Stat, LONGEST};
use std::ffi::{CStr, CString};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

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

/// The longest path that is put together on the stack.
const SHORT: usize = 512;

/// Passes a path, or that of a name in the directory of that path, to `act`, with the
/// descriptor that it is relative to: of a path that is too long for one call, all but
/// the end is opened a piece at a time.
fn with_path<T>(
    path: &[u8],
    name: Option<&[u8]>,
    act: impl FnOnce(RawFd, &CStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let len = path.len() + name.map_or(0, |name| name.len() + 1);
    if len < SHORT {
        let mut buffer = [0; SHORT];
        buffer[..path.len()].copy_from_slice(path);
        if let Some(name) = name {
            buffer[path.len()] = b'/';
            buffer[path.len() + 1..len].copy_from_slice(name);
        }
        let path = CStr::from_bytes_with_nul(&buffer[..=len]);
        return act(libc::AT_FDCWD, path.map_err(|_| Errno(libc::EINVAL))?);
    }
    let mut whole = path.to_vec();
    if let Some(name) = name {
        whole.push(b'/');
        whole.extend_from_slice(name);
    }
    let mut dir: Option<OwnedFd> = None;
    let at = |dir: &Option<OwnedFd>| dir.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd);
    let mut rest = &whole[..];
    while rest.len() > PIECE {
        let cut = match rest[..PIECE].iter().rposition(|&b| b == b'/') {
            Some(0) | None => return Err(Errno(libc::ENAMETOOLONG)),
            Some(cut) => cut,
        };
        dir = Some(open_at(at(&dir), &c_name(&rest[..cut])?, SEARCH_FLAGS)?);
        rest = &rest[cut + 1..];
    }
    act(at(&dir), &c_name(rest)?)
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
    with_path(path.as_os_str().as_bytes(), None, |dir, rest| {
        open_at(dir, rest, flags)
    })
}

/// `lstat` of a path of any length.
pub fn stat_path(path: &Path) -> Result<Stat, Errno> {
    with_path(path.as_os_str().as_bytes(), None, stat_at)
}

/// `lstat` of `name` in the directory of that path.
pub fn stat_in(dir: &Path, name: &[u8]) -> Result<Stat, Errno> {
    with_path(dir.as_os_str().as_bytes(), Some(name), stat_at)
}

/// `lstat` of `name` in an open directory.
pub fn stat_name(dir: RawFd, name: &[u8]) -> Result<Stat, Errno> {
    stat_at(dir, &c_name(name)?)
}

/// Opens `name` in an open directory.
pub fn open_name(dir: RawFd, name: &[u8], flags: libc::c_int) -> Result<OwnedFd, Errno> {
    open_at(dir, &c_name(name)?, flags)
}

/// What a plain file in an open directory holds.
pub fn read_name(dir: RawFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let name = c_name(name)?;
    // (To open a device may do something.)
    if stat_at(dir, &name)?.kind != Kind::File {
        return Err(Errno::ABSENT);
    }
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match open_at(dir, &name, flags) {
        // It has just become something else.
        Err(error) if error.is_elsewhere() => return Err(Errno::ABSENT),
        file => std::fs::File::from(file?),
    };
    if !file.metadata()?.is_file() {
        return Err(Errno::ABSENT);
    }
    let mut content = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut content)?;
    match content.len() > LONGEST {
        true => Err(Errno::LONG),
        false => Ok(content),
    }
}

/// The same in the directory of that path.
pub fn read_in(dir: &Path, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let dir = open_path(dir, SEARCH_FLAGS).map_err(Errno::of_directory)?;
    read_name(dir.as_raw_fd(), name)
}

#[cfg(target_os = "linux")]
fn statx(dir: RawFd, name: &CStr, flags: libc::c_int) -> Result<Stat, Errno> {
    // (musl's substitute for kernels that have no statx leaves some fields alone.)
    let mut answer = match cfg!(target_env = "gnu") {
        true => std::mem::MaybeUninit::<libc::statx>::uninit(),
        false => std::mem::MaybeUninit::zeroed(),
    };
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: `name` is NUL-terminated, `answer` is a writable statx buffer.
    check(unsafe { libc::statx(dir, name.as_ptr(), flags, mask, answer.as_mut_ptr()) })?;
    // SAFETY: a call that succeeded has filled it to its end; every bit pattern is a
    // valid statx.
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

/// `lstat` of `name` in an open directory.
#[cfg(target_os = "linux")]
pub fn stat_at(dir: RawFd, name: &CStr) -> Result<Stat, Errno> {
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

/// The time now.
// The types' widths differ between systems.
#[allow(clippy::unnecessary_cast)]
pub fn now() -> Now {
    let wall = clock(libc::CLOCK_REALTIME);
    let monotonic = clock(libc::CLOCK_MONOTONIC);
    Now {
        wall_ns: nanoseconds(wall.tv_sec as i64, wall.tv_nsec as i64),
        since: Duration::new(monotonic.tv_sec as u64, monotonic.tv_nsec as u32),
    }
}

fn clock(id: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the timespec is writable; every system we build for has both clocks.
    unsafe { libc::clock_gettime(id, &mut time) };
    time
}

/// Waits for less than a second. A signal ends it: `EINTR`.
pub fn nap(time: Duration) -> Result<(), Errno> {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
    };
    // SAFETY: `time` is read during the call only; what is left is not wanted.
    check(unsafe { libc::nanosleep(&time, std::ptr::null_mut()) })?;
    Ok(())
}

/// What threads of ours are called.
pub const THREAD: &str = "libkw";

/// Does something, such as starting a thread, while this thread takes no signals. A new
/// thread inherits that: the host's handlers never run on a thread of ours.
pub fn without_signals<T>(act: impl FnOnce() -> T) -> T {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are writable; the first is filled before it is read, and the
    // second is only passed back if the call succeeded that filled it.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        let blocked =
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0;
        let done = act();
        if blocked {
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        }
        done
    }
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
