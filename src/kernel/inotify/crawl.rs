//! The crawl of a new tree.
//!
//! A directory is opened, watched, and then read and its entries looked at through
//! that one descriptor: what is found in it belongs to the inode that is watched.
//! Directories are opened by path, and one that was renamed during the crawl may be
//! taken for another; every directory on the way had been watched by then, so that a
//! note of the renaming waits, and the engine reads again what was reached through it.
//!
//! What is done for one directory, the [`survey`], needs nothing but system calls. So
//! several threads can do it; only the calling one talks to the visitor. They are
//! started when the tree turns out to be large, and have ended when the crawl has.

use super::{Inotify, Instance, TREE};
use crate::kernel::posix::{self, DIR_FLAGS, THREAD};
use crate::kernel::volume;
use crate::kernel::{Entered, Errno, Hint, Id, Kind, Listing, Place, Stat, Token};
use crate::kernel::{Verdict, Visitor};
use rustix::fs::{FileType, RawDir};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// As much of a directory as is read at once.
pub(super) const READ: usize = 32 * 1024;
/// So many directories have to be surveyed before a tree is taken to be large, and
/// threads are started as soon as two more wait.
const LARGE: usize = 64;
/// So many surveys may wait for the calling thread.
const BACKLOG: usize = 64;

/// A directory to be surveyed.
struct Job {
    token: Token,
    path: PathBuf,
    /// The inode that must be found there, if that is known.
    id: Option<Id>,
    /// The device that it should be on, and whether that is silent.
    volume: (u64, bool),
}

/// What was found of a directory.
struct Survey {
    job: Job,
    /// Its own state, after it was watched.
    stat: Result<Stat, Errno>,
    watch: Asked,
    /// Whether its file system keeps changes to itself.
    silent: bool,
    /// Whether it was read, if it was to be.
    listed: Option<Result<(), Errno>>,
    /// What the file in it holds that the visitor wants read, if it is there.
    content: Option<Result<Vec<u8>, Errno>>,
    sheet: Sheet,
    stats: u64,
}

/// What came of the wish to watch a directory.
enum Asked {
    /// It could not be opened, which says nothing of watches.
    Unopened(Errno),
    /// There is no room for one more.
    NoRoom,
    /// It is on a device that is not gone into.
    Unwanted,
    /// The kernel's answer: a watch descriptor.
    Answered(Result<i32, Errno>),
}

/// The entries of a directory.
#[derive(Default)]
struct Sheet {
    listing: Listing,
    /// What they are, in the order of the listing; of directories nothing, their own
    /// survey finds that.
    entries: Vec<Option<Result<Stat, Errno>>>,
}

/// How many more watches may be asked for.
struct Allowance(AtomicUsize);

impl Allowance {
    fn take(&self) -> bool {
        let less = |n: usize| match n {
            usize::MAX => Some(n),
            n => n.checked_sub(1),
        };
        let order = Ordering::Relaxed;
        self.0.fetch_update(order, order, less).is_ok()
    }

    /// What was taken was not needed.
    fn give_back(&self) {
        let more = |n: usize| n.checked_add(1);
        let order = Ordering::Relaxed;
        let _ = self.0.fetch_update(order, order, more);
    }

    fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What all threads of a crawl share.
struct Crawl {
    inotify: Result<Instance, Errno>,
    /// The only device that is gone into, if there is one.
    device: Option<u64>,
    /// The file in each directory that the visitor wants read, if there is one.
    reads: Option<&'static [u8]>,
    allowance: Allowance,
    queue: Mutex<Queue>,
    /// There are jobs, or the crawl is over.
    jobs: Condvar,
    /// There are surveys, or none is being made.
    surveys: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    surveys: Vec<Survey>,
    /// Used before, for their memory.
    sheets: Vec<Sheet>,
    /// Threads that are making a survey, and threads that wait for a job.
    busy: usize,
    idle: usize,
    over: bool,
}

impl Crawl {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every thread but the calling one does.
    fn help(&self) {
        /// However it comes, the others must know.
        struct Busy<'a>(&'a Crawl);
        impl Drop for Busy<'_> {
            fn drop(&mut self) {
                self.0.lock().busy -= 1;
                self.0.surveys.notify_one();
            }
        }
        let mut room = vec![MaybeUninit::uninit(); READ];
        loop {
            let mut queue = self.lock();
            let job = loop {
                match queue.jobs.pop() {
                    _ if queue.over => return,
                    Some(job) if queue.surveys.len() < BACKLOG => break job,
                    job => queue.jobs.extend(job),
                }
                queue.idle += 1;
                let waited = self.jobs.wait(queue);
                queue = waited.unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            };
            queue.busy += 1;
            let sheet = queue.sheets.pop().unwrap_or_default();
            drop(queue);
            let busy = Busy(self);
            let survey = self.survey(job, sheet, &mut room);
            self.lock().surveys.push(survey);
            drop(busy);
        }
    }

    /// Opens, watches and reads a directory.
    fn survey(&self, job: Job, sheet: Sheet, room: &mut [MaybeUninit<u8>]) -> Survey {
        let mut survey = Survey {
            stat: Err(Errno::OTHER),
            watch: Asked::Unopened(Errno::OTHER),
            silent: job.volume.1,
            listed: None,
            content: None,
            sheet,
            stats: 0,
            job,
        };
        match self.open(&mut survey) {
            Ok(dir) => self.survey_open(&mut survey, &dir, room),
            // It may be there and not be readable.
            Err(error) => {
                survey.watch = Asked::Unopened(error);
                survey.stat = Err(error);
                if survey.job.id.is_none() {
                    survey.stats += 1;
                    survey.stat = posix::stat_path(&survey.job.path);
                }
            }
        }
        survey
    }

    fn open(&self, survey: &mut Survey) -> Result<OwnedFd, Errno> {
        let dir = posix::open_path(&survey.job.path, DIR_FLAGS)?;
        if let Some(id) = survey.job.id {
            survey.stats += 1;
            if posix::stat_fd(dir.as_raw_fd())?.id != id {
                return Err(Errno::OTHER);
            }
        }
        Ok(dir)
    }

    fn survey_open(&self, survey: &mut Survey, dir: &OwnedFd, room: &mut [MaybeUninit<u8>]) {
        if let Some(device) = self.device {
            survey.stats += 1;
            survey.stat = posix::stat_fd(dir.as_raw_fd());
            if survey.stat.is_ok_and(|stat| stat.id.dev != device) {
                survey.watch = Asked::Unwanted;
                return;
            }
        }
        survey.watch = match self.inotify {
            Err(error) => Asked::Answered(Err(error)),
            Ok(_) if !self.allowance.take() => Asked::NoRoom,
            Ok(inotify) => Asked::Answered(inotify.add_watch(dir.as_raw_fd(), TREE)),
        };
        if let Asked::Answered(Err(error)) = survey.watch {
            if error.is_exhaustion() {
                self.allowance.end(); // The others need not ask.
            }
        }
        survey.stats += 1;
        survey.stat = posix::stat_fd(dir.as_raw_fd());
        let Ok(stat) = survey.stat else {
            return;
        };
        if stat.id.dev != survey.job.volume.0 {
            survey.silent = volume::ask(dir.as_raw_fd());
        }
        let Sheet { listing, entries } = &mut survey.sheet;
        let stats = &mut survey.stats;
        let content = &mut survey.content;
        entries.clear();
        let listed = read(dir, room, listing, |name, hint| {
            if self.reads == Some(name.to_bytes()) {
                *stats += 1;
                *content = Some(posix::read_name(dir.as_raw_fd(), name.to_bytes()));
            }
            let entry = (hint.kind != Some(Kind::Dir)).then(|| {
                *stats += 1;
                posix::stat_at(dir.as_raw_fd(), name)
            });
            if let (None, Some(Ok(stat))) = (hint.kind, entry) {
                hint.kind = Some(stat.kind); // A listing without kinds.
            }
            entries.push(entry);
        });
        survey.listed = Some(listed);
    }
}

