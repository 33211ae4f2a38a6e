//! The seam between the engine and an operating system.
//!
//! The engine asks a [`Kernel`] to look at things and to be told when to look
//! again; it makes no system call itself. Whatever a kernel delivers is a
//! [`Note`]: "look here". A note is never the truth about what happened there.
//!
//! Directories are named by a [`Place`]: the watch's token, which a kernel
//! that holds descriptors (kqueue) resolves to one, and the path where the
//! engine last saw the directory, for one that does not (inotify).

use std::path::{Path, PathBuf};
use std::time::Duration;

pub mod faults;
pub mod file;
pub mod hint;
#[cfg(all(target_os = "linux", not(feature = "libkqueue")))]
pub mod inotify;
#[cfg(any(not(target_os = "linux"), feature = "libkqueue"))]
pub mod kqueue;
pub mod posix;
pub mod room;
#[cfg(feature = "sim")]
pub mod sim;
pub mod volume;

use crate::collections::Reset;
use room::Room;

/// The kernel of the system this library was built for.
#[cfg(all(target_os = "linux", not(feature = "libkqueue")))]
pub type Native = inotify::Inotify;
/// The kernel of the system this library was built for.
#[cfg(any(not(target_os = "linux"), feature = "libkqueue"))]
pub type Native = kqueue::Kqueue;

/// An `errno` value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The calling thread's `errno`.
    pub fn last() -> Errno {
        Errno(errno::errno().0)
    }

    /// Whether this says that nothing has that name (any more).
    pub fn is_absent(self) -> bool {
        matches!(self.0, libc::ENOENT | libc::ENOTDIR)
    }

    /// Nothing has that name.
    pub const ABSENT: Errno = Errno(libc::ENOENT);
    /// The caller does not want it any more.
    pub const CANCELLED: Errno = Errno(libc::ECANCELED);
    /// Something else has that name.
    pub const OTHER: Errno = Errno(libc::ESTALE);
    /// There is no room for one more.
    pub const FULL: Errno = Errno(libc::ENOSPC);
    /// It is too long.
    pub const LONG: Errno = Errno(libc::EFBIG);
    /// Its file system does not tell of every change, whether it is watched or not.
    pub const SILENT: Errno = Errno(libc::EOPNOTSUPP);

    /// Whether a [`Place`] turned out to hold another inode than was asked for.
    pub fn is_other(self) -> bool {
        self.0 == libc::ESTALE
    }

    /// Whether what was asked for is not there: nothing is, or something else.
    pub fn is_elsewhere(self) -> bool {
        // A symbolic link where a directory was: ELOOP, or EMLINK on FreeBSD.
        self.is_absent() || self.is_other() || matches!(self.0, libc::ELOOP | libc::EMLINK)
    }

    /// What it says of a name if this was said of the directory: that a directory is not
    /// where it should be says nothing of what is in it.
    pub fn of_directory(self) -> Errno {
        match self.is_elsewhere() {
            true => Errno::OTHER,
            false => self,
        }
    }

    /// Whether a resource ran out: descriptors, watches or kernel memory.
    pub fn is_exhaustion(self) -> bool {
        matches!(
            self.0,
            // EUSERS: see `inotify.rs`.
            libc::EMFILE | libc::ENFILE | libc::ENOSPC | libc::ENOMEM | libc::EUSERS
        )
    }

    /// Whether permission is what is missing.
    pub fn is_denied(self) -> bool {
        matches!(self.0, libc::EACCES | libc::EPERM)
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}

/// What an entry is. Everything that is neither file, directory nor symbolic
/// link (FIFO, socket, device) is [`Kind::Other`]: listed, never opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link: an entry like any other, never followed.
    Symlink,
    /// A FIFO, a socket or a device.
    Other,
}

impl Kind {
    /// The kind in the `S_IFMT` bits of a mode.
    // mode_t is 16 bits wide on some systems, 32 on others.
    #[allow(clippy::unnecessary_cast)]
    pub fn of_mode(mode: u32) -> Kind {
        match mode & libc::S_IFMT as u32 {
            m if m == libc::S_IFREG as u32 => Kind::File,
            m if m == libc::S_IFDIR as u32 => Kind::Dir,
            m if m == libc::S_IFLNK as u32 => Kind::Symlink,
            _ => Kind::Other,
        }
    }
}

/// Which inode: two entries with the same `Id` are links of one file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Id {
    /// `st_dev`.
    pub dev: u64,
    /// `st_ino`.
    pub ino: u64,
}

