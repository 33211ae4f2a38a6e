//! The BSDs and macOS: one kqueue, one descriptor per watched entry.
//!
//! A kqueue tells that something happened to an inode we hold open, and nothing
//! more: no name, no order, no count. What the kernels really deliver, and what
//! follows from it:
//!
//! * If any bit that was asked for matches, the whole hint comes, with bits that
//!   were not: every event is masked with what was asked.
//! * `EV_EOF` is a revocation even when `fflags` is 0, and the knote may be gone
//!   already: the descriptor is closed and the engine told to watch anew.
//! * Events are told for any link of the inode, and `NOTE_DELETE` says only that
//!   a name went, on OpenBSD not even that: notes are passed on as hints.
//! * Registering an inode that has been unlinked succeeds and stays silent. So
//!   an entry is opened, registered, and only then looked at.
//! * Closing a descriptor takes its knote and pending events with it, but an
//!   event may have been fetched already, and the number be in use again. An
//!   event therefore names our watch and its generation, not a descriptor, and
//!   one that names a former watch is dropped.
//! * With `EV_RECEIPT` every change of a batch is answered, and a failing one
//!   does not stop those after it. The event list must not be shorter than the
//!   change list: DragonFly would write past its end, others stop half-way.
//!
//! How the systems differ is in `sys`. Facts about them are from their sources
//! (`kern_event.c`, each file system's `*_vnops.c`) unless marked as measured.

mod list;
mod sys;
mod walk;

use super::hint::vnode::{self, SELF, VIGIL};
use super::posix::{self, check};
use super::room::Room;
use super::volume::Volumes;
use super::{
    Anchor, Counters, Entered, Entrant, Errno, Hint, Id, Kernel, Kind, Listing, Notes, Now, Place,
    Stat, Token, Visitor, What,
};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use sys::Kevent;

/// What an entry of a tree, or a root that is a file, is watched for. Not for
/// being opened, read or closed, where that could be asked: our own looks would
/// be told.
const TREE: u32 = vnode::TREE | sys::NOTE_TRUNCATE;

// The numbers of `hint` are those of this system.
const _: () = assert!(
    vnode::TREE
        == sys::NOTE_DELETE
            | sys::NOTE_WRITE
            | sys::NOTE_EXTEND
            | sys::NOTE_ATTRIB
            | sys::NOTE_LINK
            | sys::NOTE_RENAME
            | sys::NOTE_REVOKE
        && vnode::DELETE == sys::NOTE_DELETE
        && vnode::WRITE == sys::NOTE_WRITE
        && vnode::ATTRIB == sys::NOTE_ATTRIB
        && vnode::LINK == sys::NOTE_LINK
        && vnode::RENAME == sys::NOTE_RENAME
);

/// Changes or events in one call. The lists lie on the stack (4 KiB at most).
const ROOM: usize = 64;
/// How much one call of [`Kernel::notes`] takes at most: 16,384 events. The
/// rest waits for the next call.
const FETCHES: usize = 256;
/// How many descriptors watching leaves free unless the caller says otherwise, for the
/// walk (walkdir holds up to ten), for listings, and for the program around us: but for
/// them, a large tree would make every `open` of the host fail.
pub const RESERVE: u32 = 32;

// ---- the bell --------------------------------------------------------------------

/// What a caller waits on: the kqueue itself, which is readable when it has a
/// note, when the bell was rung and when time is up.
#[derive(Debug)]
pub struct Bell {
    kq: OwnedFd,
    /// What to poll: the kqueue itself, but for libkqueue.
    pollable: RawFd,
    wake: Wake,
    waits: AtomicU64,
}

/// How the bell is rung.
#[derive(Debug)]
enum Wake {
    /// By triggering an `EVFILT_USER` knote.
    User,
    /// By writing to a pipe: for NetBSD before 10 and OpenBSD before 7.
    Pipe { reader: OwnedFd, writer: OwnedFd },
}

/// The identity of our one `EVFILT_USER` knote, and of our one timer.
const ONLY: usize = 1;

impl Bell {
    fn new(user_events: bool) -> Result<Bell, Errno> {
        let kq = sys::kqueue()?;
        let wake = match user_events.then(|| add_user_event(kq.as_raw_fd())) {
            Some(Ok(())) => Wake::User,
            // Whether a kernel has the filter, only the kernel can say.
            _ => {
                let [reader, writer] = sys::pipe()?;
                // Without EV_CLEAR: what a drain leaves behind shows again.
                let flags = sys::EV_ADD | sys::EV_RECEIPT;
                let ident = reader.as_raw_fd() as usize;
                apply(
                    kq.as_raw_fd(),
                    sys::change(ident, sys::EVFILT_READ, flags, 0, 0, 0),
                )?;
                Wake::Pipe { reader, writer }
            }
        };
        Ok(Bell {
            pollable: sys::pollable(kq.as_raw_fd()),
            kq,
            wake,
            waits: AtomicU64::new(0),
        })
    }

    /// The descriptor to poll for reading.
    pub fn fd(&self) -> RawFd {
        self.pollable
    }

    fn kq(&self) -> RawFd {
        self.kq.as_raw_fd()
    }

    /// Makes the descriptor readable. Safe in a signal handler.
    pub fn ring(&self) {
        // A handler must leave errno as it found it.
        let errno = errno::errno();
        // Neither way can fail with the bell silent: the kqueue is open, and a
        // full pipe is readable.
        match &self.wake {
            Wake::User => {
                let trigger = sys::NOTE_TRIGGER;
                let change = sys::change(ONLY, sys::EVFILT_USER, 0, trigger, 0, 0);
                let _ = sys::kevent(self.kq(), &[change], &mut []);
            }
            Wake::Pipe { writer, .. } => {
                // SAFETY: one readable byte; the descriptor does not block.
                unsafe { libc::write(writer.as_raw_fd(), [0u8].as_ptr().cast(), 1) };
            }
        }
        errno::set_errno(errno);
    }

