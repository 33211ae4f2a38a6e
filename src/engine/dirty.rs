//! What has to be looked at. Each thing is held once, in the order in which
//! the kernel first spoke of it.

use super::words::{Word, Words};
use crate::collections::{HashMap, IndexMap, IndexSet, Reset};
use crate::kernel::What;
use crate::tree::Key;

/// A name in a directory.
pub type Slot = (Key, Word);

/// How much of a directory is to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Depth {
    /// Its names.
    Names,
    /// Its names, and a stat of every entry, of which nothing was told.
    Entries,
    /// Everything below it.
    Tree,
    /// Everything below it, of which nothing was told.
    All,
}

impl Depth {
    /// Whether it is everything below.
    pub fn is_deep(self) -> bool {
        matches!(self, Depth::Tree | Depth::All)
    }

    /// What does for both.
    pub fn and(self, other: Depth) -> Depth {
        match (self.min(other), self.max(other)) {
            (Depth::Entries, Depth::Tree) => Depth::All,
            (_, more) => more,
        }
    }
}

/// How a directory (or what was to be watched again) turned out not to be where its name says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum By {
    /// By a look at it or inside it.
    Look,
    /// By a crawl of something new in it.
    Crawl,
    /// By an attempt to watch it again.
    Watch,
}

/// The looks that are owed.
#[derive(Default, Debug)]
pub struct Dirty {
    /// The names that are spoken of here, and in what a turn finds.
    pub words: Words,
    /// Names to stat, with what was said of them.
    pub names: IndexMap<Slot, What>,
    /// Directories to list.
    pub scans: IndexMap<Key, Depth>,
    /// Entries that may be elsewhere now. A look inside such a directory waits
    /// until it is known where it is.
    pub moving: IndexSet<Key>,
    /// Notes about new entries that are not in their place yet.
    pub homeless: IndexMap<Key, What>,
    /// Entries of which a note said that they were written to, or may have been cut:
    /// that stays true of them when they are found under another name. (Nothing is
    /// owed on account of this alone.)
    pub written: HashMap<Key, What>,
    /// Entries whose watch died.
    pub unwatched: IndexSet<Key>,
    /// Directories in which what says what is excluded is to be read.
    pub rules: IndexSet<Key>,
    /// What was said of the root, whose path is to be looked at.
    pub root: Option<What>,
    /// The ancestors of the root are to be watched anew.
    pub anchors: bool,
    /// Notes were lost: look at everything.
    pub everything: bool,
    /// There is something to report that needs no look.
    pub tell: bool,
    /// How often in a row a directory was not where its name says, or what is new
    /// in it not there to be gone into. (Nothing is owed on account of this alone.)
    pub misplaced: HashMap<(Key, By), u8>,
    /// Mount points (and roots) whose file system was unmounted.
    pub unmounted: IndexSet<Key>,
}

impl Dirty {
    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        !self.tell && !self.owes_looks()
    }

    /// Whether something is to be looked at.
    pub fn owes_looks(&self) -> bool {
        !(self.names.is_empty()
            && self.scans.is_empty()
            && self.moving.is_empty()
            && self.homeless.is_empty()
            && self.unwatched.is_empty()
            && self.rules.is_empty()
            && self.root.is_none()
            && !self.anchors
            && !self.everything
            && self.unmounted.is_empty())
    }

    /// Whether nothing is owed but looks at names of which nothing was said but that what
    /// is there changed.
    pub fn is_plain(&self) -> bool {
        let nothing_else = self.scans.is_empty()
            && self.moving.is_empty()
            && self.homeless.is_empty()
            && self.rules.is_empty()
            && self.unwatched.is_empty();
        let changed = What::WRITE | What::ATTRIB | What::RESIZE;
        let plain = |what: &What| what.without(changed) == What::default();
        nothing_else && self.names.values().all(plain)
    }

    /// A note said this of an entry's content.
    pub fn written(&mut self, key: Key, what: What) {
        let content = what.only(What::WRITE | What::RESIZE);
        if content != What::default() {
            *self.written.entry(key).or_default() |= content;
        }
    }

    /// A name in a directory, as it is spoken of.
    pub fn slot(&mut self, dir: Key, name: &[u8]) -> Slot {
        (dir, self.words.word(name))
    }

    /// A name is to be looked at.
    pub fn name(&mut self, dir: Key, name: &[u8], what: What) {
        let slot = self.slot(dir, name);
        self.look_at(slot, what);
    }

    /// The same. Answers what was said of it before.
    pub fn look_at(&mut self, slot: Slot, what: What) -> What {
        let owed = self.names.entry(slot).or_default();
        let before = *owed;
        *owed |= what;
        before
    }

    /// A directory is to be listed.
    pub fn scan(&mut self, dir: Key, depth: Depth) {
        let owed = self.scans.entry(dir).or_insert(depth);
        *owed = depth.and(*owed);
    }

    /// Forgets the words that nobody speaks of any more: all of them, when no name is
    /// owed, and then the memory for names, if it is much. Comes when a turn has ended.
    pub fn forget_words(&mut self) {
        if self.scans.is_empty() {
            self.scans.reset();
        }
        if self.names.is_empty() {
            self.names.reset();
            self.words.clear();
        } else if self.words.count() > 1024 + 2 * self.names.len() {
            let before = std::mem::take(&mut self.words);
            for ((dir, word), what) in std::mem::take(&mut self.names) {
                self.name(dir, before.get(word), what);
            }
        }
    }

    /// The root's path is to be looked at.
    pub fn root(&mut self, what: What) {
        *self.root.get_or_insert_default() |= what;
    }
}
