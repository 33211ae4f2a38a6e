//! The kqueue systems side by side: what `kevent(2)` looks like on each, how an
//! entry is opened to be watched, and how a kernel is asked where it went.
//!
//! The numbers come from the libc crate, except on Linux, where libkqueue has
//! none there. `NOTE_` values above 0x40 mean something else on every system
//! and must not be shared: 0x80 is NOTE_TRUNCATE on OpenBSD, NOTE_OPEN on
//! FreeBSD and NetBSD, NOTE_NONE on macOS.

use crate::kernel::posix::check;
use crate::kernel::{Errno, Kind};
use std::ffi::{c_int, c_void};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::ptr;
use std::time::Duration;

// ---- struct kevent and its numbers ------------------------------------------

#[cfg(not(target_os = "linux"))]
pub use libc::{
    kevent as Kevent, EVFILT_READ, EVFILT_TIMER, EVFILT_USER, EVFILT_VNODE, EV_ADD, EV_CLEAR,
    EV_DELETE, EV_EOF, EV_ERROR, EV_ONESHOT, EV_RECEIPT, NOTE_ATTRIB, NOTE_DELETE, NOTE_EXTEND,
    NOTE_LINK, NOTE_RENAME, NOTE_REVOKE, NOTE_TRIGGER, NOTE_WRITE,
};

#[cfg(target_os = "linux")]
pub use libkqueue::*;

/// libkqueue's `<sys/event.h>`.
#[cfg(target_os = "linux")]
mod libkqueue {
    use std::ffi::{c_int, c_void};

    #[repr(C)]
    #[derive(Clone, Copy)]
    #[allow(non_camel_case_types)]
    pub struct Kevent {
        pub ident: usize,
        pub filter: i16,
        pub flags: u16,
        pub fflags: u32,
        pub data: isize,
        pub udata: *mut c_void,
    }

    extern "C" {
        pub fn kqueue() -> c_int;
        pub fn kevent(
            kq: c_int,
            changes: *const Kevent,
            nchanges: c_int,
            events: *mut Kevent,
            nevents: c_int,
            timeout: *const libc::timespec,
        ) -> c_int;
    }

    pub const EVFILT_READ: i16 = -1;
    pub const EVFILT_VNODE: i16 = -4;
    pub const EVFILT_TIMER: i16 = -7;
    pub const EVFILT_USER: i16 = -11;
    pub const EV_ADD: u16 = 0x1;
    pub const EV_DELETE: u16 = 0x2;
    pub const EV_ONESHOT: u16 = 0x10;
    pub const EV_CLEAR: u16 = 0x20;
    pub const EV_RECEIPT: u16 = 0x40;
    pub const EV_ERROR: u16 = 0x4000;
    pub const EV_EOF: u16 = 0x8000;
    pub const NOTE_DELETE: u32 = 0x1;
    pub const NOTE_WRITE: u32 = 0x2;
    pub const NOTE_EXTEND: u32 = 0x4;
    pub const NOTE_ATTRIB: u32 = 0x8;
    pub const NOTE_LINK: u32 = 0x10;
    pub const NOTE_RENAME: u32 = 0x20;
    /// libkqueue never delivers it; other kernels behind its ABI do.
    pub const NOTE_REVOKE: u32 = 0x40;
    pub const NOTE_TRIGGER: u32 = 0x0100_0000;
}

/// `kevent.filter`.
#[cfg(not(target_os = "netbsd"))]
pub type Filter = i16;
/// `kevent.filter`.
#[cfg(target_os = "netbsd")]
pub type Filter = u32;
/// `kevent.flags`.
#[cfg(not(target_os = "netbsd"))]
pub type Flags = u16;
/// `kevent.flags`.
#[cfg(target_os = "netbsd")]
pub type Flags = u32;

/// Tells a truncation from other changes of metadata, on OpenBSD.
#[cfg(target_os = "openbsd")]
pub const NOTE_TRUNCATE: u32 = libc::NOTE_TRUNCATE;
/// Nothing: the bit means something else here.
#[cfg(not(target_os = "openbsd"))]
pub const NOTE_TRUNCATE: u32 = 0;

// ---- how the systems differ --------------------------------------------------

/// OpenBSD's `ufs_rename` tells a directory before its entries change.
pub const EARLY: Option<Duration> = if cfg!(target_os = "openbsd") {
    Some(Duration::from_millis(20))
} else {
    None
};

