//! One watched root: its snapshot, what is owed on it, and a turn.
//!
//! * [`root`](self::root): the root's path and the ancestors it hangs on;
//! * [`polled`](self::polled): what has no watch;
//! * [`rules`](self::rules): the files that say what is excluded;
//! * [`way`](self::way): symbolic links on the way to the root.

use super::defect::{planted, Defect};
use super::dirty::{By, Depth, Dirty, Slot};
use super::event::{kind, Emitter};
use super::filter::{Filter, NAME};
use super::gitignore::Gitignores;
use super::look::{token, Findings, Looks, View, LINKS, RECHECKS};
use super::moves::{Arrival, Plan};
use super::progress::Progress;
use super::recent::Recent;
use super::sequence::{Sequence, Work};
use crate::collections::{HashMap, HashSet, IndexMap, IndexSet, Reset};
use crate::kernel::{Errno, Id, Kernel, Kind, Note, Notes, Now, Stat, Token, What};
use crate::tree::image::{self, Damaged, Image};
use crate::tree::{Key, Marks, Tree};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod initial;
mod polled;
mod root;
mod rules;
mod way;

use initial::Initial;
use polled::Round;
use root::ANCHOR_TRIES;
use way::Way;

/// What the caller asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many levels of entries there are below the root: 1 are its direct entries,
    /// [`ALL_LEVELS`] is everything.
    pub levels: usize,
    /// What is on another device than the root is not gone into.
    pub one_device: bool,
    /// Which entries are followed; `None`: all.
    pub filter: Option<Arc<Filter>>,
    /// Report directories whose entries changed.
    pub dir_modified: bool,
    /// [`Engine::sync`](super::Engine::sync) looks at every entry, not only at what
    /// is polled.
    pub sync_all: bool,
    /// Tell what the first crawl finds, so many entries at a time; 0: do not.
    pub initial: usize,
    /// Kinds of events.
    pub mask: u32,
    /// What moves with a directory is told of by itself, too.
    pub expanded: bool,
    /// Looks wait until nothing has happened for a while; `None`: they are made at once.
    pub settle: Option<Settle>,
    /// Nothing need be at the root's path yet.
    pub may_be_absent: bool,
}

/// How long looks wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settle {
    /// So long nothing has happened,
    pub quiet: Duration,
    /// or so long since something did for the first time.
    pub longest: Duration,
}

/// There is no limit to the depth.
pub const ALL_LEVELS: usize = usize::MAX;

impl Options {
    /// What everybody wants: all there is, all that happens to it.
    pub const ALL: Options = Options {
        levels: ALL_LEVELS,
        one_device: false,
        filter: None,
        dir_modified: false,
        sync_all: false,
        initial: 0,
        mask: kind::ALL,
        expanded: false,
        settle: None,
        may_be_absent: false,
    };

    /// Whether it depends on an entry's path what there is of it and below it.
    pub fn depend_on_path(&self) -> bool {
        let filter = self.filter.as_ref();
        !matches!(self.levels, 1 | ALL_LEVELS) || filter.is_some_and(|f| f.depends_on_path())
    }

    /// Whether what `.gitignore` files say is heeded.
    pub fn heeds_gitignore(&self) -> bool {
        let filter = self.filter.as_ref();
        filter.is_some_and(|filter| filter.heeds_gitignore())
    }
}

/// How often a turn looks again because directories were not where they
/// should have been; what is left then is left to the next turn.
const ROUNDS: usize = 64;

/// What a turn's looks come to.
#[derive(Default, Debug)]
struct Looked {
    found: Findings,
    plan: Plan,
    /// What was fetched on the way.
    notes: Notes,
    /// How the plan is carried out.
    work: Work,
    /// Directories whose entries changed.
    touched: IndexSet<Key>,
}

impl Looked {
    /// Forgets everything, keeps the memory.
    fn reset(&mut self) {
        self.found.reset();
        self.plan.reset();
        self.notes.clear();
        self.work.reset();
        self.touched.reset();
    }
}

/// A watched root.
#[derive(Debug)]
pub struct Watch {
    id: i32,
    /// As the caller spelled it.
    spelling: Arc<[u8]>,
    /// Where it is, symbolic links resolved.
    root: PathBuf,
    /// By what links, if there are any.
    way: Option<Way>,
    options: Options,
    tree: Tree,
    /// Whether anything is at the root's path.
    present: bool,
    /// What is owed.
    pub dirty: Dirty,
    recent: Recent,
    /// What the last turn has found, for its memory.
    looked: Option<Box<Looked>>,
    path: Vec<u8>,
    /// What this turn has reported as modified.
    reported: HashSet<Key>,
    unreadable: IndexSet<Key>,
    /// What is marked as polled, with the reason. What is so no more is taken out by
    /// the next round.
    polled: IndexMap<Key, Errno>,
    /// The reason that came last.
    why: Option<Errno>,
    /// [`Kernel::NAMES`]: files need no watch of their own.
    by_name: bool,
    /// Devices of file systems that do not tell of everything: what is on them is polled
    /// in any case, and a watch of it is worth less than any other.
    silent: HashSet<u64>,
    /// How far the round under way has come.
    round: Option<Round>,
    /// What is polled and should rather be watched, and when it changed.
    claims: IndexMap<Key, i64>,
    anchors: u32,
    /// The levels of the watches that links have.
    link_anchors: Vec<u32>,
    /// An ancestor could not be watched that may tell of the root: its path is
    /// looked at from time to time.
    blind: bool,
    /// Why, if something is to be said of that.
    blind_for: Option<Errno>,
    /// That is for want of room.
    cramped: bool,
    /// Room is to be made for them.
    claims_anchors: bool,
    /// It was, before: it shall not be made in vain in every round.
    denied_anchors: bool,
    /// The device of what was left when the root's file system was unmounted.
    bare: Option<u64>,
    /// That something is polled has been told.
    degraded: bool,
    /// Nothing is polled any more, which is to be told.
    recovered: bool,
    /// What of the first crawl is still to be told.
    initial: Option<Initial>,
    /// What was saved is not compared with what is there yet.
    catching_up: bool,
    /// When something happened first, and last, that is to settle before it is looked at.
    unsettled: Option<(Duration, Duration)>,
    /// History was lost, and not everything was looked at since.
    rescanning: bool,
    /// Why the root could not be looked at the last time.
    root_trouble: Option<Errno>,
    /// Files of which this turn has updated every link, with what was seen.
    spread: HashMap<Id, Stat>,
    rescans: u64,
    /// What `.gitignore` files say.
    rules: Gitignores,
    /// Directories of which a change may have been told before they were watched.
    begun: Vec<Key>,
}

