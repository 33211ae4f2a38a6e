//! The C ABI, and nothing else: checks pointers, crosses the boundary, calls
//! [`Watcher`]. The doc comments of this module become `include/kw.h`.
//!
//! Every function that takes a handle first asks the [registry](registry)
//! whether it is one, so that a freed or foreign pointer is answered with an
//! error and never followed.
#![allow(non_camel_case_types)] // The names are C's.

mod boundary;
mod registry;

use crate::engine::budget::Polling;
use crate::engine::event::{self, Event};
use crate::engine::filter::{BadGlob, Filter, Rules};
use crate::engine::watch::{Options, Settle, ALL_LEVELS};
use crate::kernel::faults::{BadLine, Script};
use crate::kernel::Native;
use crate::watcher::{Failure, HandleOptions, Status, Watcher};
use boundary::{guard, guard_handle, record, status_code};
use std::ffi::{c_char, c_int, CStr};
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// Major version of this header. The shared library's SONAME carries it.
pub const KW_VERSION_MAJOR: u32 = 0;
/// Minor version of this header.
pub const KW_VERSION_MINOR: u32 = 1;
/// Patch version of this header.
pub const KW_VERSION_PATCH: u32 = 0;

/// Success.
pub const KW_OK: i32 = 0;
/// An argument is not acceptable: NULL where something must be, a wrong
/// `size`, an unknown flag, a pointer that is no live handle.
pub const KW_E_INVALID: i32 = -1;
/// The system refused; `sys_errno` of kw_last_error() says why.
pub const KW_E_SYSTEM: i32 = -2;
/// Another thread is in kw_poll() on this handle. Of kw_save(): events of the watch wait to
/// be delivered.
pub const KW_E_BUSY: i32 = -3;
/// A signal ended the wait, or kw_wake() a crawl. Nothing is lost: call kw_poll() again.
pub const KW_E_INTERRUPTED: i32 = -4;
/// The handle was opened before a fork(2), by the parent process.
pub const KW_E_FORKED: i32 = -5;
/// The library failed (a bug). The handle refuses all calls but kw_free().
pub const KW_E_INTERNAL: i32 = -6;
/// Nothing is at that path.
pub const KW_E_NOT_FOUND: i32 = -7;
/// Permission denied.
pub const KW_E_DENIED: i32 = -8;
/// There is no watch of that number.
pub const KW_E_NO_WATCH: i32 = -9;
/// Descriptors or kernel memory ran out. (Too few kernel watches, or too few
/// descriptors to watch, are no error: see KW_DEGRADED.)
pub const KW_E_LIMIT: i32 = -10;
/// The path, or a name in it, is longer than the system allows.
pub const KW_E_TOO_LONG: i32 = -11;

/// The file was not written by kw_save(), or is damaged, or by a newer version.
pub const KW_E_SNAPSHOT: i32 = -12;

/// An entry appeared at `path`.
pub const KW_CREATED: u32 = 1 << 0;
/// The entry at `path` is gone. What was in a directory was reported as gone before.
pub const KW_DELETED: u32 = 1 << 1;
/// The content of the file at `path` changed (its size or modification time).
/// With KW_REPLACED: another file has taken this name. With KW_IS_DIR (only
/// with KW_DIR_MODIFIED): entries of this directory came or went.
pub const KW_MODIFIED: u32 = 1 << 2;
/// Metadata of the entry at `path` changed: mode, owner, extended attributes.
pub const KW_ATTRIB: u32 = 1 << 3;
/// The entry at `path` is at `dest` now, with all that is below it. `dest` was free.
pub const KW_MOVED: u32 = 1 << 4;
/// The kernel lost notifications (`path` is the root). The library has looked
/// at the whole tree and reported the differences before this event: the state
/// is exact, the history between is not known.
pub const KW_RESCANNED: u32 = 1 << 5;
/// Nothing is at the root's path any more. What was below it was reported as
/// gone before. The watch stays, and waits for it to come back.
pub const KW_ROOT_GONE: u32 = 1 << 6;
/// Something is at the root's path again; what is in it is reported as created.
pub const KW_ROOT_BACK: u32 = 1 << 7;
/// The file system at `path` was unmounted. (Linux; with kqueue what was below
/// it is reported as gone.)
pub const KW_UNMOUNTED: u32 = 1 << 8;
/// Some entries of this watch are polled, and what happens to them is reported later: see
/// POLLING above. `path` is the root, `count` how many they are (with inotify, how many
/// directories; one more where the ancestors of the root cannot be watched). Reported by
/// the first kw_poll() after that began, not again when their number changes, and with a
/// count of 0 when a round has found that none is any more. What has to be changed for
/// all to be watched is in `limited_by` of kw_stats.
pub const KW_DEGRADED: u32 = 1 << 9;
/// The entry at `path` could not be read; `error` says why. Its state is as
/// last reported. Entries beside it are not affected.
pub const KW_ERROR: u32 = 1 << 10;
/// With the watch option KW_INITIAL: all that the first crawl found has been reported. With
/// `since`: all that had changed has been. `path` is the root.
pub const KW_READY: u32 = 1 << 11;
/// Every kind of event.
pub const KW_ALL_EVENTS: u32 = 0xfff;

/// The entry is a directory.
pub const KW_IS_DIR: u32 = 1 << 0;
/// The entry is a symbolic link. Links are entries; they are never followed.
pub const KW_IS_SYMLINK: u32 = 1 << 1;
/// With KW_MODIFIED: the name belongs to another file now (an atomic save:
/// written elsewhere, renamed to this name).
pub const KW_REPLACED: u32 = 1 << 2;
/// With KW_CREATED and KW_ROOT_BACK: it was there when the watch was added, and is
/// reported because of the watch option of the same name.
pub const KW_INITIAL: u32 = 1 << 3;
/// With KW_MOVED: it has moved with a directory above it, whose KW_MOVED came before; told
/// because of the watch option of the same name. A program that moves directories with all
/// that is in them ignores it.
pub const KW_EXPANDED: u32 = 1 << 4;