/// DragonFly does not tell a file with two links that another was renamed over
/// one of them (`hammer2_inode_unlink_finisher`; its tmpfs tells no file at all),
/// nor that one was removed: only the directory is told. For a root that is its
/// parent.
pub const PARENTS_ONLY: bool = cfg!(target_os = "dragonfly");

/// Volumes of macOS find a name in any case (unless made otherwise) and in any
/// Unicode form.
pub const FOLDS: bool = cfg!(target_vendor = "apple");

/// What limits the number of open files in the whole system.
pub const FILES_LIMIT: &str = if cfg!(target_os = "linux") {
    "fs.file-max"
} else {
    "kern.maxfiles"
};

/// A change of a file's size may be told as one of its attributes. (libkqueue tells
/// of it as of a write, and of links that come and go as of attributes.)
pub const SIZE_IS_AN_ATTRIBUTE: bool = cfg!(not(target_os = "linux"));

/// libkqueue goes on telling of a descriptor that was closed.
pub const KNOTES_OUTLIVE_CLOSE: bool = cfg!(target_os = "linux");

/// libkqueue cannot add a knote for what has no path any more.
pub const KNOTES_NEED_A_PATH: bool = cfg!(target_os = "linux");

/// libkqueue counts among the events of a fetch what it then finds to be none,
/// so that a fetch may bring less than there is room for and more be waiting.
pub const FETCHES_FALL_SHORT: bool = cfg!(target_os = "linux");

/// Whether a bell may be rung through `EVFILT_USER`, if the kernel has it.
/// Not with libkqueue, whose `kevent` takes locks: rung in a signal handler it
/// could wait for the very thread it interrupted.
pub const USER_EVENTS: bool = cfg!(not(target_os = "linux"));

/// What all watching opens have in common. `O_NONBLOCK` is for what turns out
/// to be a FIFO or a device after all.
///
/// macOS: `O_EVTONLY` does not keep the volume from being unmounted, and
/// `O_SYMLINK` opens a symbolic link itself.
#[cfg(target_vendor = "apple")]
const OPEN: c_int = libc::O_EVTONLY | libc::O_NONBLOCK;
/// What all watching opens have in common. `O_NONBLOCK` is for what turns out
/// to be a FIFO or a device after all.
///
/// FreeBSD's `O_PATH` would spare an unmount its EBUSY, but is refused for
/// files and directories: such a descriptor only holds the vnode and does not
/// use it. So `vlrureclaim` recycles watched vnodes whenever the system is short
/// of them, which revokes the watch of a file that is alive; re-watching a tree
/// larger than `kern.maxvnodes` would then never end. Nor does it keep the inode
/// number of a removed file from being given away, which `Kernel::PINS` promises.
#[cfg(not(target_vendor = "apple"))]
const OPEN: c_int = libc::O_RDONLY | libc::O_NONBLOCK;

/// Opens what the last name of a path is, never what it leads to.
#[cfg(target_vendor = "apple")]
const NOT_THROUGH: c_int = libc::O_SYMLINK;
/// Opens what the last name of a path is, never what it leads to.
#[cfg(not(target_vendor = "apple"))]
const NOT_THROUGH: c_int = libc::O_NOFOLLOW;

/// How a symbolic link itself is opened, where one can be.
#[cfg(target_vendor = "apple")]
const OPEN_LINK: Option<c_int> = Some(OPEN | NOT_THROUGH);
/// How a symbolic link itself is opened, where one can be. FreeBSD before 13
/// does not know `O_PATH` and answers EMLINK; before 14 its kevent may refuse
/// the descriptor with EBADF. The link is then left unwatched.
#[cfg(target_os = "freebsd")]
const OPEN_LINK: Option<c_int> = Some(libc::O_PATH | libc::O_NOFOLLOW);
/// How a symbolic link itself is opened: nowhere else (`O_NOFOLLOW` answers
/// ELOOP, EMLINK or EFTYPE).
#[cfg(not(any(target_vendor = "apple", target_os = "freebsd")))]
const OPEN_LINK: Option<c_int> = None;

/// How an ancestor of a root is opened; its path is free of symbolic links.
pub const OPEN_ANCHOR: c_int = OPEN | libc::O_DIRECTORY;

/// How an entry of that kind is opened to be watched; `None` for what is not.
///
/// FIFOs, sockets and devices are never opened: a FIFO would gain a reader,
/// opening a device may do anything (rewind a tape, raise a line).
pub fn open_flags(kind: Kind) -> Option<c_int> {
    match kind {
        Kind::File => Some(OPEN | NOT_THROUGH),
        Kind::Dir => Some(OPEN | NOT_THROUGH | libc::O_DIRECTORY),
        Kind::Symlink => OPEN_LINK,
        Kind::Other => None,
    }
}