/// Which of two looks at a file tell apart a write that came between them. The
/// coarsest clocks of file systems in use: 2 s (FAT), 1 s (HFS+, ext3), and the
/// kernel's tick where stamps are finer than that.
const COARSE_NS: i64 = 2_000_000_000;

fn granule_ns(mtime_ns: i64) -> i64 {
    if mtime_ns % 1_000_000_000 == 0 {
        COARSE_NS
    } else {
        20_000_000
    }
}

/// Whether something may have been written to since, and its time not show it.
pub(super) fn is_racy(stat: &Stat, now: Now) -> bool {
    // A directory's time of modification may be set back after it changed.
    let changed_ns = match stat.kind {
        Kind::Dir => stat.mtime_ns.max(stat.ctime_ns),
        Kind::File => stat.mtime_ns,
        _ => return false,
    };
    let age_ns = now.wall_ns.saturating_sub(changed_ns);
    age_ns < COARSE_NS && age_ns < granule_ns(changed_ns)
}

impl Watch {
    /// A watch of a root that nothing is known of yet.
    fn new<K: Kernel>(
        kernel: &mut K,
        id: i32,
        spelling: &[u8],
        path: &Path,
        options: Options,
    ) -> Result<Watch, Errno> {
        let (root, way) = way::find(kernel, path, options.may_be_absent)?;
        let mut watch = Watch {
            id,
            spelling: spelling.into(),
            root,
            way,
            options,
            tree: Tree::new(Stat::unseen(Id::default(), Kind::Dir)),
            present: true,
            dirty: Dirty::default(),
            recent: Recent::default(),
            looked: None,
            path: Vec::new(),
            reported: HashSet::new(),
            unreadable: IndexSet::default(),
            polled: IndexMap::default(),
            why: None,
            by_name: K::NAMES,
            silent: HashSet::new(),
            round: None,
            claims: IndexMap::default(),
            anchors: 0,
            link_anchors: Vec::new(),
            blind: false,
            blind_for: None,
            cramped: false,
            claims_anchors: false,
            denied_anchors: false,
            bare: None,
            degraded: false,
            recovered: false,
            initial: None,
            catching_up: false,
            unsettled: None,
            rescanning: false,
            root_trouble: None,
            spread: HashMap::new(),
            rescans: 0,
            rules: Gitignores::default(),
            begun: Vec::new(),
        };
        watch.recent.begin(kernel.now().since);
        kernel.room_mut().count_anchors(watch.levels(), 0);
        Ok(watch)
    }

    /// Watches a root and takes its snapshot.
    pub fn open<K: Kernel>(
        kernel: &mut K,
        id: i32,
        spelling: &[u8],
        path: &Path,
        options: Options,
        progress: &Arc<Progress>,
    ) -> Result<Watch, Errno> {
        let mut watch = Watch::new(kernel, id, spelling, path, options)?;
        if watch.options.may_be_absent {
            watch.present = !kernel
                .stat_path(&watch.root)
                .is_err_and(Errno::is_elsewhere);
        }
        watch.place_anchors(kernel);
        let mut result = Err(Errno::OTHER);
        for _ in 0..ANCHOR_TRIES {
            if !watch.present {
                break;
            }
            let stat = kernel.stat_path(&watch.root);
            result = stat.and_then(|stat| watch.crawl_root(kernel, stat, Some(progress)));
            if !result.is_err_and(Errno::is_other) {
                let elsewhere = result.is_err_and(Errno::is_elsewhere);
                if !elsewhere || watch.follow_links(kernel) != Ok(true) {
                    break;
                }
                watch.place_anchors(kernel);
            }
            watch.abandon_root(kernel); // It was replaced meanwhile.
        }
        // What was not there, or is not any more, is looked for now that it is watched for.
        if watch.options.may_be_absent && result.is_err_and(Errno::is_elsewhere) {
            watch.abandon_root(kernel);
            watch.present = false;
            watch.dirty.root(What::default());
            watch.dirty.anchors = true;
            result = Ok(());
        }
        match result {
            Ok(()) => {
                if watch.present && watch.is_special() {
                    watch.dirty.root(What::default());
                    watch.dirty.anchors = true;
                }
                Ok(watch)
            }
            Err(error) => {
                watch.close(kernel);
                Err(error)
            }
        }
    }

    /// Watches a root of which a snapshot was saved: what differs is owed, and told like
    /// anything else. Not a thing of it is watched until it has been looked at.
    pub fn resume<K: Kernel>(
        kernel: &mut K,
        id: i32,
        spelling: &[u8],
        path: &Path,
        options: Options,
        saved: &[u8],
    ) -> Result<Result<Watch, Damaged>, Errno> {
        let mut watch = Watch::new(kernel, id, spelling, path, options)?;
        let there = kernel.stat_path(&watch.root);
        let device = |root: Id| {
            let there = there.ok().filter(|stat| stat.id.ino == root.ino);
            there.map(|stat| stat.id.dev)
        };
        let image = image::read(saved, device);
        let missing = there.err().filter(|_| !watch.options.may_be_absent);
        let (Image { tree, present }, None) = (
            match image {
                Ok(image) => image,
                Err(damaged) => {
                    watch.close(kernel);
                    return Ok(Err(damaged));
                }
            },
            missing,
        ) else {
            watch.close(kernel);
            return Err(missing.unwrap_or(Errno::ABSENT));
        };
        watch.tree = tree;
        watch.present = present;
        watch.catching_up = true;
        watch.dirty.root(What::UNTOLD);
        watch.dirty.anchors = true;
        if present && !planted(Defect::SavedBelieved) {
            watch.doubt_everything::<K>();
        }
        watch.owe_rules();
        Ok(Ok(watch))
    }