/// Handle option: raise the process's soft limit on descriptors (RLIMIT_NOFILE) to its
/// hard limit (on macOS perhaps only to 10240), for kqueue needs a descriptor for each
/// entry. For the whole process, inherited by its children, and not undone by kw_free():
/// mind that select(2) cannot have descriptors above 1023.
pub const KW_RAISE_LIMIT: u32 = 1 << 0;
/// Handle option: no kernel watches at all, everything is polled, as after
/// kw_set_watch_limit(handle, 0); by another limit it is ended. `watch_limit` must be 0.
pub const KW_POLL_ONLY: u32 = 1 << 1;

/// Watch option: everything below the directory. Without it: the directory and
/// its direct entries.
pub const KW_RECURSIVE: u32 = 1 << 0;
/// Watch option: also report a directory whose entries changed, as
/// KW_MODIFIED with KW_IS_DIR, as classic kqueue watchers do.
pub const KW_DIR_MODIFIED: u32 = 1 << 1;
/// Watch option: kw_sync() looks at every entry of this watch, not only at those
/// that are polled. It is for changes that a kernel tells nobody of: a store
/// through a shared mapping, a truncation on NetBSD's tmpfs, a block cloned on
/// FreeBSD's ZFS, a file system mounted over a directory. With it, what happened
/// before kw_sync() is delivered by calling kw_poll() until it returns 0, but for what the process
/// may not look at, and for content that changed while neither the size nor the
/// time of modification shows it. How often to call it is the caller's choice.
/// Costs one listing for each directory and one stat for each entry, at each
/// kw_sync(), and nothing otherwise.
pub const KW_SYNC_ALL: u32 = 1 << 2;
// `KW_INITIAL` and `KW_EXPANDED` are the next: one name for the option and for what it brings.
/// Watch option: only directories are entries. What happens to other things is not
/// reported.
pub const KW_DIRS_ONLY: u32 = 1 << 5;
/// Watch option: directories on another device (file system) than the root are entries
/// like files: what is in them is not watched.
pub const KW_ONE_DEVICE: u32 = 1 << 6;
/// Watch option: what has a name that begins with a dot is excluded.
pub const KW_SKIP_HIDDEN: u32 = 1 << 7;
/// Watch option: what the files named .gitignore below the root exclude is excluded; see
/// FILTERS above.
pub const KW_GITIGNORE: u32 = 1 << 8;
/// Watch option: nothing need be at the path yet. Then the watch begins as one whose root is
/// gone, and KW_ROOT_BACK says that something has appeared there.
pub const KW_ALLOW_MISSING: u32 = 1 << 9;

/// An open handle. Opaque.
pub struct kw_handle {
    watcher: Watcher,
}

/// Names a watch within its handle; greater than 0, never used twice.
pub type kw_watch = i32;

/// How kw_open() is to open a handle. Begin with KW_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct kw_options {
    /// sizeof(kw_options), set by KW_OPTIONS_INIT. A library that is newer than
    /// its caller takes what the caller does not know as 0.
    pub size: usize,
    /// KW_RAISE_LIMIT, KW_POLL_ONLY. Unknown bits are KW_E_INVALID.
    pub flags: u32,
    /// Milliseconds between the times at which some of what is polled is looked at;
    /// 0 is the default, 1000. See POLLING above.
    pub poll_interval_ms: u32,
    /// How many kernel watches the handle may have, which with kqueue is how many
    /// descriptors it takes to watch; 0 and KW_NO_LIMIT are no limit but the system's.
    /// Can be changed by kw_set_watch_limit(). The directories above the roots take
    /// watches, too, unless the limit is below four times their number: then it is
    /// noticed only within a round that a root goes or comes back.
    pub watch_limit: u64,
    /// How many descriptors watching leaves free for the rest of the process, below
    /// its soft limit (RLIMIT_NOFILE); 0 is the default, 32. Never more than a quarter
    /// of that limit. With inotify, which needs no descriptor to watch, it has no
    /// meaning.
    pub descriptor_reserve: u32,
    /// How many looks are made each time at most; 0 is the default, 2500.
    pub poll_looks: u32,
    /// How many threads may take part in the crawl of a large tree, the calling one
    /// included; 0 and 1: that one alone, which is the default. The others are started
    /// when 64 directories have been read and more wait, take no signals, hold one
    /// descriptor each, and have ended when kw_add() or kw_poll() returns; if they cannot
    /// be started, the crawl goes on without them. More than 16 are taken as 16. With
    /// kqueue it has no meaning.
    pub crawl_threads: u32,
    /// 0.
    pub reserved: u32,
    /// For tests of a program: a text that says what is to go wrong; see FAULTS above. NULL:
    /// nothing.
    pub faults: *const c_char,
}

/// What kw_options was at first.
const FIRST_OPTIONS: usize = offset_of!(kw_options, watch_limit);

/// How kw_add() is to watch. Begin with KW_WATCH_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct kw_watch_options {
    /// sizeof(kw_watch_options), set by KW_WATCH_OPTIONS_INIT.
    pub size: usize,
    /// KW_RECURSIVE, KW_DIR_MODIFIED, KW_SYNC_ALL, KW_INITIAL (see kw_add()), KW_EXPANDED,
    /// KW_DIRS_ONLY, KW_ONE_DEVICE, KW_SKIP_HIDDEN, KW_GITIGNORE, KW_ALLOW_MISSING. Unknown
    /// bits are KW_E_INVALID.
    pub flags: u32,
    /// Which kinds of events are wanted: KW_CREATED | ...; 0 is all of them.
    /// The stream replays only with all of them.
    pub events: u32,
    /// What is excluded: an array of patterns, NULL after the last; or NULL. See FILTERS
    /// above.
    pub exclude: *const *const c_char,
    /// What is included, likewise: what is no directory and matches none of these is
    /// excluded. NULL, or none: everything is included.
    pub include: *const *const c_char,
    /// How many levels of entries there are below the root, with KW_RECURSIVE: 1 are its
    /// direct entries. 0: no limit.
    pub depth: u32,
    /// Milliseconds: what happens is reported when nothing has happened for so long; 0: at
    /// once. What cancels out meanwhile (a file that is created and deleted, one that is
    /// written to many times) is not reported, or once. It applies to each watch as a whole.
    /// kw_sync() ends the waiting: a kw_poll() that returns 0 says that all has been
    /// delivered only after that.
    pub settle_ms: u32,
    /// Milliseconds: but so long after something has happened for the first time, at the
    /// latest; 0: ten times settle_ms.
    pub settle_max_ms: u32,
    /// 0.
    pub reserved: u32,
    /// A file that kw_save() has written; or NULL. What has changed since then is reported
    /// first: see kw_save(). Not with KW_INITIAL.
    pub since: *const c_char,
}

