//! Linux: one inotify instance, one watch per directory.
//!
//! A watched directory tells of its entries by name, so files need no watch of
//! their own. What `inotify(7)` really delivers, and what follows from it:
//!
//! * The same inode reached by two paths has one watch descriptor; every token
//!   that asked for it is told.
//! * `IN_IGNORED` ends a watch: after a removal, an unmount, or our own
//!   `inotify_rm_watch`, which has already forgotten the descriptor by then.
//! * A directory is watched through `/proc/self/fd`, so that the watch lies on
//!   the very inode that is then listed, whatever happens to its path.
//! * Overflow arrives as one event with descriptor -1; the rest is lost.
//! * A write through a mapping is told to nobody. `IN_CLOSE_WRITE` is asked
//!   for, so that it is at least noticed when the writer closes the file.

mod crawl;
mod watches;

use super::hint::inotify::{self as hint, FILE, NAMES, SELF, TREE};
use super::posix::{self, check};
use super::room::Room;
use super::volume::Volumes;
use super::{
    Anchor, Counters, Entered, Entrant, Errno, Id, Kernel, Kind, Listing, Notes, Now, Place, Stat,
    Token, Visitor, What,
};
use once_cell::sync::OnceCell;
use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use watches::Watches;

// The numbers of `hint` are those of this system.
const _: () = assert!(
    FILE == libc::IN_MODIFY | libc::IN_CLOSE_WRITE | libc::IN_ATTRIB | SELF
        && SELF == libc::IN_MOVE_SELF | libc::IN_DELETE_SELF
        && NAMES
            == libc::IN_CREATE | libc::IN_DELETE | libc::IN_MOVED_FROM | libc::IN_MOVED_TO | SELF
        && hint::IGNORED == libc::IN_IGNORED
        && hint::UNMOUNT == libc::IN_UNMOUNT
        && hint::Q_OVERFLOW == libc::IN_Q_OVERFLOW
);

/// Room for hundreds of events with names of ordinary length; the largest
/// event takes 272 bytes.
const BUFFER: usize = 64 * 1024;
/// A read that leaves this much room has emptied the queue.
const LARGEST_EVENT: usize = std::mem::size_of::<libc::inotify_event>() + 256;
/// How much one call of [`Kernel::notes`] takes at most: the kernel's default
/// queue (16,384 events) several times over. The rest waits for the next call.
const FETCHES: usize = 256;

/// The kernel of Linux.
#[derive(Debug)]
pub struct Inotify {
    bell: Arc<Bell>,
    /// `None` while the user has too many instances already: everything is polled then.
    inotify: Option<OwnedFd>,
    buffer: Vec<u8>,
    watches: Watches,
    /// Who was told of the descriptor of a note, while it is being decoded.
    told: Vec<Token>,
    room: Room,
    volumes: Volumes,
    /// The directory that was looked into last of those whose path is in doubt, or in which
    /// many looks are made; without a descriptor if there was none to be had. Given up
    /// before its file system may be unmounted.
    at: Option<(Token, Id, Option<OwnedFd>)>,
    /// When the timer is set to go off.
    deadline: Option<Duration>,
    /// How many threads may take part in a crawl, the calling one included.
    crawl_threads: usize,
    counters: Counters,
}

/// An inotify instance, as any thread may use it while a crawl lasts.
#[derive(Clone, Copy, Debug)]
struct Instance(RawFd);

impl Instance {
    /// Watches what an open descriptor refers to, and answers the watch descriptor.
    fn add_watch(self, fd: RawFd, mask: u32) -> Result<i32, Errno> {
        let mut path = [0u8; 32];
        // (It has room for any number.)
        let _ = write!(&mut path[..], "/proc/self/fd/{fd}\0");
        let path = CStr::from_bytes_until_nul(&path).unwrap_or_default();
        // IN_MASK_ADD: another token may watch this inode already.
        let mask = mask | libc::IN_MASK_ADD;
        // SAFETY: `path` is NUL-terminated and lives through the call.
        check(unsafe { libc::inotify_add_watch(self.0, path.as_ptr(), mask) })
    }
}

/// What a caller waits on: an epoll descriptor over the inotify descriptor, an
/// eventfd to wake it and a timer for what is due later.
#[derive(Debug)]
pub struct Bell {
    epoll: OwnedFd,
    event: OwnedFd,
    timer: OnceCell<OwnedFd>,
    waits: AtomicU64,
}

