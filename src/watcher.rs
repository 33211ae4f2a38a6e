//! The Rust face of a handle: who may call when, what is still to be
//! delivered, and what the last error was.
//!
//! [`Watcher`] is what the C functions call. It makes every method safe to call
//! from any thread, and waits without holding a lock that another call needs.

use crate::engine::budget::Polling;
use crate::engine::event::{Batch, Event};
use crate::engine::progress::Progress;
use crate::engine::watch::Options;
use crate::engine::Engine;
use crate::kernel::faults::{Faulty, Script};
use crate::kernel::file;
use crate::kernel::posix::{nap, raise_descriptor_limit};
use crate::kernel::{Counters, Errno, Kernel, Native};
use crate::tree::image::Damaged;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[cfg(all(target_os = "linux", not(feature = "libkqueue")))]
use crate::kernel::inotify::Bell;
#[cfg(any(not(target_os = "linux"), feature = "libkqueue"))]
use crate::kernel::kqueue::Bell;

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// An argument is not acceptable.
    Invalid,
    /// The system refused; `errno` says why.
    System,
    /// Another thread is in `poll`.
    Busy,
    /// A signal ended the wait.
    Interrupted,
    /// The handle belongs to the process this one was forked from.
    Forked,
    /// The library failed; the handle is of no use any more.
    Internal,
    /// Nothing is at that path.
    NotFound,
    /// Permission denied.
    Denied,
    /// There is no such watch.
    NoWatch,
    /// Descriptors, watches or memory ran out.
    Limit,
    /// The path is too long for the system.
    TooLong,
    /// A file holds no snapshot, or a damaged one.
    Snapshot,
}

/// An error with what was being done to which path.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong.
    pub status: Status,
    /// `errno`, or 0.
    pub errno: i32,
    /// What was being done.
    pub operation: &'static str,
    /// To which path; may be empty.
    pub path: Vec<u8>,
}

impl Failure {
    /// A failure that no system call has to do with.
    pub fn new(status: Status, operation: &'static str) -> Failure {
        Failure {
            status,
            errno: 0,
            operation,
            path: Vec::new(),
        }
    }

    fn system(error: Errno, operation: &'static str, path: &[u8]) -> Failure {
        let status = match error.0 {
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE => Status::NotFound,
            libc::ENAMETOOLONG => Status::TooLong,
            libc::EINTR | libc::ECANCELED => Status::Interrupted,
            libc::EINVAL => Status::Invalid,
            _ if error.is_denied() => Status::Denied,
            _ if error.is_exhaustion() => Status::Limit,
            _ => Status::System,
        };
        Failure {
            status,
            errno: error.0,
            operation,
            path: path.to_vec(),
        }
    }
}

/// How a watcher is to be opened.
#[derive(Clone, Default, Debug)]
pub struct HandleOptions {
    /// Raise the process's soft limit on descriptors.
    pub raise_limit: bool,
    /// How many watches there may be; `None`: as many as are to be had.
    pub watch_limit: Option<usize>,
    /// How many descriptors watching leaves free; `None`: as the kernel's side thinks fit.
    pub reserve: Option<u32>,
    /// How what has no watch is looked at.
    pub polling: Polling,
    /// How many threads may take part in a crawl, the calling one included.
    pub crawl_threads: usize,
    /// What goes wrong, for tests.
    pub faults: Option<Script>,
}

/// A handle's health.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Watches added and not removed.
    pub watches: u64,
    /// Entries in all snapshots, and in one that is being made.
    pub entries: u64,
    /// Crawls of new watches that are under way.
    pub crawling: u64,
    /// Watches held in the kernel.
    pub kernel_watches: u64,
    /// Entries that are polled because they have no watch.
    pub polled: u64,
    /// What keeps them from having one; empty if none is polled.
    pub limited_by: &'static str,
    /// How many watches there may be.
    pub watch_limit: Option<usize>,
    /// Complete rounds of looks at what is polled, and how long the last one took.
    pub rounds: (u64, Duration),
    /// Descriptors the handle holds.
    pub descriptors: u64,
    /// Times that the kernel lost notes.
    pub overflows: u64,
    /// Times that a whole tree was looked at because notes were lost.
    pub rescans: u64,
    /// Events delivered.
    pub events: u64,
    /// Waits of `poll`.
    pub waits: u64,
    /// Other system calls, by kind.
    pub calls: Counters,
}

#[derive(Debug)]
struct State {
    engine: Engine<Faulty<Native>>,
    /// Events of the last turn; the first `delivered` of them are the caller's.
    batch: Batch,
    delivered: usize,
    events: u64,
    flood: Flood,
}