/// What kw_watch_options was at first.
const FIRST_WATCH_OPTIONS: usize = offset_of!(kw_watch_options, exclude);

/// One event, filled in by kw_poll().
///
/// `path` and `dest` are bytes as the system has them, `path_len` and
/// `dest_len` of them; a name may hold anything but `/` and NUL. A NUL follows
/// for convenience. They point into the handle and live until the next
/// kw_poll() or kw_free() of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct kw_event {
    /// Exactly one of KW_CREATED, KW_DELETED, ...
    pub kind: u32,
    /// KW_IS_DIR, KW_IS_SYMLINK, KW_REPLACED, KW_INITIAL, KW_EXPANDED. Bits you do not know
    /// may appear in later versions.
    pub flags: u32,
    /// The watch it belongs to.
    pub watch: kw_watch,
    /// errno of a KW_ERROR, else 0.
    pub error: i32,
    /// Where: begins with the root as it was given to kw_add().
    pub path: *const c_char,
    /// Length of `path` in bytes.
    pub path_len: usize,
    /// KW_MOVED: where to. Else NULL.
    pub dest: *const c_char,
    /// Length of `dest` in bytes, or 0.
    pub dest_len: usize,
    /// `path + root_len` (and `dest + root_len`) is relative to the watch's
    /// root, without a leading slash; empty for the root itself.
    pub root_len: usize,
    /// 1, 2, 3, ... within the handle.
    pub sequence: u64,
    /// Device number, as last seen.
    pub device: u64,
    /// Inode number, as last seen. Entries with equal device and inode are hard links.
    pub inode: u64,
    /// Size in bytes as last seen; 0 for what is gone.
    pub size: u64,
    /// Modification time as last seen, in nanoseconds since the epoch; 0 for what is gone.
    pub mtime_ns: i64,
    /// KW_DEGRADED: how many entries are polled; 0: none any more. Else 0.
    pub count: u64,
    /// Zero; room for later versions.
    pub reserved: u64,
}

/// An error in detail; see kw_last_error().
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct kw_error {
    /// sizeof(kw_error), set by KW_ERROR_INIT.
    pub size: usize,
    /// KW_E_..., or KW_OK if there was no error.
    pub status: i32,
    /// errno of the system call that failed, or 0.
    pub sys_errno: i32,
    /// What was being done, in a few English words.
    pub operation: [c_char; 64],
    /// Length of the path in bytes, also where `path` holds only its beginning.
    pub path_len: usize,
    /// The path that was concerned, NUL-terminated; empty if there is none.
    pub path: [c_char; 4096],
}

/// A handle's health; see kw_stats_get().
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct kw_stats {
    /// sizeof(kw_stats), set by KW_STATS_INIT.
    pub size: usize,
    /// "inotify" or "kqueue".
    pub engine: [c_char; 16],
    /// Watches added and not removed.
    pub watches: u64,
    /// Entries in all snapshots, and those that a kw_add() under way has found so far.
    pub entries: u64,
    /// Watches held in the kernel: one a directory (inotify) or an entry (kqueue), and
    /// one for each directory above a root.
    pub kernel_watches: u64,
    /// Entries that are polled (see KW_DEGRADED): they have no kernel watch, or one that
    /// does not tell of everything. With inotify these are directories, and what is in
    /// them is polled with them.
    pub polled: u64,
    /// Descriptors that the handle holds.
    pub descriptors: u64,
    /// The process's soft limit on descriptors (RLIMIT_NOFILE).
    pub descriptor_limit: u64,
    /// Times that the kernel lost notifications.
    pub overflows: u64,
    /// Times that a whole tree was looked at because of that.
    pub rescans: u64,
    /// Events delivered.
    pub events: u64,
    /// Notifications received from the kernel.
    pub notes: u64,
    /// System calls: waits of kw_poll().
    pub waits: u64,
    /// System calls: fetches of notifications.
    pub fetches: u64,
    /// Directories listed.
    pub listings: u64,
    /// System calls: stat of any form.
    pub stats: u64,
    /// System calls: opens in order to watch.
    pub opens: u64,
    /// System calls that add or remove kernel watches.
    pub registrations: u64,
    /// errno of the last failed call on this handle, or 0.
    pub last_errno: i32,
    /// Zero.
    pub reserved: i32,
    /// How many kernel watches the handle may have; KW_NO_LIMIT if you have set no limit.
    pub watch_limit: u64,
    /// Complete rounds of looks at all that is polled. (A kw_sync() is none of them.)
    pub rounds: u64,
    /// How long the last one took, in milliseconds: how late a change to something
    /// that is polled may be reported. 0 until one is complete.
    pub round_ms: u64,
    /// What keeps entries from being watched, as the system calls it:
    /// "fs.inotify.max_user_watches", "fs.inotify.max_user_instances" (for sysctl(8) on
    /// Linux; in a user namespace its own, user.max_inotify_watches and ..._instances, may
    /// be the lower ones), "RLIMIT_NOFILE", "fs.file-max", "kern.maxfiles", "watch_limit"
    /// (yours, or KW_POLL_ONLY), "memory", "file system" (one that does not tell of
    /// changes), "permission", "error"; empty if nothing is polled. If there are several
    /// reasons, one of them.
    pub limited_by: [c_char; 48],
    /// 1 while a kw_add() crawls, else 0.
    pub crawling: u64,
}