/// What stands for too many instances, lest that be taken for too many descriptors.
const INSTANCES: Errno = Errno(libc::EUSERS);

const NOTES: u64 = 0;
const RUNG: u64 = 1;
const TIME: u64 = 2;

impl Bell {
    fn new() -> Result<Bell, Errno> {
        // SAFETY: no pointers; on success the descriptor is new and ours.
        let epoll =
            unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        // SAFETY: as above.
        let event = unsafe {
            let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
            OwnedFd::from_raw_fd(check(libc::eventfd(0, flags))?)
        };
        let bell = Bell {
            epoll,
            event,
            timer: OnceCell::new(),
            waits: AtomicU64::new(0),
        };
        bell.attend(bell.event.as_raw_fd(), RUNG)?;
        // If there is none to be had now, it is asked for again when it is needed.
        let _ = bell.timer();
        Ok(bell)
    }

    fn attend(&self, fd: RawFd, what: u64) -> Result<(), Errno> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: what,
        };
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: `event` is read during the call only.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) })?;
        Ok(())
    }

    /// The descriptor to poll for reading.
    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Makes the descriptor readable. Safe in a signal handler.
    pub fn ring(&self) {
        let one: u64 = 1;
        // SAFETY: eight readable bytes. It can fail only when the counter is
        // full, and then the descriptor is readable already.
        unsafe { libc::write(self.event.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Waits until there is something to fetch, the bell is rung or time is up,
    /// and silences it. Answers whether there are notes to fetch.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Errno> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        // Rounded up: a wait that ends early would be one that has to be repeated.
        let timeout_ms = timeout.map_or(-1, |t| {
            i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 3];
        // SAFETY: room for three events is what is said.
        let n = check(unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 3, timeout_ms)
        })?;
        let mut notes = false;
        for event in &events[..n as usize] {
            match event.u64 {
                NOTES => notes = true,
                RUNG => self.drain(&self.event),
                _ => {
                    if let Some(timer) = self.timer.get() {
                        self.drain(timer);
                    }
                }
            }
        }
        Ok(notes)
    }

    /// Reads an eventfd or timerfd back to "not readable".
    fn drain(&self, fd: &OwnedFd) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes; both kinds of descriptor do not block.
        unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    fn timer(&self) -> Result<&OwnedFd, Errno> {
        self.timer.get_or_try_init(|| {
            let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
            // SAFETY: no pointers; on success the descriptor is new and ours.
            let timer = unsafe {
                OwnedFd::from_raw_fd(check(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags))?)
            };
            self.attend(timer.as_raw_fd(), TIME)?;
            Ok::<_, Errno>(timer)
        })
    }

    fn set_deadline(&self, at: Option<Duration>) -> Result<(), Errno> {
        if at.is_none() && self.timer.get().is_none() {
            return Ok(());
        }
        let timer = self.timer()?;
        let at = at.unwrap_or_default();
        let spec = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: at.as_secs() as libc::time_t,
                tv_nsec: libc::c_long::from(at.subsec_nanos() as i32),
            },
        };
        let absolute = libc::TFD_TIMER_ABSTIME;
        // SAFETY: `spec` is read during the call only; the old value is not wanted.
        check(unsafe {
            libc::timerfd_settime(timer.as_raw_fd(), absolute, &spec, std::ptr::null_mut())
        })?;
        Ok(())
    }

    /// Calls of [`Bell::wait`] so far.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }
}

impl Inotify {
    /// The engine's name, for [`kw_stats`](crate::ffi).
    pub const NAME: &'static str = "inotify";

    /// A fresh instance and its bell.
    pub fn open() -> Result<(Inotify, Arc<Bell>), Errno> {
        let bell = Arc::new(Bell::new()?);
        let mut kernel = Inotify {
            bell: Arc::clone(&bell),
            inotify: None,
            buffer: vec![0; BUFFER],
            watches: Watches::default(),
            told: Vec::new(),
            room: Room::default(),
            volumes: Volumes::default(),
            at: None,
            deadline: None,
            crawl_threads: 1,
            counters: Counters::default(),
        };
        match kernel.instance() {
            Err(error) if !error.is_exhaustion() => Err(error),
            _ => Ok((kernel, bell)),
        }
    }

