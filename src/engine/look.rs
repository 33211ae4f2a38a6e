//! Looking: what is owed, asked of the kernel, taken down as seen.
//!
//! What was seen stands beside the snapshot until it is complete enough to be
//! turned into events; nothing here changes what the snapshot shows. A look is
//! made where the directory *is*, as far as this turn knows: a directory whose
//! rename was noted is first searched for, and looks inside it wait.

use super::defect::{planted, Defect};
use super::dirty::{By, Depth, Dirty, Slot};
use super::filter::{Filter, NAME};
use super::gitignore::Gitignores;
use super::moves::Plan;
use super::progress::Progress;
use super::recent::Recent;
use super::watch::{is_racy, Options, ALL_LEVELS};
use super::words::Word;
use crate::collections::{HashMap, HashSet, IndexMap, Reset};
use crate::kernel::{
    Entered, Entrant, Errno, Hint, Id, Kernel, Kind, Listing, Now, Place, Stat, Token, Verdict,
    Visitor, What,
};
use crate::tree::{Key, Marks, Tree};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was found under a name.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What is there; `None`: nothing.
    pub stat: Option<Stat>,
    /// Why it was looked at.
    pub what: What,
    /// If it is new: its entry, watched and complete but not attached yet.
    pub node: Option<Key>,
}

/// How often a look that contradicts another is made again within a turn.
pub const RECHECKS: u8 = 3;
/// How many turns in a row a directory may not be where its name says before
/// that is taken for the file system's fault. Less than the engine takes at once.
const MISPLACED: u8 = 50;
/// How many other links of a file are checked when a further one appears: a
/// file with more links than this is rarely one that was just renamed.
pub const LINKS: usize = 8;

/// Where names are being looked at.
#[derive(Clone, Copy)]
struct At {
    dir: Key,
    /// There are so many that it pays to open the directory.
    many: bool,
}

/// To open a directory costs as much as two looks by path, of which one in it costs three
/// quarters.
const MANY: usize = 8;

/// What a turn's looks have found so far.
#[derive(Default, Debug)]
pub struct Findings {
    /// The directories being listed, and the names being looked at.
    scans: IndexMap<Key, Depth>,
    names: IndexMap<Slot, What>,
    /// Where the directory is that is being looked into, and by what way.
    path: PathBuf,
    way: Vec<Key>,
    /// What is under names, where it differs from the snapshot or may do so.
    pub seen: IndexMap<Slot, Seen>,
    /// Entries that could not be read, with the error.
    pub troubles: Vec<(Key, Errno)>,
    /// Entries that were refused a watch, or could not be read.
    pub refused: Vec<(Key, Errno)>,
    /// Looks to be made again in the next turn.
    pub later: Vec<(Key, Depth)>,
    /// Likewise, names, with what was said of them.
    pub later_names: Vec<(Slot, What)>,
    /// Entries that could not be looked at, and what was said of them.
    pub unseen: Vec<(Key, What)>,
    /// When the first crawl began: there is nothing it could be a move from.
    baseline: Option<Now>,
    /// Who wants to know how far it has come.
    progress: Option<Arc<Progress>>,
    /// Where directories were found that the snapshot has elsewhere, or not yet.
    places: HashMap<Key, Slot>,
    /// Directories with a noted rename whose name was not looked at yet.
    unsettled: HashSet<Key>,
    /// Directories that are not where the snapshot has them.
    astray: HashSet<Key>,
    /// Directories listed in this turn, and how far.
    listed: HashMap<Key, Depth>,
    rechecks: HashMap<Slot, u8>,
    /// Where inodes were seen that the snapshot does not have there.
    arrived: HashMap<Id, Slot>,
    /// Names under which something new was seen.
    newcomers: Newcomers,
    /// Entries that were made for what has gone again.
    spare: Vec<Key>,
    /// Directories that could not be read before, and can be listed now. (That their
    /// entries cannot be looked at is no news.)
    pub reopened: HashSet<Key>,
    /// Directories that were not watched before.
    pub begun: Vec<Key>,
    /// What was watched before it turned out to be excluded.
    pub unwanted: Vec<Token>,
    /// Where the directory is that a crawl is in, relative to the root, if that is known.
    crawled: Option<(Key, Option<Vec<u8>>)>,
}

impl Findings {
    /// Nothing found yet, and nothing that could have moved.
    pub fn of_first_crawl(began: Now, progress: Option<Arc<Progress>>) -> Findings {
        Findings {
            baseline: Some(began),
            progress,
            ..Findings::default()
        }
    }

    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        // Every field, so that none is forgotten.
        let Findings {
            scans,
            names,
            path: _,
            way: _,
            seen,
            troubles,
            refused,
            later,
            later_names,
            unseen,
            baseline,
            progress,
            places,
            unsettled,
            astray,
            listed,
            rechecks,
            arrived,
            newcomers,
            spare,
            reopened,
            begun,
            unwanted,
            crawled,
        } = self;
        scans.reset();
        names.reset();
        seen.reset();
        troubles.reset();
        refused.reset();
        later.reset();
        later_names.reset();
        unseen.reset();
        *baseline = None;
        *progress = None;
        places.reset();
        unsettled.reset();
        astray.reset();
        listed.reset();
        rechecks.reset();
        arrived.reset();
        newcomers.reset();
        spare.reset();
        reopened.reset();
        begun.reset();
        unwanted.reset();
        *crawled = None;
    }

    /// Where an inode was seen that the snapshot has elsewhere, or not at all.
    pub fn arrival_of(&self, id: Id) -> Option<Slot> {
        self.arrived.get(&id).copied()
    }

    /// Whether a directory was not found where it should be.
    pub fn is_astray(&self, dir: Key) -> bool {
        self.astray.contains(&dir)
    }
}

/// Everything about a turn's looks but the kernel.
#[derive(Debug)]
pub struct View<'a> {
    /// The snapshot.
    pub tree: &'a mut Tree,
    /// What is owed.
    pub dirty: &'a mut Dirty,
    /// What was looked at by path lately.
    pub recent: &'a mut Recent,
    /// What was found.
    pub found: &'a mut Findings,
    /// What `.gitignore` files say.
    pub rules: &'a mut Gitignores,
    /// The watch.
    pub watch: i32,
    /// Where the root is.
    pub root: &'a Path,
    /// Nothing tells if the root is moved with what is above it.
    pub blind: bool,
    /// What the caller asked for.
    pub options: &'a Options,
}

/// The token of an entry.
pub fn token(watch: i32, key: Key) -> Token {
    let (index, generation) = key.parts();
    Token::Entry {
        watch,
        index,
        generation,
    }
}