/// All options of a watch.
const WATCH_FLAGS: u32 = KW_RECURSIVE
    | KW_DIR_MODIFIED
    | KW_SYNC_ALL
    | KW_INITIAL
    | KW_DIRS_ONLY
    | KW_ONE_DEVICE
    | KW_SKIP_HIDDEN
    | KW_GITIGNORE
    | KW_EXPANDED
    | KW_ALLOW_MISSING;
/// So many entries of a first crawl are told at a time: as many as take a tenth of a
/// megabyte, and enough for the turn to cost nothing.
const INITIAL_PORTION: usize = 1024;

/// What kw_stats was at first.
const FIRST_STATS: usize = offset_of!(kw_stats, watch_limit);

// The Rust side writes its own constants; these are the same by contract.
const _: () = assert!(
    KW_CREATED == event::kind::CREATED
        && KW_DELETED == event::kind::DELETED
        && KW_MODIFIED == event::kind::MODIFIED
        && KW_ATTRIB == event::kind::ATTRIB
        && KW_MOVED == event::kind::MOVED
        && KW_RESCANNED == event::kind::RESCANNED
        && KW_ROOT_GONE == event::kind::ROOT_GONE
        && KW_ROOT_BACK == event::kind::ROOT_BACK
        && KW_UNMOUNTED == event::kind::UNMOUNTED
        && KW_DEGRADED == event::kind::DEGRADED
        && KW_ERROR == event::kind::ERROR
        && KW_READY == event::kind::READY
        && KW_ALL_EVENTS == event::kind::ALL
        && KW_IS_DIR == event::flag::IS_DIR
        && KW_IS_SYMLINK == event::flag::IS_SYMLINK
        && KW_REPLACED == event::flag::REPLACED
        && KW_INITIAL == event::flag::INITIAL
        && KW_EXPANDED == event::flag::EXPANDED
);

/// Reads a struct that begins with its own size. A shorter one (an older
/// caller) is filled up with zeros, a longer one (a newer caller) must have
/// nothing but zeros in what we do not know.
///
/// # Safety
/// `from` is NULL or points to a struct whose first field says how many bytes
/// of it are readable.
unsafe fn read_sized<T: Copy>(from: *const T, smallest: usize, zero: T) -> Option<T> {
    /// No struct of ours comes near; a larger size is an uninitialised one.
    const LARGEST: usize = 4096;
    let mut value = zero;
    // SAFETY: the first field is a size_t, as the caller promises.
    let size = unsafe { from.cast::<usize>().read_unaligned() };
    if size < smallest || size > LARGEST {
        return None;
    }
    let known = size.min(size_of::<T>());
    // SAFETY: `known` bytes are readable and fit into `value`; T is plain data.
    unsafe { ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut value).cast::<u8>(), known) };
    for at in known..size {
        // SAFETY: within the size that the struct says it has.
        if unsafe { *from.cast::<u8>().add(at) } != 0 {
            return None;
        }
    }
    Some(value)
}

/// Writes a struct of which the caller has room for what its `size` says.
///
/// # Safety
/// `to` points to a struct whose first field says how many bytes are writable.
unsafe fn write_sized<T: Copy>(to: *mut T, smallest: usize, value: &T) -> bool {
    // SAFETY: the first field is a size_t, as the caller promises.
    let size = unsafe { to.cast::<usize>().read_unaligned() };
    if size < smallest || size > 1 << 20 {
        return false;
    }
    let known = size.min(size_of::<T>());
    let skip = size_of::<usize>();
    // SAFETY: `known` bytes are writable and readable; the size stays as it is.
    unsafe {
        ptr::copy_nonoverlapping(
            ptr::from_ref(value).cast::<u8>().add(skip),
            to.cast::<u8>().add(skip),
            known - skip,
        );
    }
    true
}

fn invalid(operation: &'static str) -> Failure {
    Failure::new(Status::Invalid, operation)
}

/// Opens a handle and stores it in `*out`. It holds a few descriptors, all of
/// them close-on-exec, and no thread.
///
/// `options` may be NULL for the defaults. Returns KW_OK, or a negative code
/// and `*out` NULL; kw_last_error() with a NULL handle has the details, for the
/// calling thread.
///
/// # Safety
/// `options` is NULL or points to a struct of the `size` that it says, whose string ends with
/// NUL; `out` is NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn kw_open(options: *const kw_options, out: *mut *mut kw_handle) -> c_int {
    guard(|| {
        if out.is_null() {
            return Err(invalid("open: out is NULL"));
        }
        // SAFETY: not NULL, hence writable.
        unsafe { out.write(ptr::null_mut()) };
        let mut wanted = kw_options {
            size: 0,
            flags: 0,
            poll_interval_ms: 0,
            watch_limit: 0,
            descriptor_reserve: 0,
            poll_looks: 0,
            crawl_threads: 0,
            reserved: 0,
            faults: ptr::null(),
        };
        if !options.is_null() {
            // SAFETY: not NULL, and as the caller promises.
            wanted = unsafe { read_sized(options, FIRST_OPTIONS, wanted) }
                .ok_or_else(|| invalid("open: wrong size of the options"))?;
        }
        // SAFETY: as the caller promises.
        let options = unsafe { handle_options(&wanted) }?;
        boundary::silence_panics();
        let watcher = Watcher::open(&options)?;
        let handle = Box::into_raw(Box::new(kw_handle { watcher }));
        registry::enter(handle);
        // SAFETY: not NULL, hence writable.
        unsafe { out.write(handle) };
        Ok(KW_OK)
    })
}

/// More are of no use: a crawl waits for one disk and one kernel.
const MOST_THREADS: u32 = 16;