/// The other threads of a crawl. They go when the calling thread does, also if the visitor
/// panics. (Not a scope of std's: that makes a record of the host's own thread, which the
/// host's leak checker finds at the end.)
struct Helpers<'a> {
    crawl: &'a Arc<Crawl>,
    threads: Vec<JoinHandle<()>>,
}

impl Helpers<'_> {
    /// Without one it takes longer.
    fn start(&mut self, wanted: usize) {
        for _ in 0..wanted {
            let crawl = Arc::clone(self.crawl);
            let thread = std::thread::Builder::new().name(THREAD.into());
            self.threads.extend(posix::without_signals(|| {
                thread.spawn(move || crawl.help())
            }));
        }
    }

    /// What one of them was surveying when it panicked is missing: so this panics, too.
    fn end(mut self) {
        if let Some(panic) = self.join() {
            std::panic::resume_unwind(panic);
        }
    }

    fn join(&mut self) -> Option<Box<dyn std::any::Any + Send>> {
        self.crawl.lock().over = true;
        self.crawl.jobs.notify_all();
        let mut panic = None;
        for thread in self.threads.drain(..) {
            panic = thread.join().err().or(panic);
        }
        panic
    }
}

impl Drop for Helpers<'_> {
    fn drop(&mut self) {
        self.join();
    }
}

/// Reads an open directory to its end, passing each name to `look` on the way.
pub(super) fn read(
    dir: &OwnedFd,
    room: &mut [MaybeUninit<u8>],
    into: &mut Listing,
    mut look: impl FnMut(&std::ffi::CStr, &mut Hint),
) -> Result<(), Errno> {
    into.clear();
    let mut entries = RawDir::new(dir, room);
    while let Some(entry) = entries.next() {
        let entry = match entry.map_err(|error| Errno(error.raw_os_error())) {
            // It was removed: readdir(3) takes that for the end, too.
            Err(Errno(libc::ENOENT)) => break,
            entry => entry?,
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let mut hint = Hint {
            ino: entry.ino(),
            kind: kind_of(entry.file_type()),
        };
        look(name, &mut hint);
        into.push(name.to_bytes(), hint);
    }
    Ok(())
}

fn kind_of(kind: FileType) -> Option<Kind> {
    match kind {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Dir),
        FileType::Symlink => Some(Kind::Symlink),
        FileType::Unknown => None,
        _ => Some(Kind::Other),
    }
}

impl Inotify {
    /// Crawls a new tree. `threads`: how many may take part, the calling one included.
    pub(super) fn crawl_with(
        &mut self,
        root: Place<'_>,
        visitor: &mut dyn Visitor,
        threads: usize,
    ) {
        let spare = self.room.spare(self.watches.descriptors());
        let crawl = Arc::new(Crawl {
            inotify: self.instance(),
            device: visitor.device(),
            reads: visitor.reads(),
            allowance: Allowance(AtomicUsize::new(spare)),
            queue: Mutex::default(),
            jobs: Condvar::new(),
            surveys: Condvar::new(),
        });
        let mut fresh = vec![Job {
            token: root.token,
            path: root.path.to_path_buf(),
            id: root.id,
            volume: (0, false), // Not known yet.
        }];
        let mut surveyed = 0;
        let mut wanted = threads.saturating_sub(1);
        let mut helpers = Helpers {
            crawl: &crawl,
            threads: Vec::new(),
        };
        let mut room = vec![MaybeUninit::uninit(); READ];
        let mut sheet = None;
        while visitor.goes_on() {
            let mut queue = crawl.lock();
            queue.jobs.append(&mut fresh);
            queue.sheets.extend(sheet.take());
            // (To wake somebody is a system call.)
            if queue.idle > 0 && !queue.jobs.is_empty() {
                crawl.jobs.notify_all();
            }
            if surveyed >= LARGE && queue.jobs.len() > 1 {
                helpers.start(std::mem::take(&mut wanted));
            }
            let survey = if let Some(survey) = queue.surveys.pop() {
                drop(queue);
                survey
            } else if let Some(job) = queue.jobs.pop() {
                let sheet = queue.sheets.pop().unwrap_or_default();
                drop(queue);
                crawl.survey(job, sheet, &mut room)
            } else if queue.busy > 0 {
                drop(crawl.surveys.wait(queue));
                continue;
            } else {
                break;
            };
            surveyed += 1;
            let allowance = &crawl.allowance;
            sheet = Some(self.report(survey, visitor, &mut fresh, allowance));
        }
        helpers.end();
        // What they have watched by now must be known, also if the crawl was cancelled.
        let surveyed = std::mem::take(&mut crawl.lock().surveys);
        for survey in surveyed {
            self.report(survey, visitor, &mut fresh, &crawl.allowance);
        }
    }