impl View<'_> {
    /// Writes where a directory is to `into`, or answers `false` while (or because) that is
    /// not known.
    fn locate(&self, dir: Key, into: &mut PathBuf) -> bool {
        let mut path = std::mem::take(into).into_os_string().into_vec();
        path.clear();
        let found = self.locate_reversed(dir, &mut path);
        path.extend(self.root.as_os_str().as_bytes().iter().rev());
        path.reverse();
        *into = OsString::from_vec(path).into();
        found
    }

    /// The same below the root, leaf first, from the last byte to the first.
    fn locate_reversed(&self, dir: Key, path: &mut Vec<u8>) -> bool {
        let mut steps = 0;
        let mut at = dir;
        while at != self.tree.root() {
            steps += 1;
            if steps > self.tree.len() + self.tree.detached() {
                return false; // Seen at different times, two directories contain one another.
            }
            let (above, name) = if let Some(&(parent, word)) = self.found.places.get(&at) {
                if !self.tree.contains(parent) {
                    return false; // It was seen in something that is gone by now.
                }
                (Some(parent), self.dirty.words.get(word))
            } else if self.found.unsettled.contains(&at) || self.found.astray.contains(&at) {
                return false;
            } else {
                (self.tree.parent(at), self.tree.name(at))
            };
            path.extend(name.iter().rev());
            // (The root is `/` itself, perhaps.)
            if above != Some(self.tree.root()) || self.root.as_os_str() != "/" {
                path.push(b'/');
            }
            match above {
                Some(above) => at = above,
                None => return false,
            }
        }
        true
    }

    /// Whether directories in this one are gone into.
    fn enters(&self, dir: Key) -> bool {
        match self.options.levels {
            1 => false,
            ALL_LEVELS => true,
            levels => self.level(dir) + 1 < levels,
        }
    }

    /// Whether the entries of a directory are followed.
    #[inline]
    fn follows(&self, dir: Key) -> bool {
        let all = self.options.levels == ALL_LEVELS && !self.options.one_device;
        all || self.is_within_limits(dir)
    }

    fn is_within_limits(&self, dir: Key) -> bool {
        let above = match self.found.places.get(&dir) {
            Some((parent, _)) => Some(*parent),
            None => self.tree.parent(dir),
        };
        let home = !self.options.one_device || self.is_at_home(&self.tree.stat(dir));
        home && above.is_none_or(|above| self.enters(above))
    }

    /// Whether what was seen in a directory is gone into.
    fn goes_into(&self, dir: Key, stat: &Stat) -> bool {
        stat.kind == Kind::Dir && self.enters(dir) && self.is_at_home(stat)
    }

    /// Whether something is on a device that is gone into.
    fn is_at_home(&self, stat: &Stat) -> bool {
        !self.options.one_device || stat.id.dev == self.tree.stat(self.tree.root()).id.dev
    }

    /// How many levels a directory is below the root, as far as this turn knows.
    fn level(&self, dir: Key) -> usize {
        let (mut level, mut at) = (0, dir);
        while at != self.tree.root() && level <= self.tree.len() + self.tree.detached() {
            let place = self.found.places.get(&at).map(|(parent, _)| *parent);
            let Some(above) = place.or_else(|| self.tree.parent(at)) else {
                break;
            };
            if !self.tree.contains(above) {
                break;
            }
            (level, at) = (level + 1, above);
        }
        level
    }

    /// Whether what is in a directory, which is at that path, is followed; `kind` `None`: it
    /// is not known what it is.
    #[inline]
    fn wants(&self, dir: Key, path: &Path, name: &[u8], kind: Option<Kind>) -> bool {
        let filter = self.options.filter.as_ref();
        filter.is_none_or(|filter| {
            if !filter.depends_on_path() {
                return !filter.excludes(name, name, kind);
            }
            let root = self.root.as_os_str().as_bytes();
            let below = path.as_os_str().as_bytes().get(root.len()..);
            let below = below.unwrap_or_default();
            let below = below.strip_prefix(b"/").unwrap_or(below);
            self.lets_pass(filter, dir, below, name, kind)
        })
    }

    /// The same for a directory of which the path relative to the root is known.
    fn lets_pass(
        &self,
        filter: &Filter,
        dir: Key,
        below: &[u8],
        name: &[u8],
        kind: Option<Kind>,
    ) -> bool {
        let excluded = filter.excludes(&joined(below, name), name, kind);
        let ignored = || self.rules.exclude(self.way(dir), name, kind);
        !(excluded || filter.heeds_gitignore() && ignored())
    }

    /// A directory and those above it, as far as this turn knows, each with its name.
    fn way(&self, dir: Key) -> impl Iterator<Item = (Key, &[u8])> {
        let mut next = Some(dir);
        let mut left = self.tree.len() + self.tree.detached(); // See `locate`.
        std::iter::from_fn(move || {
            let at = next.take()?;
            left = left.checked_sub(1)?;
            let (above, name) = match self.found.places.get(&at) {
                Some(&(parent, word)) => (Some(parent), self.dirty.words.get(word)),
                None => (self.tree.parent(at), self.tree.name(at)),
            };
            next = above.filter(|&above| self.tree.contains(above));
            Some((at, name))
        })
    }

    /// The same for what a crawl comes upon.
    fn wants_found(&mut self, dir: Key, name: &[u8], kind: Option<Kind>) -> bool {
        let Some(filter) = &self.options.filter else {
            return true;
        };
        if !filter.depends_on_path() {
            return !filter.excludes(name, name, kind);
        }
        if self.found.crawled.as_ref().is_none_or(|(at, _)| *at != dir) {
            let mut path = PathBuf::new();
            let below = self.locate_below(dir, &mut path);
            self.found.crawled = Some((dir, below));
        }
        if filter.heeds_gitignore() && name == NAME && !planted(Defect::RulesReadOnce) {
            // It may have been written to since it was read.
            self.dirty.rules.insert(dir);
        }
        match &self.found.crawled {
            Some((_, Some(below))) => self.lets_pass(filter, dir, below, name, kind),
            _ => {
                // It is not where it should be: a scan of its own finds out.
                self.found.later.push((dir, Depth::Names));
                false
            }
        }
    }

    /// Where a directory is, relative to the root.
    fn locate_below(&self, dir: Key, path: &mut PathBuf) -> Option<Vec<u8>> {
        if !self.locate(dir, path) {
            return None;
        }
        let below = path.strip_prefix(self.root).ok()?;
        Some(below.as_os_str().as_bytes().to_vec())
    }

    /// Whether the path of a directory may lead elsewhere without any note of that.
    fn is_doubted(&self, dir: Key) -> bool {
        let polled = |key: Key| self.tree.has_mark(key, Marks::POLLED);
        let any = self.tree.polled() > 0 && self.tree.ancestry(dir).any(polled);
        (self.blind || any) && !planted(Defect::PathsTrusted)
    }

    /// A directory as the kernel is told of it.
    fn place<'a>(&self, at: At, path: &'a Path) -> Place<'a> {
        Place {
            token: token(self.watch, at.dir),
            path,
            id: Some(self.tree.stat(at.dir).id),
            doubted: self.is_doubted(at.dir),
            many: at.many,
        }
    }

    /// Whether every directory is where the snapshot has it, as far as this turn knows.
    fn is_settled(&self) -> bool {
        let found = &self.found;
        found.places.is_empty() && found.unsettled.is_empty() && found.astray.is_empty()
    }

    /// Takes down by what way a directory is looked at.
    fn remember(&mut self, dir: Key, crawled: bool) {
        let mut way = std::mem::take(&mut self.found.way);
        way.clear();
        let mut next = Some(dir);
        while let Some(at) = next {
            if way.len() > self.tree.len() + self.tree.detached() {
                break; // In a circle: see `locate`.
            }
            way.push(at);
            next = match self.found.places.get(&at) {
                Some((parent, _)) => Some(*parent).filter(|&p| self.tree.contains(p)),
                None => self.tree.parent(at),
            };
        }
        self.recent.looked(dir, crawled, &way);
        self.found.way = way;
    }

    /// Whether the snapshot has the same thing in that place.
    pub fn is_known(&self, slot: Slot, stat: Option<&Stat>) -> bool {
        self.is_known_as(self.child(slot), stat)
    }

    /// The snapshot's entry in that place.
    pub fn child(&self, slot: Slot) -> Option<Key> {
        self.tree.child(slot.0, self.dirty.words.get(slot.1))
    }

    /// The place that the snapshot has an entry in.
    fn slot_of(&mut self, key: Key) -> Option<Slot> {
        let parent = self.tree.parent(key)?;
        Some(self.dirty.slot(parent, self.tree.name(key)))
    }

    /// Whether an entry of the snapshot is what was seen.
    pub fn is_known_as(&self, child: Option<Key>, stat: Option<&Stat>) -> bool {
        match (child, stat) {
            (None, None) => true,
            (Some(child), Some(stat)) if planted(Defect::NumbersOnly) => {
                self.tree.stat(child).id == stat.id
            }
            (Some(child), Some(stat)) => self.tree.stat(child).same_inode(stat),
            _ => false,
        }
    }

    /// What is under a name, if it was made an entry of in this turn already.
    fn made(&self, slot: Slot, hint: Hint) -> Option<Key> {
        let node = self.found.seen.get(&slot).and_then(|s| s.node)?;
        let stat = self.tree.stat(node);
        let same = stat.id.ino == hint.ino && hint.kind.is_none_or(|k| k == stat.kind);
        same.then_some(node)
    }

    /// What is under a name, if the listing tells or it is what it was.
    fn kind(&self, dir: Key, name: &[u8], hint: Hint) -> Option<Kind> {
        hint.kind.or_else(|| {
            let child = self.tree.child(dir, name);
            let made = || {
                let word = self.dirty.words.find(name)?;
                self.found.seen.get(&(dir, word))?.node
            };
            let stat = self.tree.stat(child.or_else(made)?);
            (stat.id.ino == hint.ino).then_some(stat.kind)
        })
    }

    /// Whether an entry whose place cannot be looked at was seen elsewhere, and
    /// can only be in one.
    fn has_left(&self, key: Key, home: Slot) -> bool {
        let stat = self.tree.stat(key);
        let arrival = self.found.arrival_of(stat.id);
        let seen = arrival.filter(|&slot| slot != home);
        let there = seen.and_then(|slot| self.found.seen.get(&slot)?.stat);
        there.is_some_and(|there| {
            there.same_inode(&stat) && (stat.kind == Kind::Dir || there.nlink < 2)
        })
    }

    /// Whether an entry's inode number is surely still its own: what has no
    /// descriptor has no hold on it. Where notes go by names, they tell.
    fn is_held<K: Kernel>(&self, key: Key) -> bool {
        let kind = self.tree.kind(key);
        K::NAMES
            || planted(Defect::NumbersNeverReused)
            || (matches!(kind, Kind::File | Kind::Dir) && !self.tree.has_mark(key, Marks::POLLED))
    }

    /// Takes down what is under a name, and follows up what that says of others.
    fn see(&mut self, slot: Slot, stat: Option<Stat>, what: What, node: Option<Key>) {
        let child = self.child(slot);
        let known = self.is_known_as(child, stat.as_ref());
        if !known && self.options.heeds_gitignore() && self.dirty.words.get(slot.1) == NAME {
            self.dirty.rules.insert(slot.0);
        }
        if let Some(child) = child {
            self.found.unsettled.remove(&child);
            if known {
                self.found.astray.remove(&child);
                let claim = self.found.places.remove(&child);
                if let Some(claim) = claim.filter(|_| !planted(Defect::ClaimsBelieved)) {
                    // Elsewhere it was seen too. One of the looks is out of date,
                    // or the directory is mounted in both places.
                    self.recheck(claim);
                }
            } else if self.tree.kind(child) == Kind::Dir && !self.found.places.contains_key(&child)
            {
                self.found.astray.insert(child);
            }
        }
        if let Some(stat) = stat.filter(|_| !known) {
            self.found.arrived.insert(stat.id, slot);
            self.search(slot, &stat);
            if child.is_none() {
                self.found.newcomers.push(slot);
            }
        }
        let before = self.found.seen.get(&slot);
        let what = before.map_or(what, |s| s.what | what);
        let made = before
            .and_then(|s| s.node)
            .filter(|&made| node != Some(made));
        self.found.spare.extend(made);
        if known && stat.is_none() {
            self.found.seen.swap_remove(&slot);
        } else {
            self.found.seen.insert(slot, Seen { stat, what, node });
        }
    }

    /// Something is under a name that the snapshot does not have there. If the
    /// snapshot has it elsewhere, that place is looked at too.
    fn search(&mut self, slot: Slot, stat: &Stat) {
        if planted(Defect::NoSearch) {
            return;
        }
        // (An inode number that has just become free is most often the next one's.)
        let mut links = [None; LINKS];
        let same = |&link: &Key| self.tree.stat(link).same_inode(stat);
        let found = self.tree.links(stat.id).filter(same);
        links
            .iter_mut()
            .zip(found)
            .for_each(|(to, link)| *to = Some(link));
        for link in links.into_iter().flatten() {
            let Some(home) = self.slot_of(link) else {
                continue;
            };
            if stat.kind == Kind::Dir {
                if let Some(claim) = self.found.places.insert(link, slot) {
                    if claim != slot && !planted(Defect::ClaimsBelieved) {
                        self.recheck(claim);
                        self.recheck(slot);
                    }
                }
                self.found.astray.remove(&link);
                self.found.unsettled.remove(&link);
            }
            let seen = self.found.seen.get(&home);
            if seen.is_none_or(|s| self.is_known(home, s.stat.as_ref())) {
                self.recheck(home);
            }
        }
    }

    /// Looks at a name again, a few times at most. Whether that will be done.
    fn recheck(&mut self, slot: Slot) -> bool {
        let times = self.found.rechecks.entry(slot).or_default();
        *times = times.saturating_add(1);
        let again = *times <= RECHECKS;
        if again {
            self.found.listed.remove(&slot.0);
            self.dirty.look_at(slot, What::NAME);
        }
        again
    }

    /// The name by which a directory is known; the root has none.
    fn home(&mut self, dir: Key) -> Option<Slot> {
        let claim = self.found.places.get(&dir).copied();
        claim.or_else(|| self.slot_of(dir))
    }

    /// A name cannot be looked at. What happened to the file shows under its other
    /// names.
    fn recheck_links(&mut self, key: Key) {
        let stat = self.tree.stat(key);
        if stat.kind == Kind::Dir || stat.nlink < 2 {
            return;
        }
        let links = self.tree.links(stat.id).filter(|&link| link != key);
        for link in links.take(LINKS).collect::<Vec<Key>>() {
            if let Some(slot) = self.slot_of(link) {
                self.recheck(slot);
            }
        }
    }

    /// Looks at a name again, in the next turn if it was often enough in this.
    fn insist(&mut self, slot: Slot) {
        if !self.recheck(slot) {
            self.found.later_names.push((slot, What::NAME));
        }
    }

    /// A directory could not be read or its entries not be looked at.
    fn trouble(&mut self, key: Key, error: Errno) {
        self.found.refused.push((key, error));
        if !self.tree.has_mark(key, Marks::UNREADABLE) {
            self.tree.set_mark(key, Marks::UNREADABLE, true);
            self.found.troubles.push((key, error));
        }
    }

    /// A directory cannot be listed: of what is to be looked at below it, the snapshot knows.
    fn descend(&mut self, dir: Key, depth: Depth) {
        if depth.is_deep() {
            for child in self.tree.children(dir) {
                if self.tree.kind(child) == Kind::Dir {
                    self.dirty.scan(child, depth);
                }
            }
        }
    }

    /// Takes down the outcome of watching a new or known entry.
    fn watched(&mut self, key: Key, outcome: Result<(), Errno>) {
        match outcome {
            Ok(()) => self.tree.set_mark(key, Marks::POLLED, false),
            Err(error) if error.is_elsewhere() => {}
            Err(error) => self.found.refused.push((key, error)),
        }
    }

    /// The inode that a directory's entry would have, going by the listing.
    fn hinted(&self, dir: Key, hint: Hint) -> Id {
        Id {
            dev: self.tree.stat(dir).id.dev,
            ino: hint.ino,
        }
    }

    /// Whether the snapshot may have this entry elsewhere.
    fn may_be_known(&self, dir: Key, hint: Hint) -> bool {
        self.tree.links(self.hinted(dir, hint)).next().is_some()
    }

    /// An entry of a new directory, before it was looked at.
    fn provisional(&self, dir: Key, hint: Hint) -> Stat {
        Stat::unseen(self.hinted(dir, hint), hint.kind.unwrap_or(Kind::Other))
    }

    /// Makes an entry of what a crawl came upon, unless there is one already, or it may
    /// have come from elsewhere.
    fn make(&mut self, dir: Key, name: &[u8], hint: Hint, stat: Stat) -> Option<Key> {
        if self.found.baseline.is_none() && self.may_be_known(dir, hint) {
            if self.tree.child(dir, name).is_none() {
                self.dirty.name(dir, name, What::NAME);
            }
            return None;
        }
        // readdir may give a name twice while names come and go.
        self.tree.enter(dir, name, stat)
    }

    /// The first crawl also answers for what is written to while it lasts.
    fn mark_baseline(&mut self, key: Key, stat: &Stat) {
        if self
            .found
            .baseline
            .is_some_and(|began| is_racy(stat, began))
        {
            self.tree.set_mark(key, Marks::RACY, true);
        }
    }

    /// Whether an entry that is another kind of thing than the listing said is followed.
    fn is_wanted_still(&mut self, key: Key) -> bool {
        let kind = self.tree.kind(key);
        let name = self.tree.name(key).to_vec();
        match self.tree.parent(key) {
            Some(dir) => self.wants_found(dir, &name, Some(kind)),
            None => true, // The top of a crawl, which was looked at before.
        }
    }

    fn key_of(&self, token: Token) -> Option<Key> {
        match token {
            Token::Entry {
                index, generation, ..
            } => Some(Key::from_parts(index, generation)).filter(|&k| self.tree.contains(k)),
            Token::Anchor { .. } => None,
        }
    }
}

