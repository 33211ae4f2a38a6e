//! Pairing what vanished with what appeared.
//!
//! The same inode gone from one name and found under another has moved. Its
//! descendants move with it and need no look.

use super::defect::{planted, Defect};
use super::dirty::Slot;
use super::look::{View, LINKS};
use crate::collections::{HashMap, HashSet, IndexMap, Reset};
use crate::kernel::{Id, Kind, Stat, What};
use crate::tree::Key;

/// Something is now where the snapshot has nothing, or something else.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where.
    pub slot: Slot,
    /// What.
    pub stat: Stat,
    /// The entry: one of the snapshot's that has moved, or a new one that is
    /// still detached. `None`: new, and its entry has not been made.
    pub entry: Option<Key>,
    /// Whether `entry` is one of the snapshot's.
    pub moved: bool,
}

/// What has to happen to the snapshot.
#[derive(Default, Debug)]
pub struct Plan {
    /// In the order in which it was seen.
    pub arrivals: Vec<Arrival>,
    /// Entries that are no longer under their name, and not found elsewhere,
    /// with the position among the arrivals at which this was seen.
    pub gone: IndexMap<Key, usize>,
    /// Entries still in place that were looked at.
    pub stayed: Vec<(Key, Stat, What)>,
    /// Arrivals in directories that are themselves on the way out.
    dropped: HashSet<Slot>,
    /// Entries that have moved.
    moved: HashSet<Key>,
    fates: Fates,
}

/// Where directories will be when a plan has been carried out.
#[derive(Default, Debug)]
struct Fates {
    /// In what the directories that arrive will be.
    target: HashMap<Key, Key>,
    /// Whether a directory is lost. (While that is being found out: it is, because the
    /// way up has come to it again.)
    lost: HashMap<Key, bool>,
    way: Vec<Key>,
}

impl Plan {
    /// Compares what was seen with the snapshot.
    pub fn make(&mut self, view: &View<'_>) {
        self.dropped.reset();
        loop {
            self.compare(view);
            if !self.drop_lost(view) {
                return;
            }
        }
    }

    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        let Plan {
            arrivals,
            gone,
            stayed,
            dropped,
            moved,
            fates,
        } = self;
        arrivals.reset();
        gone.reset();
        stayed.reset();
        dropped.reset();
        moved.reset();
        fates.target.reset();
        fates.lost.reset();
        fates.way.reset();
    }

    /// The same, but for what is dropped.
    fn compare(&mut self, view: &View<'_>) {
        self.arrivals.clear();
        self.gone.clear();
        self.stayed.clear();
        for (slot, seen) in &view.found.seen {
            if !view.tree.contains(slot.0) {
                continue;
            }
            let child = view.child(*slot);
            let known = view.is_known_as(child, seen.stat.as_ref());
            match (child, seen.stat) {
                (Some(child), Some(stat)) if known => self.stayed.push((child, stat, seen.what)),
                (child, stat) => {
                    if let Some(child) = child {
                        self.gone.insert(child, self.arrivals.len());
                    }
                    if let Some(stat) = stat.filter(|_| !self.dropped.contains(slot)) {
                        self.arrivals.push(Arrival {
                            slot: *slot,
                            stat,
                            entry: seen.node,
                            moved: false,
                        });
                    }
                }
            }
        }
        self.pair(view);
    }

    /// Pairs what arrived with what is gone.
    fn pair(&mut self, view: &View<'_>) {
        if self.gone.is_empty() || self.arrivals.iter().all(|a| a.entry.is_some()) {
            return;
        }
        self.moved.clear();
        // Those of inodes with many links, which are not searched for each arrival.
        let mut of_many: Option<HashMap<Id, Vec<Key>>> = None;
        for arrival in self.arrivals.iter_mut().filter(|a| a.entry.is_none()) {
            let (gone, moved) = (&self.gone, &self.moved);
            let id = arrival.stat.id;
            let same = |&key: &Key| {
                let same = view.tree.stat(key).same_inode(&arrival.stat);
                same || planted(Defect::PairedAtRandom)
            };
            // The one that was seen to be gone first.
            let pair = if view.tree.all_links(id).nth(LINKS).is_none() {
                let links = view.tree.all_links(id).filter(same);
                let left = links.filter(|key| !moved.contains(key));
                let seen = left.filter_map(|key| Some((gone.get_index_of(&key)?, key)));
                seen.min().map(|(_, key)| key)
            } else {
                let all = of_many.get_or_insert_with(|| by_inode(gone, view));
                let left = all.get_mut(&id);
                left.and_then(|left| Some(left.remove(left.iter().position(same)?)))
            };
            if let Some(key) = pair {
                self.moved.insert(key);
                arrival.entry = Some(key);
                arrival.moved = true;
            }
        }
        let moved = &self.moved;
        self.gone.retain(|key, _| !moved.contains(key));
    }

    /// Drops arrivals whose directory is gone, or in a circle of directories that were
    /// seen in one another at different times. Whether there were any.
    fn drop_lost(&mut self, view: &View<'_>) -> bool {
        let fates = &mut self.fates;
        fates.target.clear();
        fates.lost.clear();
        let dirs = self.arrivals.iter().filter(|a| a.stat.kind == Kind::Dir);
        let dirs = dirs.filter_map(|a| a.entry.map(|entry| (entry, a.slot.0)));
        fates.target.extend(dirs);
        let mut any = false;
        let mut last = None;
        for arrival in &self.arrivals {
            let dir = arrival.slot.0;
            let lost = match last {
                Some((same, lost)) if same == dir => lost,
                _ => fates.is_lost(dir, view, &self.gone),
            };
            last = Some((dir, lost));
            if lost {
                self.dropped.insert(arrival.slot);
                any = true;
            }
        }
        any
    }

    /// Whether anything but content and metadata changes.
    pub fn is_structural(&self) -> bool {
        !self.arrivals.is_empty() || !self.gone.is_empty()
    }
}

/// What is gone, by inode, in the order in which that was seen.
fn by_inode(gone: &IndexMap<Key, usize>, view: &View<'_>) -> HashMap<Id, Vec<Key>> {
    let mut all: HashMap<Id, Vec<Key>> = HashMap::new();
    for &key in gone.keys() {
        all.entry(view.tree.stat(key).id).or_default().push(key);
    }
    all
}

impl Fates {
    fn is_lost(&mut self, dir: Key, view: &View<'_>, gone: &IndexMap<Key, usize>) -> bool {
        self.way.clear();
        let mut at = dir;
        let verdict = loop {
            if let Some(&verdict) = self.lost.get(&at) {
                break verdict;
            }
            self.lost.insert(at, true);
            self.way.push(at);
            if at == view.tree.root() {
                break view.tree.kind(at) != Kind::Dir;
            }
            if gone.contains_key(&at) {
                break true;
            }
            match self
                .target
                .get(&at)
                .copied()
                .or_else(|| view.tree.parent(at))
            {
                Some(up) => at = up,
                None => break true,
            }
        };
        for key in &self.way {
            self.lost.insert(*key, verdict);
        }
        verdict
    }
}