/// What a caller asks for, 0 being the default everywhere.
///
/// # Safety
/// The script of faults is NULL or NUL-terminated.
unsafe fn handle_options(wanted: &kw_options) -> Result<HandleOptions, Failure> {
    if wanted.flags & !(KW_RAISE_LIMIT | KW_POLL_ONLY) != 0 {
        return Err(invalid("open: unknown flags"));
    }
    if wanted.reserved != 0 {
        return Err(invalid("open: reserved is not 0"));
    }
    if wanted.flags & KW_POLL_ONLY != 0 && wanted.watch_limit != 0 {
        return Err(invalid("open: a watch_limit with KW_POLL_ONLY"));
    }
    let faults = match wanted.faults.is_null() {
        true => None,
        // SAFETY: not NULL, and as the caller promises.
        false => Some(Script::parse(
            unsafe { CStr::from_ptr(wanted.faults) }.to_bytes(),
        )),
    };
    let faults = faults.transpose().map_err(|BadLine(line)| Failure {
        path: line,
        ..invalid("open: not a fault")
    })?;
    let mut polling = Polling::default();
    if wanted.poll_interval_ms != 0 {
        polling.interval = Duration::from_millis(wanted.poll_interval_ms.into());
    }
    if wanted.poll_looks != 0 {
        polling.looks = wanted.poll_looks as usize;
    }
    Ok(HandleOptions {
        raise_limit: wanted.flags & KW_RAISE_LIMIT != 0,
        watch_limit: match wanted.watch_limit {
            _ if wanted.flags & KW_POLL_ONLY != 0 => Some(0),
            0 => None,
            limit => limit_of(limit),
        },
        reserve: Some(wanted.descriptor_reserve).filter(|&n| n != 0),
        polling,
        crawl_threads: wanted.crawl_threads.clamp(1, MOST_THREADS) as usize,
        faults,
    })
}

/// `KW_NO_LIMIT`, and whatever else is more than there can be, is none.
fn limit_of(limit: u64) -> Option<usize> {
    usize::try_from(limit).ok().filter(|&n| n != usize::MAX)
}

/// Watches `path`, a directory or a file, and stores the watch's number in
/// `*out` (which may be NULL).
///
/// Returns when the tree has been crawled: what changes from then on is
/// reported by kw_poll(), and nothing that was so before. Events spell the root as it was
/// given here.
///
/// Symbolic links in `path` are followed, and again when one of them comes to lead elsewhere,
/// as `current` of `current -> releases/42` does: what is there then is the root, and if it is
/// another directory KW_ROOT_GONE and KW_ROOT_BACK tell. (A link that takes the place of a
/// root, or of a directory above one, to which no link has led, is not followed.)
///
/// With KW_INITIAL among the options' flags what the crawl has found is reported, too,
/// before anything that follows: KW_ROOT_BACK for the root, KW_CREATED for each entry, a
/// directory before what is in it, all with KW_INITIAL among their flags, and then
/// KW_READY. So a mirror that begins empty needs no crawl of its own. Meanwhile
/// nothing else is reported of this watch, and nothing is lost; what is deleted meanwhile
/// is reported as created, and then as deleted. An error in a directory comes after
/// KW_READY.
///
/// With KW_ALLOW_MISSING nothing need be there yet. What of the path is there is resolved now,
/// and the nearest directory that exists is watched until the root appears.
///
/// The watch is one on the path: if what is there is deleted, moved away or
/// replaced, and made again, the watch goes on (KW_ROOT_GONE, KW_ROOT_BACK).
/// If it went because its file system was unmounted, the path is looked at once in each
/// `poll_interval_ms` until one is mounted there again, which no kernel tells.
/// A handle may have many watches; they may overlap, and each reports for itself.
///
/// `options` may be NULL for the defaults: not recursive, all kinds of events.
/// May be called from any thread, also while another is in kw_poll().
///
/// Returns KW_OK or a negative code: KW_E_NOT_FOUND, KW_E_DENIED, KW_E_TOO_LONG,
/// KW_E_INVALID, KW_E_INTERRUPTED (see kw_wake()), ... While it crawls, kw_stats_get() in
/// another thread tells how far it has come (`crawling`, `entries`). An entry below the root that cannot be read is not an
/// error here but an event (KW_ERROR).
///
/// # Safety
/// `path` is NULL or NUL-terminated; `options` is NULL or points to a struct of
/// the `size` that it says, whose arrays end with NULL and whose strings with NUL; `out` is
/// NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn kw_add(
    handle: *mut kw_handle,
    path: *const c_char,
    options: *const kw_watch_options,
    out: *mut kw_watch,
) -> c_int {
    guard_handle(handle, |watcher| {
        if path.is_null() {
            return Err(invalid("watch: path is NULL"));
        }
        let mut wanted = kw_watch_options {
            size: 0,
            flags: 0,
            events: 0,
            exclude: ptr::null(),
            include: ptr::null(),
            depth: 0,
            settle_ms: 0,
            settle_max_ms: 0,
            reserved: 0,
            since: ptr::null(),
        };
        if !options.is_null() {
            // SAFETY: not NULL, and as the caller promises.
            wanted = unsafe { read_sized(options, FIRST_WATCH_OPTIONS, wanted) }
                .ok_or_else(|| invalid("watch: wrong size of the options"))?;
        }
        // SAFETY: as the caller promises.
        let options = unsafe { watch_options(&wanted) }?;
        // SAFETY: not NULL, and NUL-terminated as the caller promises.
        let path = unsafe { CStr::from_ptr(path) };
        let watch = match wanted.since.is_null() {
            true => watcher.add(path.to_bytes(), options)?,
            // SAFETY: not NULL, and NUL-terminated as the caller promises.
            false => watcher.resume(path.to_bytes(), options, unsafe {
                CStr::from_ptr(wanted.since).to_bytes()
            })?,
        };
        if !out.is_null() {
            // SAFETY: not NULL, hence writable.
            unsafe { out.write(watch) };
        }
        Ok(KW_OK)
    })
}

