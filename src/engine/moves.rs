//! Pairing what vanished with what appeared.
//!
//! The same inode gone from one name and found under another has moved. Its
//! descendants move with it and need no look.

use super::defect::{planted, Defect};
use super::dirty::Slot;
use super::look::View;
use crate::collections::{HashMap, HashSet, IndexMap};
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
    pub dropped: Vec<Slot>,
}

impl Plan {
    /// Compares what was seen with the snapshot.
    pub fn new(view: &View<'_>) -> Plan {
        let mut hopeless: HashSet<Slot> = HashSet::new();
        loop {
            let plan = Plan::without(view, &hopeless);
            let lost = plan.lost(view);
            if lost.is_empty() {
                return Plan {
                    dropped: hopeless.into_iter().collect(),
                    ..plan
                };
            }
            hopeless.extend(lost);
        }
    }

    fn without(view: &View<'_>, hopeless: &HashSet<Slot>) -> Plan {
        let mut plan = Plan::default();
        let mut vanished: HashMap<Id, Vec<Key>> = HashMap::new();
        for (slot, seen) in &view.found.seen {
            if !view.tree.contains(slot.0) {
                continue;
            }
            let child = view.child(*slot);
            let known = view.is_known_as(child, seen.stat.as_ref());
            match (child, seen.stat) {
                (Some(child), Some(stat)) if known => plan.stayed.push((child, stat, seen.what)),
                (child, stat) => {
                    if let Some(child) = child {
                        plan.gone.insert(child, plan.arrivals.len());
                        let id = view.tree.stat(child).id;
                        vanished.entry(id).or_default().push(child);
                    }
                    if let Some(stat) = stat.filter(|_| !hopeless.contains(slot)) {
                        plan.arrivals.push(Arrival {
                            slot: *slot,
                            stat,
                            entry: seen.node,
                            moved: false,
                        });
                    }
                }
            }
        }
        let mut moved: HashSet<Key> = HashSet::new();
        for arrival in plan.arrivals.iter_mut().filter(|a| a.entry.is_none()) {
            let Some(candidates) = vanished.get_mut(&arrival.stat.id) else {
                continue;
            };
            let same = |&k: &Key| {
                view.tree.stat(k).same_inode(&arrival.stat) || planted(Defect::PairedAtRandom)
            };
            if let Some(at) = candidates.iter().position(same) {
                let key = candidates.remove(at);
                moved.insert(key);
                arrival.entry = Some(key);
                arrival.moved = true;
            }
        }
        plan.gone.retain(|key, _| !moved.contains(key));
        plan
    }

    /// Arrivals whose directory is gone, or in a circle of directories that were
    /// seen in one another at different times.
    fn lost(&self, view: &View<'_>) -> Vec<Slot> {
        let target: HashMap<Key, Key> = self
            .arrivals
            .iter()
            .filter_map(|a| a.entry.map(|entry| (entry, a.slot.0)))
            .collect();
        let mut verdicts: HashMap<Key, bool> = HashMap::new();
        let mut is_lost = |dir: Key| {
            let mut way = Vec::new();
            let mut on_way = HashSet::new();
            let mut at = dir;
            let verdict = loop {
                if let Some(&verdict) = verdicts.get(&at) {
                    break verdict;
                }
                if !on_way.insert(at) {
                    break true;
                }
                way.push(at);
                if at == view.tree.root() {
                    break view.tree.kind(at) != Kind::Dir;
                }
                if self.gone.contains_key(&at) {
                    break true;
                }
                match target.get(&at).copied().or_else(|| view.tree.parent(at)) {
                    Some(up) => at = up,
                    None => break true,
                }
            };
            verdicts.extend(way.into_iter().map(|k| (k, verdict)));
            verdict
        };
        let lost = self.arrivals.iter().filter(|a| is_lost(a.slot.0));
        lost.map(|a| a.slot).collect()
    }

    /// Names under which something new is whose entry has to be made first.
    pub fn unmade(&self) -> Vec<Slot> {
        let unmade = self.arrivals.iter().filter(|a| a.entry.is_none());
        unmade.map(|a| a.slot).collect()
    }

    /// Whether anything but content and metadata changes.
    pub fn is_structural(&self) -> bool {
        !self.arrivals.is_empty() || !self.gone.is_empty()
    }
}
