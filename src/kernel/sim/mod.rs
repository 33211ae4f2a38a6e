//! A simulated kernel over a file system in memory.
//!
//! The engine cannot tell it from a real one. It is deterministic: everything
//! that happens is on an agenda, and what is on the agenda happens between two
//! calls of the engine, or in the middle of one, wherever a real kernel could let
//! another process run. So one script is one history, races included.
//!
//! * [`files`] is the truth: inodes, names, devices, a clock.
//! * [`systems`] are the five kernels, as tables of what each tells of what.
//! * [`queue`] is who watches, and what waits to be fetched.
//! * [`ops`] is what users and misfortune do.
//!
//! What the real implementations do in the middle (`kqueue`, `inotify`, and their
//! crawls) is imitated call by call: what is opened, watched, listed and looked
//! at, in which order, by path or through a descriptor, and what is counted.

pub mod files;
pub mod ops;
pub mod queue;
pub mod systems;
mod walk;

use super::hint::{inotify, vnode};
use super::room::Room;
use super::{
    Anchor, Counters, Entered, Entrant, Errno, Id, Kernel, Kind, Listing, Notes, Now, Place, Stat,
    Token, Visitor,
};
use crate::engine::defect::{planted, Defect};
use crate::engine::progress::Progress;
use files::{Act, Deed, Files, Node};
use ops::{Fault, Op};
use queue::{Post, Queue};
use std::collections::{HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use systems::{Role, System, Whereabouts};

/// What the type of a kernel says of it.
pub trait Family {
    /// [`Kernel::NAMES`], and the opposite of `EXACT` and `PINS`.
    const NAMES: bool;
    /// [`Kernel::EARLY`].
    const EARLY: Option<Duration>;
}

/// Systems with kqueue.
#[derive(Debug)]
pub struct ByVnode;
/// Systems with kqueue that tell of a change before it is made.
#[derive(Debug)]
pub struct ByVnodeEarly;
/// Linux.
#[derive(Debug)]
pub struct ByName;

impl Family for ByVnode {
    const NAMES: bool = false;
    const EARLY: Option<Duration> = None;
}
impl Family for ByVnodeEarly {
    const NAMES: bool = false;
    const EARLY: Option<Duration> = Some(Duration::from_millis(20));
}
impl Family for ByName {
    const NAMES: bool = true;
    const EARLY: Option<Duration> = None;
}

/// An operation that waits for its moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scheduled {
    /// In so many calls of the engine, counted from the one before.
    pub after: u32,
    /// It is told of so many calls after it took effect.
    pub late: u32,
    /// It takes effect so many calls after it was told of, where that happens.
    pub early: u32,
    /// Whether it must succeed or must fail, if either.
    pub succeeds: Option<bool>,
    /// What is done.
    pub op: Op,
}

/// A change of a file that some of its names may not show, because no kernel
/// tells of it there.
#[derive(Default, Debug)]
struct Silence {
    /// Files with several names that were changed, and files whose names changed,
    /// since the last quiet moment.
    changed: HashSet<Node>,
    renamed: HashSet<Node>,
    /// Files that nobody was told about.
    untold: HashSet<Node>,
    /// Files whose content nobody was told about since the last quiet moment. A
    /// look for another reason need not show it, if the clock did not move on.
    hidden: HashSet<Node>,
    /// Files that have had a further name.
    linked: HashSet<Node>,
    /// Directories from which a file system was taken away that nobody watched.
    uncovered: HashSet<Node>,
    /// Roots of file systems that were there when the first watch was added.
    mounted_before: HashSet<Node>,
}

/// The directory that holds the root of the watched tree, and what is beside it.
pub const SANDBOX: &[u8] = b"/w";
/// The root of the watched tree.
pub const TOP: &[u8] = b"/w/root";

/// A simulated kernel.
#[derive(Debug)]
pub struct Sim<F> {
    /// The truth.
    pub files: Files,
    /// Who watches.
    pub queue: Queue,
    /// Which kernel this is.
    pub system: &'static System,
    /// What happens while the engine works.
    pub agenda: VecDeque<Scheduled>,
    /// What went wrong on the agenda: an operation that should not have.
    pub wrong: Option<String>,
    /// By which a crawl can be ended.
    pub progress: Option<Arc<Progress>>,
    /// How much time goes by with each call and each operation.
    pub pace: Duration,
    /// Calls of the engine so far: a measure of its work.
    pub calls: u64,
    /// Operations so far, and what each did: a measure of its cause.
    pub performed: u64,
    /// Says what is done and asked, on standard error.
    pub trace: bool,
    room: Room,
    /// The directory without a watch that was looked into last (kqueue): as in
    /// `kqueue.rs`.
    at: Option<(Token, Id, Node)>,
    /// Whether the last change to a file system that does not tell of all was told.
    spoke: bool,
    withheld: Vec<(u32, Post)>,
    begun: Option<(u32, Scheduled)>,
    /// The directory that is left was told before: it is not told again.
    told_before: bool,
    faults: Vec<(Fault, Node, Errno)>,
    /// Which version of a file's content the engine has looked at last.
    seen: HashMap<Id, u64>,
    silence: Silence,
    /// Descriptors opened that wait for their registration.
    batch: Vec<(Token, Node)>,
    since: Duration,
    deadline: Option<Duration>,
    cookie: u32,
    counters: Counters,
    family: PhantomData<F>,
}