    /// Waits until there is something to fetch, the bell is rung or time is up,
    /// and answers whether one of these came about before the timeout. They
    /// stay until [`Kernel::notes`] fetches them: the kqueue is only polled.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Errno> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        // Rounded up: a wait that ends early would be one that has to be repeated.
        self.poll(timeout.map_or(-1, |t| {
            i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        }))
    }

    fn poll(&self, timeout_ms: i32) -> Result<bool, Errno> {
        let mut poll = libc::pollfd {
            fd: self.fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd is what is said.
        let n = check(unsafe { libc::poll(&mut poll, 1, timeout_ms) })?;
        // In the child of a fork the kqueue is closed.
        if poll.revents & libc::POLLNVAL != 0 {
            return Err(Errno(libc::EBADF));
        }
        Ok(n > 0)
    }

    /// Calls of [`Bell::wait`] so far.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Takes back what was rung through the pipe.
    fn drain(&self) {
        let Wake::Pipe { reader, .. } = &self.wake else {
            return;
        };
        let mut bytes = [0u8; ROOM];
        // SAFETY: as many writable bytes as said; the descriptor does not block.
        while unsafe { libc::read(reader.as_raw_fd(), bytes.as_mut_ptr().cast(), ROOM) }
            == ROOM as isize
        {}
    }

    /// The descriptors it takes.
    fn descriptors(&self) -> u64 {
        match self.wake {
            Wake::User => 1,
            Wake::Pipe { .. } => 3,
        }
    }
}

fn add_user_event(kq: RawFd) -> Result<(), Errno> {
    let flags = sys::EV_ADD | sys::EV_CLEAR | sys::EV_RECEIPT;
    apply(kq, sys::change(ONLY, sys::EVFILT_USER, flags, 0, 0, 0))
}

/// Makes one change that asks for a receipt.
fn apply(kq: RawFd, change: Kevent) -> Result<(), Errno> {
    let mut receipt = [change];
    match sys::kevent(kq, &[change], &mut receipt)? {
        0 => Ok(()),
        _ => outcome(&receipt[0]),
    }
}

/// What a receipt says.
fn outcome(receipt: &Kevent) -> Result<(), Errno> {
    match receipt.data {
        0 => Ok(()),
        error => Err(Errno(error as i32)),
    }
}

// ---- the watches -----------------------------------------------------------------

/// A descriptor and its knote.
#[derive(Debug)]
struct Watch {
    token: Token,
    fd: OwnedFd,
    /// The bits asked for.
    asked: u32,
    /// What it turned out to be, once that was looked at.
    found: Option<(Id, Kind)>,
}

/// Names a watch in `udata`: its place in the slab, and which of the tenants of
/// that place it is, from 1. No watch is 0, which macOS has been seen to deliver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key(usize);

impl Key {
    /// A pointer of 32 bits leaves room for a million watches, more than such a
    /// process can have descriptors, and for 4095 tenants before a place's first
    /// one comes again. An event would have to stay fetched and undecoded
    /// for so long to be mistaken, and all are decoded before anything is closed.
    const INDEX_BITS: u32 = if usize::BITS >= 64 { 32 } else { 20 };
    const PLACES: usize = 1 << Key::INDEX_BITS;
    const GENERATIONS: usize = 1 << (usize::BITS - Key::INDEX_BITS);

    fn new(index: usize, generation: usize) -> Key {
        Key((generation << Key::INDEX_BITS) | index)
    }

    fn index(self) -> usize {
        self.0 & (Key::PLACES - 1)
    }

    fn generation(self) -> usize {
        self.0 >> Key::INDEX_BITS
    }
}

/// All watches, by key, and those that tokens have.
#[derive(Debug, Default)]
struct Slab {
    places: Vec<(usize, Option<Watch>)>,
    free: Vec<usize>,
    /// Places of watches that are their token's: it may have one more that is to take
    /// its place or to be given up.
    by_token: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Slab {
    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn insert(&mut self, watch: Watch) -> Result<Key, Errno> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.places.len() == Key::PLACES => return Err(Errno(libc::EMFILE)),
            None => {
                self.places.push((1, None));
                self.places.len() - 1
            }
        };
        let (generation, tenant) = &mut self.places[index];
        *tenant = Some(watch);
        Ok(Key::new(index, *generation))
    }

    fn token_at(&self, index: u32) -> Option<Token> {
        let (_, watch) = self.places.get(index as usize)?;
        watch.as_ref().map(|watch| watch.token)
    }

    fn key_at(&self, index: u32) -> Key {
        let (generation, _) = self.places[index as usize];
        Key::new(index as usize, generation)
    }

    /// The watch that a token has.
    fn key_of(&self, token: Token) -> Option<Key> {
        let hash = self.hasher.hash_one(token);
        let found = self
            .by_token
            .find(hash, |&i| self.token_at(i) == Some(token));
        found.map(|&index| self.key_at(index))
    }

    /// A watch is its token's from now on. Answers with the one that was.
    fn appoint(&mut self, key: Key) -> Option<Key> {
        let token = self.get(key)?.token;
        let former = self.dismiss(token);
        let hash = self.hasher.hash_one(token);
        let places = &self.places;
        self.by_token.insert_unique(hash, key.index() as u32, |&i| {
            let watch = places[i as usize].1.as_ref();
            watch.map_or(0, |watch| self.hasher.hash_one(watch.token))
        });
        former
    }

    /// A token has no watch any more. Answers with the one that it had.
    fn dismiss(&mut self, token: Token) -> Option<Key> {
        let hash = self.hasher.hash_one(token);
        let places = &self.places;
        let is_it = |&i: &u32| {
            let watch = places[i as usize].1.as_ref();
            watch.is_some_and(|watch| watch.token == token)
        };
        let (index, _) = self.by_token.find_entry(hash, is_it).ok()?.remove();
        Some(self.key_at(index))
    }

    fn get(&self, key: Key) -> Option<&Watch> {
        match self.places.get(key.index()) {
            Some((generation, watch)) if *generation == key.generation() => watch.as_ref(),
            _ => None,
        }
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut Watch> {
        match self.places.get_mut(key.index()) {
            Some((generation, watch)) if *generation == key.generation() => watch.as_mut(),
            _ => None,
        }
    }

    fn remove(&mut self, key: Key) -> Option<Watch> {
        self.get(key)?;
        let (generation, tenant) = &mut self.places[key.index()];
        *generation = *generation % (Key::GENERATIONS - 1) + 1;
        self.free.push(key.index());
        tenant.take()
    }
}

