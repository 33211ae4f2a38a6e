//! An order that replays.
//!
//! A plan is carried out on the snapshot one step at a time, and each step is
//! one event: so the snapshot is at every moment the fold of what was emitted,
//! and a step that could not be applied by the caller cannot be taken here.
//!
//! A step waits for what stands in its way: a directory for what it is to go
//! into, a name for its tenant to leave, a directory that goes for what is to
//! leave it first. Where these waits form a circle (two names swapped, a
//! directory that goes into what was below it) one move of the circle is
//! told as two halves: files exchange their content in place, anything else is
//! deleted and created again.

use super::defect::{planted, Defect};
use super::dirty::Slot;
use super::event::{flag, kind, Emitter};
use super::look::token;
use super::moves::{Arrival, Plan};
use super::words::{Word, Words};
use crate::collections::{HashMap, HashSet, IndexSet, Reset};
use crate::kernel::{Kernel, Kind, Stat};
use crate::tree::{Key, Tree};

/// Where an entry is to go.
#[derive(Debug)]
struct Op {
    slot: Slot,
    /// As it was seen there.
    stat: Stat,
    /// The name it leaves shows the caller another file's content (see
    /// [`Sequence::swap`]), which has to be said when it arrives.
    disguised: bool,
}

/// What became of the entry at the top of the stack.
enum Step {
    Done,
    Waits(Key),
}

/// Carries out a plan.
pub struct Sequence<'a, 'e, K> {
    /// To let go of watches.
    pub kernel: &'a mut K,
    /// The snapshot.
    pub tree: &'a mut Tree,
    /// What the names are.
    pub words: &'a Words,
    /// The watch.
    pub watch: i32,
    /// Where the events go.
    pub emit: &'a mut Emitter<'e>,
    /// Directories whose entries changed.
    pub touched: &'a mut IndexSet<Key>,
    /// What is still to be done, and what came of the rest.
    pub work: &'a mut Work,
}

/// What a plan comes to.
#[derive(Default, Debug)]
pub struct Work {
    /// Entries that moved, with what was seen of them.
    pub moved: Vec<(Key, Stat)>,
    /// Names whose new tenant could not be brought there.
    pub failed: Vec<Slot>,
    order: Vec<Key>,
    pending: HashMap<Key, Op>,
    gone: HashSet<Key>,
    /// What is gone, but for its name.
    taken: HashSet<Key>,
    /// For an entry that goes: what has to leave it before.
    leaving: HashMap<Key, Vec<Key>>,
    /// What is being removed.
    below: Vec<Key>,
    path: Vec<u8>,
    dest: Vec<u8>,
}

impl Work {
    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        let Work {
            moved,
            failed,
            order,
            pending,
            gone,
            taken,
            leaving,
            below,
            path,
            dest,
        } = self;
        moved.reset();
        failed.reset();
        order.reset();
        pending.reset();
        gone.reset();
        taken.reset();
        leaving.reset();
        below.reset();
        path.reset();
        dest.reset();
    }
}

impl<K: Kernel> Sequence<'_, '_, K> {
    /// Carries out the plan, in the order in which things were seen as far as
    /// that can be applied.
    pub fn run(&mut self, plan: &Plan) {
        self.work.reset();
        let mut order = std::mem::take(&mut self.work.order);
        let mut gone = plan.gone.iter().peekable();
        for (at, arrival) in plan.arrivals.iter().enumerate() {
            while let Some((&key, _)) = gone.next_if(|(_, &seen)| seen <= at) {
                order.push(key);
            }
            let Some(entry) = arrival.entry else {
                continue;
            };
            if order.is_empty() && plan.gone.is_empty() && self.comes_new(entry, arrival) {
                continue;
            }
            order.push(entry);
            let op = Op {
                slot: arrival.slot,
                stat: arrival.stat,
                disguised: false,
            };
            self.work.pending.insert(entry, op);
        }
        order.extend(gone.map(|(&key, _)| key));
        self.work.gone.extend(plan.gone.keys());
        for arrival in plan.arrivals.iter().filter(|a| a.moved) {
            let Some(entry) = arrival.entry else {
                continue;
            };
            for above in self.tree.ancestry(entry).skip(1) {
                if self.work.gone.contains(&above) {
                    self.work.leaving.entry(above).or_default().push(entry);
                }
            }
        }
        // A file whose name is taken over at once is replaced, not deleted: the
        // arrival sees to it.
        let mut taken = std::mem::take(&mut self.work.taken);
        if !self.work.gone.is_empty() {
            let tenants = plan.arrivals.iter().map(|a| a.slot);
            let tenants = tenants.filter_map(|s| self.tree.child(s.0, self.words.get(s.1)));
            taken.extend(tenants.filter(|key| self.work.gone.contains(key)));
        }
        for key in order.iter().filter(|&key| !taken.contains(key)) {
            self.settle(*key);
        }
        // Whatever is left was to be taken over by something that did not come.
        if !taken.is_empty() {
            for &key in &order {
                self.settle(key);
            }
        }
        self.work.order = order;
        self.work.taken = taken;
    }

