//! The snapshot: what the watched tree looked like when it was last looked at.
//!
//! Entries live in an arena and are named by a [`Key`] that is never reused.
//! Each entry is a child of its directory; two indexes find it by (directory,
//! name) and by (device, inode). A subtree can be *detached*: taken out with
//! everything below it, to be attached elsewhere or discarded. That is how a
//! move keeps its descendants, and how a directory that was just crawled waits
//! for its place.
//!
//! Nothing here recurses, so depth is bounded by memory only. The tree knows
//! nothing of kernels, events or paths' spelling beyond its names.
//!
//! An entry takes 68 bytes and its name, and on average 15 in the two indexes. What
//! many have in common is kept once ([`classes`]), names lie in one buffer
//! ([`names`]). It can be written to a file, and read back ([`image`]).

mod classes;
pub mod image;
mod names;

use crate::collections::{HashMap, IndexSet};
use crate::kernel::{Id, Kind, Stat};
use classes::{Class, Classes};
use hashbrown::hash_table::{Entry as Slot, HashTable};
use hashbrown::DefaultHashBuilder;
use names::{Name, Names};
use std::hash::BuildHasher;

/// Names an entry. A key whose entry was removed names nothing, for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The two numbers that a [`Token`](crate::kernel::Token) carries.
    pub fn parts(self) -> (u32, u32) {
        (self.index, self.generation)
    }

    /// The key with these numbers; it may name nothing.
    pub fn from_parts(index: u32, generation: u32) -> Key {
        Key { index, generation }
    }
}

/// See [`Defect::NoGenerations`](crate::engine::defect::Defect).
fn any_generation() -> bool {
    crate::engine::defect::planted(crate::engine::defect::Defect::NoGenerations)
}

/// No entry.
const NONE: u32 = u32::MAX;
/// The generation of what was removed. No key has it: they start at 1.
const REMOVED: u32 = 0;

/// Marks on an entry.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Marks(u8);

impl Marks {
    /// Its modification time was too close to the moment it was looked at to
    /// prove that nothing happened since. Of a directory also: it may have changed
    /// after it was listed.
    pub const RACY: Marks = Marks(1);
    /// It could not be read, and that was reported.
    pub const UNREADABLE: Marks = Marks(2);
    /// The kernel refused to watch it; it is polled.
    pub const POLLED: Marks = Marks(4);
    /// Reachable from the root.
    const LIVE: Marks = Marks(8);
}

/// An entry's place.
#[derive(Debug)]
struct Node {
    generation: u32,
    parent: u32,
    first_child: u32,
    next: u32,
    previous: u32,
    name: Name,
    /// The number of its class, and above that its marks.
    class: u32,
}

/// Marks lie above this bit. That leaves room for so many classes, of which there are
/// never more than entries (and some).
const CLASS_BITS: u32 = 28;

impl Node {
    fn marks(&self) -> Marks {
        Marks((self.class >> CLASS_BITS) as u8)
    }

    fn set_marks(&mut self, marks: Marks) {
        self.class = self.class() | (u32::from(marks.0) << CLASS_BITS);
    }

    fn class(&self) -> u32 {
        self.class & ((1 << CLASS_BITS) - 1)
    }

    fn set_class(&mut self, number: u32) {
        assert!(number < 1 << CLASS_BITS, "too many classes of entries");
        self.class = number | (self.class & !((1 << CLASS_BITS) - 1));
    }
}

/// What was seen of an entry, but for its class.
#[derive(Debug)]
struct Facts {
    ino: u64,
    birth_ns: i64,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
}

impl Facts {
    fn of(stat: &Stat) -> Facts {
        Facts {
            ino: stat.id.ino,
            birth_ns: stat.birth_ns,
            size: stat.size,
            mtime_ns: stat.mtime_ns,
            ctime_ns: stat.ctime_ns,
        }
    }
}

/// The entries of an inode that has more than one. Mostly these are two, and often for a
/// moment only: an inode's number that becomes free is the next one's.
#[derive(Debug)]
enum Links {
    Two([u32; 2]),
    Many(IndexSet<u32>),
}