/// Where a name is looked up, or what is meant itself.
#[derive(Debug)]
enum At<'a> {
    /// In a directory that is watched. Its descriptor stays open meanwhile:
    /// nothing ends a watch between finding it and looking.
    Watched(RawFd),
    /// In a directory opened for looking.
    Opened(Arc<OwnedFd>),
    /// In the directory of that path.
    In(&'a Path),
    /// The path itself; the name does not count.
    Path(&'a Path),
}

impl At<'_> {
    fn stat(&self, name: &[u8]) -> Result<Stat, Errno> {
        match self {
            At::Watched(dir) => posix::stat_name(*dir, name),
            At::Opened(dir) => posix::stat_name(dir.as_raw_fd(), name),
            At::In(dir) => posix::stat_in(dir, name),
            At::Path(path) => posix::stat_path(path),
        }
    }

    fn open(&self, name: &[u8], flags: i32) -> Result<OwnedFd, Errno> {
        match self {
            At::Watched(dir) => posix::open_name(*dir, name, flags),
            At::Opened(dir) => posix::open_name(dir.as_raw_fd(), name, flags),
            At::In(dir) => posix::open_path(&dir.join(OsStr::from_bytes(name)), flags),
            At::Path(path) => posix::open_path(path, flags),
        }
    }
}

// ---- the kernel ------------------------------------------------------------------

/// The kernel of macOS and the BSDs.
#[derive(Debug)]
pub struct Kqueue {
    bell: Arc<Bell>,
    watches: Slab,
    /// Opened, not registered yet. Empty but during a crawl or an `enter`.
    batch: Vec<Key>,
    /// When the timer is set to go off.
    deadline: Option<Duration>,
    /// Two descriptors to give up when there are no others for a listing.
    spare: Option<[OwnedFd; 2]>,
    room: Room,
    /// How many descriptors watching leaves free.
    reserve: u32,
    /// Descriptors from this number on may belong to the reserve.
    wall: RawFd,
    volumes: Volumes,
    /// The directory without a watch that was looked into last: what is polled is
    /// looked at a directory at a time. Given up before anything else may need it or
    /// its file system be unmounted.
    at: Option<(Token, Id, Arc<OwnedFd>)>,
    counters: Counters,
}

impl Kqueue {
    /// The engine's name, for [`kw_stats`](crate::ffi).
    pub const NAME: &'static str = "kqueue";

    /// A fresh kqueue and its bell.
    pub fn open() -> Result<(Kqueue, Arc<Bell>), Errno> {
        let bell = Arc::new(Bell::new(sys::USER_EVENTS)?);
        Ok((Kqueue::with(Arc::clone(&bell)), bell))
    }

    fn with(bell: Arc<Bell>) -> Kqueue {
        Kqueue {
            bell,
            watches: Slab::default(),
            batch: Vec::with_capacity(ROOM),
            deadline: None,
            spare: sys::pipe().ok(),
            room: Room::default(),
            reserve: RESERVE,
            wall: 0,
            volumes: Volumes::default(),
            at: None,
            counters: Counters::default(),
        }
    }

    /// How many descriptors watching is to leave free.
    pub fn set_reserve(&mut self, reserve: u32) {
        self.reserve = reserve;
        self.wall = 0;
    }