    /// The inotify instance, which is made if there is none.
    fn instance(&mut self) -> Result<Instance, Errno> {
        if let Some(inotify) = &self.inotify {
            return Ok(Instance(inotify.as_raw_fd()));
        }
        // SAFETY: no pointers; on success the descriptor is new and ours.
        let inotify = unsafe {
            let flags = libc::IN_CLOEXEC | libc::IN_NONBLOCK;
            check(libc::inotify_init1(flags)).map(|fd| OwnedFd::from_raw_fd(fd))
        };
        let inotify = inotify.map_err(|error| match error.0 {
            // There are too many instances, or the bell took the last descriptors.
            libc::EMFILE => INSTANCES,
            _ => error,
        });
        let inotify = inotify.inspect_err(|&error| self.room.heed(error))?;
        let attended = self.bell.attend(inotify.as_raw_fd(), NOTES);
        attended.inspect_err(|&error| self.room.heed(error))?;
        Ok(Instance(self.inotify.insert(inotify).as_raw_fd()))
    }

    /// Watching takes no descriptors: there are none to be left free.
    pub fn set_reserve(&mut self, _: u32) {}

    /// How many threads may take part in a crawl, the calling one included.
    pub fn set_crawl_threads(&mut self, threads: usize) {
        self.crawl_threads = threads;
    }

    /// What in the system limits the number of watches, when it refuses with this error.
    pub fn limited_by(error: Errno) -> &'static str {
        match error.0 {
            libc::ENOSPC => "fs.inotify.max_user_watches",
            libc::ENOMEM => "memory",
            libc::ENFILE => "fs.file-max",
            _ if error == INSTANCES => "fs.inotify.max_user_instances",
            _ => "RLIMIT_NOFILE",
        }
    }

    /// Watches what an open descriptor refers to, on the device `dev`.
    fn watch_fd(&mut self, token: Token, fd: RawFd, dev: u64, mask: u32) -> Result<(), Errno> {
        self.add_watch(token, fd, mask)?;
        self.is_told(fd, dev)
    }

    /// Whether the file system of an open file tells of all that happens.
    fn is_told(&mut self, fd: RawFd, dev: u64) -> Result<(), Errno> {
        match self.volumes.is_silent(fd, dev) {
            true => Err(Errno::SILENT),
            false => Ok(()),
        }
    }

    fn add_watch(&mut self, token: Token, fd: RawFd, mask: u32) -> Result<(), Errno> {
        // To ask for a watch that is there already takes no further one. (Whether
        // another token has one on this inode is known only after asking: where
        // there is no room, this one does without.)
        if self.watches.descriptor_of(token).is_none() {
            self.room.admit(self.watches.descriptors())?;
        }
        let inotify = self.instance()?;
        self.counters.registrations += 1;
        self.adopt(token, inotify.add_watch(fd, mask))
    }

    /// A token has this watch from now on, if the kernel gave one.
    fn adopt(&mut self, token: Token, answer: Result<i32, Errno>) -> Result<(), Errno> {
        let wd = answer.inspect_err(|&error| self.room.heed(error))?;
        if self.watches.descriptor_of(token) == Some(wd) {
            return Ok(());
        }
        self.unwatch(token);
        self.watches.insert(token, wd);
        if self.room.excess(self.watches.descriptors()) > 0 {
            // It had shared a watch, and has one of its own now.
            self.unwatch(token);
            return Err(Errno::FULL);
        }
        Ok(())
    }

    fn open_dir(&mut self, place: Place<'_>) -> Result<OwnedFd, Errno> {
        self.at = None;
        self.counters.opens += 1;
        let fd = posix::open_path(place.path, posix::DIR_FLAGS)?;
        if let Some(id) = place.id {
            self.counters.stats += 1;
            if posix::stat_fd(fd.as_raw_fd())?.id != id {
                return Err(Errno(libc::ESTALE));
            }
        }
        Ok(fd)
    }

    /// Opens a directory to look up its names, if it is where it should be. Without a
    /// descriptor for that its path must do.
    fn look(&mut self, dir: Place<'_>, id: Id) -> Result<Option<RawFd>, Errno> {
        if let Some((_, _, fd)) = self
            .at
            .as_ref()
            .filter(|at| (at.0, at.1) == (dir.token, id))
        {
            if fd.is_some() || !dir.doubted {
                return Ok(fd.as_ref().map(OwnedFd::as_raw_fd));
            }
        }
        self.at = None;
        self.counters.stats += 1;
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let (fd, stat) = match posix::open_path(dir.path, flags) {
            Ok(fd) => {
                let stat = posix::stat_fd(fd.as_raw_fd());
                (Some(fd), stat)
            }
            Err(error) if error.is_exhaustion() && dir.doubted => {
                (None, posix::stat_path(dir.path))
            }
            Err(error) => (None, Err(error)),
        };
        let is_it = match stat.map_err(Errno::of_directory) {
            Ok(stat) => stat.id == id,
            Err(error) if dir.doubted => return Err(error),
            Err(_) => false,
        };
        if dir.doubted && !is_it {
            return Err(Errno::OTHER);
        }
        let (_, _, fd) = self.at.insert((dir.token, id, fd.filter(|_| is_it)));
        Ok(fd.as_ref().map(OwnedFd::as_raw_fd))
    }

    /// Turns one event into notes.
    fn note(&mut self, wd: i32, mask: u32, name: &[u8], into: &mut Notes) {
        self.counters.notes += 1;
        if mask & libc::IN_Q_OVERFLOW != 0 {
            self.volumes.forget(); // An unmounting may be among what was lost.
            into.push_overflow();
            return;
        }
        let what = hint::what(mask);
        if what == What::default() {
            return;
        }
        let name = Some(name).filter(|name| !name.is_empty());
        // (There are none if it is ours no longer: its last events were in the queue.)
        into.push(self.watches.tokens_of(wd), name, what);
        if mask & libc::IN_UNMOUNT != 0 {
            self.volumes.forget();
        }
        if mask & libc::IN_IGNORED != 0 {
            self.told.clear();
            self.told.extend(self.watches.tokens_of(wd));
            for &token in &self.told {
                self.watches.remove(token);
            }
            // (Not for one that we have ended ourselves.)
            if !self.told.is_empty() {
                self.room.reopen();
            }
        }
    }

    fn decode(&mut self, len: usize, into: &mut Notes) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        while at + std::mem::size_of::<libc::inotify_event>() <= len {
            let head = buffer[at..].as_ptr().cast::<libc::inotify_event>();
            // SAFETY: a whole header lies at `at`, which need not be aligned.
            let head = unsafe { head.read_unaligned() };
            let start = at + std::mem::size_of::<libc::inotify_event>();
            at = start + head.len as usize;
            let Some(name) = buffer[..len].get(start..at) else {
                break;
            };
            let name = name.split(|&b| b == 0).next().unwrap_or_default();
            self.note(head.wd, head.mask, name, into);
        }
        self.buffer = buffer;
    }
}