/// A path below the root.
fn joined(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir.is_empty() {
        true => name.to_vec(),
        false => [dir, name].join(&b'/'),
    }
}

impl Visitor for View<'_> {
    fn goes_on(&mut self) -> bool {
        let progress = self.found.progress.as_ref();
        progress.is_none_or(|progress| progress.reached(self.tree.len()))
    }

    fn device(&self) -> Option<u64> {
        let root = self.tree.root();
        self.options.one_device.then(|| self.tree.stat(root).id.dev)
    }

    fn found(&mut self, parent: Token, name: &[u8], hint: Hint) -> Verdict {
        let Some(dir) = self.key_of(parent) else {
            return Verdict::Skip;
        };
        if !self.wants_found(dir, name, hint.kind) {
            return Verdict::Skip;
        }
        let stat = self.provisional(dir, hint);
        let Some(key) = self.make(dir, name, hint, stat) else {
            return Verdict::Skip;
        };
        let token = token(self.watch, key);
        if self.enters(dir) {
            Verdict::Enter(token)
        } else {
            Verdict::Leaf(token)
        }
    }

    fn entered(&mut self, token: Token, entered: Entered) {
        let Some(key) = self.key_of(token) else {
            return;
        };
        match entered.stat {
            Ok(stat) => {
                let before = self.tree.stat(key);
                let was_dir = before.kind == Kind::Dir;
                if let Some(parent) = self.tree.parent(key) {
                    if stat.kind == Kind::Dir && before.id.ino != stat.id.ino {
                        self.recent.suspect(parent, key);
                    }
                }
                self.tree.set_stat(key, stat);
                if before.kind != stat.kind && !self.is_wanted_still(key) {
                    self.found.unwanted.push(token);
                    self.tree.remove(key);
                    return;
                }
                self.mark_baseline(key, &stat);
                if stat.kind == Kind::Dir && !was_dir && self.follows(key) {
                    self.found.later.push((key, Depth::Names)); // A listing without kinds.
                }
            }
            Err(error) if !error.is_elsewhere() => {
                self.trouble(key, error);
            }
            // Gone again. (The top of a crawl is its caller's.)
            Err(_) => match self.tree.parent(key) {
                Some(parent) => {
                    self.tree.remove(key);
                    // Or the way to it leads elsewhere, because something was mounted
                    // there: a scan of its own finds out.
                    self.found.later.push((parent, Depth::Names));
                }
                None => self.found.astray.extend([key]),
            },
        }
        if self.tree.contains(key) {
            self.watched(key, entered.watched);
            if entered.watched.is_ok() && self.tree.kind(key) == Kind::Dir {
                self.found.begun.push(key);
            }
            if let (Err(error), Kind::Dir) = (entered.watched, self.tree.kind(key)) {
                if !self.follows(key) {
                    return;
                }
                if error.is_denied() {
                    self.trouble(key, error); // It will not be gone into.
                } else if error.is_elsewhere() {
                    // It came after it was to be watched: a scan of its own does that.
                    self.found.later.push((key, Depth::Names));
                }
            }
        }
    }

    fn looked_at(&mut self, parent: Token, name: &[u8], hint: Hint, stat: Result<Stat, Errno>) {
        let dir = self.key_of(parent);
        match (dir, stat) {
            // The listing's hint was right, as it mostly is: what follows from a wrong one
            // is done in `entered`.
            (Some(dir), Ok(stat)) if hint.kind == Some(stat.kind) && stat.kind != Kind::Dir => {
                if !self.wants_found(dir, name, hint.kind) {
                    return;
                }
                if let Some(key) = self.make(dir, name, hint, stat) {
                    self.mark_baseline(key, &stat);
                }
            }
            _ => {
                if let Verdict::Enter(token) | Verdict::Leaf(token) = self.found(parent, name, hint)
                {
                    let watched = Ok(());
                    self.entered(token, Entered { stat, watched });
                }
            }
        }
    }

    fn reads(&self) -> Option<&'static [u8]> {
        self.options.heeds_gitignore().then_some(NAME)
    }

    fn content(&mut self, dir: Token, content: Result<Vec<u8>, Errno>) {
        // It is read again, and what keeps it from being read told then.
        if let Some(dir) = self.key_of(dir) {
            self.rules.set(dir, Ok(content.unwrap_or_default()));
        }
    }

    fn unlisted(&mut self, dir: Token, error: Errno) {
        let Some(key) = self.key_of(dir) else {
            return;
        };
        if error.is_denied() {
            self.trouble(key, error);
        } else {
            // It vanished, moved, or has a path too long for a walk by path: a
            // scan of its own finds out.
            self.found.later.push((key, Depth::Names));
        }
    }
}