    /// What in the system limits the number of watches, when it refuses with this error.
    pub fn limited_by(error: Errno) -> &'static str {
        match error.0 {
            libc::EMFILE => "RLIMIT_NOFILE",
            libc::ENFILE => sys::FILES_LIMIT,
            _ => "memory",
        }
    }

    /// A crawl is the calling thread's alone: an entry is opened, registered and only
    /// then looked at, in batches.
    pub fn set_crawl_threads(&mut self, _: usize) {}

    // ---- opening ------------------------------------------------------------

    /// Comes before anything is opened to be watched: what is left goes to the
    /// spare first, because an entry can do without a watch, but a directory
    /// that cannot be listed is lost.
    fn begin(&mut self) {
        self.at = None;
        self.build_wall(); // The process may have changed its limit.
        if self.spare.is_none() {
            let spare = sys::pipe();
            self.spare = spare.map_err(|error| self.room.heed(error)).ok();
        }
    }

    /// Opens something in order to watch it, if descriptors are to be had.
    fn open_to_watch(&mut self, at: &At<'_>, name: &[u8], flags: i32) -> Result<OwnedFd, Errno> {
        self.room.admit(self.watches.len())?;
        self.counters.opens += 1;
        let opened = loop {
            match at.open(name, flags) {
                Err(Errno(libc::EINTR)) => {} // From a network file system.
                // Closes it again, if it is one of those to be left free.
                Ok(fd) if self.is_reserved(fd.as_raw_fd()) => break Err(Errno(libc::EMFILE)),
                opened => break opened,
            }
        };
        opened.inspect_err(|&error| {
            self.room.heed(error);
            if error.is_exhaustion() {
                self.spare = None; // What it gives is left for looking.
            }
        })
    }

    /// Whether a new descriptor is one of those that watching leaves free. The
    /// kernel gives out the lowest number there is, so the number tells how many
    /// are in use.
    fn is_reserved(&mut self, fd: RawFd) -> bool {
        if fd < self.wall {
            return false;
        }
        let limit = self.build_wall();
        (self.wall..limit).contains(&fd)
    }

    /// Finds out how many descriptors there may be now, and which are to be left free: of
    /// a low limit no more than a quarter.
    fn build_wall(&mut self) -> RawFd {
        let limit = RawFd::try_from(posix::descriptor_limit()).unwrap_or(RawFd::MAX);
        let reserve = RawFd::try_from(self.reserve).unwrap_or(RawFd::MAX);
        self.wall = limit - reserve.min(limit / 4);
        self.room.set_system_limit(self.wall as usize);
        limit
    }

    /// Opens an entry in order to watch it: or says why not, and what is there.
    /// `kind` is what it is believed to be, if anything.
    fn open_entry(
        &mut self,
        at: &At<'_>,
        name: &[u8],
        mut kind: Option<Kind>,
    ) -> Result<OwnedFd, Entered> {
        // Twice: after a look it may be something else by the time it is opened.
        for last in [false, true] {
            let error = match kind.and_then(sys::open_flags) {
                None => None,
                Some(flags) => match self.open_to_watch(at, name, flags) {
                    Ok(fd) => return Ok(fd),
                    Err(error) => Some(error),
                },
            };
            if let Some(error) = error.filter(|error| error.0 == libc::ENOENT) {
                return Err(nothing(error));
            }
            self.counters.stats += 1;
            let stat = match at.stat(name) {
                Ok(stat) => stat,
                Err(error) => return Err(nothing(error)),
            };
            if sys::open_flags(stat.kind).is_none() {
                return Err(unwatched(stat, None));
            }
            if let Some(error) = error {
                // It is what it was taken for, and yet cannot be opened.
                if last || kind == Some(stat.kind) {
                    return Err(unwatched(stat, Some(error)));
                }
            }
            kind = Some(stat.kind);
        }
        // Not known, looked at, opened in vain twice: it keeps changing.
        Err(nothing(Errno(libc::ENOENT)))
    }

    /// Opens a directory to look into it; gives up the spare descriptors for it
    /// if there are no others.
    fn open_to_look(&mut self, at: &At<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
        match at.open(name, posix::DIR_FLAGS) {
            Err(error) if error.is_exhaustion() => {
                self.build_wall(); // The process may have lowered its limit.
                match self.spare.take() {
                    Some(_) => at.open(name, posix::DIR_FLAGS),
                    None => Err(error),
                }
            }
            opened => opened,
        }
    }

    /// The directory's own descriptor, if it is watched and still the right one.
    fn descriptor_of(&self, dir: Place<'_>) -> Option<RawFd> {
        let watch = self.watches.get(self.watches.key_of(dir.token)?)?;
        let found = watch.found.map(|(id, _)| id);
        (dir.id.is_none() || dir.id == found).then(|| watch.fd.as_raw_fd())
    }

    /// Where to look up a directory's names.
    fn look<'a>(&mut self, dir: Place<'a>) -> Result<At<'a>, Errno> {
        if let Some(fd) = self.descriptor_of(dir) {
            return Ok(At::Watched(fd));
        }
        let Some(id) = dir.id else {
            return Ok(At::In(dir.path));
        };
        if let Some((token, at, fd)) = &self.at {
            if (*token, *at) == (dir.token, id) {
                return Ok(At::Opened(Arc::clone(fd)));
            }
        }
        self.at = None;
        let (at, stat) = match self.open_to_look(&At::Path(dir.path), b"") {
            Ok(fd) => {
                let fd = Arc::new(fd);
                let stat = posix::stat_fd(fd.as_raw_fd());
                if stat.is_ok_and(|stat| stat.id == id) {
                    self.at = Some((dir.token, id, Arc::clone(&fd)));
                }
                (At::Opened(fd), stat)
            }
            // One may search a directory that one may not read; and without
            // descriptors a path must do.
            Err(error) if error.is_denied() || error.is_exhaustion() => {
                (At::In(dir.path), posix::stat_path(dir.path))
            }
            Err(error) => return Err(error.of_directory()),
        };
        self.counters.stats += 1;
        if stat.map_err(Errno::of_directory)?.id == id {
            Ok(at)
        } else {
            Err(Errno::OTHER)
        }
    }

    // ---- registering ----------------------------------------------------------

    /// Puts an open descriptor into the batch.
    fn adopt(&mut self, token: Token, fd: OwnedFd, asked: u32) -> Result<(), Errno> {
        let watch = Watch {
            token,
            fd,
            asked,
            found: None,
        };
        let key = self.watches.insert(watch)?;
        self.batch.push(key);
        Ok(())
    }

    /// Registers the batch, then looks at what it watches: in this order, so that
    /// a change in between is told. Answers in the order of the batch.
    fn commit(&mut self) -> Vec<(Token, Entered)> {
        let batch = std::mem::take(&mut self.batch);
        let receipts = self.register(&batch);
        let entered = batch
            .iter()
            .zip(receipts)
            .filter_map(|(&key, receipt)| self.settle(key, receipt))
            .collect();
        self.batch = batch;
        self.batch.clear();
        entered
    }

    /// Adds the knotes of at most [`ROOM`] watches with one call.
    fn register(&mut self, batch: &[Key]) -> [Result<(), Errno>; ROOM] {
        // What gets no receipt was not added.
        let mut outcomes = [Err(Errno(libc::EIO)); ROOM];
        let mut changes = [sys::change(0, 0, 0, 0, 0, 0); ROOM];
        let mut receipts = changes;
        let mut n = 0;
        for &key in batch {
            if let Some(watch) = self.watches.get(key) {
                let ident = watch.fd.as_raw_fd() as usize;
                let flags = sys::EV_ADD | sys::EV_CLEAR | sys::EV_RECEIPT;
                changes[n] = sys::change(ident, sys::EVFILT_VNODE, flags, watch.asked, 0, key.0);
                n += 1;
            }
        }
        if n == 0 {
            return outcomes;
        }
        self.counters.registrations += 1;
        match sys::kevent(self.bell.kq(), &changes[..n], &mut receipts[..n]) {
            Ok(answered) => {
                // A call that has receipts to give gives nothing else.
                for receipt in &receipts[..answered] {
                    let key = Key(receipt.udata.addr());
                    if let Some(at) = batch.iter().position(|&k| k == key) {
                        outcomes[at] = outcome(receipt);
                    }
                }
            }
            Err(error) => outcomes = [Err(error); ROOM],
        }
        outcomes
    }

    /// Looks at a watch that was registered, or was not, and keeps or ends it.
    ///
    /// A file that was unlinked after it was opened is reported as it is, with no
    /// link left. Its directory has a note of that: it was watched before.
    fn settle(&mut self, key: Key, receipt: Result<(), Errno>) -> Option<(Token, Entered)> {
        let watch = self.watches.get_mut(key)?;
        let token = watch.token;
        self.counters.stats += 1;
        let entered = match posix::stat_fd(watch.fd.as_raw_fd()) {
            Ok(stat) => {
                watch.found = Some((stat.id, stat.kind));
                match receipt {
                    // A FIFO or device that took the place of what was seen.
                    _ if sys::open_flags(stat.kind).is_none() => unwatched(stat, None),
                    Ok(()) => {
                        let fd = watch.fd.as_raw_fd();
                        let silent = self.volumes.is_silent(fd, stat.id.dev);
                        if let Some(old) = self.watches.appoint(key) {
                            self.release(old);
                        }
                        return Some((token, unwatched(stat, silent.then_some(Errno::SILENT))));
                    }
                    // libkqueue watches by path (in the end by inotify), and there
                    // is none any more: it was removed, or renamed just now.
                    Err(_) if sys::KNOTES_NEED_A_PATH && stat.nlink == 0 => {
                        nothing(Errno(libc::ENOENT))
                    }
                    Err(error) if error.is_absent() => unwatched(stat, Some(Errno(libc::EAGAIN))),
                    Err(error) => unwatched(stat, Some(error)),
                }
            }
            Err(error) => nothing(error),
        };
        self.release(key);
        self.unwatch(token);
        if let Err(error) = receipt {
            self.room.heed(error);
        }
        Some((token, entered))
    }

    /// Watches one thing and looks at it.
    fn watch(&mut self, token: Token, path: &Path, kind: Option<Kind>) -> Entered {
        let entered = match self.open_entry(&At::Path(path), b"", kind) {
            Ok(fd) => match self.adopt(token, fd, TREE) {
                Ok(()) => self.commit().pop().map(|(_, entered)| entered),
                Err(error) => Some(nothing(error)),
            },
            Err(entered) => Some(entered),
        };
        entered.unwrap_or(nothing(Errno(libc::EIO)))
    }

    /// Ends a watch. No event of it is delivered from here on.
    fn release(&mut self, key: Key) {
        let Some(watch) = self.watches.remove(key) else {
            return;
        };
        self.room.reopen();
        if sys::KNOTES_OUTLIVE_CLOSE {
            let ident = watch.fd.as_raw_fd() as usize;
            let change = sys::change(ident, sys::EVFILT_VNODE, sys::EV_DELETE, 0, 0, 0);
            // Fails if it was never registered: no matter.
            let _ = sys::kevent(self.bell.kq(), &[change], &mut []);
        }
        // Elsewhere closing the descriptor, here, is what drops the knote.
        drop(watch);
    }

    // ---- fetching ---------------------------------------------------------------

    /// Turns one event into a note.
    fn note(&mut self, event: &Kevent, into: &mut Notes) {
        let (filter, flags, fflags) = (event.filter, event.flags, event.fflags);
        match filter {
            sys::EVFILT_VNODE => {}
            sys::EVFILT_READ => return self.bell.drain(),
            sys::EVFILT_TIMER => {
                self.deadline = None;
                return;
            }
            _ => return, // EVFILT_USER: fetching it has silenced it.
        }
        self.counters.notes += 1;
        let key = Key(event.udata.addr());
        let Some(watch) = self.watches.get(key) else {
            return; // Ours no longer.
        };
        let token = watch.token;
        let is_dir = watch.found.is_some_and(|(_, kind)| kind == Kind::Dir);
        let fflags = fflags & watch.asked;
        let dead = flags & sys::EV_EOF != 0
            || fflags & sys::NOTE_REVOKE != 0
            || (flags & sys::EV_ERROR != 0 && event.data != 0);
        let bits = fflags & !sys::NOTE_REVOKE;
        let mut what = vnode::what(bits, sys::NOTE_TRUNCATE, is_dir);
        if !sys::SIZE_IS_AN_ATTRIBUTE {
            what = what.without(What::RESIZE);
        }
        if dead {
            what |= What::REVOKE | What::DELETE;
            self.volumes.forget();
            self.unwatch(token);
        }
        if what != What::default() {
            into.push([token], None, what);
        }
    }
}