/// What a caller asks for, 0 being the default everywhere.
///
/// # Safety
/// The arrays of patterns are NULL, or end with NULL and hold NUL-terminated strings.
unsafe fn watch_options(wanted: &kw_watch_options) -> Result<Options, Failure> {
    let has = |flag: u32| wanted.flags & flag != 0;
    if has(!WATCH_FLAGS) {
        return Err(invalid("watch: unknown flags"));
    }
    if wanted.events & !KW_ALL_EVENTS != 0 {
        return Err(invalid("watch: unknown kinds of events"));
    }
    if wanted.reserved != 0 {
        return Err(invalid("watch: reserved is not 0"));
    }
    if wanted.depth != 0 && !has(KW_RECURSIVE) {
        return Err(invalid("watch: a depth without KW_RECURSIVE"));
    }
    if wanted.settle_max_ms != 0 && wanted.settle_max_ms < wanted.settle_ms.max(1) {
        return Err(invalid("watch: settle_max_ms is less than settle_ms"));
    }
    if wanted.settle_max_ms != 0 && wanted.settle_ms == 0 {
        return Err(invalid("watch: settle_max_ms without settle_ms"));
    }
    if has(KW_INITIAL) && !wanted.since.is_null() {
        return Err(invalid("watch: since with KW_INITIAL"));
    }
    let longest = match wanted.settle_max_ms {
        0 => u64::from(wanted.settle_ms) * 10,
        ms => ms.into(),
    };
    // SAFETY: as the caller promises.
    let (exclude, include) = unsafe { (strings(wanted.exclude), strings(wanted.include)) };
    let filter = Filter::new(&Rules {
        exclude: &exclude,
        include: &include,
        hidden: has(KW_SKIP_HIDDEN),
        dirs_only: has(KW_DIRS_ONLY),
        gitignore: has(KW_GITIGNORE),
    });
    let filter = filter.map_err(|BadGlob(pattern)| Failure {
        path: pattern,
        ..invalid("watch: not a pattern")
    })?;
    Ok(Options {
        levels: match wanted.depth as usize {
            _ if !has(KW_RECURSIVE) => 1,
            0 => ALL_LEVELS,
            depth => depth,
        },
        one_device: has(KW_ONE_DEVICE),
        filter: filter.map(Arc::new),
        dir_modified: has(KW_DIR_MODIFIED),
        sync_all: has(KW_SYNC_ALL),
        initial: if has(KW_INITIAL) { INITIAL_PORTION } else { 0 },
        mask: match wanted.events {
            0 => KW_ALL_EVENTS,
            events => events,
        },
        expanded: has(KW_EXPANDED),
        settle: (wanted.settle_ms != 0).then(|| Settle {
            quiet: Duration::from_millis(wanted.settle_ms.into()),
            longest: Duration::from_millis(longest),
        }),
        may_be_absent: has(KW_ALLOW_MISSING),
    })
}

/// An array of strings, up to its NULL.
///
/// # Safety
/// `at` is NULL, or the array ends with NULL and holds NUL-terminated strings, which live
/// as long as what is returned is used.
unsafe fn strings<'a>(at: *const *const c_char) -> Vec<&'a [u8]> {
    let mut all = Vec::new();
    let mut next = at;
    while !next.is_null() {
        // SAFETY: not behind the NULL at which the array ends.
        let string = unsafe { next.read_unaligned() };
        if string.is_null() {
            break;
        }
        // SAFETY: NUL-terminated, as the caller promises.
        all.push(unsafe { CStr::from_ptr(string) }.to_bytes());
        next = next.wrapping_add(1);
    }
    all
}

/// Ends a watch and gives back what it held. None of its events are delivered
/// after this returns. May be called from any thread.
///
/// Returns KW_OK, or KW_E_NO_WATCH if the handle has no such watch (any more).
///
/// # Safety
/// None beyond what the types say.
#[no_mangle]
pub unsafe extern "C" fn kw_remove(handle: *mut kw_handle, watch: kw_watch) -> c_int {
    guard_handle(handle, |watcher| {
        watcher.remove(watch)?;
        Ok(KW_OK)
    })
}

/// Writes what is known of a watch to a file, so that a later kw_add() with the file as `since`
/// reports what has changed in between: while the program was not running, say. What is
/// saved is the tree as the events delivered so far have it: if some wait to be delivered,
/// that is KW_E_BUSY (call it when kw_poll() has returned 0, or between two calls if all
/// events of the first had room).
///
/// The file is replaced as a whole or left as it is, is written to disk before this
/// returns, and only its owner may read it. It takes about 20 bytes an entry, and the
/// names; it is the same on every machine, and has a checksum.
///
/// kw_add() reads it, watches the root and returns at once. The next calls of kw_poll() look
/// at every directory and every entry, as after an overflow; what differs comes as ordinary
/// events, moves included, and then KW_READY. Something is taken for the same file as before
/// if inode number, kind and time of birth are; where a file system keeps no time of birth
/// a file that was given the number of one that is gone may be reported as that one, moved and
/// modified. What was written to just before it was saved may be KW_MODIFIED once more. A
/// change that leaves size, modification time, mode and owner as they were is not seen. With
/// other options than before (other filters, say) what is not wanted any more is reported as
/// deleted, and what was not wanted before as created. If the file is not to be
/// had, or KW_E_SNAPSHOT, kw_add() has added nothing: add the watch without it.
///
/// Returns KW_OK, KW_E_NO_WATCH, KW_E_BUSY or another negative code.
///
/// # Safety
/// `file` is NULL or NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn kw_save(
    handle: *mut kw_handle,
    watch: kw_watch,
    file: *const c_char,
) -> c_int {
    guard_handle(handle, |watcher| {
        if file.is_null() {
            return Err(invalid("save: file is NULL"));
        }
        // SAFETY: not NULL, and NUL-terminated as the caller promises.
        let file = unsafe { CStr::from_ptr(file) };
        watcher.save(watch, file.to_bytes())?;
        Ok(KW_OK)
    })
}