fn searchable(stat: &Stat) -> bool {
    stat.mode & 0o100 != 0
}

fn readable(stat: &Stat) -> bool {
    stat.mode & 0o400 != 0
}

const DENIED: Errno = Errno(libc::EACCES);
const STALE: Errno = Errno(libc::ESTALE);
const NOT_A_DIRECTORY: Errno = Errno(libc::ENOTDIR);
const NO_DESCRIPTOR: Errno = Errno(libc::EMFILE);

/// A path relative to the root, from the top of all, without `.` and `..`.
pub fn absolute(path: &[u8]) -> Vec<u8> {
    let mut steps: Vec<&[u8]> = TOP.split(|&b| b == b'/').skip(1).collect();
    for step in path.split(|&b| b == b'/') {
        match step {
            b"" | b"." => {}
            b".." => drop(steps.pop()),
            name => steps.push(name),
        }
    }
    let mut out = Vec::new();
    for step in steps {
        out.push(b'/');
        out.extend_from_slice(step);
    }
    out
}

impl<F: Family> Sim<F> {
    /// A machine with an empty root.
    pub fn new(system: &'static System) -> Sim<F> {
        debug_assert_eq!(system.inotify, F::NAMES);
        let mut files = Files::new();
        files.unlinks_links = system.unlinks_links;
        files.births = system.births;
        for dir in [SANDBOX, TOP] {
            let made = files.mkdir(dir);
            debug_assert_eq!(made, Ok(()));
        }
        files.deeds.clear();
        let mut queue = Queue::new(F::NAMES);
        queue.truncate = system.truncate;
        Sim {
            files,
            queue,
            system,
            agenda: VecDeque::new(),
            wrong: None,
            progress: None,
            pace: Duration::from_micros(1),
            calls: 0,
            performed: 0,
            trace: false,
            room: Room::default(),
            at: None,
            spoke: false,
            withheld: Vec::new(),
            begun: None,
            told_before: false,
            faults: Vec::new(),
            seen: HashMap::new(),
            silence: Silence::default(),
            batch: Vec::new(),
            since: Duration::from_secs(1000),
            deadline: None,
            cookie: 0,
            counters: Counters::default(),
            family: PhantomData,
        }
    }

    // ---- what happens meanwhile --------------------------------------------------

    /// A moment at which another process may run.
    fn race(&mut self) {
        self.calls += 1;
        self.pass(self.pace);
        for (calls, _) in &mut self.withheld {
            *calls = calls.saturating_sub(1);
        }
        if let Some((calls, _)) = &mut self.begun {
            *calls = calls.saturating_sub(1);
        }
        self.release(false);
        if let Some(next) = self.agenda.front_mut() {
            next.after = next.after.saturating_sub(1);
        }
        while self.agenda.front().is_some_and(|next| next.after == 0) {
            if let Some(next) = self.agenda.pop_front() {
                self.act(next);
            }
        }
    }

    /// Time goes by.
    pub fn pass(&mut self, time: Duration) {
        self.since += time;
        self.files.wall_ns += time.as_nanos() as i64;
    }

    /// Lets happen what was held up, if it is due or `all` of it is wanted.
    pub fn release(&mut self, all: bool) {
        if self.begun.as_ref().is_some_and(|(c, _)| all || *c == 0) {
            self.finish_begun();
        }
        if self.withheld.iter().any(|(calls, _)| all || *calls == 0) {
            let (due, kept) = std::mem::take(&mut self.withheld)
                .into_iter()
                .partition(|(calls, _)| all || *calls == 0);
            self.withheld = kept;
            let due: Vec<(u32, Post)> = due;
            for (_, post) in due {
                self.queue.post(&mut self.files, &post);
            }
        }
    }

    /// Does what was scheduled, now.
    pub fn act(&mut self, scheduled: Scheduled) {
        self.finish_begun(); // The directories are locked until it is done.
        if scheduled.early > 0 && self.system.early {
            if let Op::Mv(from, to) = &scheduled.op {
                if self.files.may_rename(&absolute(from), &absolute(to)) {
                    let dir = self.files.parent_of(&absolute(from));
                    self.tell_vnode(dir, vnode::WRITE, 0);
                    self.begun = Some((scheduled.early, scheduled));
                    return;
                }
            }
        }
        self.finish(&scheduled);
    }

    fn finish_begun(&mut self) {
        if let Some((_, scheduled)) = self.begun.take() {
            self.told_before = true;
            self.finish(&scheduled);
            self.told_before = false;
        }
    }