impl Kernel for Inotify {
    const EXACT: bool = false;
    const NAMES: bool = true;
    const PINS: bool = false;
    const EARLY: Option<Duration> = None;
    const FOLDS: bool = false;

    fn now(&self) -> Now {
        posix::now()
    }

    fn crawl(&mut self, root: Place<'_>, visitor: &mut dyn Visitor) {
        self.crawl_with(root, visitor, self.crawl_threads);
    }

    fn scan(&mut self, dir: Place<'_>, into: &mut Listing) -> Result<Result<(), Errno>, Errno> {
        let fd = self.open_dir(dir)?;
        // Adding a watch that stands changes nothing and proves that it stands.
        let watched = match dir.id {
            Some(id) => self.watch_fd(dir.token, fd.as_raw_fd(), id.dev, TREE),
            None => self.add_watch(dir.token, fd.as_raw_fd(), TREE),
        };
        self.counters.listings += 1;
        let mut room = vec![MaybeUninit::uninit(); crawl::READ];
        crawl::read(&fd, &mut room, into, |_, _| {})?;
        Ok(watched)
    }

    fn stat(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Stat, Errno> {
        if let Some(id) = dir.id.filter(|_| dir.doubted || dir.many) {
            if let Some(fd) = self.look(dir, id)? {
                self.counters.stats += 1;
                return posix::stat_name(fd, name);
            }
        }
        self.counters.stats += 1;
        posix::stat_in(dir.path, name)
    }

    fn read(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let opened = match dir.id {
            Some(id) => {
                let doubted = true; // Another directory has another content.
                self.look(Place { doubted, ..dir }, id)?
            }
            None => None,
        };
        self.counters.stats += 1;
        match opened {
            Some(fd) => posix::read_name(fd, name),
            None => posix::read_in(dir.path, name),
        }
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
        for entrant in entrants {
            entrant.entered = Some(Entered {
                stat: self.stat(dir, entrant.name),
                watched: Ok(()),
            });
        }
    }

    fn watch_path(&mut self, token: Token, path: &Path, id: Option<Id>) -> Result<(), Errno> {
        self.counters.opens += 1;
        let fd = posix::open_path(path, libc::O_PATH | libc::O_NOFOLLOW)?;
        self.counters.stats += 1;
        let stat = posix::stat_fd(fd.as_raw_fd())?;
        if id.is_some_and(|id| id != stat.id) {
            return Err(Errno(libc::ESTALE));
        }
        let mask = match stat.kind {
            Kind::Dir => TREE,
            _ => FILE,
        };
        self.watch_fd(token, fd.as_raw_fd(), stat.id.dev, mask)
    }

    fn watch_anchor(&mut self, token: Token, path: &Path, role: Anchor) -> Result<(), Errno> {
        self.counters.opens += 1;
        let fd = posix::open_path(path, libc::O_PATH | libc::O_DIRECTORY)?;
        let mask = match role {
            Anchor::Parent | Anchor::Vigil => NAMES,
            Anchor::Above => SELF,
        };
        self.add_watch(token, fd.as_raw_fd(), mask)?;
        self.counters.stats += 1;
        let dev = posix::stat_fd(fd.as_raw_fd())?.id.dev;
        self.is_told(fd.as_raw_fd(), dev)
    }

    fn unwatch(&mut self, token: Token) {
        let Some(wd) = self.watches.remove(token) else {
            return;
        };
        self.room.reopen();
        self.counters.registrations += 1;
        if let Some(inotify) = &self.inotify {
            // SAFETY: no pointers. Fails if the inode went meanwhile: no matter.
            unsafe { libc::inotify_rm_watch(inotify.as_raw_fd(), wd) };
        }
    }

    fn notes(&mut self, into: &mut Notes) -> Result<(), Errno> {
        self.at = None;
        let Some(fd) = self.inotify.as_ref().map(OwnedFd::as_raw_fd) else {
            return Ok(());
        };
        for _ in 0..FETCHES {
            self.counters.fetches += 1;
            let room = self.buffer.len();
            // SAFETY: the buffer is writable for `room` bytes.
            let n = unsafe { libc::read(fd, self.buffer.as_mut_ptr().cast(), room) };
            let n = match usize::try_from(n) {
                Ok(n) => n,
                Err(_) => match Errno::last() {
                    Errno(libc::EAGAIN) => return Ok(()),
                    Errno(libc::EINTR) => continue,
                    error => return Err(error),
                },
            };
            self.decode(n, into);
            if n + LARGEST_EVENT <= room {
                return Ok(());
            }
        }
        Ok(())
    }

    fn set_deadline(&mut self, at: Option<Duration>) -> Result<(), Errno> {
        self.at = None;
        // What is set already need not be set again, unless it has gone off.
        let stands = at.is_none_or(|at| at > self.now().since);
        if !(stands && self.deadline == at) {
            self.bell.set_deadline(at)?;
            self.deadline = at;
        }
        Ok(())
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn whereabouts(&mut self, _: Token) -> Option<PathBuf> {
        None // inotify names what it tells of.
    }

    fn held(&self) -> (u64, u64) {
        let others = [self.bell.timer.get().is_some(), self.inotify.is_some()];
        let others = others.into_iter().filter(|there| *there).count() as u64;
        (self.watches.descriptors() as u64, 2 + others)
    }

    fn is_watched(&self, token: Token) -> bool {
        self.watches.descriptor_of(token).is_some()
    }

    fn is_shared(&self, token: Token) -> bool {
        let wd = self.watches.descriptor_of(token);
        wd.is_some_and(|wd| self.watches.tokens_of(wd).nth(1).is_some())
    }

    fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.watches.tokens()
    }

    fn room(&self) -> &Room {
        &self.room
    }

    fn room_mut(&mut self) -> &mut Room {
        &mut self.room
    }

    fn reopen_room(&mut self) {
        self.volumes.forget();
        self.room.reopen();
    }
}