    /// Most often something new has a name that is free: there is nothing to wait for.
    /// Whether it is so, and is done.
    fn comes_new(&mut self, entry: Key, arrival: &Arrival) -> bool {
        let (parent, word) = arrival.slot;
        let free = !arrival.moved
            && !self.tree.is_live(entry) // In something else that has come.
            && self.tree.is_live(parent)
            && self.tree.child(parent, self.words.get(word)).is_none();
        if free {
            self.create(entry, parent, word, arrival.stat);
        }
        free
    }

    fn settle(&mut self, first: Key) {
        // Most wait for nothing.
        let Step::Waits(by) = self.step(first) else {
            return;
        };
        let mut stack = vec![first, by];
        let mut waiting: HashSet<Key> = stack.iter().copied().collect();
        while let Some(&top) = stack.last() {
            match self.step(top) {
                Step::Done => {
                    stack.pop();
                    waiting.remove(&top);
                }
                Step::Waits(by) if waiting.insert(by) => stack.push(by),
                Step::Waits(by) => {
                    let from = stack.iter().position(|&k| k == by).unwrap_or(0);
                    self.break_circle(&stack[from..]);
                    // Whoever waited for the one that gave way can go on.
                    for key in stack.drain(from + 1..) {
                        waiting.remove(&key);
                    }
                }
            }
        }
    }

    fn step(&mut self, key: Key) -> Step {
        if !self.tree.contains(key) {
            return Step::Done;
        }
        if self.work.gone.contains(&key) {
            return match self.must_leave(key) {
                Some(first) => Step::Waits(first),
                None => {
                    self.remove(key);
                    Step::Done
                }
            };
        }
        let Some(op) = self.work.pending.get(&key) else {
            return Step::Done;
        };
        let (parent, word) = op.slot;
        let name = self.words.get(word);
        if !self.tree.contains(parent) {
            return self.give_up(key);
        }
        if self.tree.is_within(parent, key) {
            // It goes into something that is below it now and must get out first.
            let below = self.tree.ancestry(parent).take_while(|&k| k != key);
            return match below.last_pending(&self.work.pending) {
                Some(first) => Step::Waits(first),
                None => self.give_up(key),
            };
        }
        let top = self.tree.top(parent);
        if top != self.tree.root() {
            return match self.work.pending.contains_key(&top) {
                true => Step::Waits(top),
                false => self.give_up(key),
            };
        }
        match self.tree.child(parent, name) {
            None => self.place(key, parent, word),
            Some(tenant) if tenant == key => self.arrive(key),
            Some(_) if planted(Defect::TakenNamesIgnored) => self.remove(key),
            Some(tenant) if self.work.pending.contains_key(&tenant) => return Step::Waits(tenant),
            Some(tenant) => {
                let (old, new) = (self.tree.kind(tenant), self.tree.kind(key));
                if old == new && old != Kind::Dir {
                    self.replace(key, tenant);
                } else if let Some(first) = self.must_leave(tenant) {
                    return Step::Waits(first);
                } else {
                    self.remove(tenant);
                    self.place(key, parent, word);
                }
            }
        }
        Step::Done
    }