    /// Nothing is watched, and nothing was told since all was looked at the last time.
    fn doubt_everything<K: Kernel>(&mut self) {
        let root = self.tree.root();
        if self.tree.kind(root) != Kind::Dir {
            self.dirty.unwatched.insert(root);
        }
        let all: Vec<Key> = self.tree.subtree(root).collect();
        for key in all {
            if self.needs_watch::<K>(key) {
                // Not for want of anything: it has not been asked for.
                self.poll(key, Errno::FULL);
                self.claim(key, self.tree.stat(key).ctime_ns);
            } else {
                self.tree.set_mark(key, Marks::POLLED, false);
            }
            // With other options than before its entries may not be followed any more.
            if !self.is_listed(key) && self.tree.kind(key) == Kind::Dir {
                self.dirty.scan(key, Depth::Names);
            }
        }
        self.look_at_everything();
    }

    /// Whether what was saved is still to be compared with what is there.
    pub fn is_catching_up(&self) -> bool {
        self.catching_up
    }

    /// What has been told, as bytes to be kept.
    pub fn save(&self) -> Vec<u8> {
        image::write(&self.tree, self.present)
    }

    /// The snapshot stands. What went wrong while it was made has been told to
    /// nobody yet.
    pub fn begin(&mut self) {
        for key in std::mem::take(&mut self.unreadable) {
            self.tree.set_mark(key, Marks::UNREADABLE, false);
            self.look_again(key);
        }
        self.degraded = false;
        self.rescanning = false;
        self.dirty.tell = self.is_degraded();
        self.unsettled = None;
        // (It may have gone again while it was crawled.)
        self.initial = (self.options.initial > 0).then(|| match self.present {
            true => Initial::From(self.tree.root()),
            false => Initial::Ready,
        });
    }

    /// An entry could not be read, or not be looked at.
    fn look_again(&mut self, key: Key) {
        if planted(Defect::CrawlErrorsForgotten) {
            return;
        }
        if let Some(parent) = self.tree.parent(key) {
            let name = self.tree.name(key);
            self.dirty.name(parent, name, What::UNTOLD);
        }
        if self.tree.kind(key) == Kind::Dir {
            self.dirty.scan(key, Depth::Names);
        }
    }

    /// Whether something is to be looked at or told now.
    pub fn owes(&self) -> bool {
        self.is_initial()
            || self.catching_up
            || (!self.dirty.is_empty() && self.unsettled.is_none())
    }

    /// Whether what happens has to settle before it is looked at.
    pub fn settles(&self) -> bool {
        self.options.settle.is_some()
    }

    /// When what has happened will be looked at, if it waits for that.
    pub fn settled_at(&self) -> Option<Duration> {
        let (Some(settle), Some((first, last))) = (self.options.settle, self.unsettled) else {
            return None;
        };
        Some((last + settle.quiet).min(first + settle.longest))
    }

    /// Looks wait no longer.
    pub fn settle(&mut self) {
        self.unsettled = None;
    }

    /// Lets go of every watch.
    pub fn close<K: Kernel>(&mut self, kernel: &mut K) {
        for key in self.tree.subtree(self.tree.root()) {
            kernel.unwatch(token(self.id, key));
        }
        self.drop_anchors(kernel);
        kernel.room_mut().count_anchors(0, self.levels());
    }

    /// Names the watch: `kw_watch`.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Entries in the snapshot; none while the root is absent.
    pub fn entries(&self) -> usize {
        if self.present {
            self.tree.len()
        } else {
            0
        }
    }

    /// Times that everything was looked at because history was lost.
    pub fn rescans(&self) -> u64 {
        self.rescans
    }

    /// The root as the caller spelled it.
    pub fn spelling(&self) -> Arc<[u8]> {
        Arc::clone(&self.spelling)
    }

    /// Where the root is, symbolic links resolved.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The kinds of events that the caller wants.
    pub fn mask(&self) -> u32 {
        self.options.mask
    }

    /// Whether what moves with a directory is told of by itself, too.
    pub fn is_expanded(&self) -> bool {
        self.options.expanded
    }

    /// The snapshot.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// These are watched now. Where a note comes before its change, that of a change
    /// which is not complete yet may have come before the watch.
    fn begin_early<K: Kernel>(&mut self, dirs: &[Key]) {
        if K::EARLY.is_some() {
            self.begun.extend(dirs);
        }
    }