/// Sets how many kernel watches the handle may have; KW_NO_LIMIT: as many as are to be
/// had, 0: none, everything is polled. What is above the limit is given back before this
/// returns: directories are kept rather than files, and what changed last rather than
/// what has not for long. Where there is room now, what was polled is watched within a
/// round. Nothing is lost either way. May be called from any thread. Returns KW_OK or a
/// negative code.
///
/// # Safety
/// None beyond what the types say.
#[no_mangle]
pub unsafe extern "C" fn kw_set_watch_limit(handle: *mut kw_handle, limit: u64) -> c_int {
    guard_handle(handle, |watcher| {
        watcher.set_limit(limit_of(limit));
        Ok(KW_OK)
    })
}

/// Fetches events into `events`, which has room for `capacity` of them.
///
/// `timeout_ms`: how long to wait for the first event, in milliseconds; 0 looks
/// and does not wait, -1 waits for ever. Less than -1 is KW_E_INVALID.
///
/// Returns the number of events stored, 1 to `capacity`; what did not fit comes
/// with the next call, and keeps kw_fd() readable until then. Returns 0 when
/// time was up or kw_wake() was called, and then *everything that had happened
/// before the call, anywhere in the watched trees, has been delivered* (what is
/// only polled, or has to settle: see KW_DEGRADED, `settle_ms` and kw_sync()). Returns
/// KW_E_INTERRUPTED when a signal was caught while it waited, KW_E_BUSY
/// when another thread is in kw_poll() on this handle, or another negative code.
///
/// When the call before has fetched notifications that came faster than some 16,000 in
/// a second (a file that is made, written to and closed gives three), a call that may
/// wait sleeps for a millisecond first and returns more events, because to look at
/// hundreds at once costs half as much. A signal cuts that short, kw_wake() does not. With
/// a timeout of 0 it never sleeps.
///
/// # Safety
/// `events` is NULL or has room for `capacity` events.
#[no_mangle]
pub unsafe extern "C" fn kw_poll(
    handle: *mut kw_handle,
    events: *mut kw_event,
    capacity: usize,
    timeout_ms: c_int,
) -> c_int {
    guard_handle(handle, |watcher| {
        if events.is_null() || capacity == 0 {
            return Err(invalid("poll: no room for events"));
        }
        if capacity > isize::MAX as usize / size_of::<kw_event>() {
            return Err(invalid("poll: impossible capacity"));
        }
        let timeout = match timeout_ms {
            -1 => None,
            ms => match u64::try_from(ms) {
                Ok(ms) => Some(Duration::from_millis(ms)),
                Err(_) => return Err(invalid("poll: negative timeout")),
            },
        };
        // The count must fit what is returned.
        let capacity = capacity.min(c_int::MAX as usize);
        let n = watcher.poll(capacity, timeout, &mut |at, event| {
            // SAFETY: `at` is less than `capacity`.
            unsafe { events.add(at).write(to_c(&event)) };
        })?;
        Ok(n as c_int)
    })
}

/// The strings of an event stand in the batch with a NUL behind each.
fn to_c(event: &Event<'_>) -> kw_event {
    kw_event {
        kind: event.kind,
        flags: event.flags,
        watch: event.watch,
        error: event.error,
        path: event.path.as_ptr().cast(),
        path_len: event.path.len(),
        dest: event.dest.map_or(ptr::null(), |d| d.as_ptr().cast()),
        dest_len: event.dest.map_or(0, <[u8]>::len),
        root_len: event.root_len,
        sequence: event.sequence,
        device: event.id.dev,
        inode: event.id.ino,
        size: event.size,
        mtime_ns: event.mtime_ns,
        count: event.count,
        reserved: 0,
    }
}

/// Lets kw_poll() return at once: the call that another thread is in, or else
/// the next one. A call that has events returns these, and has been woken by that: what it is
/// to stop for is for a flag of yours to say. If no thread is in kw_poll() while kw_add() crawls, that returns, too, with
/// KW_E_INTERRUPTED, and has added nothing. May be called from any thread and in a signal handler; leaves
/// errno alone, and keeps nothing for kw_last_error(). Returns KW_OK or a
/// negative code.
///
/// # Safety
/// None beyond what the types say.
#[no_mangle]
pub unsafe extern "C" fn kw_wake(handle: *mut kw_handle) -> c_int {
    let errno = errno::errno();
    // No guard: nothing here panics, allocates or locks.
    let status = match registry::find(handle) {
        None => KW_E_INVALID,
        Some(handle) => match handle.watcher.check() {
            Ok(()) => {
                handle.watcher.wake();
                KW_OK
            }
            Err(failure) => status_code(failure.status),
        },
    };
    errno::set_errno(errno);
    status
}

/// A descriptor that is readable when kw_poll() has something to do: for
/// poll(2), epoll, kqueue, or any event loop. When it is, call kw_poll() with a
/// timeout of 0 until it returns 0. It may be readable without an event coming
/// of it. Do not read from it or close it; it is closed by kw_free().
///
/// Returns the descriptor, the same for the life of the handle, or a negative code.
///
/// # Safety
/// None beyond what the types say.
#[no_mangle]
pub unsafe extern "C" fn kw_fd(handle: *const kw_handle) -> c_int {
    guard_handle(handle.cast_mut(), |watcher| Ok(watcher.fd()))
}