/// The name of the entry to which a name in a directory leads, as the directory
/// has it. `None` where that cannot be told.
#[cfg(target_vendor = "apple")]
pub fn spelling(dir: RawFd, name: &[u8]) -> Option<Box<[u8]>> {
    /// What `getattrlist(2)` answers for ATTR_CMN_NAME alone.
    #[repr(C, packed(4))]
    struct Answer {
        length: u32,
        name: libc::attrreference_t,
        bytes: [u8; 1024],
    }
    let path = std::ffi::CString::new(name).ok()?;
    let mut wanted = libc::attrlist {
        bitmapcount: libc::ATTR_BIT_MAP_COUNT,
        reserved: 0,
        commonattr: libc::ATTR_CMN_NAME,
        volattr: 0,
        dirattr: 0,
        fileattr: 0,
        forkattr: 0,
    };
    let mut answer = std::mem::MaybeUninit::<Answer>::zeroed();
    // SAFETY: the path is NUL-terminated, the list is read and the answer written
    // during the call only, and its size is what is said.
    check(unsafe {
        libc::getattrlistat(
            dir,
            path.as_ptr(),
            (&raw mut wanted).cast(),
            answer.as_mut_ptr().cast(),
            std::mem::size_of::<Answer>(),
            libc::c_ulong::from(libc::FSOPT_NOFOLLOW),
        )
    })
    .ok()?;
    // SAFETY: zeroed, then filled by a call that succeeded; bytes and numbers all.
    let answer = unsafe { answer.assume_init() };
    // The name's place counts from the reference that tells it.
    let at = usize::try_from(answer.name.attr_dataoffset).ok()?;
    let start = at.checked_sub(std::mem::size_of::<libc::attrreference_t>())?;
    let bytes = answer.bytes;
    let spelled = bytes.get(start..)?.split(|&b| b == 0).next()?;
    Some(Box::from(spelled))
}

/// The name of the entry to which a name in a directory leads: that very name.
#[cfg(not(target_vendor = "apple"))]
pub fn spelling(_: RawFd, _: &[u8]) -> Option<Box<[u8]>> {
    None
}

// ---- system calls -------------------------------------------------------------

/// A change for the kernel, or room for an event.
pub fn change(
    ident: usize,
    filter: Filter,
    flags: Flags,
    fflags: u32,
    data: u32,
    udata: usize,
) -> Kevent {
    // SAFETY: a kevent is made of integers and a raw pointer; zeros are a value
    // of each. (FreeBSD's has spare fields that must be zero.)
    let mut change: Kevent = unsafe { std::mem::zeroed() };
    change.ident = ident;
    change.filter = filter;
    change.flags = flags;
    change.fflags = fflags;
    change.data = data as _;
    change.udata = ptr::without_provenance_mut::<c_void>(udata);
    change
}

/// A new kqueue.
///
/// `kqueue1(2)` would set close-on-exec at once, but macOS and DragonFly have
/// none and FreeBSD and OpenBSD only of late. Nothing is lost without it: no
/// child inherits a kqueue on any of these systems, so that the moment between
/// the two calls matters only to a program that replaces itself in it.
pub fn kqueue() -> Result<OwnedFd, Errno> {
    #[cfg(not(target_os = "linux"))]
    use libc::kqueue;
    #[cfg(target_os = "linux")]
    use libkqueue::kqueue;
    // SAFETY: no arguments.
    let fd = check(unsafe { kqueue() })?;
    // SAFETY: the call succeeded, so the descriptor is open and ours alone.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    set_close_on_exec(&fd)?;
    Ok(fd)
}