    fn finish(&mut self, scheduled: &Scheduled) {
        let done = self.perform(&scheduled.op, scheduled.late);
        if scheduled
            .succeeds
            .is_some_and(|wanted| wanted != done.is_ok())
        {
            let wrong = || format!("{}: {done:?}", scheduled.op);
            self.wrong.get_or_insert_with(wrong);
        }
    }

    /// Does something, and tells those who watch, at once or so many calls later.
    pub fn perform(&mut self, op: &Op, late: u32) -> Result<(), Errno> {
        self.pass(self.pace);
        self.performed += 1;
        if self.trace {
            eprintln!("    {op}");
        }
        let path = |p: &[u8]| absolute(p);
        let files = &mut self.files;
        let done = match op {
            Op::Mkdir(p) => files.mkdir(&path(p)),
            Op::Mkdirs(p) => {
                let full = path(p);
                let mut done = Ok(());
                for (cut, _) in full
                    .iter()
                    .enumerate()
                    .filter(|(i, b)| **b == b'/' && *i > 0)
                {
                    let _ = files.mkdir(&full[..cut]); // It may be there.
                }
                if let Err(error) = files.mkdir(&full) {
                    if error.0 != libc::EEXIST {
                        done = Err(error);
                    }
                }
                done
            }
            Op::Create(p) => files.create(&path(p)),
            Op::Write(p, text) => files.write(&path(p), text),
            Op::Append(p, len) => files.append(&path(p), *len),
            Op::Overwrite(p, len) => files.overwrite(&path(p), *len),
            Op::Truncate(p, len) => files.truncate(&path(p), *len),
            Op::Chmod(p, mode) => files.chmod(&path(p), *mode),
            Op::Age(p) => files.age(&path(p)),
            Op::Rm(p) => files.unlink(&path(p)),
            Op::Rmdir(p) => files.rmdir(&path(p)),
            Op::Rmtree(p) => files.below(&path(p)).into_iter().try_for_each(|(p, kind)| {
                if kind == Kind::Dir {
                    files.rmdir(&p)
                } else {
                    files.unlink(&p)
                }
            }),
            Op::Mv(p, q) => files.rename(&path(p), &path(q)),
            Op::Swap(p, q) if self.system.swaps => files.swap(&path(p), &path(q)),
            Op::Swap(..) => Err(Errno(libc::ENOSYS)),
            Op::Ln(p, q) => files.link(&path(p), &path(q)),
            Op::Symlink(text, p) => files.symlink(text, &path(p)),
            Op::Mkfifo(p) => files.mkfifo(&path(p)),
            Op::Mmap(p) => files.mmap(&path(p)),
            Op::Clone(p, len) => files.clone_into(&path(p), *len),
            Op::Mount(p, silent) => files.mount(&path(p), *silent),
            Op::Unmount(p) => files.unmount(&path(p)),
            Op::Cancel => {
                if let Some(progress) = &self.progress {
                    progress.cancel();
                }
                Ok(())
            }
            Op::Overflow => {
                self.queue.overflow();
                Ok(())
            }
            Op::Limit(limit) => {
                self.queue.limit = *limit;
                Ok(())
            }
            Op::Fail(fault, p, error) => match files.find(&path(p), false, &|_| true) {
                Ok(node) => {
                    self.faults.push((*fault, node, *error));
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Op::Notice(p) => self.notice(&path(p)),
            Op::Revoke(p) => match files.find(&path(p), false, &|_| true) {
                // A kernel that takes back a vnode, as FreeBSD's may.
                Ok(node) => {
                    if !F::NAMES {
                        self.tell_vnode(node, vnode::REVOKE, 0);
                    }
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Op::Wait(ms) => {
                self.release(true); // Nothing is held up for that long.
                self.pass(Duration::from_millis(*ms));
                Ok(())
            }
        };
        for deed in std::mem::take(&mut self.files.deeds) {
            self.performed += 1;
            self.tell(&deed, late);
        }
        done
    }

    /// Tells of something that did not happen.
    fn notice(&mut self, path: &[u8]) -> Result<(), Errno> {
        let node = self.files.find(path, false, &|_| true)?;
        if !F::NAMES {
            let all = vnode::WRITE | vnode::ATTRIB | vnode::DELETE | vnode::RENAME | vnode::LINK;
            self.tell_vnode(node, all, 0);
            return Ok(());
        }
        let mut posts = vec![
            (node, inotify::ATTRIB, None),
            (node, inotify::MOVE_SELF, None),
        ];
        if let Some((dir, name)) = self.files.inode(node).home.clone() {
            posts.push((dir, inotify::DELETE, Some(name.clone())));
            posts.push((dir, inotify::MODIFY, Some(name)));
        }
        for (node, bits, name) in posts {
            let post = Post {
                node,
                bits,
                name,
                cookie: 0,
            };
            self.queue.post(&mut self.files, &post);
        }
        Ok(())
    }

    fn tell_vnode(&mut self, node: Node, bits: u32, late: u32) -> bool {
        let post = Post {
            node,
            bits,
            name: None,
            cookie: 0,
        };
        self.say(post, late)
    }

    /// Posts now, or later. Whether anybody listens (now).
    fn say(&mut self, post: Post, late: u32) -> bool {
        if late == 0 {
            return self.queue.post(&mut self.files, &post);
        }
        let told = self.queue.is_watched(post.node);
        self.withheld.push((late, post));
        told
    }

    /// Tells those who watch of a deed, as this system does.
    fn tell(&mut self, deed: &Deed, late: u32) {
        let mut told = false;
        // A root that something is mounted on is also an entry of what is not silent.
        let silent = self.files.is_silent(deed.object) && !self.files.is_mounted(deed.object);
        let silent = silent && deed.act != Act::Unmount;
        if silent {
            // What is done by way of this mount is told, what is done elsewhere is not.
            self.spoke = !self.spoke;
            if !self.spoke {
                return;
            }
        }
        self.cookie += 1;
        for &(role, bits) in self.system.posts(deed.act) {
            let (dest, dest_name) = deed.to.as_ref().unwrap_or(&deed.at);
            let kept = deed
                .other
                .is_some_and(|other| self.files.stat(other).nlink > 0 && deed.act != Act::Swap);
            let (node, name) = match role {
                Role::DirBefore | Role::Dir => (deed.at.0, Some(&deed.at.1)),
                Role::Dest => (*dest, Some(dest_name)),
                Role::Object => (deed.object, None),
                Role::Other | Role::OtherKept => match deed.other {
                    Some(other) if (role == Role::OtherKept) == kept => (other, None),
                    _ => continue,
                },
            };
            if role == Role::DirBefore && self.told_before {
                continue;
            }
            let post = Post {
                node,
                bits,
                name: name.filter(|_| F::NAMES).cloned(),
                cookie: if bits & (inotify::MOVED_FROM | inotify::MOVED_TO) != 0 && F::NAMES {
                    self.cookie
                } else {
                    0
                },
            };
            told |= self.say(post, late) && role != Role::DirBefore;
        }
        if deed.act == Act::Unmount {
            if !told && !self.queue.is_watched_by_all(deed.object) {
                let under = self.files.child(deed.at.0, &deed.at.1);
                self.silence.uncovered.extend(under);
            }
            let dev = self.files.stat(deed.object).id.dev;
            let all: Vec<Node> = self.files.nodes_of(dev).collect();
            let gone = if F::NAMES {
                inotify::UNMOUNT
            } else {
                vnode::REVOKE
            };
            for node in all {
                self.tell_vnode(node, gone, 0);
            }
        }
        if !silent {
            self.keep_silence(deed, told); // Else it is polled, and that is no excuse.
        }
    }

    /// Takes down what a deed changed without anybody being told who could have
    /// followed it up.
    fn keep_silence(&mut self, deed: &Deed, told: bool) {
        use Act::*;
        let node = deed.object;
        match deed.act {
            Overwrite | Grow | Shrink | Extend | SameSize | Attrib | Mmap | Clone => {
                let told = if F::NAMES {
                    let there = || {
                        // A name that the watcher may not look at is of no use to it.
                        let path = self.files.path_of(deed.at.0)?;
                        self.files.find(&path, false, &searchable).ok()
                    };
                    self.files.stat(node).nlink < 2
                        || (told
                            && self.queue.is_watched_by_all(deed.at.0)
                            && there().is_some_and(|dir| searchable(&self.files.stat(dir))))
                } else {
                    // A watch that is not there yet looks when it is.
                    let kind = self.files.stat(node).kind;
                    told || (self.is_watchable(kind) && !self.queue.is_watched(node))
                };
                // inotify tells of these by names only, and of a store not at all.
                let silent = matches!(deed.act, Mmap) && F::NAMES;
                if told && !silent {
                    self.silence.untold.remove(&node);
                    self.silence.changed.insert(node);
                } else {
                    self.silence.untold.insert(node);
                    self.silence.hidden.insert(node);
                }
            }
            Link => {
                self.silence.linked.insert(node);
                self.silence.renamed.insert(node);
            }
            UnlinkOne | RenameFile | RenameFileOver | MoveFile | MoveFileOver | RenameLinks
            | Swap => {
                self.silence.renamed.insert(node);
                self.silence.renamed.extend(deed.other);
            }
            _ => {}
        }
    }

    /// Whether what a file shows may be out of date without anyone's fault.
    pub fn is_silent(&self, node: Node) -> bool {
        let silence = &self.silence;
        let several =
            F::NAMES && silence.changed.contains(&node) && silence.renamed.contains(&node);
        silence.untold.contains(&node) || several
    }

    /// Whether a file has had more than one name.
    pub fn was_linked(&self, node: Node) -> bool {
        self.silence.linked.contains(&node)
    }

    /// Whether a file's content may have changed without a trace.
    pub fn is_hidden(&self, node: Node) -> bool {
        self.silence.hidden.contains(&node)
    }

    /// Whether what is seen of a directory may be what covered it or covers it.
    pub fn is_veiled(&self, node: Node) -> bool {
        let covers = self.files.is_mounted(node) && !self.silence.mounted_before.contains(&node);
        covers || self.silence.uncovered.contains(&node)
    }

    /// A first crawl has seen what is mounted.
    pub fn unveil(&mut self) {
        self.silence.mounted_before = self.files.mounts().collect();
    }

    /// A quiet moment: what changes from here on does so anew. A file whose change
    /// went by a name that is gone stays in doubt until it is changed again.
    pub fn settle(&mut self) {
        let silence = &mut self.silence;
        silence.hidden.clear();
        if F::NAMES {
            let both = silence.changed.intersection(&silence.renamed).copied();
            let both: Vec<Node> = both.collect();
            silence.untold.extend(both);
        }
        silence.changed.clear();
        silence.renamed.clear();
    }

    /// Whether something is still to happen.
    pub fn is_pending(&self) -> bool {
        !self.agenda.is_empty() || !self.withheld.is_empty() || self.begun.is_some()
    }

    /// Forgets the faults that have not struck.
    pub fn mend(&mut self) {
        self.faults.clear();
    }

    /// When the engine wants to be woken.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    // ---- looking ------------------------------------------------------------------

    fn fault(&mut self, fault: Fault, node: Node) -> Result<(), Errno> {
        let at = self.faults.iter().position(|f| (f.0, f.1) == (fault, node));
        match at {
            Some(at) => Err(self.faults.swap_remove(at).2),
            None => Ok(()),
        }
    }

    fn find(&self, path: &Path, follow: bool) -> Result<Node, Errno> {
        self.files
            .find(path.as_os_str().as_bytes(), follow, &searchable)
    }

    /// A name in a directory that is at hand.
    fn child(&self, dir: Node, name: &[u8]) -> Result<Node, Errno> {
        let inode = self.files.inode(dir);
        if inode.lost {
            return Err(Errno(libc::EIO));
        }
        if inode.stat.kind == Kind::Dir && !searchable(&inode.stat) {
            return Err(DENIED);
        }
        self.files.child(dir, name)
    }

    /// What a file in a directory that is at hand says.
    fn read_at(&mut self, dir: Node, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.counters.stats += 1;
        if self.trace {
            let name = String::from_utf8_lossy(name);
            eprintln!("read {name} in {:?}", self.files.stat(dir).id);
        }
        // (What else goes wrong with a directory says nothing of what is in it.)
        if let Err(error) = self.fault(Fault::List, dir) {
            if error.is_exhaustion() {
                return Err(error);
            }
        }
        let inode = self.files.inode(self.child(dir, name)?);
        match inode.stat.kind {
            Kind::File if !readable(&inode.stat) => Err(DENIED),
            Kind::File => Ok(inode.text.to_vec()),
            _ => Err(Errno::ABSENT),
        }
    }

    fn stat_node(&mut self, node: Node) -> Result<Stat, Errno> {
        self.counters.stats += 1;
        self.fault(Fault::Stat, node)?;
        if self.files.inode(node).lost {
            return Err(Errno(libc::EIO));
        }
        let inode = self.files.inode(node);
        self.seen.insert(inode.stat.id, inode.version);
        Ok(self.files.stat(node))
    }

    /// Which version of a file's content was there when it was looked at last.
    pub fn seen(&self, id: Id) -> u64 {
        self.seen.get(&id).copied().unwrap_or_default()
    }

    /// Opens something in order to watch it.
    fn open(&mut self, node: Node) -> Result<(), Errno> {
        self.room.admit(self.queue.held() + self.batch.len())?;
        self.counters.opens += 1;
        let answer = self.fault(Fault::Watch, node);
        self.answer(answer)?;
        if self.queue.is_full(self.batch.len()) {
            return self.answer(Err(NO_DESCRIPTOR));
        }
        let stat = self.files.stat(node);
        if !readable(&stat) && stat.kind != Kind::Symlink {
            return Err(DENIED);
        }
        Ok(())
    }

    fn is_watchable(&self, kind: Kind) -> bool {
        match kind {
            Kind::File | Kind::Dir => true,
            Kind::Symlink => self.system.links,
            Kind::Other => false,
        }
    }

    /// The directory that a place's token has a watch on, if it is the right one.
    fn descriptor_of(&self, dir: Place<'_>) -> Option<Node> {
        let node = self.queue.node_of(dir.token).filter(|_| !F::NAMES)?;
        let (id, _) = self.queue.found(dir.token)?;
        dir.id.is_none_or(|wanted| wanted == id).then_some(node)
    }

    /// Where to look up a directory's names.
    fn look(&mut self, dir: Place<'_>) -> Result<Node, Errno> {
        if let Some(node) = self.descriptor_of(dir) {
            return Ok(node);
        }
        if let Some((token, id, node)) = self.at {
            if (token, Some(id)) == (dir.token, dir.id) {
                return Ok(node);
            }
        }
        self.leave();
        let found = self.find(dir.path, false);
        let Some(id) = dir.id else {
            return found;
        };
        self.counters.stats += 1;
        // That it is not where it should be says nothing of what is in it.
        let node = match found {
            Err(error) if error.is_elsewhere() => return Err(STALE),
            found => found?,
        };
        let stat = self.files.stat(node);
        if stat.id != id || stat.kind != Kind::Dir {
            return Err(STALE);
        }
        // (inotify needs no permission to read, in order to look.)
        if readable(&stat) || F::NAMES {
            self.files.hold(node);
            self.at = Some((dir.token, id, node));
        }
        Ok(node)
    }

    /// Closes the directory that was looked into.
    fn leave(&mut self) {
        if let Some((_, _, node)) = self.at.take() {
            self.files.release(node);
        }
    }

    /// Whether the file system tells of all that happens to this.
    fn is_told(&self, node: Node) -> Result<(), Errno> {
        match self.files.is_silent(node) {
            true => Err(Errno::SILENT),
            false => Ok(()),
        }
    }

    /// A kernel's answer to a request for a watch; and no more than allowed are there.
    fn answer(&mut self, answer: Result<(), Errno>) -> Result<(), Errno> {
        match answer {
            Err(error) => self.room.heed(error),
            Ok(()) if self.room.excess(self.queue.held() + self.batch.len()) > 0 => {
                let wrong = || "more watches than are allowed".to_string();
                self.wrong.get_or_insert_with(wrong);
            }
            Ok(()) => {}
        }
        answer
    }

    fn list(&mut self, node: Node, into: &mut Listing) -> Result<(), Errno> {
        self.counters.listings += 1;
        self.fault(Fault::List, node)?;
        let inode = self.files.inode(node);
        if inode.lost {
            return Err(Errno(libc::EIO));
        }
        if inode.stat.kind != Kind::Dir {
            return Err(NOT_A_DIRECTORY);
        }
        if !readable(&inode.stat) {
            return Err(DENIED);
        }
        self.files.list(node, into);
        Ok(())
    }

    // ---- watching -----------------------------------------------------------------

    /// Registers what was opened, then looks at it.
    fn commit(&mut self) -> Vec<(Token, Entered)> {
        if self.batch.is_empty() {
            return Vec::new();
        }
        self.race();
        self.counters.registrations += 1;
        let batch = std::mem::take(&mut self.batch);
        for &(token, node) in &batch {
            let added = self.queue.add(&mut self.files, token, node, vnode::TREE);
            debug_assert_eq!(added, Ok(()));
            self.files.release(node);
        }
        self.race();
        let _ = self.answer(Ok(()));
        let look = |&(token, node): &(Token, Node)| {
            let stat = self.stat_node(node);
            let watched = match stat {
                Ok(_) => self.is_told(node),
                Err(error) => {
                    self.unwatch(token);
                    Err(error)
                }
            };
            (token, Entered { stat, watched })
        };
        batch.iter().map(look).collect()
    }

    /// Opens an entry to watch it, or says why not and what is there.
    fn open_entry(&mut self, token: Token, node: Result<Node, Errno>) -> Result<(), Entered> {
        let node = node.map_err(nothing)?;
        let kind = self.files.stat(node).kind;
        let opened = if self.is_watchable(kind) {
            self.open(node).map_err(Some)
        } else {
            Err(None)
        };
        match opened {
            Ok(()) => {
                self.files.hold(node);
                self.batch.push((token, node));
                Ok(())
            }
            Err(error) => {
                let stat = self.stat_node(node);
                let exhausted = |e: &Errno| e.is_exhaustion();
                let error = error.filter(|e| kind != Kind::Symlink || exhausted(e));
                Err(match stat {
                    Ok(_) => Entered {
                        stat,
                        watched: error.map_or(Ok(()), Err),
                    },
                    Err(error) => nothing(error),
                })
            }
        }
    }

    /// Watches one thing by its path, and looks at it (kqueue).
    fn watch(&mut self, token: Token, path: &Path) -> Entered {
        self.leave();
        let node = self.find(path, false);
        match self.open_entry(token, node) {
            Ok(()) => {
                let entered = self.commit().pop();
                entered.map_or(nothing(Errno(libc::EIO)), |(_, entered)| entered)
            }
            Err(entered) => {
                self.unwatch(token);
                entered
            }
        }
    }

    /// Adds an inotify watch through a descriptor.
    fn watch_node(&mut self, token: Token, node: Node, mask: u32) -> Result<(), Errno> {
        if !self.queue.holds(token) {
            self.room.admit(self.queue.held())?;
        }
        self.counters.registrations += 1;
        let answer = self.fault(Fault::Watch, node);
        self.answer(answer)?;
        if !readable(&self.files.stat(node)) {
            return Err(DENIED);
        }
        let answer = self.queue.add(&mut self.files, token, node, mask);
        if answer.is_ok() && self.room.excess(self.queue.held()) > 0 {
            // It had shared a watch, and has one of its own now.
            self.unwatch(token);
            return Err(Errno::FULL);
        }
        self.answer(answer)?;
        self.is_told(node)
    }

    /// Opens a directory to list it (inotify).
    fn open_dir(&mut self, place: Place<'_>) -> Result<Node, Errno> {
        self.counters.opens += 1;
        let node = self.find(place.path, false)?;
        let stat = self.files.stat(node);
        match stat.kind {
            Kind::Dir => {}
            Kind::Symlink => return Err(Errno(libc::ELOOP)),
            _ => return Err(NOT_A_DIRECTORY),
        }
        if !readable(&stat) {
            return Err(DENIED);
        }
        if let Some(id) = place.id {
            self.counters.stats += 1;
            if stat.id != id {
                return Err(STALE);
            }
        }
        Ok(node)
    }
}

fn nothing(error: Errno) -> Entered {
    Entered {
        stat: Err(error),
        watched: Err(error),
    }
}

impl<F: Family> Kernel for Sim<F> {
    const EXACT: bool = !F::NAMES;
    const NAMES: bool = F::NAMES;
    const PINS: bool = !F::NAMES;
    const EARLY: Option<Duration> = F::EARLY;
    const FOLDS: bool = !F::NAMES && F::EARLY.is_none();

    fn now(&self) -> Now {
        Now {
            wall_ns: self.files.wall_ns,
            since: self.since,
        }
    }

    fn crawl(&mut self, root: Place<'_>, visitor: &mut dyn Visitor) {
        self.race();
        if self.trace {
            eprintln!("crawl {root:?}");
        }
        self.leave();
        self.walk(root, visitor);
        for (token, entered) in self.commit() {
            visitor.entered(token, entered);
        }
    }

    fn scan(&mut self, dir: Place<'_>, into: &mut Listing) -> Result<Result<(), Errno>, Errno> {
        self.race();
        if self.trace {
            eprintln!("scan {dir:?}");
        }
        if F::NAMES {
            let node = self.open_dir(dir)?;
            self.files.hold(node);
            self.race();
            let hasty = planted(Defect::ListBeforeWatch);
            let before = hasty.then(|| self.list(node, into));
            self.race();
            let watched = self.watch_node(dir.token, node, inotify::TREE);
            self.race();
            let listed = before.unwrap_or_else(|| self.list(node, into));
            self.files.release(node);
            return listed.map(|()| watched);
        }
        let mut watched = self
            .descriptor_of(dir)
            .map_or(Ok(()), |node| self.is_told(node));
        if self.descriptor_of(dir).is_none() {
            let entered = self.watch(dir.token, dir.path);
            let stat = entered.stat?;
            let wrong = if dir.id.is_some_and(|id| id != stat.id) {
                Some(STALE)
            } else if stat.kind != Kind::Dir {
                Some(NOT_A_DIRECTORY)
            } else {
                None
            };
            if let Some(error) = wrong {
                self.unwatch(dir.token);
                return Err(error);
            }
            watched = entered.watched;
            self.race();
        }
        let node = self.look(dir)?;
        if self.descriptor_of(dir).is_some() && !searchable(&self.files.stat(node)) {
            return Err(DENIED); // It is opened as "." of itself.
        }
        self.leave();
        self.list(node, into)?;
        Ok(watched)
    }

    fn stat(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Stat, Errno> {
        self.race();
        let node = if F::NAMES && !dir.doubted {
            let opened = dir.many.then(|| self.look(dir).ok()).flatten();
            let dir = opened.map_or_else(|| self.find(dir.path, false), Ok);
            dir.and_then(|dir| self.child(dir, name))
        } else {
            let dir = self.look(dir)?;
            self.child(dir, name)
        };
        if self.trace {
            let name = String::from_utf8_lossy(name);
            eprintln!("stat {:?} {name} = {node:?}", dir.path);
        }
        match node {
            Ok(node) => self.stat_node(node),
            Err(error) => {
                self.counters.stats += 1;
                Err(error)
            }
        }
    }

    fn read(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.race();
        let dir = self.look(dir)?;
        self.read_at(dir, name)
    }

    fn is_spelled(&mut self, dir: Place<'_>, name: &[u8]) -> bool {
        if !self.files.fold {
            return true;
        }
        self.race();
        let dir = self.look(dir);
        dir.is_err() || dir.is_ok_and(|dir| self.files.inode(dir).entries.contains_key(name))
    }

    fn resolve(&mut self, path: &Path) -> Result<PathBuf, Errno> {
        self.race();
        let node = self.find(path, true)?;
        let path = self.files.path_of(node).ok_or(Errno::ABSENT)?;
        Ok(PathBuf::from(std::ffi::OsString::from_vec(
            if path.is_empty() { b"/".to_vec() } else { path },
        )))
    }

    fn read_link(&mut self, path: &Path) -> Result<PathBuf, Errno> {
        self.race();
        let inode = self.files.inode(self.find(path, false)?);
        match inode.stat.kind {
            Kind::Symlink => Ok(PathBuf::from(std::ffi::OsString::from_vec(
                inode.target.to_vec(),
            ))),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    fn stat_path(&mut self, path: &Path) -> Result<Stat, Errno> {
        self.race();
        if self.trace {
            eprintln!("stat {path:?} = {:?}", self.find(path, false));
        }
        match self.find(path, false) {
            Ok(node) => self.stat_node(node),
            Err(error) => {
                self.counters.stats += 1;
                Err(error)
            }
        }
    }

    fn enter(&mut self, dir: Place<'_>, entrants: &mut [Entrant<'_>]) {
        /// As many changes go into one call.
        const ROOM: usize = 64;
        self.race();
        self.leave();
        let at = self.look(dir);
        let mut pending = Vec::new();
        for index in 0..entrants.len() {
            self.race();
            let entrant = &mut entrants[index];
            let node = at.and_then(|at| self.child(at, entrant.name));
            match self.open_entry(entrant.token, node) {
                Ok(()) => pending.push(index),
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
        self.race();
        if !F::NAMES {
            let entered = self.watch(token, path);
            if id.is_some_and(|id| entered.stat.is_ok_and(|stat| stat.id != id)) {
                self.unwatch(token);
                return Err(STALE);
            }
            return entered.watched;
        }
        self.counters.opens += 1;
        let node = self.find(path, false)?;
        let stat = self.stat_node(node)?;
        if id.is_some_and(|id| id != stat.id) {
            return Err(STALE);
        }
        self.files.hold(node);
        self.race();
        let mask = match stat.kind {
            Kind::Dir => inotify::TREE,
            _ => inotify::FILE,
        };
        let watched = self.watch_node(token, node, mask);
        self.files.release(node);
        watched
    }

    fn watch_anchor(&mut self, token: Token, path: &Path, role: Anchor) -> Result<(), Errno> {
        self.race();
        if self.trace {
            eprintln!("anchor {path:?} {role:?}");
        }
        if !F::NAMES {
            self.leave();
            self.unwatch(token);
        }
        let node = self.find(path, true)?;
        if self.files.stat(node).kind != Kind::Dir {
            return Err(NOT_A_DIRECTORY);
        }
        if F::NAMES {
            self.counters.opens += 1;
            let mask = match role {
                Anchor::Parent | Anchor::Vigil => inotify::NAMES,
                Anchor::Above => inotify::SELF,
            };
            return self.watch_node(token, node, mask);
        }
        self.open(node)?;
        let parents_only = self.system.names.contains(&"dragonfly");
        let asked = match role {
            Anchor::Vigil => vnode::VIGIL,
            Anchor::Parent if parents_only => vnode::VIGIL,
            Anchor::Parent | Anchor::Above => vnode::SELF,
        };
        self.files.hold(node);
        self.race();
        self.counters.registrations += 1;
        let added = self.queue.add(&mut self.files, token, node, asked);
        self.files.release(node);
        self.answer(added)?;
        self.is_told(node)
    }

    fn unwatch(&mut self, token: Token) {
        if self.queue.remove(&mut self.files, token) {
            self.room.reopen();
        }
    }

    fn notes(&mut self, into: &mut Notes) -> Result<(), Errno> {
        self.race();
        self.counters.fetches += 1;
        if self.deadline.is_some_and(|at| at <= self.since) {
            self.deadline = None; // The timer has gone off.
        }
        self.leave();
        let (before, held) = (into.iter().count(), self.queue.held());
        self.counters.notes += self.queue.fetch(&mut self.files, into);
        if self.queue.held() < held {
            self.room.reopen();
        }
        if self.trace {
            let new: Vec<_> = into.iter().skip(before).collect();
            eprintln!("notes {new:?}");
        }
        Ok(())
    }

    fn set_deadline(&mut self, at: Option<Duration>) -> Result<(), Errno> {
        self.leave();
        // A kqueue's timer is set like a watch.
        if !F::NAMES && at != self.deadline {
            self.counters.registrations += 1;
        }
        self.deadline = at;
        Ok(())
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn whereabouts(&mut self, token: Token) -> Option<PathBuf> {
        if self.system.whereabouts == Whereabouts::Never {
            return None;
        }
        let node = self.queue.node_of(token)?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(self.files.path_of(node)?));
        let there = self.stat_path(&path).ok()?;
        (Some((there.id, there.kind)) == self.queue.found(token)).then_some(path)
    }

    fn held(&self) -> (u64, u64) {
        let watches = self.queue.held() as u64;
        (watches, watches)
    }

    fn is_watched(&self, token: Token) -> bool {
        self.queue.holds(token)
    }

    fn is_shared(&self, token: Token) -> bool {
        self.queue.is_shared(token)
    }

    fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.queue.tokens()
    }

    fn room(&self) -> &Room {
        &self.room
    }

    fn room_mut(&mut self) -> &mut Room {
        &mut self.room
    }
}