    /// Something below `key` that is to go elsewhere.
    fn must_leave(&mut self, key: Key) -> Option<Key> {
        if planted(Defect::LeaveNothingBehind) {
            return None;
        }
        let leaving = self.work.leaving.get_mut(&key)?;
        while let Some(&out) = leaving.last() {
            let waits = self.work.pending.contains_key(&out)
                && self.tree.contains(out)
                && self.tree.is_within(out, key);
            if waits {
                return Some(out);
            }
            leaving.pop();
        }
        None
    }

    fn path_of(&mut self, key: Key) {
        self.work.path.clear();
        self.tree.path(key, &mut self.work.path);
    }

    fn emit(&mut self, kind: u32, flags: u32, key: Key) {
        self.path_of(key);
        let stat = self.tree.stat(key);
        self.emit
            .emit(kind, flags, &self.work.path, None, Some(&stat));
    }

    fn touch(&mut self, key: Key) {
        if let Some(parent) = self.tree.parent(key) {
            self.touched.insert(parent);
        }
    }

    /// The entry goes to its place, where the name is free.
    fn place(&mut self, key: Key, parent: Key, word: Word) {
        let name = self.words.get(word);
        let stat = self.tree.stat(key);
        if self.tree.is_live(key) {
            self.touch(key);
            self.path_of(key);
            self.tree.detach(key);
            self.tree.attach(key, parent, name);
            self.work.dest.clear();
            self.tree.path(key, &mut self.work.dest);
            self.emit.emit(
                kind::MOVED,
                0,
                &self.work.path,
                Some(&self.work.dest),
                Some(&stat),
            );
            if self.emit.expanded && stat.kind == Kind::Dir {
                self.expand(key);
            }
            if let Some(op) = self.work.pending.get(&key) {
                self.work.moved.push((key, op.stat));
            }
        } else {
            // New, or told as deleted before, or in something new that it has left.
            let seen = self.work.pending.get(&key).map_or(stat, |op| op.stat);
            return self.create(key, parent, word, seen);
        }
        self.touch(key);
        self.arrive(key);
    }

    /// Tells of all that has moved with a directory; its old and its new path are at hand.
    fn expand(&mut self, key: Key) {
        let Work { path, dest, .. } = &mut self.work;
        let (before, after) = (path.len(), dest.len());
        for below in self.tree.subtree(key).skip(1) {
            dest.clear();
            self.tree.path(below, dest);
            path.truncate(before);
            path.extend_from_slice(&dest[after..]);
            let stat = self.tree.stat(below);
            let (kind, flags) = (kind::MOVED, flag::EXPANDED);
            self.emit.emit(kind, flags, path, Some(dest), Some(&stat));
        }
    }

    /// What was seen there comes to a place whose name is free, with all below it.
    fn create(&mut self, key: Key, parent: Key, word: Word, stat: Stat) {
        if self.tree.stat(key) != stat {
            self.tree.set_unlisted_stat(key, stat);
        }
        self.tree.detach(key);
        self.tree.attach(key, parent, self.words.get(word));
        for below in self.tree.subtree(key) {
            let (path, stat) = (&mut self.work.path, self.tree.stat(below));
            path.clear();
            self.tree.path(below, path);
            self.emit.emit(kind::CREATED, 0, path, None, Some(&stat));
        }
        self.touch(key);
        self.arrive(key);
    }

    /// The entry is in its place.
    fn arrive(&mut self, key: Key) {
        let Some(op) = self.work.pending.remove(&key) else {
            return;
        };
        if op.disguised {
            self.tree.set_stat(key, op.stat);
            self.emit(kind::MODIFIED, flag::REPLACED, key);
        }
    }

    /// The entry takes over the name of a file that is gone.
    fn replace(&mut self, key: Key, tenant: Key) {
        let was_live = self.tree.is_live(key);
        self.work.gone.remove(&tenant);
        self.tree.exchange(key, tenant);
        if let Some(op) = self.work.pending.remove(&key) {
            self.tree.set_stat(key, op.stat);
        }
        self.emit(kind::MODIFIED, flag::REPLACED, key);
        self.touch(key);
        if was_live {
            // `tenant` stands in for `key` under the name that it left.
            self.touch(tenant);
            self.emit(kind::DELETED, 0, tenant);
        }
        if !planted(Defect::ReplacedKeepsWatch) {
            self.kernel.unwatch(token(self.watch, tenant));
        }
        self.tree.remove(tenant);
    }