    /// Directories to look at when such changes must be complete.
    pub fn take_begun(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.begun)
    }

    // ---- notes -----------------------------------------------------------

    /// Takes a note down that was fetched now, and lets it settle, if that is wanted: looks
    /// that wait take in what comes meanwhile, so that what cancels out is never told.
    pub fn heed_in_time(&mut self, note: &Note<'_>, now: Duration) {
        let at_rest = !self.owes() && self.unsettled.is_none();
        self.heed(note);
        if self.options.settle.is_some() && !planted(Defect::SettledAtOnce) {
            match &mut self.unsettled {
                Some((_, last)) => *last = now,
                None if at_rest && !self.dirty.is_empty() => self.unsettled = Some((now, now)),
                None => {}
            }
        }
    }

    /// Takes a note down as looks that are owed.
    pub fn heed(&mut self, note: &Note<'_>) {
        match note {
            Note::Overflow if planted(Defect::OverflowIgnored) => {}
            Note::Overflow => {
                self.silent.clear(); // An unmounting may be among what was lost.
                self.dirty.everything = true;
                self.dirty.anchors = true;
            }
            // What happened to an ancestor says nothing of the root's content.
            Note::Entry(Token::Anchor { .. }, _) if planted(Defect::AnchorsIgnored) => {}
            Note::Entry(Token::Anchor { level, .. }, what) => {
                self.dirty.root(What::default());
                // Where a link is, many a name may come and go: whether it is the link's
                // shows when it is followed.
                let moved = What::DELETE | What::RENAME | What::REVOKE;
                self.dirty.anchors |= !Watch::is_of_link(*level) || what.has(moved);
            }
            Note::Name(Token::Anchor { level, .. }, name, what) => {
                if what.has(What::NAME) && self.is_on_the_way(*level, name) {
                    self.dirty.root(What::default());
                    self.dirty.anchors |= !self.present;
                }
            }
            Note::Entry(
                Token::Entry {
                    index, generation, ..
                },
                what,
            ) => {
                self.heed_entry(Key::from_parts(*index, *generation), *what);
            }
            Note::Name(
                Token::Entry {
                    index, generation, ..
                },
                name,
                what,
            ) => {
                let dir = Key::from_parts(*index, *generation);
                let excludes = |filter: &Arc<Filter>| filter.excludes_name(name);
                if self.options.filter.as_ref().is_some_and(excludes) {
                    if what.has(What::NAME) && self.tree.contains(dir) {
                        self.list_suspects(dir);
                    }
                } else if self.tree.contains(dir) {
                    if self.options.heeds_gitignore() && *name == NAME {
                        self.dirty.rules.insert(dir);
                    }
                    let slot = self.dirty.slot(dir, name);
                    let before = self.dirty.look_at(slot, *what);
                    // What was written to before the name changed hands is its old tenant.
                    if !(before | *what).has(What::NAME) && what.has(What::WRITE | What::RESIZE) {
                        if let Some(child) = self.tree.child(dir, name) {
                            self.dirty.written(child, *what);
                        }
                    }
                    if what.has(What::NAME) {
                        self.list_suspects(dir);
                    }
                }
            }
        }
    }

    /// Whether a token is that of a directory.
    pub fn is_directory(&self, token: Token) -> bool {
        let is_dir = |key: Key| self.tree.kind(key) == Kind::Dir;
        matches!(token, Token::Anchor { .. }) || self.entry(token).is_some_and(is_dir)
    }

    /// The entry that a token names, if there is one.
    fn entry(&self, token: Token) -> Option<Key> {
        let Token::Entry {
            index, generation, ..
        } = token
        else {
            return None;
        };
        Some(Key::from_parts(index, generation)).filter(|&key| self.tree.contains(key))
    }

    fn heed_entry(&mut self, key: Key, what: What) {
        // Also what was made in this very turn and is not in its place yet.
        if !self.tree.contains(key) {
            return;
        }
        let is_dir = self.tree.kind(key) == Kind::Dir;
        if is_dir && what.has(What::WRITE) && self.is_listed(key) {
            self.dirty.scan(key, Depth::Names);
            self.list_suspects(key);
        }
        if what.has(What::UNMOUNT) {
            self.dirty.unmounted.insert(key);
        }
        if what.has(What::REVOKE) && !planted(Defect::RevokedForgotten) {
            self.dirty.unwatched.insert(key);
        }
        let moving = What::RENAME | What::DELETE | What::REVOKE;
        if is_dir && what.has(moving) && !planted(Defect::RenameIgnored) {
            self.dirty.moving.insert(key);
        }
        let about_itself = What::ATTRIB | What::DELETE | What::RENAME | What::REVOKE;
        if is_dir && !what.has(about_itself | What::UNTOLD) {
            return;
        }
        let what = if is_dir {
            what.without(What::WRITE)
        } else {
            what
        };
        self.dirty.written(key, what);
        self.heed_rules(key);
        match self.tree.parent(key) {
            Some(parent) => {
                let name = self.tree.name(key);
                self.dirty.name(parent, name, what);
            }
            None if key == self.tree.root() => self.dirty.root(what),
            None => *self.dirty.homeless.entry(key).or_default() |= what,
        }
    }

    /// Names in a directory changed: what a crawl found in it under the name of
    /// another may have been read as that other.
    fn list_suspects(&mut self, dir: Key) {
        for key in self.recent.take_suspects(dir) {
            if planted(Defect::SuspectsBelieved) {
                break;
            }
            self.dirty.scan(key, Depth::Tree);
        }
    }

    /// A note about an entry that was seen elsewhere in this turn is one about
    /// what was seen there.
    fn heed_there(&mut self, note: &Note<'_>, found: &Findings) {
        let Note::Entry(
            Token::Entry {
                index, generation, ..
            },
            what,
        ) = note
        else {
            return;
        };
        let key = Key::from_parts(*index, *generation);
        if planted(Defect::NotesStayBehind) {
            return;
        }
        if !self.tree.contains(key) {
            return;
        }
        // Where a directory is now is known, and what is in it is looked at there.
        let is_dir = self.tree.kind(key) == Kind::Dir;
        if is_dir && !what.has(What::ATTRIB) {
            return;
        }
        let what = if is_dir { What::ATTRIB } else { *what };
        if let Some(slot) = found.arrival_of(self.tree.stat(key).id) {
            self.dirty.look_at(slot, what);
        }
    }

    /// Whether the entries of this directory are followed.
    fn is_listed(&self, key: Key) -> bool {
        let root = self.tree.root();
        let dev = |key: Key| self.tree.stat(key).id.dev;
        let near = match self.options.levels {
            1 => key == root,
            ALL_LEVELS => true,
            levels => self.tree.ancestry(key).count() <= levels,
        };
        near && (!self.options.one_device || dev(key) == dev(root))
    }

    fn look_at_name_of(&mut self, key: Key, what: What) {
        match self.tree.parent(key) {
            Some(parent) => {
                let name = self.tree.name(key);
                self.dirty.name(parent, name, what);
            }
            None => self.dirty.root(what),
        }
    }

    /// The caller wants to know what was told to nobody.
    pub fn sync(&mut self) {
        self.unsettled = None;
        self.dirty.rules.append(&mut self.rules.unread);
        self.round = None; // It is made anew, as a whole.
        if self.options.sync_all {
            self.dirty.root(What::UNTOLD);
            // Something may have been mounted on the way to a root that is awaited.
            self.dirty.anchors |= !self.present;
            if self.present {
                self.look_at_everything();
            }
        }
    }

    /// Owes a look at every entry, each directory by itself, so that what was
    /// renamed is looked at where it is.
    fn look_at_everything(&mut self) {
        for key in self.tree.subtree(self.tree.root()) {
            if self.tree.kind(key) == Kind::Dir && self.is_listed(key) {
                let names = planted(Defect::OverflowNamesOnly);
                let depth = if names { Depth::Names } else { Depth::Entries };
                self.dirty.scan(key, depth);
            }
        }
    }

    // ---- a turn ----------------------------------------------------------

    /// Makes the looks that are owed and reports what they show. Notes for
    /// others that are fetched on the way are put into `foreign`, and so are those
    /// that may have come too early.
    pub fn turn<K: Kernel>(
        &mut self,
        kernel: &mut K,
        emit: &mut Emitter<'_>,
        foreign: &mut Notes,
        now: Now,
    ) {
        if self.is_initial() {
            self.tell_initial(emit);
            if !planted(Defect::FirstSightChanges) {
                return;
            }
        }
        self.recent.begin(now.since);
        if !self.dirty.unmounted.is_empty() {
            self.silent.clear(); // A device's number may be another one's now.
            for key in std::mem::take(&mut self.dirty.unmounted) {
                if self.tree.is_live(key) && self.is_mount_point(key) {
                    self.tell(emit, kind::UNMOUNTED, key);
                }
            }
        }
        if self.dirty.everything {
            self.dirty.root(What::UNTOLD);
        }
        if self.dirty.root.is_some() || self.dirty.anchors {
            self.look_at_root(kernel, emit);
        }
        self.dirty.tell = false;
        if std::mem::take(&mut self.dirty.everything) && self.present {
            self.rescanning = true;
            self.rescans += 1;
            let file = self.tree.stat(self.tree.root()).kind != Kind::Dir;
            if file && !planted(Defect::OverflowKeepsFileWatch) {
                // That its watch ended may be among what was lost.
                self.dirty.unwatched.insert(self.tree.root());
            }
            self.look_at_everything();
        }
        if self.present {
            if self.owes_rules() {
                self.read_rules(kernel, emit);
            }
            let mut looked = self.looked.take().unwrap_or_default();
            if self.dirty.is_plain() {
                self.look_at_known(kernel, emit, &mut looked, now);
            }
            if self.dirty.owes_looks() {
                self.look(kernel, foreign, &mut looked);
                self.carry_out(kernel, emit, &mut looked, now);
                looked.reset();
            }
            self.looked = Some(looked);
        } else {
            self.dirty = Dirty::default();
        }
        // The state is exact when nothing is owed any more.
        if self.rescanning && (self.dirty.is_empty() || !self.present) {
            self.rescanning = false;
            self.tell(emit, kind::RESCANNED, self.tree.root());
        }
        if self.catching_up && (self.dirty.is_empty() || !self.present) && self.claims.is_empty() {
            self.catching_up = false;
            self.tell(emit, kind::READY, self.tree.root());
        }
        self.tell_of_polling(emit);
        self.recent.end();
        if self.dirty.is_empty() {
            self.dirty.misplaced.clear();
        }
        self.dirty.forget_words();
        debug_assert_eq!(self.tree.detached(), 0, "a subtree was left behind");
    }

    /// Every note posted until then has been heeded, and nothing is owed: what was
    /// looked at by path long enough before is beyond doubt.
    pub fn rest(&mut self, until: Duration) {
        self.recent.begin(until);
        self.recent.end();
    }

    fn tell(&mut self, emit: &mut Emitter<'_>, kind: u32, key: Key) {
        self.tell_with(emit, kind, 0, key);
    }

    fn tell_with(&mut self, emit: &mut Emitter<'_>, kind: u32, flags: u32, key: Key) {
        self.path.clear();
        self.tree.path(key, &mut self.path);
        emit.emit(kind, flags, &self.path, None, Some(&self.tree.stat(key)));
    }

    fn is_mount_point(&self, key: Key) -> bool {
        let above = self.tree.parent(key);
        above.is_none_or(|p| self.tree.stat(p).id.dev != self.tree.stat(key).id.dev)
    }

    fn view<'a>(&'a mut self, found: &'a mut Findings) -> View<'a> {
        View {
            tree: &mut self.tree,
            dirty: &mut self.dirty,
            recent: &mut self.recent,
            found,
            watch: self.id,
            rules: &mut self.rules,
            root: &self.root,
            blind: self.blind,
            options: &self.options,
        }
    }

    /// Files that are known were changed, and stayed where they are: that is the most
    /// frequent of turns, and needs neither a plan nor another fetch. What turns out to be
    /// more than that is left owed.
    fn look_at_known<K: Kernel>(
        &mut self,
        kernel: &mut K,
        emit: &mut Emitter<'_>,
        looked: &mut Looked,
        now: Now,
    ) {
        let Looked { found, plan, .. } = looked;
        let mut looks = Looks {
            kernel,
            view: self.view(found),
        };
        looks.at_known(&mut plan.stayed);
        self.reported.reset();
        for (key, stat, what) in plan.stayed.drain(..) {
            self.update_one(emit, key, stat, what, now, false);
        }
        if !self.dirty.owes_looks() {
            self.dirty.written.reset();
        }
        self.forget_readable();
    }

    /// Looks until nothing more can be found out, and every new entry is made.
    fn look<K: Kernel>(&mut self, kernel: &mut K, foreign: &mut Notes, looked: &mut Looked) {
        let Looked {
            found, plan, notes, ..
        } = looked;
        let (mut fetched, mut complete) = (false, false);
        for _ in 0..ROUNDS {
            let mut looks = Looks {
                kernel,
                view: self.view(found),
            };
            looks.run();
            plan.make(&looks.view);
            complete = !looks.make(plan);
            if !complete {
                continue;
            }
            if fetched || !plan.is_structural() || planted(Defect::OneFetch) {
                break;
            }
            // Something came or went. The other half of a move, or the news that
            // a directory on the way was moved while we looked, may be there now.
            fetched = true;
            // An error will show when the next turn fetches.
            let _ = kernel.notes(notes);
            let asked = self.ask_for_renamed(kernel, found, plan);
            if notes.is_empty() && !asked {
                break;
            }
            for note in notes.iter() {
                if note.watch().is_none_or(|watch| watch == self.id) {
                    self.heed(&note);
                    self.heed_there(&note, found);
                    if let (Some(_), Note::Entry(token, what)) = (K::EARLY, &note) {
                        // It may have come too early: the engine looks again.
                        if what.has(What::WRITE) {
                            foreign.push([*token], None, What::WRITE);
                        }
                    }
                }
                let dropped = planted(Defect::ForeignNotesDropped);
                if note.watch().is_none_or(|watch| watch != self.id) && !dropped {
                    foreign.push_note(note);
                }
            }
            notes.clear();
            complete = false;
            let view = self.view(found);
            Looks { kernel, view }.distrust();
        }
        let mut looks = Looks {
            kernel,
            view: self.view(found),
        };
        if !complete {
            plan.make(&looks.view);
        }
        looks.give_back(plan);
    }

    /// What was renamed and not found: does the kernel know where it is? Whether
    /// there is a name to look at.
    fn ask_for_renamed<K: Kernel>(
        &mut self,
        kernel: &mut K,
        found: &Findings,
        plan: &Plan,
    ) -> bool {
        let mut asked = false;
        for key in plan.gone.keys().copied() {
            let Some(parent) = self.tree.parent(key) else {
                continue;
            };
            let slot = self.dirty.slot(parent, self.tree.name(key));
            if !found
                .seen
                .get(&slot)
                .is_some_and(|s| s.what.has(What::RENAME))
            {
                continue;
            }
            let path = kernel.whereabouts(token(self.id, key));
            if let Some(slot) = path.and_then(|p| self.slot_at(&p)) {
                self.dirty.look_at(slot, What::NAME);
                asked = true;
            }
        }
        asked
    }

    /// A path on disk as a name in a directory of the snapshot.
    fn slot_at(&mut self, path: &Path) -> Option<Slot> {
        use std::os::unix::ffi::OsStrExt;
        let relative = path.strip_prefix(&self.root).ok()?;
        let name = relative.file_name()?.as_bytes();
        let mut dir = self.tree.root();
        for step in relative.parent()? {
            dir = self.tree.child(dir, step.as_bytes())?;
            // (What has no watch may have become a directory since it was looked at.)
            if self.tree.kind(dir) != Kind::Dir {
                return None;
            }
        }
        self.is_listed(dir).then(|| self.dirty.slot(dir, name))
    }

    fn carry_out<K: Kernel>(
        &mut self,
        kernel: &mut K,
        emit: &mut Emitter<'_>,
        looked: &mut Looked,
        now: Now,
    ) {
        // It may have been opened since, and be seen so in this turn.
        let troubles = looked.found.troubles.iter();
        self.unreadable.extend(troubles.map(|(key, _)| *key));
        self.reported.reset();
        self.spread.reset();
        // Most often nothing has come, gone or moved.
        match looked.plan.is_structural() {
            true => self.reshape(kernel, emit, looked, now),
            false => {
                self.doubt();
                self.settle_links(&looked.plan);
            }
        }
        for &(key, stat, what) in &looked.plan.stayed {
            self.update(emit, key, stat, what, now, false);
        }
        self.after(kernel, emit, &mut looked.found);
        if self.options.dir_modified {
            for &key in &looked.touched {
                if self.tree.is_live(key) {
                    self.tell(emit, kind::MODIFIED, key);
                }
            }
        }
    }

    /// Carries out what comes, goes and moves.
    fn reshape<K: Kernel>(
        &mut self,
        kernel: &mut K,
        emit: &mut Emitter<'_>,
        looked: &mut Looked,
        now: Now,
    ) {
        let Looked {
            found,
            plan,
            work,
            touched,
            ..
        } = looked;
        self.look_at_links_of(plan);
        // With or without a note of their own, looks by path went through them:
        // through where they were, and through where they are.
        let dirs = plan
            .arrivals
            .iter()
            .filter(|a| a.moved && a.stat.kind == Kind::Dir);
        self.dirty.moving.extend(dirs.filter_map(|a| a.entry));
        self.doubt();
        let written = self.written_and_moved(plan, found);
        let mut sequence = Sequence {
            kernel,
            tree: &mut self.tree,
            words: &self.dirty.words,
            watch: self.id,
            emit,
            touched,
            work,
        };
        sequence.run(plan);
        for &slot in &work.failed {
            self.dirty.look_at(slot, What::NAME);
        }
        let told_as_moved: HashSet<Key> = work.moved.iter().map(|(key, _)| *key).collect();
        for arrival in &plan.arrivals {
            let Some(entry) = arrival.entry.filter(|&e| self.tree.is_live(e)) else {
                continue;
            };
            // What was not told as moved was told as new, or as a replacement.
            if told_as_moved.contains(&entry) {
                continue;
            }
            if arrival.stat.nlink > 1 {
                // Its other names show the same content.
                self.update(emit, entry, arrival.stat, What::default(), now, false);
            }
            self.tree
                .mark_subtree(entry, Marks::RACY, |stat| is_racy(stat, now));
            if arrival.moved {
                self.look_at_shut(entry); // The way to it is another one.
            }
        }
        if self.options.depend_on_path() && !planted(Defect::MovedNotFiltered) {
            // What is excluded below it is another matter now.
            for entry in plan
                .arrivals
                .iter()
                .filter_map(|a| a.entry.filter(|_| a.moved))
            {
                if self.tree.is_live(entry) && self.tree.kind(entry) == Kind::Dir {
                    self.dirty.scan(entry, Depth::Tree);
                }
            }
        }
        self.settle_links(plan);
        for &(key, stat) in &work.moved {
            if planted(Defect::MovedNotCompared) {
                continue;
            }
            // Without a hold on the inode's number or a time of birth, something
            // else may have been given that number; a modification time that
            // could not tell does not count then.
            let pinned = K::PINS && !self.has_poll_mark(key);
            let sure = pinned || stat.birth_ns != 0;
            let mut what = written.get(&key).copied().unwrap_or_default();
            if !sure {
                what |= What::WRITE;
            }
            self.update(emit, key, stat, what, now, true);
            if stat.kind == Kind::Dir && !self.unreadable.is_empty() {
                self.look_at_shut(key); // The way to it is another one.
            }
        }
    }

    /// What the notes say of the content of entries that moved.
    fn written_and_moved(&self, plan: &Plan, found: &Findings) -> HashMap<Key, What> {
        let noted = |arrival: &Arrival| {
            let key = arrival.entry.filter(|_| arrival.moved)?;
            let there = found
                .seen
                .get(&arrival.slot)
                .map_or(What::default(), |s| s.what);
            let mut before = self.dirty.written.get(&key).copied().unwrap_or_default();
            if self.is_polled(key) || self.catching_up {
                before |= What::UNTOLD;
            }
            Some((key, there.only(What::WRITE | What::RESIZE) | before))
        };
        plan.arrivals.iter().filter_map(noted).collect()
    }

    /// A name of a file with several names is gone, or another's by now. If it was
    /// written to through that name before, the others show it.
    fn look_at_links_of(&mut self, plan: &Plan) {
        if planted(Defect::LeftLinksIgnored) {
            return;
        }
        let moved = plan.arrivals.iter().filter(|a| a.moved);
        // Of a directory that is gone, every name in it.
        let is_top = |key: Key| {
            let above = self.tree.parent(key);
            above.is_none_or(|above| !plan.gone.contains_key(&above))
        };
        let gone = plan.gone.keys().copied();
        let gone = gone.filter(|&key| self.tree.contains(key) && is_top(key));
        let gone = gone.flat_map(|key| self.tree.subtree(key));
        let left = gone.chain(moved.filter_map(|a| a.entry));
        let several = |key: &Key| {
            let tree = &self.tree;
            tree.contains(*key) && tree.kind(*key) != Kind::Dir && tree.stat(*key).nlink > 1
        };
        for key in left.filter(several).collect::<Vec<Key>>() {
            let id = self.tree.stat(key).id;
            let links: Vec<Key> = self
                .tree
                .links(id)
                .filter(|&k| k != key)
                .take(LINKS)
                .collect();
            // What was told of its content under that name is true of the others, which
            // without names (kqueue) are told of themselves.
            let told = self.dirty.written.get(&key).filter(|_| self.by_name);
            let written = told.copied().unwrap_or_default();
            for link in links {
                if let Some(parent) = self.tree.parent(link) {
                    let name = self.tree.name(link);
                    self.dirty.name(parent, name, written);
                }
            }
        }
    }

    /// Several names of one file were looked at, and it was written to between
    /// the looks: which came last is not known, so there will be another.
    fn settle_links(&mut self, plan: &Plan) {
        let arrived = plan.arrivals.iter().map(|a| &a.stat);
        let stayed = plan.stayed.iter().map(|(_, stat, _)| stat);
        let several = |stat: &&Stat| stat.kind != Kind::Dir && stat.nlink > 1;
        let mut seen = arrived.chain(stayed).filter(several).peekable();
        if seen.peek().is_none() {
            return;
        }
        let mut first: HashMap<Id, &Stat> = HashMap::new();
        let mut doubtful: IndexSet<Id> = IndexSet::default();
        for stat in seen {
            let other = first.entry(stat.id).or_insert(stat);
            if *other != stat {
                doubtful.insert(stat.id);
            }
        }
        for id in doubtful {
            let links: Vec<Key> = self.tree.links(id).collect();
            for link in links {
                if let Some(parent) = self.tree.parent(link) {
                    let name = self.tree.name(link);
                    self.dirty.name(parent, name, What::default());
                }
            }
        }
    }

    /// Takes down what was seen of an entry in its place, and reports what is
    /// new, for each of its links.
    fn update(
        &mut self,
        emit: &mut Emitter<'_>,
        key: Key,
        stat: Stat,
        what: What,
        now: Now,
        moved: bool,
    ) {
        if !self.tree.is_live(key) || !self.tree.stat(key).same_inode(&stat) {
            return;
        }
        self.update_one(emit, key, stat, what, now, moved);
        if stat.kind == Kind::Dir || stat.nlink < 2 || planted(Defect::LinksForgotten) {
            return;
        }
        if self.spread.insert(stat.id, stat) != Some(stat) {
            let links: Vec<Key> = self.tree.links(stat.id).filter(|&k| k != key).collect();
            for link in links {
                if self.tree.stat(link).same_inode(&stat) {
                    self.update_one(emit, link, stat, what, now, false);
                }
            }
        }
    }

    fn update_one(
        &mut self,
        emit: &mut Emitter<'_>,
        key: Key,
        stat: Stat,
        what: What,
        now: Now,
        moved: bool,
    ) {
        let old = self.tree.stat(key);
        let racy = self.tree.has_mark(key, Marks::RACY);
        let owned = |s: &Stat| (s.mode, s.uid, s.gid);
        let is_dir = stat.kind == Kind::Dir;
        // Entries may have come or gone since it was listed. (Its time may have been
        // set back, as archivers do. A change of permissions is none of its entries.)
        let unlisted = is_dir
            && (racy
                || old.mtime_ns != stat.mtime_ns
                || (old.ctime_ns != stat.ctime_ns && owned(&old) == owned(&stat)));
        let racy_now = is_racy(&stat, now) || (unlisted && !what.has(What::LIST));
        let again = self.reported.contains(&key);
        // It was written to within a granule of the clock, or its time was set back.
        let unseen_write = (what.has(What::WRITE) && (racy || old.ctime_ns != stat.ctime_ns))
            // (A change of permissions is what was told of, not a truncation.)
            || (what.has(What::RESIZE) && racy && owned(&old) == owned(&stat));
        // Nothing tells of what is polled, whatever it is looked at for; it is looked at
        // again when a granule has passed: once is enough.
        let polled = self.is_polled(key);
        let untold = (what.has(What::UNTOLD) || polled) && racy && !(racy_now && polled);
        let content = !is_dir
            && (old.size != stat.size
                || old.mtime_ns != stat.mtime_ns
                || ((unseen_write || untold) && !again));
        let metadata = owned(&old) != owned(&stat)
            // An extended attribute, a flag, an ACL: nothing but the time tells.
            // A rename and a further link set that time as well, and so does
            // what happens in a directory, together with the other.
            || (!content
                && !moved
                && (what.has(What::ATTRIB) || polled)
                && old.ctime_ns != stat.ctime_ns
                && old.nlink == stat.nlink
                && (!is_dir || stat.ctime_ns != stat.mtime_ns));
        self.tree.set_stat(key, stat);
        self.tree.set_mark(key, Marks::RACY, racy_now);
        if !is_dir {
            self.tree.set_mark(key, Marks::UNREADABLE, false);
        }
        if content {
            self.reported.insert(key);
            self.tell(emit, kind::MODIFIED, key);
        }
        if metadata {
            self.tell(emit, kind::ATTRIB, key);
        }
        if unlisted && what.has(What::LIST) {
            self.dirty.scan(key, Depth::Names);
        }
        if content || metadata || old.ctime_ns != stat.ctime_ns {
            self.heed_rules(key);
        }
        if content || metadata || (is_dir && old.ctime_ns != stat.ctime_ns) {
            self.claim_as_changed(key, owned(&old) != owned(&stat));
        }
        // Told of, it may have been closed and opened again.
        if is_dir && (owned(&old) != owned(&stat) || what.has(What::ATTRIB)) {
            self.look_at_shut(key);
        }
    }

    /// What could not be read below a directory may be readable now.
    fn look_at_shut(&mut self, top: Key) {
        let shut: Vec<Key> = self.unreadable.iter().copied().collect();
        for key in shut {
            let shut = planted(Defect::ShutForever);
            if shut || !self.tree.is_live(key) || !self.tree.is_within(key, top) {
                continue;
            }
            match self.tree.parent(key) {
                Some(parent) if self.tree.kind(key) != Kind::Dir => {
                    let name = self.tree.name(key);
                    self.dirty.name(parent, name, What::UNTOLD);
                }
                _ => self.dirty.scan(key, Depth::All),
            }
        }
    }

    /// What the looks have shown besides changes.
    fn after<K: Kernel>(&mut self, kernel: &mut K, emit: &mut Emitter<'_>, found: &mut Findings) {
        self.begin_early::<K>(&found.begun);
        for &(key, error) in &found.troubles {
            if self.tree.is_live(key) && !found.reopened.contains(&key) {
                let mut path = Vec::new();
                self.tree.path(key, &mut path);
                emit.error(&path, error.0, Some(&self.tree.stat(key)));
            }
        }
        self.forget_readable();
        for &(key, error) in &found.refused {
            if self.tree.is_live(key) {
                self.refuse::<K>(key, error);
            }
        }
        for &(key, depth) in &found.later {
            if self.tree.is_live(key) {
                self.dirty.scan(key, depth);
            }
        }
        for &(slot, what) in &found.later_names {
            self.dirty.look_at(slot, what);
        }
        if !self.dirty.unwatched.is_empty() {
            for key in std::mem::take(&mut self.dirty.unwatched) {
                self.watch_again(kernel, key);
            }
        }
        while let Some((key, what)) = self.dirty.homeless.swap_remove_index(0) {
            if self.tree.is_live(key) {
                self.heed_entry(key, what);
            }
        }
        self.doubt();
        self.dirty.moving.clear();
        self.dirty.written.clear();
        for &(key, what) in &found.unseen {
            self.dirty.written(key, what);
        }
        let tree = &self.tree;
        self.dirty.names.retain(|(dir, _), _| tree.is_live(*dir));
        self.dirty.scans.retain(|dir, _| tree.is_live(*dir));
    }

    /// Of what could not be read, what is gone or can be read now.
    fn forget_readable(&mut self) {
        let tree = &self.tree;
        self.unreadable
            .retain(|&key| tree.is_live(key) && tree.has_mark(key, Marks::UNREADABLE));
    }

    /// An entry's watch died. If it lives it is watched anew, and looked at.
    fn watch_again<K: Kernel>(&mut self, kernel: &mut K, key: Key) {
        if !self.tree.is_live(key) {
            return;
        }
        // That makes a note of its own, of which a queue that has just overflowed is spared.
        if !self.rescanning {
            kernel.unwatch(token(self.id, key));
        }
        let stat = self.tree.stat(key);
        if stat.kind == Kind::Dir && self.is_listed(key) {
            // A scan watches. What happened until then was told to nobody.
            self.begin_early::<K>(&[key]);
            self.dirty.scan(key, Depth::Entries);
            return self.look_at_name_of(key, What::UNTOLD);
        }
        let path = self.path_on_disk(key);
        match kernel.watch_path(token(self.id, key), &path, Some(stat.id)) {
            Ok(()) => self.tree.set_mark(key, Marks::POLLED, false),
            // It is watched where the look below finds it, if it is found.
            Err(error) if error.is_elsewhere() => {
                let times = self.dirty.misplaced.entry((key, By::Watch)).or_default();
                *times = times.saturating_add(1);
                match *times <= RECHECKS {
                    true => drop(self.dirty.unwatched.insert(key)),
                    false => self.poll(key, error),
                }
            }
            Err(error) => self.refuse::<K>(key, error),
        }
        // What happened to it until then was told to nobody.
        self.look_at_name_of(key, What::ATTRIB | What::UNTOLD);
    }

    fn path_on_disk(&self, key: Key) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let mut relative = Vec::new();
        self.tree.path(key, &mut relative);
        if relative.is_empty() {
            return self.root.clone();
        }
        self.root.join(std::ffi::OsStr::from_bytes(&relative))
    }

    /// Directories were renamed: what was looked at by a path through them, by
    /// this turn or shortly before, is looked at again.
    fn doubt(&mut self) {
        if self.dirty.moving.is_empty() || planted(Defect::NoDoubt) {
            return;
        }
        let tree = &self.tree;
        let moving = &self.dirty.moving;
        let mut doubtful: Vec<(Key, Depth)> = Vec::new();
        for (dir, crawled) in self.recent.through(moving) {
            if tree.contains(dir) {
                doubtful.push((dir, if crawled { Depth::Tree } else { Depth::Names }));
            }
        }
        for &key in moving.iter().filter(|&&key| tree.contains(key)) {
            if tree.ancestry(key).any(|k| self.recent.was_crawled(k)) {
                doubtful.push((key, Depth::Tree));
            }
        }
        for (key, depth) in doubtful {
            self.dirty.scan(key, depth);
        }
    }
}