/// An entry that is not there, or not to be looked at.
fn nothing(error: Errno) -> Entered {
    Entered {
        stat: Err(error),
        watched: Err(error),
    }
}

/// An entry that needs no watch, or could not be given one. A symbolic link is
/// watched where that is possible and does without where it is not: on
/// FreeBSD its descriptor may be refused, elsewhere it has none.
fn unwatched(stat: Stat, error: Option<Errno>) -> Entered {
    let error = error.filter(|e| stat.kind != Kind::Symlink || e.is_exhaustion());
    Entered {
        stat: Ok(stat),
        watched: error.map_or(Ok(()), Err),
    }
}

impl walk::Walk for Kqueue {
    fn walk_dir(&mut self, place: Place<'_>, visitor: &mut dyn Visitor) -> bool {
        let mut entered = nothing(Errno(libc::EIO));
        match self.open_entry(&At::Path(place.path), b"", Some(Kind::Dir)) {
            Ok(fd) => match self.adopt(place.token, fd, TREE) {
                // One call for the directory and for what was put off before it.
                Ok(()) => {
                    for (token, outcome) in self.commit() {
                        if token == place.token {
                            entered = outcome;
                        } else {
                            visitor.entered(token, outcome);
                        }
                    }
                }
                Err(error) => entered = nothing(error),
            },
            Err(outcome) => entered = outcome,
        }
        if let (Ok(stat), Some(id)) = (entered.stat, place.id) {
            if stat.id != id {
                self.unwatch(place.token);
                entered = nothing(Errno(libc::ESTALE));
            }
        }
        visitor.entered(place.token, entered);
        // A directory that is not watched is gone into all the same, unless it
        // cannot be read either.
        let readable = !entered.watched.is_err_and(Errno::is_denied);
        let home = |dev| visitor.device().is_none_or(|home| home == dev);
        let is_dir = |stat: Stat| stat.kind == Kind::Dir && home(stat.id.dev);
        readable && entered.stat.is_ok_and(is_dir)
    }