/// What `lstat` says of an entry. Times are nanoseconds since the epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Device and inode number.
    pub id: Id,
    /// When the inode was made; 0 where the file system does not tell. Inode
    /// numbers are reused at once on many file systems, birth times are not.
    pub birth_ns: i64,
    /// File, directory, ...
    pub kind: Kind,
    /// Permission bits (`st_mode` without the type).
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Last modification of the content.
    pub mtime_ns: i64,
    /// Last change of the inode.
    pub ctime_ns: i64,
}

impl Stat {
    /// Stands in for an entry that was not looked at yet.
    pub fn unseen(id: Id, kind: Kind) -> Stat {
        Stat {
            id,
            birth_ns: 0,
            kind,
            mode: 0,
            nlink: 1,
            uid: 0,
            gid: 0,
            size: 0,
            mtime_ns: 0,
            ctime_ns: 0,
        }
    }

    /// Whether both describe the same inode, as far as one can tell: number,
    /// kind and, where known, time of birth.
    pub fn same_inode(&self, other: &Stat) -> bool {
        self.id == other.id
            && self.kind == other.kind
            && (self.birth_ns == other.birth_ns || self.birth_ns == 0 || other.birth_ns == 0)
    }
}

/// Names something the engine has asked to be told about. Tokens are never
/// reused, so a note for one that is gone is recognised as stale.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Token {
    /// An entry of a watched tree.
    Entry {
        /// The watch (`kw_watch`).
        watch: i32,
        /// Its place in the snapshot's arena.
        index: u32,
        /// Tells it from earlier tenants of that place.
        generation: u32,
    },
    /// An ancestor of a watch's root, watched so that the root's path is known
    /// to lead elsewhere from then on.
    Anchor {
        /// The watch (`kw_watch`).
        watch: i32,
        /// 0 is the root's parent, 1 that one's parent, ...
        level: u32,
    },
}

impl Token {
    /// The watch (`kw_watch`).
    pub fn watch(self) -> i32 {
        match self {
            Token::Entry { watch, .. } | Token::Anchor { watch, .. } => watch,
        }
    }
}

/// A directory the engine wants looked at: its token and where it should be.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The directory's token.
    pub token: Token,
    /// Its path, as far as the engine knows.
    pub path: &'a Path,
    /// The inode that must be found there; another one, or none, is `ESTALE`.
    pub id: Option<Id>,
    /// The path may lead elsewhere without any note of that: something on the way is
    /// polled. A look at a name makes sure of the directory first, also where
    /// [`Kernel::EXACT`] is false.
    pub doubted: bool,
    /// Many looks at names in it follow: to open it once is cheaper than to walk its path
    /// for each. (If it is not to be had, the path does.)
    pub many: bool,
}

/// What a note says may have happened: the vocabulary of `EVFILT_VNODE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct What(pub u16);

impl What {
    /// The entry's content changed; for a directory: its entries.
    pub const WRITE: What = What(1);
    /// Metadata changed, or the file was truncated, or closed after writing.
    pub const ATTRIB: What = What(2);
    /// The entry may be gone from its name.
    pub const DELETE: What = What(4);
    /// The entry may have another name.
    pub const RENAME: What = What(8);
    /// The watch is dead; if the entry lives it must be watched anew.
    pub const REVOKE: What = What(16);
    /// With `REVOKE`: its file system was unmounted.
    pub const UNMOUNT: What = What(32);
    /// With a name: something appeared or disappeared under it.
    pub const NAME: What = What(64);

    /// Nothing was told, because notes were lost or there are none: it may be anything.
    pub const UNTOLD: What = What(128);

    /// With `ATTRIB`: that may have been a truncation.
    pub const RESIZE: What = What(256);

    /// With `UNTOLD`: if it is a directory whose times say that it changed, list it.
    pub const LIST: What = What(512);

    /// All but these bits.
    pub fn without(self, other: What) -> What {
        What(self.0 & !other.0)
    }

    /// These bits alone.
    pub fn only(self, other: What) -> What {
        What(self.0 & other.0)
    }