/// Stores the handle's health in `*out`, which must begin with KW_STATS_INIT.
/// Does not wait for other calls. What a library that is older than the header does not
/// know is left as it is. Returns KW_OK or a negative code.
///
/// # Safety
/// `out` is NULL or points to a struct of the `size` that it says.
#[no_mangle]
pub unsafe extern "C" fn kw_stats_get(handle: *const kw_handle, out: *mut kw_stats) -> c_int {
    guard_handle(handle.cast_mut(), |watcher| {
        if out.is_null() {
            return Err(invalid("stats: out is NULL"));
        }
        let stats = watcher.stats();
        let mut engine = [0; 16];
        boundary::copy_text(Native::NAME.as_bytes(), &mut engine);
        let mut limited_by = [0; 48];
        boundary::copy_text(stats.limited_by.as_bytes(), &mut limited_by);
        let answer = kw_stats {
            size: size_of::<kw_stats>(),
            engine,
            watches: stats.watches,
            entries: stats.entries,
            kernel_watches: stats.kernel_watches,
            polled: stats.polled,
            descriptors: stats.descriptors,
            descriptor_limit: crate::kernel::posix::descriptor_limit(),
            overflows: stats.overflows,
            rescans: stats.rescans,
            events: stats.events,
            notes: stats.calls.notes,
            waits: stats.waits,
            fetches: stats.calls.fetches,
            listings: stats.calls.listings,
            stats: stats.calls.stats,
            opens: stats.calls.opens,
            registrations: stats.calls.registrations,
            last_errno: watcher.last_error().map_or(0, |f| f.errno),
            reserved: 0,
            watch_limit: stats.watch_limit.map_or(u64::MAX, |limit| limit as u64),
            rounds: stats.rounds.0,
            round_ms: stats.rounds.1.as_millis() as u64,
            limited_by,
            crawling: stats.crawling,
        };
        // SAFETY: not NULL, and as the caller promises.
        if unsafe { write_sized(out, FIRST_STATS, &answer) } {
            Ok(KW_OK)
        } else {
            Err(invalid("stats: wrong size"))
        }
    })
}

/// Stores the details of the last error of any call on this handle in `*out`,
/// which must begin with KW_ERROR_INIT. With a NULL handle: of the calling
/// thread's last call that had no valid handle, kw_open() above all, and those on a handle
/// of the parent's after a fork. Calls that succeed do not clear it. It is one a handle,
/// not one a thread.
///
/// Returns KW_OK, or a negative code if `out` or `handle` is not acceptable.
///
/// # Safety
/// `out` is NULL or points to a struct of the `size` that it says.
#[no_mangle]
pub unsafe extern "C" fn kw_last_error(handle: *const kw_handle, out: *mut kw_error) -> c_int {
    let answer = |failure: Option<Failure>| {
        if out.is_null() {
            return Err(invalid("last error: out is NULL"));
        }
        let mut answer = kw_error {
            size: size_of::<kw_error>(),
            status: KW_OK,
            sys_errno: 0,
            operation: [0; 64],
            path_len: 0,
            path: [0; 4096],
        };
        if let Some(failure) = failure {
            answer.status = status_code(failure.status);
            answer.sys_errno = failure.errno;
            boundary::copy_text(failure.operation.as_bytes(), &mut answer.operation);
            answer.path_len = failure.path.len();
            boundary::copy_text(&failure.path, &mut answer.path);
        }
        // SAFETY: not NULL, and as the caller promises.
        if unsafe { write_sized(out, size_of::<kw_error>(), &answer) } {
            Ok(KW_OK)
        } else {
            Err(invalid("last error: wrong size"))
        }
    };
    if handle.is_null() {
        guard(|| answer(record::last_without_handle()))
    } else {
        guard_handle(handle.cast_mut(), |watcher| answer(watcher.last_error()))
    }
}

/// Has the library look at every entry that is polled (see POLLING above), and in
/// a watch with KW_SYNC_ALL at every entry, so that kw_poll(), called until it
/// returns 0, delivers all that happened to them too. What has to settle (`settle_ms`) does
/// not wait any longer. The looks are made by the next
/// kw_poll(), all of them, whatever its timeout: a few microseconds each on a local
/// file system. Otherwise there is nothing to do: a kw_poll() that returns 0 says the
/// same. `timeout_ms` is as in kw_poll() and has no effect yet. Returns KW_OK or a
/// negative code.
///
/// # Safety
/// None beyond what the types say.
#[no_mangle]
pub unsafe extern "C" fn kw_sync(handle: *mut kw_handle, timeout_ms: c_int) -> c_int {
    guard_handle(handle, |watcher| {
        if timeout_ms < -1 {
            return Err(invalid("sync: negative timeout"));
        }
        watcher.sync();
        Ok(KW_OK)
    })
}

/// What a code that a function returned means, in a few English words. Never
/// NULL; static; any thread.
#[no_mangle]
pub extern "C" fn kw_strerror(code: c_int) -> *const c_char {
    let text = match code {
        KW_E_INVALID => c"invalid argument",
        KW_E_SYSTEM => c"the system refused",
        KW_E_BUSY => c"another thread is polling, or events wait",
        KW_E_INTERRUPTED => c"interrupted by a signal",
        KW_E_FORKED => c"the handle belongs to the parent process",
        KW_E_INTERNAL => c"internal error",
        KW_E_NOT_FOUND => c"no such file or directory",
        KW_E_DENIED => c"permission denied",
        KW_E_NO_WATCH => c"no such watch",
        KW_E_LIMIT => c"out of descriptors or memory",
        KW_E_TOO_LONG => c"path too long",
        KW_E_SNAPSHOT => c"no snapshot, or a damaged one",
        0.. => c"success",
        _ => c"unknown error",
    };
    text.as_ptr()
}

/// The version of the library that is running, like "0.1.0". Static; any thread.
#[no_mangle]
pub extern "C" fn kw_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// Closes a handle and everything it holds: descriptors, watches, the strings
/// of its events. NULL, and what is no live handle, is ignored. No other thread
/// may be in a call on the handle. In a process forked from the one that opened
/// it, this does nothing.
///
/// # Safety
/// No other thread may be in a call on the handle.
#[no_mangle]
pub unsafe extern "C" fn kw_free(handle: *mut kw_handle) {
    let mine = registry::find(handle)
        .is_some_and(|h| !matches!(h.watcher.check(), Err(f) if f.status == Status::Forked));
    if mine && registry::leave(handle) {
        // SAFETY: it was in the registry and this call took it out, so it came
        // from Box::into_raw and is freed once.
        let handle = unsafe { Box::from_raw(handle) };
        guard(move || {
            drop(handle);
            Ok(KW_OK)
        });
    }
}