    fn walk_leaf(
        &mut self,
        dir: Place<'_>,
        name: &[u8],
        token: Token,
        hint: Hint,
        visitor: &mut dyn Visitor,
    ) {
        let at = match self.descriptor_of(dir) {
            Some(fd) => At::Watched(fd),
            None => At::In(dir.path),
        };
        match self.open_entry(&at, name, hint.kind) {
            Ok(fd) => match self.adopt(token, fd, TREE) {
                // A directory yet to come must fit in.
                Ok(()) if self.batch.len() == ROOM - 1 => {
                    for (token, entered) in self.commit() {
                        visitor.entered(token, entered);
                    }
                }
                Ok(()) => {}
                Err(error) => visitor.entered(token, nothing(error)),
            },
            Err(entered) => visitor.entered(token, entered),
        }
    }

    /// What was put off is registered together with the next directory; the
    /// descriptors are open, so nothing depends on a path any more.
    fn walk_flush(&mut self, _: &mut dyn Visitor) {}

    fn walk_listed(&mut self) {
        self.counters.listings += 1;
    }

    fn walk_read(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.read(dir, name)
    }
}

impl Kernel for Kqueue {
    const EXACT: bool = true;
    const NAMES: bool = false;
    const PINS: bool = true;
    const EARLY: Option<Duration> = sys::EARLY;
    const FOLDS: bool = sys::FOLDS;

    fn now(&self) -> Now {
        posix::now()
    }

    fn crawl(&mut self, root: Place<'_>, visitor: &mut dyn Visitor) {
        self.begin();
        walk::walk(self, root, visitor);
        for (token, entered) in self.commit() {
            visitor.entered(token, entered);
        }
    }

    fn scan(&mut self, dir: Place<'_>, into: &mut Listing) -> Result<Result<(), Errno>, Errno> {
        let mut watched = Ok(());
        if let Some(fd) = self.descriptor_of(dir) {
            if dir.id.is_some_and(|id| self.volumes.is_silent(fd, id.dev)) {
                watched = Err(Errno::SILENT);
            }
        } else {
            self.begin();
            let entered = self.watch(dir.token, dir.path, Some(Kind::Dir));
            let stat = entered.stat?;
            let wrong = if dir.id.is_some_and(|id| id != stat.id) {
                Some(libc::ESTALE)
            } else if stat.kind != Kind::Dir {
                Some(libc::ENOTDIR)
            } else {
                None
            };
            if let Some(error) = wrong {
                self.unwatch(dir.token);
                return Err(Errno(error));
            }
            watched = entered.watched;
        }
        let at = self.look(dir)?;
        self.at = None;
        let fd = match at {
            // Nobody has read from it: its position is at the beginning.
            At::Opened(fd) => Arc::into_inner(fd).ok_or(Errno(libc::EIO))?,
            // Not the descriptor itself: its position would have to be reset,
            // and one that is only for events may not be readable.
            at @ At::Watched(_) => self.open_to_look(&at, b".")?,
            At::In(path) | At::Path(path) => self.open_to_look(&At::Path(path), b"")?,
        };
        self.counters.listings += 1;
        list::list(fd, into)?;
        Ok(watched)
    }