    /// Tells the visitor of a directory, and puts those in it into `fresh`.
    fn report(
        &mut self,
        survey: Survey,
        visitor: &mut dyn Visitor,
        fresh: &mut Vec<Job>,
        allowance: &Allowance,
    ) -> Sheet {
        let Job { token, path, .. } = survey.job;
        self.counters.opens += 1;
        self.counters.stats += survey.stats;
        let held = self.watches.descriptors();
        let added = match survey.watch {
            Asked::Unopened(error) => Err(error),
            Asked::NoRoom => self.room.admit(held).and(Err(Errno::FULL)),
            Asked::Unwanted => Ok(()),
            Asked::Answered(answer) => {
                self.counters.registrations += 1;
                let added = self.adopt(token, answer);
                if added.is_ok() && self.watches.descriptors() == held {
                    allowance.give_back(); // Another token has it, too.
                }
                added
            }
        };
        let watched = added.and(match survey.silent {
            true => Err(Errno::SILENT),
            false => Ok(()),
        });
        let stat = survey.stat;
        visitor.entered(token, Entered { stat, watched });
        if let Some(content) = survey.content {
            visitor.content(token, content);
        }
        let Sheet { listing, entries } = &survey.sheet;
        let (Ok(stat), Some(listed)) = (stat, survey.listed) else {
            return survey.sheet;
        };
        self.volumes.learn(stat.id.dev, survey.silent);
        self.counters.listings += 1;
        for ((name, hint), entry) in listing.iter().zip(entries) {
            if let Some(stat) = entry.as_ref().filter(|_| hint.kind != Some(Kind::Dir)) {
                visitor.looked_at(token, name, hint, *stat);
                continue;
            }
            match visitor.found(token, name, hint) {
                Verdict::Skip => {}
                Verdict::Enter(token) => fresh.push(Job {
                    token,
                    path: below(&path, name),
                    id: None,
                    volume: (stat.id.dev, survey.silent),
                }),
                Verdict::Leaf(token) => {
                    let stat = self.stat_in(&path, name);
                    let watched = Ok(()); // By its directory.
                    visitor.entered(token, Entered { stat, watched });
                }
            }
        }
        if let Err(error) = listed {
            visitor.unlisted(token, error);
        }
        survey.sheet
    }

    /// `lstat` of a name in the directory of that path.
    fn stat_in(&mut self, dir: &Path, name: &[u8]) -> Result<Stat, Errno> {
        self.counters.stats += 1;
        posix::stat_in(dir, name)
    }
}

/// The path of a name in a directory.
fn below(dir: &Path, name: &[u8]) -> PathBuf {
    let mut path = PathBuf::with_capacity(dir.as_os_str().len() + 1 + name.len());
    path.push(dir);
    path.push(OsStr::from_bytes(name));
    path
}