/// `kevent(2)`, never waiting: makes the changes, then fetches events, and
/// answers how many.
pub fn kevent(kq: RawFd, changes: &[Kevent], events: &mut [Kevent]) -> Result<usize, Errno> {
    #[cfg(not(target_os = "linux"))]
    use libc::kevent;
    #[cfg(target_os = "linux")]
    use libkqueue::kevent;
    let at_once = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        // The counts are ints, on NetBSD sizes; no list of ours exceeds either.
        // SAFETY: both lists are as long as said and live through the call; the
        // kernel writes to the second only.
        let n = check(unsafe {
            kevent(
                kq,
                changes.as_ptr(),
                changes.len() as _,
                events.as_mut_ptr(),
                events.len() as _,
                &at_once,
            )
        });
        match n {
            Ok(n) => return Ok(n as usize),
            // The changes were made already; each of ours can be made twice.
            Err(Errno(libc::EINTR)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What to poll for a kqueue's events: the kqueue itself.
#[cfg(not(target_os = "linux"))]
pub fn pollable(kq: RawFd) -> RawFd {
    kq
}

/// What to poll for a kqueue's events.
///
/// The descriptor that libkqueue hands out is the writing end of a pipe, which
/// is there to tell it of the closing and is never readable. What libkqueue
/// waits on itself is an epoll descriptor that it keeps to itself; it can be
/// known by attending the other end of that pipe, also for reading.
#[cfg(target_os = "linux")]
pub fn pollable(kq: RawFd) -> RawFd {
    let link = |fd: &str| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok();
    let attends = |fd: &str| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        info.lines().any(|line| {
            // tfd:  <descriptor> events:  <hexadecimal> ...
            let mut words = line.split_whitespace();
            let (Some("tfd:"), Some(other), _, Some(events)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return false;
            };
            let events = u32::from_str_radix(events, 16).unwrap_or_default();
            events & libc::EPOLLIN as u32 != 0 && link(other) == link(&kq.to_string())
        })
    };
    let epoll = Some(PathBuf::from("anon_inode:[eventpoll]"));
    let all = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok())
        .find(|fd| link(fd) == epoll && attends(fd))
        .and_then(|fd| fd.parse().ok())
        // Another kqueue behind libkqueue's ABI.
        .unwrap_or(kq)
}

/// A pipe whose ends neither block nor outlive an exec.
pub fn pipe() -> Result<[OwnedFd; 2], Errno> {
    let mut ends: [RawFd; 2] = [-1; 2];
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: room for two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    #[cfg(target_vendor = "apple")]
    // SAFETY: room for two descriptors.
    check(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so both descriptors are open and ours alone.
    let ends = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    // macOS has no pipe2.
    #[cfg(target_vendor = "apple")]
    for end in &ends {
        use std::os::fd::AsRawFd;
        set_close_on_exec(end)?;
        // SAFETY: sets a flag of an open descriptor.
        check(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    }
    Ok(ends)
}

fn set_close_on_exec(fd: &OwnedFd) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    // SAFETY: sets a flag of an open descriptor.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(())
}

// ---- where an open file is -----------------------------------------------------

/// Asks the kernel for a path to an open file. It may be out of date, that of
/// any of its links, or none at all.
#[cfg(any(target_vendor = "apple", target_os = "netbsd", target_os = "dragonfly"))]
pub fn path_of(fd: RawFd) -> Option<PathBuf> {
    // MAXPATHLEN is what the kernels write at most, the NUL included. NetBSD
    // knows F_GETPATH since 10; before, as on old DragonFly, it is EINVAL.
    let mut path = [0u8; libc::PATH_MAX as usize];
    // SAFETY: as much room as the call may write to.
    check(unsafe { libc::fcntl(fd, libc::F_GETPATH, path.as_mut_ptr()) }).ok()?;
    from_buffer(&path)
}

/// Asks the kernel for a path to an open file. It may be out of date, that of
/// any of its links, or none at all.
#[cfg(target_os = "freebsd")]
pub fn path_of(fd: RawFd) -> Option<PathBuf> {
    let mut info = std::mem::MaybeUninit::<libc::kinfo_file>::zeroed();
    // SAFETY: the struct says its size before the kernel writes that much to
    // it; it is made of integers, so that zeros are a value of each.
    let info = unsafe {
        (*info.as_mut_ptr()).kf_structsize = size_of::<libc::kinfo_file>() as c_int;
        // EINVAL before FreeBSD 13.
        check(libc::fcntl(fd, libc::F_KINFO, info.as_mut_ptr())).ok()?;
        info.assume_init()
    };
    from_buffer(&info.kf_path.map(|byte| byte as u8))
}

/// Asks the kernel for a path to an open file. It may be out of date, that of
/// any of its links, or none at all.
#[cfg(target_os = "linux")]
pub fn path_of(fd: RawFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

/// OpenBSD cannot tell.
#[cfg(target_os = "openbsd")]
pub fn path_of(_: RawFd) -> Option<PathBuf> {
    None
}

#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "dragonfly"
))]
fn from_buffer(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let path = bytes.split(|&b| b == 0).next().unwrap_or_default();
    path.starts_with(b"/")
        .then(|| PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}