    fn stat(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Stat, Errno> {
        let at = self.look(dir)?;
        self.counters.stats += 1;
        at.stat(name)
    }

    fn read(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let at = self.look(dir)?;
        self.counters.stats += 1;
        match at {
            At::Watched(dir) => posix::read_name(dir, name),
            At::Opened(dir) => posix::read_name(dir.as_raw_fd(), name),
            At::In(dir) | At::Path(dir) => posix::read_in(dir, name),
        }
    }

    fn is_spelled(&mut self, dir: Place<'_>, name: &[u8]) -> bool {
        let spelled = match self.look(dir) {
            Ok(At::Watched(fd)) => sys::spelling(fd, name),
            Ok(At::Opened(fd)) => sys::spelling(fd.as_raw_fd(), name),
            Ok(At::In(path) | At::Path(path)) => {
                let fd = self.open_to_look(&At::Path(path), b"");
                fd.ok().and_then(|fd| sys::spelling(fd.as_raw_fd(), name))
            }
            Err(_) => None,
        };
        // What is called something else altogether was found by another of its
        // links, of which the kernel has named one.
        spelled.is_none_or(|spelled| {
            let fold = |name: &[u8]| String::from_utf8_lossy(name).to_lowercase();
            *spelled == *name || fold(&spelled) != fold(name)
        })
    }

    fn resolve(&mut self, path: &Path) -> Result<PathBuf, Errno> {
        Ok(std::fs::canonicalize(path)?)
    }

    fn read_link(&mut self, path: &Path) -> Result<PathBuf, Errno> {
        Ok(std::fs::read_link(path)?)
    }

    fn stat_path(&mut self, path: &Path) -> Result<Stat, Errno> {
        self.counters.stats += 1;
        posix::stat_path(path)
    }

    fn enter(&mut self, dir: Place<'_>, entrants: &mut [Entrant<'_>]) {
        self.begin();
        let at = self.look(dir);
        // Which entrants are in the batch.
        let mut pending: Vec<usize> = Vec::with_capacity(entrants.len().min(ROOM));
        for index in 0..entrants.len() {
            let entrant = &mut entrants[index];
            let opened = match &at {
                Ok(at) => self.open_entry(at, entrant.name, entrant.hint.kind),
                Err(error) => Err(nothing(*error)),
            };
            match opened {
                Ok(fd) => match self.adopt(entrant.token, fd, TREE) {
                    Ok(()) => pending.push(index),
                    Err(error) => entrant.entered = Some(nothing(error)),
                },
                Err(entered) => entrant.entered = Some(entered),
            }
            if self.batch.len() == ROOM || index + 1 == entrants.len() {
                for (index, (_, entered)) in pending.drain(..).zip(self.commit()) {
                    entrants[index].entered = Some(entered);
                }
            }
        }
    }

    fn watch_path(&mut self, token: Token, path: &Path, id: Option<Id>) -> Result<(), Errno> {
        self.begin();
        let entered = self.watch(token, path, None);
        if id.is_some_and(|id| entered.stat.is_ok_and(|stat| stat.id != id)) {
            self.unwatch(token);
            return Err(Errno(libc::ESTALE));
        }
        entered.watched
    }

    fn watch_anchor(&mut self, token: Token, path: &Path, role: Anchor) -> Result<(), Errno> {
        let asked = match role {
            Anchor::Vigil => VIGIL,
            Anchor::Parent if sys::PARENTS_ONLY => VIGIL,
            Anchor::Parent | Anchor::Above => SELF,
        };
        self.begin();
        self.unwatch(token);
        let fd = self.open_to_watch(&At::Path(path), b"", sys::OPEN_ANCHOR)?;
        self.adopt(token, fd, asked)?;
        match self.commit().pop() {
            Some((_, entered)) => entered.watched,
            None => Err(Errno(libc::EIO)),
        }
    }

    fn unwatch(&mut self, token: Token) {
        if let Some(key) = self.watches.dismiss(token) {
            self.release(key);
        }
    }

    fn notes(&mut self, into: &mut Notes) -> Result<(), Errno> {
        self.at = None;
        let mut events = [sys::change(0, 0, 0, 0, 0, 0); ROOM];
        for _ in 0..FETCHES {
            self.counters.fetches += 1;
            let n = sys::kevent(self.bell.kq(), &[], &mut events)?;
            // Decoding closes at most what was revoked, and opens nothing: no
            // descriptor of these events is another file's by then, and the
            // engine ends watches only when all notes are decoded. The
            // generation in a key guards what is left: an event for a
            // watch ended earlier in the same batch.
            for event in &events[..n] {
                self.note(event, into);
            }
            if n < ROOM && !(sys::FETCHES_FALL_SHORT && self.bell.poll(0)?) {
                break;
            }
        }
        Ok(())
    }

    fn set_deadline(&mut self, at: Option<Duration>) -> Result<(), Errno> {
        self.at = None;
        if at == self.deadline {
            return Ok(());
        }
        let ms = at.map(|at| {
            // At least 1: what 0 means differs. Rounded up, so that it is due when
            // the timer goes off; NetBSD's may be a tick early all the same
            // (measured: 3 ms), and is then set again by whoever finds it so.
            let left = at
                .saturating_sub(posix::now().since)
                .as_nanos()
                .div_ceil(1_000_000);
            u32::try_from(left)
                .unwrap_or(u32::MAX)
                .clamp(1, i32::MAX as u32)
        });
        // NetBSD, DragonFly and FreeBSD before 12 do not start an existing timer
        // anew: it is made anew. It may be gone already, having gone off.
        let (timer, receipt) = (sys::EVFILT_TIMER, sys::EV_RECEIPT);
        let mut changes = [sys::change(ONLY, timer, sys::EV_DELETE | receipt, 0, 0, 0); 2];
        let mut count = 1;
        if let Some(ms) = ms {
            let flags = sys::EV_ADD | sys::EV_ONESHOT | receipt;
            changes[1] = sys::change(ONLY, timer, flags, 0, ms, 0);
            count = 2;
        }
        self.counters.registrations += 1;
        self.deadline = None;
        let mut receipts = changes;
        let n = sys::kevent(self.bell.kq(), &changes[..count], &mut receipts[..count])?;
        if let (Some(_), Some(added)) = (at, receipts[..n].get(1)) {
            outcome(added)?;
        }
        self.deadline = at;
        Ok(())
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    /// By `F_GETPATH` (macOS, NetBSD 10, DragonFly) or `F_KINFO` (FreeBSD 13),
    /// if what is there is indeed that entry: the answer may be out of date when
    /// it is given, and of a file's links it may be any.
    fn whereabouts(&mut self, token: Token) -> Option<PathBuf> {
        let watch = self.watches.get(self.watches.key_of(token)?)?;
        let (path, found) = (sys::path_of(watch.fd.as_raw_fd())?, watch.found);
        let there = self.stat_path(&path).ok()?;
        (Some((there.id, there.kind)) == found).then_some(path)
    }

    fn held(&self) -> (u64, u64) {
        let watches = self.watches.len() as u64;
        let spare = self.spare.as_ref().map_or(0, |ends| ends.len() as u64);
        (watches, watches + self.bell.descriptors() + spare)
    }

    fn is_watched(&self, token: Token) -> bool {
        self.watches.key_of(token).is_some()
    }

    fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        let places = self.watches.by_token.iter();
        places.filter_map(|&index| self.watches.token_at(index))
    }