    /// Whether any bit of `other` is set.
    pub fn has(self, other: What) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for What {
    type Output = What;
    fn bitor(self, other: What) -> What {
        What(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for What {
    fn bitor_assign(&mut self, other: What) {
        self.0 |= other.0;
    }
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            "WRITE", "ATTRIB", "DELETE", "RENAME", "REVOKE", "UNMOUNT", "NAME", "UNTOLD", "RESIZE",
            "LIST",
        ];
        let set = (0..10).filter(|bit| self.0 & (1 << bit) != 0);
        f.write_str(&set.map(|bit| names[bit]).collect::<Vec<_>>().join("|"))
    }
}

/// A hint that something should be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note<'a> {
    /// About a watched entry itself.
    Entry(Token, What),
    /// About a name in a watched directory (inotify).
    Name(Token, &'a [u8], What),
    /// The kernel dropped notes: everything must be looked at.
    Overflow,
}

impl Note<'_> {
    /// The watch it is for; `None`: all of them.
    pub fn watch(&self) -> Option<i32> {
        match self {
            Note::Overflow => None,
            Note::Entry(token, _) | Note::Name(token, _, _) => Some(token.watch()),
        }
    }
}

/// Notes in the order in which they came. Names lie in one buffer, so that none has to
/// be allocated for itself; one that several watches are told of lies there once.
#[derive(Default, Debug)]
pub struct Notes {
    notes: Vec<(Option<Token>, What, u32, u32)>,
    names: Vec<u8>,
}

impl Notes {
    /// Adds a note. `None` in place of a name: it is about the entry itself.
    pub fn push(
        &mut self,
        tokens: impl IntoIterator<Item = Token>,
        name: Option<&[u8]>,
        what: What,
    ) {
        let mut tokens = tokens.into_iter();
        let Some(first) = tokens.next() else {
            return;
        };
        let second = tokens.next();
        if second.is_none() && self.append(first, name, what) {
            return;
        }
        let at = self.names.len() as u32;
        let end = name.map_or(NO_NAME, |name| at + name.len() as u32);
        self.names.extend_from_slice(name.unwrap_or_default());
        self.notes.push((Some(first), what, at, end));
        let others = second.into_iter().chain(tokens);
        self.notes
            .extend(others.map(|token| (Some(token), what, at, end)));
    }

    /// A file is written to, and closed: what the last note said of its name stays true,
    /// and this is said in addition. Whether it could be.
    fn append(&mut self, token: Token, name: Option<&[u8]>, what: What) -> bool {
        let (Some(last), Some(name)) = (self.notes.last_mut(), name) else {
            return false;
        };
        let content = what.without(What::WRITE | What::ATTRIB) == What::default();
        let same = content
            && last.0 == Some(token)
            && last.3 != NO_NAME
            && self.names[last.2 as usize..last.3 as usize] == *name;
        if same {
            last.1 |= what;
        }
        same
    }

    /// Adds that notes were dropped.
    pub fn push_overflow(&mut self) {
        self.notes.push((None, What::default(), 0, NO_NAME));
    }

    /// Adds one of other notes.
    pub fn push_note(&mut self, note: Note<'_>) {
        match note {
            Note::Entry(token, what) => self.push([token], None, what),
            Note::Name(token, name, what) => self.push([token], Some(name), what),
            Note::Overflow => self.push_overflow(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Note<'_>> + '_ {
        self.notes
            .iter()
            .map(|&(token, what, at, end)| match token {
                None => Note::Overflow,
                Some(token) if end == NO_NAME => Note::Entry(token, what),
                Some(token) => Note::Name(token, &self.names[at as usize..end as usize], what),
            })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.notes.reset();
        self.names.reset();
    }
}

/// Where a note has none.
const NO_NAME: u32 = u32::MAX;

/// One directory's names, as read.
#[derive(Default, Debug)]
pub struct Listing {
    names: Vec<u8>,
    entries: Vec<(u32, u32, Hint)>,
}

/// What a directory listing tells of an entry without a stat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hint {
    /// The inode number. On a mount point it is that of what lies beneath, and
    /// some file systems (overlayfs, FUSE) put any number here.
    pub ino: u64,
    /// The kind, where the file system puts it into its directories.
    pub kind: Option<Kind>,
}

impl Listing {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.names.clear();
        self.entries.clear();
    }

    /// Adds a name.
    pub fn push(&mut self, name: &[u8], hint: Hint) {
        let at = self.names.len() as u32;
        self.names.extend_from_slice(name);
        self.entries.push((at, name.len() as u32, hint));
    }

    /// Every name with what the listing says of it, in the order read.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Hint)> + '_ {
        self.entries.iter().map(|&(at, len, hint)| {
            let at = at as usize;
            (&self.names[at..at + len as usize], hint)
        })
    }
}

/// What became of an entry that was to be watched and looked at.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    /// What was found there, looked at *after* the watch stood.
    pub stat: Result<Stat, Errno>,
    /// Whether it is watched now, or why not. `Ok` where no watch is needed;
    /// [`Errno::SILENT`] where there is one that will not tell of everything.
    pub watched: Result<(), Errno>,
}