impl Links {
    fn get(&self, at: usize) -> Option<u32> {
        match self {
            Links::Two(pair) => pair.get(at).copied().filter(|&index| index != NONE),
            Links::Many(all) => all.get_index(at).copied(),
        }
    }

    fn insert(&mut self, index: u32) {
        match self {
            Links::Two([first, second]) => {
                *self = Links::Many([*first, *second, index].into_iter().collect());
            }
            Links::Many(all) => drop(all.insert(index)),
        }
    }

    /// Takes an entry out, and answers with one that is left.
    fn remove(&mut self, index: u32) -> Option<u32> {
        match self {
            Links::Two([first, second]) => {
                if *first == index {
                    *first = *second;
                }
                *second = NONE;
            }
            Links::Many(all) => drop(all.swap_remove(&index)),
        }
        self.get(0)
    }
}

/// A tree of entries below one root, and any number of detached subtrees.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// By the same index.
    facts: Vec<Facts>,
    names: Names,
    classes: Classes,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    /// One entry of each inode.
    by_id: HashTable<u32>,
    /// All entries of those inodes that have more than one.
    links: HashMap<Id, Links>,
    /// The indexes are not kept for the time being: see [`Tree::begin_bulk`].
    bulk: bool,
    hasher: DefaultHashBuilder,
    root: u32,
    live: usize,
    polled: usize,
    next_generation: u32,
}

impl Tree {
    /// A tree that consists of its root. The root's name is empty.
    pub fn new(stat: Stat) -> Tree {
        let mut tree = Tree {
            nodes: Vec::new(),
            facts: Vec::new(),
            names: Names::new(),
            classes: Classes::default(),
            free: Vec::new(),
            by_name: HashTable::new(),
            by_id: HashTable::new(),
            links: HashMap::new(),
            bulk: false,
            hasher: DefaultHashBuilder::default(),
            root: 0,
            live: 1,
            polled: 0,
            next_generation: 1,
        };
        let root = tree.insert(stat);
        tree.nodes[root.index as usize].set_marks(Marks::LIVE);
        tree
    }

    /// The root's key.
    pub fn root(&self) -> Key {
        self.key(self.root)
    }