    fn room(&self) -> &Room {
        &self.room
    }

    fn room_mut(&mut self) -> &mut Room {
        &mut self.room
    }

    fn reopen_room(&mut self) {
        self.volumes.forget();
        self.build_wall();
        self.room.reopen();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Note;

    const TOKEN: Token = Token::Anchor { watch: 1, level: 0 };

    fn kqueue() -> Kqueue {
        Kqueue::open().unwrap().0
    }

    /// Watches a directory and returns the key and the descriptor.
    fn watch(kqueue: &mut Kqueue, dir: &Path) -> (Key, usize) {
        kqueue.watch_path(TOKEN, dir, None).unwrap();
        let key = kqueue.watches.key_of(TOKEN).unwrap();
        (
            key,
            kqueue.watches.get(key).unwrap().fd.as_raw_fd() as usize,
        )
    }

    fn decode(kqueue: &mut Kqueue, event: Kevent) -> Vec<Note<'static>> {
        let mut notes = Notes::default();
        kqueue.note(&event, &mut notes);
        let entry = |note| match note {
            Note::Entry(token, what) => Note::Entry(token, what),
            _ => panic!("a kqueue names no names"),
        };
        notes.iter().map(entry).collect()
    }

    fn vnode(ident: usize, flags: sys::Flags, fflags: u32, udata: usize) -> Kevent {
        sys::change(ident, sys::EVFILT_VNODE, flags, fflags, 0, udata)
    }

    #[test]
    fn a_bell_is_rung_by_either_means() {
        for user_events in [true, false] {
            let bell = Arc::new(Bell::new(user_events).unwrap());
            let mut kqueue = Kqueue::with(Arc::clone(&bell));
            assert_eq!(bell.wait(Some(Duration::ZERO)), Ok(false));
            bell.ring();
            bell.ring();
            assert_eq!(bell.wait(None), Ok(true));
            let mut notes = Notes::default();
            kqueue.notes(&mut notes).unwrap();
            assert!(notes.is_empty());
            assert_eq!(bell.wait(Some(Duration::from_millis(20))), Ok(false));
        }
    }

    #[test]
    fn an_event_of_a_former_watch_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut kqueue = kqueue();
        let (former, fd) = watch(&mut kqueue, dir.path());
        kqueue.unwatch(TOKEN);
        let (key, again) = watch(&mut kqueue, dir.path());
        assert_eq!((key.index(), again), (former.index(), fd));
        assert_ne!(key, former);
        let of = |key: Key| vnode(fd, sys::EV_CLEAR, sys::NOTE_WRITE, key.0);
        assert_eq!(decode(&mut kqueue, of(former)), []);
        assert_eq!(decode(&mut kqueue, of(Key(0))), []);
        assert_eq!(decode(&mut kqueue, of(Key(usize::MAX))), []);
        let note = Note::Entry(TOKEN, What::WRITE);
        assert_eq!(decode(&mut kqueue, of(key)), [note]);
    }

    #[test]
    fn a_place_has_no_two_tenants_of_one_generation_in_a_row() {
        let mut slab = Slab::default();
        let dir = tempfile::tempdir().unwrap();
        let mut kqueue = kqueue();
        let (key, _) = watch(&mut kqueue, dir.path());
        let watch = kqueue.watches.remove(key).unwrap();
        slab.places.push((Key::GENERATIONS - 1, None));
        slab.free.push(0);
        let last = slab.insert(watch).unwrap();
        assert_eq!(last.generation(), Key::GENERATIONS - 1);
        let watch = slab.remove(last).unwrap();
        assert!(slab.remove(last).is_none());
        let first = slab.insert(watch).unwrap();
        assert_eq!((first.index(), first.generation()), (0, 1));
        assert!(slab.get(last).is_none() && slab.get(first).is_some());
    }

    #[test]
    fn an_end_of_file_without_bits_is_a_revocation() {
        let dir = tempfile::tempdir().unwrap();
        for (flags, fflags, data) in [
            (sys::EV_EOF, 0, 0),
            (0, sys::NOTE_REVOKE, 0),
            (sys::EV_ERROR, 0, libc::EBADF as u32),
        ] {
            let mut kqueue = kqueue();
            let (key, fd) = watch(&mut kqueue, dir.path());
            let event = sys::change(fd, sys::EVFILT_VNODE, flags, fflags, data, key.0);
            let dead = Note::Entry(TOKEN, What::REVOKE | What::DELETE);
            assert_eq!(decode(&mut kqueue, event), [dead]);
            assert_eq!(kqueue.held().0, 0);
            assert_eq!(decode(&mut kqueue, event), []);
        }
    }

    #[test]
    fn bits_that_were_not_asked_for_are_not_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut kqueue = kqueue();
        let (key, fd) = watch(&mut kqueue, dir.path());
        let odd = !(TREE | sys::NOTE_REVOKE);
        assert_eq!(decode(&mut kqueue, vnode(fd, 0, odd, key.0)), []);
        // A directory's link count says nothing that NOTE_WRITE does not.
        assert_eq!(decode(&mut kqueue, vnode(fd, 0, sys::NOTE_LINK, key.0)), []);
        kqueue
            .watch_anchor(TOKEN, dir.path(), Anchor::Above)
            .unwrap();
        let key = kqueue.watches.key_of(TOKEN).unwrap();
        let all = sys::NOTE_WRITE | sys::NOTE_ATTRIB | sys::NOTE_RENAME;
        let renamed = Note::Entry(TOKEN, What::RENAME);
        assert_eq!(decode(&mut kqueue, vnode(fd, 0, all, key.0)), [renamed]);
    }
}