/// What to do with an entry that a crawl came upon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Leave it, and what is below it, alone.
    Skip,
    /// Watch and stat it, and go into it if it is a directory.
    Enter(Token),
    /// Watch and stat it, and do not go into it.
    Leaf(Token),
}

/// Takes down what a crawl finds.
pub trait Visitor {
    /// Comes before everything else that concerns the entry.
    fn found(&mut self, parent: Token, name: &[u8], hint: Hint) -> Verdict;
    /// The entry was watched and looked at. For a directory this comes before
    /// its entries are found; for others it may come later, in a batch.
    fn entered(&mut self, token: Token, entered: Entered);
    /// An entry was come upon, and looked at, that is not to be gone into and needs no
    /// watch of its own: both of the above.
    fn looked_at(&mut self, parent: Token, name: &[u8], hint: Hint, stat: Result<Stat, Errno>) {
        match self.found(parent, name, hint) {
            Verdict::Skip => {}
            Verdict::Enter(token) | Verdict::Leaf(token) => {
                let watched = Ok(());
                self.entered(token, Entered { stat, watched });
            }
        }
    }
    /// Comes for each directory that is read. Whether the crawl is to go on; if not it
    /// ends as soon as what has been done is told.
    fn goes_on(&mut self) -> bool;
    /// The only device that is gone into, if there is such a condition: a directory on another
    /// one is an entry like a file.
    fn device(&self) -> Option<u64>;
    /// The name of the file in each directory whose [`content`](Visitor::content) is wanted.
    fn reads(&self) -> Option<&'static [u8]>;
    /// What [`Kernel::read`] says of that file, before anything is found in the directory. It
    /// may be left out where there is none.
    fn content(&mut self, dir: Token, content: Result<Vec<u8>, Errno>);
    /// A directory that was entered could not be read, or not to its end.
    fn unlisted(&mut self, dir: Token, error: Errno);
}

/// Part of a batch for [`Kernel::enter`].
#[derive(Debug)]
pub struct Entrant<'a> {
    /// Under which token to watch it.
    pub token: Token,
    /// Its name in the directory.
    pub name: &'a [u8],
    /// What the listing said.
    pub hint: Hint,
    /// The answer.
    pub entered: Option<Entered>,
}

/// What an ancestor of a root is watched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anchor {
    /// The parent of a root that is there: whether the root's name changes hands.
    Parent,
    /// Anything above: whether it is itself renamed or removed.
    Above,
    /// The nearest existing ancestor of a root that is absent: what appears in it.
    Vigil,
}

/// How long a file may be that is read. A longer one is [`Errno::LONG`].
pub const LONGEST: usize = 1 << 20;

/// How often each kind of system call was made. The cost bounds are asserted on these.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Fetches of notes (`read` of inotify, `kevent` for events).
    pub fetches: u64,
    /// Notes received.
    pub notes: u64,
    /// Directories listed (open, read to the end, close).
    pub listings: u64,
    /// `stat` calls of any form.
    pub stats: u64,
    /// Descriptors opened in order to watch.
    pub opens: u64,
    /// Calls that add or remove watches; on kqueue each carries a batch.
    pub registrations: u64,
}

/// The time, twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Nanoseconds since the epoch: comparable to the times of files.
    pub wall_ns: i64,
    /// Since some fixed moment: for deadlines, never goes back.
    pub since: Duration,
}

/// An operating system, as far as a watcher needs one.
pub trait Kernel {
    /// Looks go through a descriptor of the directory itself, so that a renamed
    /// ancestor cannot lead them astray.
    const EXACT: bool;
    /// A watched directory also tells of its entries' content and metadata, by
    /// name. Without it every entry needs a watch of its own.
    const NAMES: bool;
    /// A watch keeps its inode's number from being given to another file.
    const PINS: bool;
    /// A note may come before the change it tells of is complete; look again
    /// after this long.
    const EARLY: Option<Duration>;
    /// A name may lead to an entry whose name is spelled otherwise, in another
    /// case or another Unicode form.
    const FOLDS: bool;

    /// The time.
    fn now(&self) -> Now;