/// Names by directory, in the order in which they came.
#[derive(Default, Debug)]
struct Newcomers {
    /// Each with the one before it in the same directory.
    all: Vec<(Slot, u32)>,
    last: HashMap<Key, u32>,
}

impl Newcomers {
    /// None comes before.
    const FIRST: u32 = u32::MAX;

    fn push(&mut self, slot: Slot) {
        let at = self.all.len() as u32;
        let before = self.last.insert(slot.0, at).unwrap_or(Newcomers::FIRST);
        self.all.push((slot, before));
    }

    /// Those of one directory, which it forgets.
    fn take(&mut self, dir: Key) -> Vec<Slot> {
        let mut taken = Vec::new();
        let mut next = self.last.remove(&dir).unwrap_or(Newcomers::FIRST);
        while let Some(&(slot, before)) = self.all.get(next as usize) {
            taken.push(slot);
            next = before;
        }
        taken.reverse();
        taken
    }

    fn reset(&mut self) {
        self.all.reset();
        self.last.reset();
    }
}

/// Names in a directory that the snapshot has nowhere.
type Fresh = Vec<(Word, Hint)>;

/// A turn's looks.
#[derive(Debug)]
pub struct Looks<'a, K> {
    /// Whom to ask.
    pub kernel: &'a mut K,
    /// What is known.
    pub view: View<'a>,
}