/// Watches file trees and delivers what changes in them.
#[derive(Debug)]
pub struct Watcher {
    state: Mutex<State>,
    stats: Mutex<Stats>,
    last_error: Mutex<Option<Failure>>,
    bell: Arc<Bell>,
    progress: Arc<Progress>,
    polling: AtomicBool,
    woken: AtomicBool,
    broken: AtomicBool,
    pid: u32,
}

/// Whether notes come faster than one turn for each few of them is worth.
///
/// A look costs a microsecond, a turn of the engine and a wake-up several. In a flood,
/// turns that follow one another at once find a handful of notes each, and a whole core
/// is busy with turns. A wait of [`Flood::REST`] lets hundreds come together.
#[derive(Default, Debug)]
struct Flood {
    /// How many notes there had been when it was measured last, and when that was.
    notes: u64,
    at: Duration,
    is_on: bool,
}

impl Flood {
    /// How long notes are left to gather.
    const REST: Duration = Duration::from_millis(1);
    /// So many notes in that time are a flood, less are ordinary work that is told of
    /// at once. (A kernel's queue holds 16,384, a thousand times as many.)
    const NOTES: u64 = 16;

    /// So many notes have been fetched by now, in all.
    fn measure(&mut self, notes: u64, now: Duration) {
        let took = now.saturating_sub(self.at);
        let came = notes.saturating_sub(self.notes);
        let micros = took.max(Flood::REST).as_micros() as u64;
        self.is_on = came * Flood::REST.as_micros() as u64 >= Flood::NOTES * micros;
        // Turns that follow one another at once, with a note each, add up.
        if took >= Flood::REST {
            (self.notes, self.at) = (notes, now);
        }
    }
}

/// Ends the exclusive right to poll.
struct SolePoller<'a>(&'a AtomicBool);