    /// Watches and stats the directory `root`, and everything below it as the
    /// visitor decides, each directory being watched before it is read. The
    /// root's own outcome comes through [`Visitor::entered`].
    fn crawl(&mut self, root: Place<'_>, visitor: &mut dyn Visitor);

    /// Makes sure the directory is watched, then lists it. `Ok` carries the
    /// outcome of the watching.
    fn scan(&mut self, dir: Place<'_>, into: &mut Listing) -> Result<Result<(), Errno>, Errno>;

    /// `lstat` of one name in a directory.
    fn stat(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Stat, Errno>;

    /// What a plain file in a directory holds, if that is not more than [`LONGEST`];
    /// [`Errno::ABSENT`] if there is no plain file of that name.
    fn read(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Vec<u8>, Errno>;

    /// Whether the entry to which a name leads has that very name, where
    /// [`Kernel::FOLDS`] makes that a question.
    fn is_spelled(&mut self, _dir: Place<'_>, _name: &[u8]) -> bool {
        true
    }

    /// The path with every symbolic link resolved, as `realpath(3)` gives it.
    fn resolve(&mut self, path: &Path) -> Result<PathBuf, Errno>;

    /// What a symbolic link holds.
    fn read_link(&mut self, path: &Path) -> Result<PathBuf, Errno>;

    /// `lstat` of a path from the file system's root.
    fn stat_path(&mut self, path: &Path) -> Result<Stat, Errno>;

    /// Watches (where [`Kernel::NAMES`] is false) and stats new entries of one
    /// directory that are not directories to be gone into.
    fn enter(&mut self, dir: Place<'_>, entrants: &mut [Entrant<'_>]);

    /// Watches a root that is not a directory, or an entry whose watch died.
    fn watch_path(&mut self, token: Token, path: &Path, id: Option<Id>) -> Result<(), Errno>;

    /// Watches an ancestor of a root; replaces what that token watched before.
    fn watch_anchor(&mut self, token: Token, path: &Path, role: Anchor) -> Result<(), Errno>;

    /// Ends a token's watch, if it has one.
    fn unwatch(&mut self, token: Token);

    /// Fetches every note there is, without waiting.
    fn notes(&mut self, into: &mut Notes) -> Result<(), Errno>;

    /// When the first of the notes that are held back will be there, if any are.
    fn due(&self) -> Option<Duration> {
        None
    }

    /// Makes the pollable descriptor readable at that moment (on [`Now::since`]).
    fn set_deadline(&mut self, at: Option<Duration>) -> Result<(), Errno>;

    /// System calls so far.
    fn counters(&self) -> Counters;

    /// Where a watched entry is now, if the kernel can tell: a hint for where to
    /// look for what was renamed and not found.
    fn whereabouts(&mut self, token: Token) -> Option<PathBuf>;

    /// Watches held now, and the descriptors they take.
    fn held(&self) -> (u64, u64);

    /// Whether a token has a watch.
    fn is_watched(&self, token: Token) -> bool;

    /// Whether another token has the same watch, so that ending this one's gives back none.
    fn is_shared(&self, _token: Token) -> bool {
        false
    }

    /// Every token that has a watch, in any order.
    fn tokens(&self) -> impl Iterator<Item = Token> + '_;

    /// How many watches there may be.
    fn room(&self) -> &Room;

    /// To set the limit.
    fn room_mut(&mut self) -> &mut Room;

    /// Finds out how many watches the system allows by now; it may be asked again for
    /// what it has refused.
    fn reopen_room(&mut self) {
        self.room_mut().reopen();
    }

    /// Whether one more watch would be refused.
    fn is_full(&self) -> bool {
        self.room().admit(self.held().0 as usize).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_one_name_in_a_row_is_one_note() {
        let token = |index| Token::Entry {
            watch: 1,
            index,
            generation: 1,
        };
        let mut notes = Notes::default();
        notes.push([token(1)], Some(b"f"), What::NAME);
        notes.push([token(1)], Some(b"f"), What::WRITE);
        notes.push([token(1)], Some(b"f"), What::ATTRIB);
        // Its name may be another's by now, it is another's, and another directory's.
        notes.push([token(1)], Some(b"f"), What::NAME);
        notes.push([token(1)], Some(b"g"), What::WRITE);
        notes.push([token(2)], Some(b"g"), What::WRITE);
        // Two are told of this.
        notes.push([token(2), token(3)], Some(b"g"), What::WRITE);
        notes.push([token(3)], None, What::ATTRIB);
        notes.push([token(3)], Some(b""), What::ATTRIB);
        let all = What::NAME | What::WRITE | What::ATTRIB;
        let expected = [
            Note::Name(token(1), b"f", all),
            Note::Name(token(1), b"f", What::NAME),
            Note::Name(token(1), b"g", What::WRITE),
            Note::Name(token(2), b"g", What::WRITE),
            Note::Name(token(2), b"g", What::WRITE),
            Note::Name(token(3), b"g", What::WRITE),
            Note::Entry(token(3), What::ATTRIB),
            Note::Name(token(3), b"", What::ATTRIB),
        ];
        assert_eq!(notes.iter().collect::<Vec<_>>(), expected);
    }
}