impl<K: Kernel> Looks<'_, K> {
    /// Makes every look that is owed and can be made.
    pub fn run(&mut self) {
        let moving: Vec<Key> = self.view.dirty.moving.iter().copied().collect();
        for key in moving {
            if self.view.tree.contains(key) {
                self.unsettle(key);
            }
        }
        loop {
            let mut progress = false;
            let mut path = std::mem::take(&mut self.view.found.path);
            let mut scans = std::mem::take(&mut self.view.found.scans);
            std::mem::swap(&mut scans, &mut self.view.dirty.scans);
            for (dir, depth) in scans.drain(..) {
                let tree = &self.view.tree;
                if !tree.contains(dir) || tree.kind(dir) != Kind::Dir {
                    continue;
                }
                // By way of a directory above it, it may be owed a second time.
                let listed = self.view.found.listed.get(&dir);
                if listed.is_some_and(|listed| listed.and(depth) == *listed) {
                    continue;
                }
                if self.view.locate(dir, &mut path) {
                    progress = true;
                    self.remember(dir);
                    self.scan(dir, depth, &path);
                } else {
                    self.view.dirty.scan(dir, depth);
                }
            }
            self.view.found.scans = scans;
            let mut names = std::mem::take(&mut self.view.found.names);
            std::mem::swap(&mut names, &mut self.view.dirty.names);
            let mut at = None;
            for i in 0..names.len() {
                let Some((slot, what)) = self.next_name(&names, i, &mut at, &mut path) else {
                    continue;
                };
                if let Some(at) = at {
                    progress = true;
                    self.look(slot, what, at, &path);
                } else {
                    self.view.dirty.look_at(slot, what);
                }
            }
            names.reset();
            self.view.found.names = names;
            self.view.found.path = path;
            if !progress {
                return;
            }
        }
    }

    /// Makes those of the looks that are owed at names which turn out to be files that
    /// stayed where they are. (With one name: nothing has to be said of others.)
    pub fn at_known(&mut self, stayed: &mut Vec<(Key, Stat, What)>) {
        let mut path = std::mem::take(&mut self.view.found.path);
        let mut names = std::mem::take(&mut self.view.found.names);
        std::mem::swap(&mut names, &mut self.view.dirty.names);
        let mut at = None;
        for i in 0..names.len() {
            let Some((slot, what)) = self.next_name(&names, i, &mut at, &mut path) else {
                continue;
            };
            match at.and_then(|at| self.stat_known(slot, at, &path)) {
                Some((key, stat)) => stayed.push((key, stat, what)),
                None => drop(self.view.dirty.look_at(slot, what)),
            }
        }
        names.reset();
        self.view.found.names = names;
        self.view.found.path = path;
    }

    /// The name at an index, unless its directory is gone; where that is, is in `at` and
    /// `path` then, if it is known. (Most often many names in one directory come one after
    /// the other.)
    fn next_name(
        &mut self,
        names: &IndexMap<Slot, What>,
        index: usize,
        at: &mut Option<At>,
        path: &mut PathBuf,
    ) -> Option<(Slot, What)> {
        let (&slot, &what) = names.get_index(index)?;
        let dir = slot.0;
        if !self.view.tree.contains(dir) {
            return None;
        }
        if at.is_none_or(|at| at.dir != dir) || !self.view.is_settled() {
            *at = self
                .view
                .locate(dir, path)
                .then_some(At { dir, many: false });
            if at.is_some() {
                self.remember(dir);
            }
        }
        if let Some(at) = at {
            let further = names.get_index(index + MANY);
            at.many |= further.is_some_and(|(slot, _)| slot.0 == dir);
        }
        Some((slot, what))
    }

    /// The file that the snapshot has under a name, if it is still there.
    fn stat_known(&mut self, slot: Slot, at: At, path: &Path) -> Option<(Key, Stat)> {
        let view = &self.view;
        let key = view.child(slot)?;
        let before = view.tree.stat(key);
        let plain = |stat: &Stat| stat.kind != Kind::Dir && stat.nlink < 2;
        if !plain(&before) {
            return None;
        }
        let stat = self
            .kernel
            .stat(view.place(at, path), view.dirty.words.get(slot.1));
        let stat = stat
            .ok()
            .filter(|stat| plain(stat) && stat.same_inode(&before));
        stat.map(|stat| (key, stat))
    }

    /// What is seen in a directory by its path is beyond doubt only later.
    fn remember(&mut self, dir: Key) {
        if !K::EXACT {
            self.view.remember(dir, false);
        }
    }

    /// The entry may be elsewhere: its name is looked at before anything below it.
    fn unsettle(&mut self, key: Key) {
        let view = &mut self.view;
        if let Some(parent) = view.tree.parent(key) {
            let name = view.tree.name(key);
            view.dirty.name(parent, name, What::RENAME);
            let placed = view.found.places.contains_key(&key) || view.found.astray.contains(&key);
            if !placed && !planted(Defect::NothingUnsettled) {
                view.found.unsettled.insert(key);
            }
        }
    }

    /// New notes arrived while the looks were made: what was seen below a
    /// directory that was on the move by then is not to be trusted.
    pub fn distrust(&mut self) {
        if planted(Defect::NewNotesIgnored) {
            return;
        }
        let view = &mut self.view;
        view.found.listed.clear(); // They answer for nothing that was noted since.
        let doubtful: Vec<Slot> = view
            .found
            .seen
            .keys()
            .filter(|(dir, _)| {
                view.tree.contains(*dir)
                    && view
                        .tree
                        .ancestry(*dir)
                        .any(|k| view.dirty.moving.contains(&k))
            })
            .copied()
            .collect();
        for slot in doubtful {
            let node = view.found.seen.get(&slot).and_then(|s| s.node);
            if node.is_none() {
                view.found.listed.remove(&slot.0);
                view.dirty.look_at(slot, What::NAME);
            }
        }
    }

    fn look(&mut self, slot: Slot, what: What, at: At, path: &Path) {
        let view = &mut self.view;
        if view.found.listed.contains_key(&slot.0) {
            // The listing has answered whether it is there. Whether it was written
            // to is another matter; where notes go by names, it may have been
            // under another one, and have been given this one back.
            let gone = view.found.seen.get(&slot).is_some_and(|s| s.stat.is_none());
            let answered = !(K::NAMES || what.has(What::WRITE | What::ATTRIB | What::UNTOLD));
            if let Some(seen) = view.found.seen.get_mut(&slot).filter(|_| gone) {
                seen.what |= what; // It may come back.
            }
            if gone || answered || planted(Defect::ListingAnswersAll) {
                if let Some(child) = view.child(slot) {
                    view.found.unsettled.remove(&child);
                }
                return;
            }
        }
        self.stat(slot, what, at, path);
    }

    /// Stats a name and takes down what is there.
    fn stat(&mut self, slot: Slot, what: What, at: At, path: &Path) {
        let view = &mut self.view;
        let place = view.place(at, path);
        let name = view.dirty.words.get(slot.1);
        let mut answer = match view.follows(slot.0) && view.wants(slot.0, path, name, None) {
            true => self.kernel.stat(place, name),
            false => Err(Errno::ABSENT),
        };
        if answer.is_ok_and(|stat| !view.wants(slot.0, path, name, Some(stat.kind))) {
            answer = Err(Errno::ABSENT);
        }
        let changed = What::WRITE | What::ATTRIB;
        let renamed = What::NAME | What::RENAME | What::DELETE;
        let suspect = what.has(renamed)
            || !what.has(changed)
            || answer.is_ok_and(|stat| !view.is_known(slot, Some(&stat)));
        if K::FOLDS && answer.is_ok() && suspect {
            // `A` answers for `a`, which it may have been renamed from.
            let known = planted(Defect::SpellingIgnored);
            if !known && !self.kernel.is_spelled(place, name) {
                answer = Err(Errno::ABSENT);
            }
        }
        if let Some(node) = view.found.seen.get(&slot).and_then(|s| s.node) {
            // It was made earlier in this turn. Is it still what is there?
            if let Ok(stat) = answer {
                if view.tree.stat(node).same_inode(&stat) {
                    view.tree.set_unlisted_stat(node, stat);
                    return view.see(slot, Some(stat), what, Some(node));
                }
            }
            if !answer.is_err_and(|e| !e.is_absent()) {
                self.discard(Some(node));
            }
        }
        let view = &mut self.view;
        match answer {
            Ok(stat) => view.see(slot, Some(stat), what, None),
            Err(error) if error.is_absent() => {
                let known = view.child(slot).is_some();
                if known && view.tree.has_mark(slot.0, Marks::POLLED) {
                    // It may have another name there by now.
                    view.dirty.scan(slot.0, Depth::Names);
                }
                view.see(slot, None, what, None);
            }
            Err(error) if error.is_other() => {
                if self.misplaced(slot.0, Depth::Names, error, By::Look) {
                    self.view.found.later_names.push((slot, what));
                }
            }
            Err(error) => {
                let child = view.child(slot);
                if let Some(child) = child {
                    view.found.unsettled.remove(&child);
                }
                view.trouble(slot.0, error);
                if child.is_some_and(|child| view.has_left(child, slot)) {
                    view.see(slot, None, what, None);
                } else if let Some(child) = child {
                    view.found.unseen.push((child, what));
                    view.recheck_links(child);
                }
            }
        }
    }

    /// The name by which a directory is known is to be looked at.
    fn look_at_home(&mut self, dir: Key) {
        match self.view.home(dir) {
            Some(slot) => self.view.insist(slot),
            None => self.view.dirty.root(What::RENAME),
        }
    }

    /// A directory is not where it should be. Its own name is looked at now, and
    /// the directory again when that is settled. Whether there is hope of that.
    fn misplaced(&mut self, dir: Key, depth: Depth, error: Errno, by: By) -> bool {
        self.look_at_home(dir);
        let view = &mut self.view;
        view.found.listed.remove(&dir);
        let times = view.dirty.misplaced.entry((dir, by)).or_default();
        *times = times.saturating_add(1);
        if *times > MISPLACED {
            // It is no race: the file system says one thing of the name and
            // another of the directory.
            view.trouble(dir, error);
            return false;
        }
        let again = *times > 1;
        view.found.later.push((dir, depth));
        if again && !planted(Defect::MountsOnTheWayIgnored) {
            // Its name had led to it. Perhaps the way to it leads elsewhere, because
            // something was mounted there, which is told to nobody.
            let above: Vec<Key> = view.tree.ancestry(dir).skip(1).collect();
            for dir in above {
                self.look_at_home(dir);
            }
        }
        true
    }

    fn scan(&mut self, dir: Key, depth: Depth, path: &Path) {
        let view = &mut self.view;
        if !view.follows(dir) {
            return self.unfollow(dir);
        }
        let mut listing = Listing::default();
        let place = Place {
            token: token(view.watch, dir),
            path,
            id: Some(view.tree.stat(dir).id),
            doubted: false,
            many: false,
        };
        let marked = |mark: Marks| view.tree.has_mark(dir, mark);
        let (shut, polled) = (marked(Marks::UNREADABLE), marked(Marks::POLLED));
        let watched = match self.kernel.scan(place, &mut listing) {
            Ok(watched) => watched,
            Err(error) if error.is_denied() => return view.trouble(dir, error),
            Err(error) if error.is_exhaustion() => {
                // What its times say is not known of its entries.
                view.tree.set_mark(dir, Marks::RACY, true);
                view.found.refused.push((dir, error));
                return view.descend(dir, depth);
            }
            Err(error) if error.is_elsewhere() => {
                self.misplaced(dir, depth, error, By::Look);
                return;
            }
            Err(error) => {
                view.trouble(dir, error);
                return view.descend(dir, depth);
            }
        };
        view.watched(dir, watched);
        view.tree.set_mark(dir, Marks::UNREADABLE, false);
        if shut {
            view.found.reopened.insert(dir);
        }
        // What happened to it and in it while it could not be read or watched was
        // told to nobody.
        let deaf = shut || (polled && watched.is_ok());
        if deaf {
            view.found.begun.push(dir);
            match view.home(dir) {
                Some(slot) => drop(view.dirty.look_at(slot, What::UNTOLD)),
                None => view.dirty.root(What::UNTOLD),
            }
        }
        let depth = match deaf && !planted(Defect::NamesMakeGood) {
            true => depth.and(Depth::Entries),
            false => depth,
        };
        view.dirty.misplaced.remove(&(dir, By::Look));
        let depth = match self.read_rules(place, &listing) {
            true => depth.and(Depth::Tree),
            false => depth,
        };
        let view = &mut self.view;
        view.found.listed.insert(dir, depth);
        let mut present = HashSet::new();
        let mut looks: Vec<Slot> = Vec::new();
        let mut fresh = Fresh::new();
        for (name, hint) in listing.iter() {
            if !view.wants(dir, path, name, view.kind(dir, name, hint)) {
                continue;
            }
            if depth.is_deep() {
                // It was read by other rules, perhaps.
                let slot = view.dirty.slot(dir, name);
                let made = view.made(slot, hint);
                if let Some(made) = made.filter(|&made| view.tree.kind(made) == Kind::Dir) {
                    view.dirty.scan(made, depth);
                }
            }
            match view.tree.child(dir, name) {
                Some(child) => {
                    present.insert(child);
                    let stat = view.tree.stat(child);
                    let same_kind = hint.kind.is_none_or(|k| k == stat.kind);
                    let same = stat.id.ino == hint.ino && same_kind;
                    // A look before this listing may have found something else.
                    let spoken = view.dirty.words.find(name);
                    let other = spoken.and_then(|word| view.found.seen.get(&(dir, word)));
                    let known = |s: &Seen| view.is_known_as(Some(child), s.stat.as_ref());
                    if !same || other.is_some_and(|s| !known(s)) {
                        // (On a mount point the listing gives the number of what lies beneath.)
                        if depth.is_deep() && same_kind && stat.kind == Kind::Dir {
                            view.dirty.scan(child, depth);
                        }
                        looks.push(view.dirty.slot(dir, name));
                        continue;
                    }
                    view.found.astray.remove(&child);
                    view.found.unsettled.remove(&child);
                    // What is polled is looked at in its turn.
                    let polled = view.tree.has_mark(child, Marks::POLLED);
                    match (depth, stat.kind) {
                        (Depth::Names, _) if polled || view.is_held::<K>(child) => {}
                        (depth, Kind::Dir) if depth.is_deep() => {
                            view.dirty.scan(child, depth);
                            looks.push(view.dirty.slot(dir, name));
                        }
                        _ => looks.push(view.dirty.slot(dir, name)),
                    }
                }
                None => {
                    let slot = view.dirty.slot(dir, name);
                    match view.made(slot, hint) {
                        Some(made) if view.is_held::<K>(made) => {}
                        Some(_) => looks.push(slot),
                        None if view.may_be_known(dir, hint) => looks.push(slot),
                        None if K::NAMES || (hint.kind == Some(Kind::Dir) && view.enters(dir)) => {
                            looks.push(slot);
                        }
                        None => fresh.push((slot.1, hint)),
                    }
                }
            }
        }
        if view.tree.children(dir).nth(present.len()).is_some() {
            let words = &mut view.dirty.words;
            let gone: Vec<Slot> = view
                .tree
                .children(dir)
                .filter(|child| !present.contains(child))
                .map(|child| (dir, words.word(view.tree.name(child))))
                .collect();
            for slot in gone {
                view.see(slot, None, What::NAME, None);
            }
        }
        self.forget_vanished(dir, &listing, path);
        let what = match depth {
            Depth::Entries | Depth::All => What::UNTOLD,
            Depth::Names | Depth::Tree => What::NAME,
        };
        let many = looks.len() > MANY;
        for slot in looks {
            self.stat(slot, what, At { dir, many }, path);
        }
        self.enter(dir, fresh, path);
    }

    /// What says what is excluded in a directory may be another file than the one that was
    /// read, or have been written to: it is read before the directory's names are gone
    /// through. Whether it says something else. (If it cannot be read, the next turn sees to
    /// that.)
    fn read_rules(&mut self, place: Place<'_>, listing: &Listing) -> bool {
        let view = &mut self.view;
        let dir = view.key_of(place.token);
        let Some(dir) = dir.filter(|_| view.options.heeds_gitignore()) else {
            return false;
        };
        let there = listing.iter().find(|(name, _)| *name == NAME);
        let there = there.map(|(_, hint)| hint.ino);
        let known = view.tree.child(dir, NAME);
        let owed = there != known.map(|file| view.tree.stat(file).id.ino)
            || view.dirty.rules.contains(&dir)
            || view.rules.unread.contains(&dir);
        if !owed || planted(Defect::RulesKept) {
            return false;
        }
        let content = self.kernel.read(place, NAME);
        if content.as_ref().is_err_and(|error| !error.is_absent()) {
            return false;
        }
        view.dirty.rules.swap_remove(&dir);
        view.rules.unread.swap_remove(&dir);
        let differs = view.rules.set(dir, content);
        if differs {
            view.found.listed.clear(); // That was by other rules.
        }
        differs
    }

    /// The entries of a directory are not followed (any more).
    fn unfollow(&mut self, dir: Key) {
        let view = &mut self.view;
        let left: Vec<Key> = view.tree.children(dir).collect();
        for child in left {
            let slot = view.dirty.slot(dir, view.tree.name(child));
            view.see(slot, None, What::NAME, None);
        }
        view.tree.set_mark(dir, Marks::UNREADABLE, false);
        if K::NAMES {
            self.kernel.unwatch(token(view.watch, dir));
            view.tree.set_mark(dir, Marks::POLLED, false);
        }
    }

    /// What was seen in a directory earlier in the turn and is new to the
    /// snapshot, but is not in a later listing, has come and gone.
    fn forget_vanished(&mut self, dir: Key, listing: &Listing, path: &Path) {
        let newcomers = self.view.found.newcomers.take(dir);
        if newcomers.is_empty() || planted(Defect::VanishedKept) {
            return;
        }
        let view = &self.view;
        let kind = |name: &[u8], hint: Hint| view.kind(dir, name, hint);
        let wanted = |&(name, hint): &(&[u8], Hint)| view.wants(dir, path, name, kind(name, hint));
        let names = listing.iter().filter(wanted).map(|(name, _)| name);
        let names: HashSet<&[u8]> = names.collect();
        for slot in newcomers {
            let name = self.view.dirty.words.get(slot.1);
            if names.contains(name) {
                self.view.found.newcomers.push(slot);
            } else if self.view.child(slot).is_none() {
                let seen = self.view.found.seen.swap_remove(&slot);
                self.discard(seen.and_then(|s| s.node));
            }
        }
    }

    /// Watches and stats new entries of a directory.
    fn enter(&mut self, dir: Key, fresh: Fresh, path: &Path) {
        if fresh.is_empty() {
            return;
        }
        let view = &mut self.view;
        let mut entrants: Vec<Entrant<'_>> = Vec::with_capacity(fresh.len());
        for &(name, hint) in &fresh {
            let key = view.tree.insert(view.provisional(dir, hint));
            entrants.push(Entrant {
                token: token(view.watch, key),
                name: view.dirty.words.get(name),
                hint,
                entered: None,
            });
        }
        let place = Place {
            token: token(view.watch, dir),
            path,
            id: Some(view.tree.stat(dir).id),
            doubted: false,
            many: false,
        };
        self.kernel.enter(place, &mut entrants);
        let answers = entrants.into_iter().map(|e| (e.token, e.entered));
        let answers: Vec<_> = answers.zip(fresh).collect();
        for ((token, entered), (name, _)) in answers {
            if let (Some(node), Some(entered)) = (self.view.key_of(token), entered) {
                self.entered((dir, name), node, entered, path);
            }
        }
    }

    fn entered(&mut self, slot: Slot, node: Key, entered: Entered, path: &Path) {
        let dir = slot.0;
        let view = &mut self.view;
        let stat = match entered.stat {
            Ok(stat) => stat,
            Err(error) => {
                self.discard(Some(node));
                if error.is_absent() {
                    self.view.see(slot, None, What::NAME, None);
                } else if error.is_other() {
                    self.misplaced(dir, Depth::Names, error, By::Look);
                } else {
                    self.view.trouble(dir, error);
                }
                return;
            }
        };
        if !view.wants(dir, path, view.dirty.words.get(slot.1), Some(stat.kind)) {
            // The listing's hint was wrong, or there was none.
            self.discard(Some(node));
            return self.view.see(slot, None, What::NAME, None);
        }
        let elsewhere = view
            .tree
            .links(stat.id)
            .any(|k| view.tree.stat(k).same_inode(&stat));
        let unasked = self
            .view
            .found
            .seen
            .get(&slot)
            .is_none_or(|s| s.stat.is_none());
        if (elsewhere && unasked) || self.view.goes_into(dir, &stat) {
            // The listing's hint was wrong: it may be a move after all, or
            // it is a directory to be gone into.
            self.discard(Some(node));
            self.view.see(slot, Some(stat), What::NAME, None);
            return;
        }
        self.view.tree.set_stat(node, stat);
        self.view.watched(node, entered.watched);
        self.view.see(slot, Some(stat), What::NAME, Some(node));
    }

    /// Makes the entries of what is new in a plan: directories are crawled, others
    /// watched where that is needed. Answers whether that may have brought further looks,
    /// so that the plan has to be made anew.
    pub fn make(&mut self, plan: &mut Plan) -> bool {
        let mut again = false;
        let mut leaves: IndexMap<Key, Fresh> = IndexMap::default();
        for arrival in plan.arrivals.iter_mut().filter(|a| a.entry.is_none()) {
            let (slot, stat) = (arrival.slot, arrival.stat);
            if self.view.goes_into(slot.0, &stat) {
                again = true;
                self.crawl(slot, stat);
            } else if K::NAMES {
                arrival.entry = Some(self.view.tree.insert(stat));
                if let Some(seen) = self.view.found.seen.get_mut(&slot) {
                    seen.node = arrival.entry;
                }
            } else {
                let hint = Hint {
                    ino: stat.id.ino,
                    kind: Some(stat.kind),
                };
                leaves.entry(slot.0).or_default().push((slot.1, hint));
            }
        }
        let mut path = PathBuf::new();
        for (dir, fresh) in leaves {
            if self.view.locate(dir, &mut path) {
                again = true;
                self.remember(dir);
                self.enter(dir, fresh, &path);
            }
        }
        again
    }

    /// Crawls a new directory into a detached subtree.
    fn crawl(&mut self, slot: Slot, stat: Stat) {
        let mut path = PathBuf::new();
        if !self.view.locate(slot.0, &mut path) {
            return;
        }
        path.push(OsStr::from_bytes(self.view.dirty.words.get(slot.1)));
        let node = self.view.tree.insert(stat);
        self.view.found.places.insert(node, slot);
        let place = Place {
            token: token(self.view.watch, node),
            path: &path,
            id: Some(stat.id),
            doubted: false,
            many: false,
        };
        // The crawl goes by path on every system.
        self.view.remember(node, true);
        self.view.found.crawled = None;
        self.kernel.crawl(place, &mut self.view);
        for token in std::mem::take(&mut self.view.found.unwanted) {
            self.kernel.unwatch(token);
        }
        self.view.recent.until(node, self.kernel.now().since);
        if self.view.found.astray.remove(&node) {
            // Gone, or another directory by now. Look again.
            self.discard(Some(node));
            self.view.found.seen.swap_remove(&slot);
            self.misplaced(slot.0, Depth::Names, Errno::ABSENT, By::Crawl);
            return;
        }
        self.view.dirty.misplaced.remove(&(slot.0, By::Crawl));
        if let Some(seen) = self.view.found.seen.get_mut(&slot) {
            seen.node = Some(node);
            seen.stat = Some(self.view.tree.stat(node));
        }
        for (dir, depth) in std::mem::take(&mut self.view.found.later) {
            self.view.dirty.scan(dir, depth);
        }
        if self.view.is_doubted(slot.0) {
            // The crawl may have been led astray by what is renamed without a note.
            self.view.dirty.scan(node, Depth::Tree);
        }
    }

    /// Lets go of what was made for names that the plan does not fill: the
    /// directory around them went meanwhile, or there was no end to the looks.
    pub fn give_back(&mut self, plan: &Plan) {
        for arrival in plan.arrivals.iter().filter(|a| a.entry.is_none()) {
            self.view.dirty.look_at(arrival.slot, What::NAME);
        }
        let made = self.view.found.seen.values().filter(|s| s.node.is_some());
        let planned = plan
            .arrivals
            .iter()
            .filter(|a| a.entry.is_some() && !a.moved);
        if self.view.found.spare.is_empty() && made.count() == planned.count() {
            return; // Each is one of the other.
        }
        let used: HashSet<Key> = plan.arrivals.iter().filter_map(|a| a.entry).collect();
        let mut spare = std::mem::take(&mut self.view.found.spare);
        spare.extend(self.view.found.seen.values().filter_map(|s| s.node));
        if planted(Defect::SparesKept) {
            spare.clear();
        }
        for node in spare {
            if used.contains(&node) || !self.view.tree.contains(node) {
                continue;
            }
            // What has left it in time goes its own way.
            let saved = self.view.tree.subtree(node).filter(|k| used.contains(k));
            for key in saved.collect::<Vec<Key>>() {
                self.view.tree.detach(key);
            }
            self.discard(Some(node));
        }
    }

    /// Lets go of a detached subtree that will not be attached.
    pub fn discard(&mut self, node: Option<Key>) {
        let Some(node) = node.filter(|&n| self.view.tree.contains(n)) else {
            return;
        };
        let below: Vec<Key> = self.view.tree.subtree(node).collect();
        for &key in below.iter().rev() {
            self.kernel.unwatch(token(self.view.watch, key));
            self.view.tree.remove(key);
        }
        self.view.found.places.remove(&node);
    }
}