    /// Entries reachable from the root, the root included.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Never: a tree has a root.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn key(&self, index: u32) -> Key {
        Key {
            index,
            generation: self.nodes[index as usize].generation,
        }
    }

    fn option(&self, index: u32) -> Option<Key> {
        (index != NONE).then(|| self.key(index))
    }

    fn node(&self, key: Key) -> &Node {
        let node = &self.nodes[key.index as usize];
        debug_assert_eq!(node.generation, key.generation, "stale key");
        node
    }

    fn node_mut(&mut self, key: Key) -> &mut Node {
        let node = &mut self.nodes[key.index as usize];
        debug_assert_eq!(node.generation, key.generation, "stale key");
        node
    }

    /// Whether the key names an entry, attached or not.
    pub fn contains(&self, key: Key) -> bool {
        self.nodes
            .get(key.index as usize)
            .is_some_and(|n| n.generation == key.generation || any_generation())
    }

    /// Whether the key names an entry that is reachable from the root.
    pub fn is_live(&self, key: Key) -> bool {
        self.contains(key) && self.has_mark(key, Marks::LIVE)
    }

    /// What was last seen of the entry.
    pub fn stat(&self, key: Key) -> Stat {
        let facts = &self.facts[key.index as usize];
        let class = self.classes.get(self.node(key).class());
        Stat {
            id: Id {
                dev: class.dev,
                ino: facts.ino,
            },
            birth_ns: facts.birth_ns,
            kind: class.kind,
            mode: class.mode,
            nlink: class.nlink,
            uid: class.uid,
            gid: class.gid,
            size: facts.size,
            mtime_ns: facts.mtime_ns,
            ctime_ns: facts.ctime_ns,
        }
    }

    /// What kind of entry it is.
    pub fn kind(&self, key: Key) -> Kind {
        self.classes.get(self.node(key).class()).kind
    }

    fn id(&self, index: u32) -> Id {
        Id {
            dev: self.classes.get(self.nodes[index as usize].class()).dev,
            ino: self.facts[index as usize].ino,
        }
    }

    /// The entry's name in its directory; empty for the root.
    pub fn name(&self, key: Key) -> &[u8] {
        self.names.get(self.node(key).name)
    }

    /// The directory the entry is in. `None` for the root and for the top of a
    /// detached subtree.
    pub fn parent(&self, key: Key) -> Option<Key> {
        self.option(self.node(key).parent)
    }

    /// Whether all of `mark` is set.
    pub fn has_mark(&self, key: Key, mark: Marks) -> bool {
        self.node(key).marks().0 & mark.0 == mark.0
    }

    /// Sets or clears a mark.
    pub fn set_mark(&mut self, key: Key, mark: Marks, on: bool) {
        let node = self.node_mut(key);
        let mut marks = node.marks();
        let before = marks.0;
        if on {
            marks.0 |= mark.0;
        } else {
            marks.0 &= !mark.0;
        }
        node.set_marks(marks);
        if (before ^ marks.0) & Marks::POLLED.0 != 0 {
            match on {
                true => self.polled += 1,
                false => self.polled -= 1,
            }
        }
    }

    /// Sets a mark on those of an entry and all below it of which `on` says so.
    pub fn mark_subtree(&mut self, top: Key, mark: Marks, on: impl Fn(&Stat) -> bool) {
        let mut next = Some(top.index);
        while let Some(at) = next {
            let key = self.key(at);
            if on(&self.stat(key)) {
                self.set_mark(key, mark, true);
            }
            next = self.after(at, top.index);
        }
    }

    /// How many entries are marked as polled.
    pub fn polled(&self) -> usize {
        self.polled
    }

    /// The entries of a directory, in no particular order.
    pub fn children(&self, key: Key) -> impl Iterator<Item = Key> + '_ {
        let mut next = self.node(key).first_child;
        std::iter::from_fn(move || {
            let key = self.option(next)?;
            next = self.nodes[next as usize].next;
            Some(key)
        })
    }

    /// The entry and everything below it, each directory before its entries.
    pub fn subtree(&self, top: Key) -> impl Iterator<Item = Key> + '_ {
        let mut next = Some(top.index);
        std::iter::from_fn(move || {
            let at = next?;
            next = self.after(at, top.index);
            Some(self.key(at))
        })
    }

    /// The one that comes after an entry below the root, in the order of
    /// [`Tree::subtree`].
    pub fn successor(&self, key: Key) -> Option<Key> {
        self.after(key.index, self.root)
            .map(|index| self.key(index))
    }

    /// The successor of `at` in the order of [`Tree::subtree`].
    fn after(&self, mut at: u32, top: u32) -> Option<u32> {
        let child = self.nodes[at as usize].first_child;
        if child != NONE {
            return Some(child);
        }
        while at != top {
            let next = self.nodes[at as usize].next;
            if next != NONE {
                return Some(next);
            }
            at = self.nodes[at as usize].parent;
        }
        None
    }

    /// The entry, its directory, and so on up to the root (or the top of the
    /// detached subtree it is in).
    pub fn ancestry(&self, key: Key) -> impl Iterator<Item = Key> + '_ {
        let mut next = Some(key);
        std::iter::from_fn(move || {
            let key = next?;
            next = self.parent(key);
            Some(key)
        })
    }

    /// Whether `key` is `top` or below it.
    pub fn is_within(&self, key: Key, top: Key) -> bool {
        self.ancestry(key).any(|k| k == top)
    }

    /// The topmost entry above `key`: the root, if it is attached.
    pub fn top(&self, key: Key) -> Key {
        self.ancestry(key).last().unwrap_or(key)
    }

    /// Appends the path relative to the root, without a leading `/`. Empty for
    /// the root.
    pub fn path(&self, key: Key, into: &mut Vec<u8>) {
        let start = into.len();
        // Names are met leaf first: put each one down reversed, then reverse all.
        for step in self.ancestry(key) {
            if self.parent(step).is_none() {
                break;
            }
            if into.len() > start {
                into.push(b'/');
            }
            into.extend(self.name(step).iter().rev());
        }
        into[start..].reverse();
    }

    fn hash_name(hasher: &DefaultHashBuilder, parent: u32, name: &[u8]) -> u64 {
        hasher.hash_one((parent, name))
    }

    /// The entry with that name in a directory.
    pub fn child(&self, parent: Key, name: &[u8]) -> Option<Key> {
        debug_assert!(!self.bulk, "there is no index");
        let hash = Self::hash_name(&self.hasher, parent.index, name);
        let found = self.by_name.find(hash, |&i| {
            let node = &self.nodes[i as usize];
            node.parent == parent.index && self.names.get(node.name) == name
        });
        found.map(|&i| self.key(i))
    }

    /// Every live entry with that device and inode: more than one for hard links.
    pub fn links(&self, id: Id) -> impl Iterator<Item = Key> + '_ {
        self.all_links(id)
            .filter(|&key| self.has_mark(key, Marks::LIVE))
    }

    /// The same, and those that are detached.
    pub fn all_links(&self, id: Id) -> impl Iterator<Item = Key> + '_ {
        debug_assert!(!self.bulk, "there is no index");
        let hash = self.hasher.hash_one(id);
        let first = self.by_id.find(hash, |&i| self.id(i) == id).copied();
        let several = self.links.get(&id);
        let only = first.filter(|_| several.is_none());
        let several = (0..).map_while(move |i| several?.get(i));
        several.chain(only).map(|index| self.key(index))
    }

    /// Makes an entry that is attached nowhere and has no name yet.
    pub fn insert(&mut self, stat: Stat) -> Key {
        let generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1).max(1);
        let node = Node {
            generation,
            parent: NONE,
            first_child: NONE,
            next: NONE,
            previous: NONE,
            name: Name::EMPTY,
            class: self.class(&stat),
        };
        let facts = Facts::of(&stat);
        let index = match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                self.facts[index as usize] = facts;
                index
            }
            None => {
                self.nodes.push(node);
                self.facts.push(facts);
                // So many entries would take a quarter of a terabyte.
                debug_assert!(self.nodes.len() < NONE as usize);
                (self.nodes.len() - 1) as u32
            }
        };
        self.link(index);
        Key { index, generation }
    }

    /// The number of a stat's class.
    fn class(&mut self, stat: &Stat) -> u32 {
        if self.classes.is_wasteful(self.nodes.len()) {
            let before = std::mem::take(&mut self.classes);
            for node in self.nodes.iter_mut().filter(|n| n.generation != REMOVED) {
                let class = *before.get(node.class());
                node.set_class(self.classes.number(class));
            }
        }
        self.classes.number(Class::of(stat))
    }

    /// Enters a node into the index by identity.
    fn link(&mut self, index: u32) {
        if self.bulk {
            return;
        }
        let id = self.id(index);
        let (nodes, facts, classes) = (&self.nodes, &self.facts, &self.classes);
        let id_of = |i: u32| Id {
            dev: classes.get(nodes[i as usize].class()).dev,
            ino: facts[i as usize].ino,
        };
        let hasher = &self.hasher;
        let slot = self.by_id.entry(
            hasher.hash_one(id),
            |&i| id_of(i) == id,
            |&i| hasher.hash_one(id_of(i)),
        );
        match slot {
            Slot::Occupied(first) => {
                let first = *first.get();
                let pair = Links::Two([first, index]);
                let known = self.links.entry(id);
                known.and_modify(|all| all.insert(index)).or_insert(pair);
            }
            Slot::Vacant(vacant) => {
                vacant.insert(index);
            }
        }
    }

    /// Takes a node out of the index by identity.
    fn unlink(&mut self, index: u32) {
        if self.bulk {
            return;
        }
        let id = self.id(index);
        let mut other = None;
        if !self.links.is_empty() {
            if let Some(all) = self.links.get_mut(&id) {
                other = all.remove(index);
                if all.get(1).is_none() {
                    self.links.remove(&id);
                }
            }
        }
        let hash = self.hasher.hash_one(id);
        let Ok(mut slot) = self.by_id.find_entry(hash, |&i| {
            let class = self.nodes[i as usize].class();
            self.facts[i as usize].ino == id.ino && self.classes.get(class).dev == id.dev
        }) else {
            debug_assert!(false, "entry missing from the index by identity");
            return;
        };
        match other {
            Some(other) => *slot.get_mut() = other,
            None => drop(slot.remove()),
        }
    }

    /// Enters a node into the index by name, unless another one of that name is there.
    fn link_name(&mut self, index: u32) -> bool {
        let (hasher, nodes, names) = (&self.hasher, &self.nodes, &self.names);
        let of = |i: u32| {
            let node = &nodes[i as usize];
            (node.parent, names.get(node.name))
        };
        let hash = |i: u32| Self::hash_name(hasher, of(i).0, of(i).1);
        let itself = of(index);
        match self
            .by_name
            .entry(hash(index), |&i| of(i) == itself, |&i| hash(i))
        {
            Slot::Occupied(_) => false,
            Slot::Vacant(vacant) => {
                vacant.insert(index);
                true
            }
        }
    }

    /// Makes an entry in a directory, unless there is one of that name.
    pub fn enter(&mut self, parent: Key, name: &[u8], stat: Stat) -> Option<Key> {
        if !self.bulk && self.child(parent, name).is_some() {
            return None;
        }
        let key = self.insert(stat);
        self.attach(key, parent, name);
        Some(key)
    }

    /// Entries are made in large numbers and none is looked for: the indexes are made when
    /// that is over. Meanwhile they would be in and out of the processor's cache for each
    /// entry, and so they have their size at once.
    pub fn begin_bulk(&mut self) {
        self.bulk = true;
    }

    /// So many entries are to come.
    pub fn reserve(&mut self, entries: usize) {
        self.nodes.reserve(entries);
        self.facts.reserve(entries);
    }

    /// That is over. Answers with entries whose name was taken already, which are for the
    /// caller to remove.
    pub fn end_bulk(&mut self) -> Vec<Key> {
        self.bulk = false;
        let room = self.nodes.len();
        self.by_name = HashTable::with_capacity(room);
        self.by_id = HashTable::with_capacity(room);
        self.links.clear();
        let mut twice = Vec::new();
        for index in 0..self.nodes.len() as u32 {
            let node = &self.nodes[index as usize];
            let (generation, parent) = (node.generation, node.parent);
            if generation == REMOVED {
                continue;
            }
            self.link(index);
            if parent != NONE && !self.link_name(index) {
                twice.push(self.key(index));
            }
        }
        twice
    }

    /// Puts a detached subtree into a directory. The name must be free, and the
    /// directory not inside the subtree.
    pub fn attach(&mut self, key: Key, parent: Key, name: &[u8]) {
        debug_assert!(self.node(key).parent == NONE && key.index != self.root);
        self.rename(key.index, name);
        self.hang(key.index, parent);
    }

    /// The same, under the name that the entry has.
    fn hang(&mut self, index: u32, parent: Key) {
        self.place(index, parent);
        if !self.bulk {
            let free = self.link_name(index);
            debug_assert!(free, "name taken");
        }
    }

    /// Gives an entry that is in no directory a name.
    fn rename(&mut self, index: u32, name: &[u8]) {
        let before = self.nodes[index as usize].name;
        if self.names.get(before) == name {
            return;
        }
        self.names.drop(before);
        self.nodes[index as usize].name = self.names.add(name);
        if self.names.is_wasteful() {
            let before = std::mem::replace(&mut self.names, Names::new());
            for node in &mut self.nodes {
                node.name = self.names.add(before.get(node.name));
            }
        }
    }

    /// Makes an entry the first one of a directory.
    fn place(&mut self, index: u32, parent: Key) {
        let sibling = self.nodes[parent.index as usize].first_child;
        if sibling != NONE {
            self.nodes[sibling as usize].previous = index;
        }
        self.nodes[parent.index as usize].first_child = index;
        let node = &mut self.nodes[index as usize];
        node.parent = parent.index;
        node.previous = NONE;
        node.next = sibling;
        if self.has_mark(parent, Marks::LIVE) {
            self.set_live(index, true);
        }
    }

    /// Takes an entry, and what is below it, out of its directory.
    pub fn detach(&mut self, key: Key) {
        let index = key.index;
        let (parent, next, previous) = {
            let node = self.node(key);
            (node.parent, node.next, node.previous)
        };
        if parent == NONE {
            return;
        }
        if !self.bulk {
            let name = self.names.get(self.nodes[index as usize].name);
            let hash = Self::hash_name(&self.hasher, parent, name);
            if let Ok(slot) = self.by_name.find_entry(hash, |&i| i == index) {
                slot.remove();
            }
        }
        match previous {
            NONE => self.nodes[parent as usize].first_child = next,
            _ => self.nodes[previous as usize].next = next,
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        let node = &mut self.nodes[index as usize];
        (node.parent, node.next, node.previous) = (NONE, NONE, NONE);
        if self.has_mark(key, Marks::LIVE) {
            self.set_live(index, false);
        }
    }

    fn set_live(&mut self, top: u32, live: bool) {
        let mut next = Some(top);
        while let Some(at) = next {
            let key = self.key(at);
            debug_assert_ne!(self.has_mark(key, Marks::LIVE), live);
            self.set_mark(key, Marks::LIVE, live);
            if live {
                self.live += 1;
            } else {
                self.live -= 1;
            }
            next = self.after(at, top);
        }
    }

    /// Removes an entry that has no entries of its own.
    pub fn remove(&mut self, key: Key) {
        debug_assert_eq!(self.node(key).first_child, NONE, "directory not empty");
        debug_assert_ne!(key.index, self.root);
        self.detach(key);
        self.set_mark(key, Marks::POLLED, false);
        self.unlink(key.index);
        let node = &mut self.nodes[key.index as usize];
        node.generation = REMOVED;
        self.names.drop(node.name);
        node.name = Name::EMPTY;
        self.free.push(key.index);
    }

    /// Takes down what was seen of an entry. It may be another inode than before.
    pub fn set_stat(&mut self, key: Key, stat: Stat) {
        let other = self.id(key.index) != stat.id;
        if other {
            self.unlink(key.index);
        }
        let class = self.class(&stat);
        self.node_mut(key).set_class(class);
        self.facts[key.index as usize] = Facts::of(&stat);
        if other {
            self.link(key.index);
        }
    }

    /// The same, where a directory was not listed since: if its times say that it has
    /// changed, it is marked as racy.
    pub fn set_unlisted_stat(&mut self, key: Key, stat: Stat) {
        let before = self.stat(key);
        self.set_stat(key, stat);
        let times = |s: &Stat| (s.mtime_ns, s.ctime_ns);
        if stat.kind == Kind::Dir && times(&before) != times(&stat) {
            self.set_mark(key, Marks::RACY, true);
        }
    }

    /// Exchanges the places of two entries, which must not contain one another.
    /// What is below each goes with it. Either may be detached.
    pub fn exchange(&mut self, a: Key, b: Key) {
        let (parent_a, parent_b) = (self.parent(a), self.parent(b));
        self.detach(a);
        self.detach(b);
        let (i, j) = (a.index as usize, b.index as usize);
        let (name_a, name_b) = (self.nodes[i].name, self.nodes[j].name);
        (self.nodes[i].name, self.nodes[j].name) = (name_b, name_a);
        if let Some(parent) = parent_a {
            self.hang(b.index, parent);
        }
        if let Some(parent) = parent_b {
            self.hang(a.index, parent);
        }
    }

    /// Checks every invariant the tree relies on. For tests: costs O(entries).
    pub fn check(&self) -> Result<(), String> {
        let mut live = 0;
        for key in self.subtree(self.root()) {
            live += 1;
            if !self.has_mark(key, Marks::LIVE) {
                return Err(format!("{key:?} is attached but not live"));
            }
            if let Some(parent) = self.parent(key) {
                if self.child(parent, self.name(key)) != Some(key) {
                    return Err(format!("{key:?} is not found by its name"));
                }
                if self.kind(parent) != Kind::Dir {
                    return Err(format!("{key:?} is in something that is no directory"));
                }
            }
            if !self.links(self.stat(key).id).any(|k| k == key) {
                return Err(format!("{key:?} is not found by its inode"));
            }
            if self
                .children(key)
                .any(|child| self.parent(child) != Some(key))
            {
                return Err(format!("{key:?} has an entry that is elsewhere"));
            }
        }
        if live != self.live {
            return Err(format!("{live} live entries, {} counted", self.live));
        }
        let polled = self.subtree(self.root());
        let polled = polled
            .filter(|&key| self.has_mark(key, Marks::POLLED))
            .count();
        if self.detached() == 0 && polled != self.polled {
            return Err(format!("{polled} polled entries, {} counted", self.polled));
        }
        Ok(())
    }

    /// Entries that are detached: none between two turns of the engine.
    pub fn detached(&self) -> usize {
        self.nodes.len() - self.free.len() - self.live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(ino: u64, kind: Kind) -> Stat {
        Stat {
            id: Id { dev: 1, ino },
            birth_ns: 0,
            kind,
            mode: 0o644,
            nlink: 1,
            uid: 0,
            gid: 0,
            size: 0,
            mtime_ns: 0,
            ctime_ns: 0,
        }
    }

    fn add(tree: &mut Tree, parent: Key, name: &[u8], ino: u64, kind: Kind) -> Key {
        let key = tree.insert(stat(ino, kind));
        tree.attach(key, parent, name);
        key
    }

    fn path(tree: &Tree, key: Key) -> String {
        let mut bytes = Vec::new();
        tree.path(key, &mut bytes);
        String::from_utf8(bytes).expect("test names are ASCII")
    }

    #[test]
    fn a_moved_directory_takes_its_descendants_and_their_paths_along() {
        let mut tree = Tree::new(stat(1, Kind::Dir));
        let root = tree.root();
        let a = add(&mut tree, root, b"a", 2, Kind::Dir);
        let b = add(&mut tree, a, b"b", 3, Kind::Dir);
        let f = add(&mut tree, b, b"f", 4, Kind::File);
        tree.detach(b);
        assert!(!tree.is_live(f) && tree.contains(f));
        assert_eq!(tree.detached(), 2);
        tree.attach(b, root, b"c");
        assert_eq!(path(&tree, f), "c/f");
        assert_eq!(tree.child(a, b"b"), None);
        tree.check().unwrap();
    }

    #[test]
    fn hard_links_are_found_by_their_inode() {
        let mut tree = Tree::new(stat(1, Kind::Dir));
        let root = tree.root();
        let f = add(&mut tree, root, b"f", 2, Kind::File);
        let g = add(&mut tree, root, b"g", 2, Kind::File);
        let h = add(&mut tree, root, b"h", 2, Kind::File);
        let sorted = |tree: &Tree| {
            let mut keys: Vec<_> = tree.links(Id { dev: 1, ino: 2 }).collect();
            keys.sort();
            keys
        };
        assert_eq!(sorted(&tree), [f, g, h]);
        tree.remove(f);
        assert_eq!(sorted(&tree), [g, h]);
        tree.remove(h);
        tree.remove(g);
        assert_eq!(sorted(&tree), []);
        tree.check().unwrap();
    }

    #[test]
    fn a_key_of_a_removed_entry_names_nothing_even_when_its_place_is_reused() {
        let mut tree = Tree::new(stat(1, Kind::Dir));
        let root = tree.root();
        let f = add(&mut tree, root, b"f", 2, Kind::File);
        tree.remove(f);
        let g = add(&mut tree, root, b"g", 2, Kind::File);
        assert!(!tree.contains(f) && tree.contains(g));
    }

    #[test]
    fn exchanged_entries_keep_what_is_below_them() {
        let mut tree = Tree::new(stat(1, Kind::Dir));
        let root = tree.root();
        let a = add(&mut tree, root, b"a", 2, Kind::Dir);
        let f = add(&mut tree, a, b"f", 3, Kind::File);
        let b = add(&mut tree, root, b"b", 4, Kind::File);
        tree.exchange(a, b);
        assert_eq!((path(&tree, f), path(&tree, b)), ("b/f".into(), "a".into()));
        tree.check().unwrap();
    }

    #[test]
    fn depth_is_no_matter_of_the_stack() {
        let mut tree = Tree::new(stat(1, Kind::Dir));
        let mut at = tree.root();
        for ino in 2..200_000 {
            at = add(&mut tree, at, b"d", ino, Kind::Dir);
        }
        assert_eq!(path(&tree, at).len(), 2 * 199_998 - 1);
        assert_eq!(tree.subtree(tree.root()).count(), 199_999);
        let root = tree.root();
        let first = tree.child(root, b"d").unwrap();
        tree.detach(first);
        assert_eq!((tree.len(), tree.detached()), (1, 199_998));
    }

    #[test]
    fn indexes_are_made_after_many_entries() {
        let mut tree = Tree::new(stat(1, Kind::Dir));
        let root = tree.root();
        tree.begin_bulk();
        let d = tree.enter(root, b"d", stat(2, Kind::Dir)).unwrap();
        let gone = tree.enter(root, b"gone", stat(3, Kind::File)).unwrap();
        tree.remove(gone);
        for i in 0..1000 {
            let name = format!("f{i}");
            // Two names of each inode.
            let stat = stat(100 + i / 2, Kind::File);
            tree.enter(d, name.as_bytes(), stat).unwrap();
        }
        let again = tree.enter(d, b"f7", stat(103, Kind::File)).unwrap();
        assert_eq!(tree.end_bulk(), [again]);
        tree.remove(again);
        tree.check().unwrap();
        assert_eq!(tree.len(), 1002);
        let id = Id { dev: 1, ino: 103 };
        assert_eq!(tree.links(id).count(), 2);
        assert_eq!(tree.enter(d, b"f7", stat(103, Kind::File)), None);
    }

    #[test]
    fn what_names_and_classes_leave_behind_is_reclaimed() {
        let mut tree = Tree::new(stat(1, Kind::Dir));
        let root = tree.root();
        let kept = add(&mut tree, root, b"kept", 2, Kind::Dir);
        let long = vec![b'x'; 1000];
        let below = add(&mut tree, kept, &long, 3, Kind::File);
        for i in 0..20_000u32 {
            let name = format!("a name of some length, number {i}");
            let key = add(&mut tree, root, name.as_bytes(), 4, Kind::File);
            tree.set_stat(
                key,
                Stat {
                    uid: i,
                    ..stat(5, Kind::File)
                },
            );
            tree.remove(key);
        }
        tree.check().unwrap();
        assert_eq!(path(&tree, below).len(), 5 + 1000);
        assert_eq!(tree.stat(below), stat(3, Kind::File));
        assert!(tree.names.len() < 200_000 && tree.classes.len() < 2_000);
    }

    #[test]
    fn names_are_bytes() {
        let mut tree = Tree::new(stat(1, Kind::Dir));
        let root = tree.root();
        let key = add(&mut tree, root, b"\xff\n\xfe", 2, Kind::File);
        assert_eq!(tree.child(root, b"\xff\n\xfe"), Some(key));
        assert_eq!(tree.child(root, b"\xff\n"), None);
    }
}