impl Drop for SolePoller<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A panic while a lock was held has already made the handle refuse its calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn check_path(operation: &'static str, path: &[u8]) -> Result<(), Failure> {
    match path {
        [] => Err(Failure::system(Errno(libc::ENOENT), operation, path)),
        path if path.contains(&0) => Err(Failure::new(Status::Invalid, operation)),
        _ => Ok(()),
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// What keeps something from being watched, in the words of its system.
fn limited_by((error, limited): (Errno, bool)) -> &'static str {
    match error {
        _ if limited => "watch_limit",
        Errno::SILENT => "file system",
        error if error.is_exhaustion() => Native::limited_by(error),
        error if error.is_denied() => "permission",
        _ => "error",
    }
}

impl Watcher {
    /// A watcher without watches.
    pub fn open(options: &HandleOptions) -> Result<Watcher, Failure> {
        if options.raise_limit {
            raise_descriptor_limit()
                .map_err(|error| Failure::system(error, "raise the limit on descriptors", b""))?;
        }
        let (mut kernel, bell) = Native::open()
            .map_err(|error| Failure::system(error, "open the kernel's queue", b""))?;
        if let Some(reserve) = options.reserve {
            kernel.set_reserve(reserve);
        }
        kernel.set_crawl_threads(options.crawl_threads);
        let mut engine = Engine::new(Faulty::new(kernel, options.faults.clone()));
        engine.set_limit(options.watch_limit);
        engine.set_polling(options.polling);
        let watcher = Watcher {
            progress: Arc::clone(engine.progress()),
            state: Mutex::new(State {
                engine,
                batch: Batch::default(),
                delivered: 0,
                events: 0,
                flood: Flood::default(),
            }),
            stats: Mutex::default(),
            last_error: Mutex::default(),
            bell,
            polling: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            pid: std::process::id(),
        };
        watcher.publish(&lock(&watcher.state));
        Ok(watcher)
    }

    /// Whether this process is the one that opened it, and it is in order.
    pub fn check(&self) -> Result<(), Failure> {
        if std::process::id() != self.pid {
            return Err(Failure::new(Status::Forked, "use a handle after fork"));
        }
        if self.broken.load(Ordering::Acquire) {
            return Err(Failure::new(
                Status::Internal,
                "use a handle after a failure",
            ));
        }
        Ok(())
    }

    /// Makes every further call fail.
    pub fn mark_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// Watches what is at a path. Everything that changes after this returns is
    /// reported.
    pub fn add(&self, path: &[u8], options: Options) -> Result<i32, Failure> {
        let operation = "watch";
        check_path(operation, path)?;
        let mut state = lock(&self.state);
        let added = state.engine.add(path, as_path(path), options);
        // Notes for others were fetched on the way, or something is to be polled:
        // whoever waits must look, or wait no longer than for that.
        if state.engine.owes() || state.engine.patience().is_some() {
            self.bell.ring();
        }
        self.publish(&state);
        added.map_err(|error| Failure::system(error, operation, path))
    }

    /// Watches what is at a path, of which `since` holds a snapshot. What has changed since it
    /// was saved is reported first.
    pub fn resume(&self, path: &[u8], options: Options, since: &[u8]) -> Result<i32, Failure> {
        let (operation, reading) = ("watch", "read a snapshot");
        check_path(operation, path)?;
        check_path(reading, since)?;
        let saved =
            file::read(as_path(since)).map_err(|error| Failure::system(error, reading, since))?;
        let mut state = lock(&self.state);
        let added = state.engine.resume(path, as_path(path), options, &saved);
        if state.engine.owes() {
            self.bell.ring();
        }
        self.publish(&state);
        let added = added.map_err(|error| Failure::system(error, operation, path))?;
        added.map_err(|Damaged| Failure {
            path: since.to_vec(),
            ..Failure::new(Status::Snapshot, reading)
        })
    }

    /// Writes what has been delivered of a watch to a file.
    pub fn save(&self, watch: i32, to: &[u8]) -> Result<(), Failure> {
        let operation = "save a snapshot";
        check_path(operation, to)?;
        let state = lock(&self.state);
        let one = state.engine.watches().find(|w| w.id() == watch);
        let Some(one) = one else {
            return Err(Failure::new(Status::NoWatch, operation));
        };
        // What is in the snapshot would never be delivered if the program ended now.
        let told = state.delivered == state.batch.len();
        if !told || one.is_initial() || one.is_catching_up() {
            let operation = "save a snapshot: events wait to be delivered";
            return Err(Failure::new(Status::Busy, operation));
        }
        let saved = one.save();
        drop(state);
        file::replace(as_path(to), &saved).map_err(|error| Failure::system(error, operation, to))
    }

    /// Ends a watch. None of its events are delivered afterwards.
    pub fn remove(&self, watch: i32) -> Result<(), Failure> {
        let mut state = lock(&self.state);
        if !state.engine.remove(watch) {
            return Err(Failure::new(Status::NoWatch, "remove a watch"));
        }
        let delivered = state.delivered;
        state.batch.forget(watch, delivered);
        self.publish(&state);
        Ok(())
    }

    /// Delivers up to `capacity` events to `put`, waiting for the first of them
    /// as long as `timeout` says (`None`: for ever).
    ///
    /// When it delivers none, all that had happened before the call has been
    /// delivered.
    pub fn poll(
        &self,
        capacity: usize,
        timeout: Option<Duration>,
        put: &mut dyn FnMut(usize, Event<'_>),
    ) -> Result<usize, Failure> {
        if self.polling.swap(true, Ordering::Acquire) {
            return Err(Failure::new(Status::Busy, "poll"));
        }
        let _sole = SolePoller(&self.polling);
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        let (mut owed, mut patience, mut flood) = {
            let mut state = lock(&self.state);
            if state.delivered < state.batch.len() {
                return Ok(self.deliver(&mut state, capacity, put));
            }
            let State { engine, flood, .. } = &mut *state;
            let flood = std::mem::take(&mut flood.is_on);
            (engine.owes(), engine.patience(), flood)
        };
        let mut rounds = 0;
        let mut stop = timeout.is_some_and(|t| t.is_zero());
        loop {
            let mut wait = if owed || stop {
                Some(Duration::ZERO)
            } else {
                let left = until.map(|at| at.saturating_duration_since(Instant::now()));
                left.into_iter().chain(patience).min()
            };
            let failed = |error| Failure::system(error, "poll", b"");
            if std::mem::take(&mut flood) && wait.is_none_or(|time| time >= Flood::REST) {
                nap(Flood::REST).map_err(failed)?;
                wait = wait.map(|time| time.saturating_sub(Flood::REST));
            }
            let notes = self.bell.wait(wait).map_err(failed)?;
            stop |= self.woken.swap(false, Ordering::AcqRel)
                || until.is_some_and(|at| Instant::now() >= at);
            let mut state = lock(&self.state);
            let State {
                engine,
                batch,
                delivered,
                flood: gathered,
                ..
            } = &mut *state;
            batch.clear();
            *delivered = 0;
            owed = engine.turn(notes, batch).map_err(failed)?;
            patience = engine.patience();
            if notes {
                gathered.measure(engine.kernel().counters().notes, engine.last_turn());
            }
            flood = gathered.is_on;
            // After one full fetch nothing from before the call can be outstanding.
            let quiet = (!notes || rounds > 1) && !owed && batch.is_empty();
            rounds += 1;
            if quiet && stop && engine.hasten() {
                owed = engine.turn(false, batch).map_err(failed)?;
            }
            if !state.batch.is_empty() {
                return Ok(self.deliver(&mut state, capacity, put));
            }
            self.publish(&state);
            if quiet && !owed && stop {
                return Ok(0);
            }
        }
    }

    fn deliver(
        &self,
        state: &mut State,
        capacity: usize,
        put: &mut dyn FnMut(usize, Event<'_>),
    ) -> usize {
        let mut n = 0;
        while n < capacity {
            let Some(event) = state.batch.get(state.delivered) else {
                break;
            };
            put(n, event);
            state.delivered += 1;
            n += 1;
        }
        state.events += n as u64;
        if state.delivered < state.batch.len() || state.engine.owes() {
            self.bell.ring(); // What is left keeps the descriptor readable.
        }
        self.publish(state);
        n
    }

    /// Lets `poll` return now, or the next time it is called. Takes no lock:
    /// may be called in a signal handler.
    pub fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        if !self.polling.load(Ordering::Acquire) {
            self.progress.cancel(); // Nobody else is there to be woken.
        }
        self.bell.ring();
    }

    /// Readable when `poll` has something to deliver.
    pub fn fd(&self) -> i32 {
        self.bell.fd()
    }

    /// Makes the next polls look at everything that is only polled.
    pub fn sync(&self) {
        let mut state = lock(&self.state);
        state.engine.sync();
        if state.engine.owes() {
            self.bell.ring();
        }
        self.publish(&state);
    }

    /// Says how many watches there may be. What is above that is given back when this
    /// returns.
    pub fn set_limit(&self, limit: Option<usize>) {
        let mut state = lock(&self.state);
        state.engine.set_limit(limit);
        if state.engine.owes() || state.engine.patience().is_some() {
            self.bell.ring();
        }
        self.publish(&state);
    }

    /// The handle's health, without waiting for a crawl that is under way.
    pub fn stats(&self) -> Stats {
        let mut stats = *lock(&self.stats);
        stats.waits = self.bell.waits();
        if let Some(entries) = self.progress.entries() {
            stats.crawling = 1;
            stats.entries += entries;
        }
        stats
    }

    fn publish(&self, state: &State) {
        let (kernel_watches, descriptors) = state.engine.kernel().held();
        let mut stats = Stats {
            kernel_watches,
            descriptors,
            limited_by: state.engine.reason().map_or("", limited_by),
            watch_limit: state.engine.kernel().room().limit(),
            rounds: state.engine.rounds(),
            overflows: state.engine.overflows(),
            events: state.events,
            calls: state.engine.kernel().counters(),
            ..Stats::default()
        };
        for watch in state.engine.watches() {
            stats.watches += 1;
            stats.entries += watch.entries() as u64;
            stats.polled += watch.polled() as u64;
            stats.rescans += watch.rescans();
        }
        *lock(&self.stats) = stats;
    }

    /// Remembers an error for [`Watcher::last_error`].
    pub fn remember(&self, failure: &Failure) {
        *lock(&self.last_error) = Some(failure.clone());
    }

    /// The last error of any call on this handle.
    pub fn last_error(&self) -> Option<Failure> {
        lock(&self.last_error).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is a flood when so many notes come every so many microseconds.
    fn is_flood(notes: u64, micros: u64) -> bool {
        let mut flood = Flood::default();
        for turn in 1..=1000 {
            flood.measure(turn * notes, Duration::from_micros(turn * micros));
        }
        flood.is_on
    }

    #[test]
    fn a_flood_is_a_matter_of_notes_in_a_second() {
        assert!(is_flood(1, 20) && is_flood(2, 100) && is_flood(200, 1000));
        assert!(is_flood(20, 1000) && is_flood(2000, 100_000));
        assert!(!is_flood(1, 100) && !is_flood(10, 1000) && !is_flood(1000, 100_000));
    }

    #[test]
    fn a_flood_is_over_when_notes_stay_away() {
        let mut flood = Flood::default();
        flood.measure(1000, Duration::from_micros(1500));
        assert!(flood.is_on);
        flood.measure(1001, Duration::from_secs(1));
        assert!(!flood.is_on);
    }
}