    /// Removes an entry and all below it, leaves first.
    fn remove(&mut self, key: Key) {
        self.touch(key);
        let live = self.tree.is_live(key);
        let mut below = std::mem::take(&mut self.work.below);
        below.extend(self.tree.subtree(key));
        for &k in below.iter().rev() {
            if live {
                self.emit(kind::DELETED, 0, k);
            }
            if !planted(Defect::RemovedKeepsWatch) {
                self.kernel.unwatch(token(self.watch, k));
            }
            self.tree.remove(k);
            self.work.gone.remove(&k);
            self.work
                .failed
                .extend(self.work.pending.remove(&k).map(|op| op.slot));
            self.touched.swap_remove(&k);
        }
        below.reset();
        self.work.below = below;
    }

    /// This cannot be carried out, which no plan is. The entry goes, and its name is
    /// looked at again.
    fn give_up(&mut self, key: Key) -> Step {
        debug_assert!(false, "a plan that cannot be carried out: {key:?}");
        self.remove(key);
        Step::Done
    }

    /// Entries wait for one another in a circle. One of the moves is told as two halves.
    fn break_circle(&mut self, circle: &[Key]) {
        let movers = circle
            .iter()
            .copied()
            .filter(|&k| self.work.pending.contains_key(&k) && self.tree.is_live(k));
        let mut best: Option<(usize, Key)> = None;
        for key in movers {
            let limit = best.map_or(usize::MAX, |(cost, _)| cost);
            let cost = self.tree.subtree(key).take(limit).count();
            if cost < limit {
                best = Some((cost, key));
            }
        }
        match best {
            Some((_, key)) => {
                if !self.swap(key) {
                    self.uproot(key);
                }
            }
            // What is new waits for what it goes into, and no plan has a circle of that.
            None => {
                self.give_up(circle[0]);
            }
        }
    }

    /// A file goes to the name of another that is itself about to move: both
    /// names get other content, neither is ever free.
    fn swap(&mut self, key: Key) -> bool {
        let Some(op) = self.work.pending.get(&key) else {
            return false;
        };
        let Some(tenant) = self.tree.child(op.slot.0, self.words.get(op.slot.1)) else {
            return false;
        };
        let (old, new) = (self.tree.kind(tenant), self.tree.kind(key));
        if old != new || old == Kind::Dir || !self.work.pending.contains_key(&tenant) {
            return false;
        }
        self.tree.exchange(key, tenant);
        if let Some(op) = self.work.pending.remove(&key) {
            self.tree.set_stat(key, op.stat);
        }
        self.emit(kind::MODIFIED, flag::REPLACED, key);
        if let Some(op) = self.work.pending.get_mut(&tenant) {
            op.disguised = true;
        }
        for above in self.tree.ancestry(tenant).skip(1) {
            if self.work.gone.contains(&above) {
                self.work.leaving.entry(above).or_default().push(tenant);
            }
        }
        true
    }

    /// Tells an entry, with all below it, as deleted; it is told as created
    /// again when it gets to its place.
    fn uproot(&mut self, key: Key) {
        self.touch(key);
        let live = self.tree.is_live(key);
        let below: Vec<Key> = self.tree.subtree(key).collect();
        if live {
            for &k in below.iter().rev() {
                self.emit(kind::DELETED, 0, k);
            }
        }
        // Each of these goes its own way.
        for &k in below.iter().rev() {
            if self.work.pending.contains_key(&k) {
                self.tree.detach(k);
                if let Some(op) = self.work.pending.get_mut(&k) {
                    op.disguised = false;
                    self.tree.set_unlisted_stat(k, op.stat);
                }
            }
        }
        for k in below {
            if self.tree.contains(k) && self.work.gone.contains(&k) {
                self.remove(k);
            }
        }
    }
}

/// The last of the entries that is about to move.
trait LastPending: Iterator<Item = Key> + Sized {
    fn last_pending(self, pending: &HashMap<Key, Op>) -> Option<Key> {
        self.filter(|k| pending.contains_key(k)).last()
    }
}

impl<I: Iterator<Item = Key>> LastPending for I {}
