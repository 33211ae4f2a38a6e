//! What of a watch is polled, why, and what would rather be watched.

use super::{is_racy, Watch};
use crate::engine::budget::{Rank, Worth};
use crate::engine::defect::{planted, Defect};
use crate::engine::dirty::Depth;
use crate::engine::event::Emitter;
use crate::engine::look::token;
use crate::kernel::{Errno, Kernel, Kind, Now, Token, What};
use crate::tree::{Key, Marks};

/// How far a round of looks at what is polled has come.
#[derive(Default, Debug)]
pub(super) struct Round {
    /// So many of the polled are still to come, from the last to the first.
    left: usize,
    /// Entries of the directory that was looked at last, where a watch of it would tell
    /// of them.
    entries: Vec<Key>,
}

impl Watch {
    /// Entries that are polled.
    pub fn polled(&self) -> usize {
        self.tree.polled() + usize::from(self.root_trouble.is_some() || self.blind)
    }

    /// Why something is polled: of what has come to be so last.
    pub fn reason(&self) -> Option<Errno> {
        let polled = self.why.filter(|_| self.tree.polled() > 0);
        polled.or(self.blind_for).or(self.root_trouble)
    }

    /// Why an entry is polled, if it is.
    pub fn polled_for(&self, key: Key) -> Option<Errno> {
        self.polled
            .get(&key)
            .copied()
            .filter(|_| self.has_poll_mark(key))
    }

    pub(super) fn has_poll_mark(&self, key: Key) -> bool {
        self.tree.has_mark(key, Marks::POLLED)
    }

    pub(super) fn is_degraded(&self) -> bool {
        self.blind || self.tree.polled() > 0
    }

    /// Whether the root's ancestors are not watched for want of room.
    pub fn is_cramped(&self) -> bool {
        self.cramped
    }

    /// Whether there is something to look at or to tell when the time has come.
    pub fn needs_ticks(&self) -> bool {
        self.polled() > 0 || self.degraded || self.bare.is_some()
    }

    /// Whether nothing but a watch of its own tells of everything that is followed of an
    /// entry.
    pub(super) fn needs_watch<K: Kernel>(&self, key: Key) -> bool {
        let is_dir = self.tree.kind(key) == Kind::Dir;
        !K::NAMES || key == self.tree.root() || (is_dir && self.is_listed(key))
    }

    /// Owes looks at what is polled, at most so many. Whether that was all there is; if
    /// not, the next tick goes on. `thorough`: polled directories are listed whatever
    /// their times say. `room`: something may be watched instead.
    pub fn tick<K: Kernel>(&mut self, looks: &mut usize, thorough: bool, room: bool) -> bool {
        let mut round = self.round.take().unwrap_or_else(|| {
            if self.root_trouble.is_some() || self.blind || self.bare.is_some() {
                self.dirty.root(What::default());
                self.dirty.anchors |= self.blind;
                self.claims_anchors |= self.cramped && (thorough || !self.denied_anchors);
                let ancestors = self.root.ancestors().count();
                *looks = looks.saturating_sub(1 + if self.blind { 2 * ancestors } else { 0 });
            }
            Round {
                left: self.polled.len(),
                entries: Vec::new(),
            }
        });
        loop {
            if *looks == 0 {
                self.round = Some(round);
                return false;
            }
            if let Some(key) = round.entries.pop() {
                if self.tree.is_live(key) && !self.has_poll_mark(key) {
                    self.look_at_name_of(key, What::UNTOLD);
                    *looks -= 1;
                }
                continue;
            }
            // It may have been emptied meanwhile.
            round.left = round.left.min(self.polled.len());
            let Some(at) = round.left.checked_sub(1) else {
                break;
            };
            round.left = at;
            let Some((&key, &error)) = self.polled.get_index(at) else {
                continue;
            };
            if !self.tree.is_live(key) || !self.has_poll_mark(key) {
                self.polled.swap_remove_index(at); // The last one takes its place.
                continue;
            }
            *looks -= 1;
            self.look_at_name_of(key, What::UNTOLD | What::LIST);
            if !self.needs_watch::<K>(key) {
                // It could not be looked at. If it cannot still, it is polled again.
                self.tree.set_mark(key, Marks::POLLED, false);
                continue;
            }
            if self.tree.kind(key) == Kind::Dir && self.is_listed(key) {
                // What could not be read may be readable now.
                if thorough || self.tree.has_mark(key, Marks::UNREADABLE) {
                    /// How many entries of a directory are listed for the price of a stat.
                    const LISTED: usize = 64;
                    self.dirty.scan(key, Depth::Names);
                    let price = 1 + self.tree.children(key).count() / LISTED;
                    *looks = looks.saturating_sub(price);
                }
                // Of these a watch of the directory would tell, or nothing does.
                let by_itself = |kind| !K::NAMES && matches!(kind, Kind::File | Kind::Dir);
                let entries = self.tree.children(key);
                let entries = entries.filter(|&key| !by_itself(self.tree.kind(key)));
                round.entries.extend(entries);
            }
            // A directory may have what a file has.
            let room = room || (!K::NAMES && self.rank(key) > Rank::File);
            if room && (error.is_exhaustion() || (thorough && !error.is_denied())) {
                self.claim(key, self.tree.stat(key).ctime_ns);
            }
        }
        if self.degraded && !self.is_degraded() {
            self.recovered = true;
            self.dirty.tell = true;
        }
        true
    }

    pub(super) fn poll(&mut self, key: Key, mut why: Errno) {
        let dev = self.tree.stat(key).id.dev;
        if why == Errno::SILENT {
            self.silent.insert(dev);
        } else if why.is_exhaustion() && self.silent.contains(&dev) {
            why = Errno::SILENT;
        }
        if let Some(before) = self.polled_for(key).filter(|_| why.is_exhaustion()) {
            why = before; // For want of room it was not even tried.
        }
        self.why = Some(why);
        self.tree.set_mark(key, Marks::POLLED, true);
        if !planted(Defect::NotPolled) {
            self.polled.insert(key, why);
        }
    }

    /// The kernel refused to watch an entry.
    pub(super) fn refuse<K: Kernel>(&mut self, key: Key, error: Errno) {
        if !self.tree.contains(key) {
            return;
        }
        // Where the directory above tells of a change of permission, an
        // unreadable entry need not be polled.
        // (Above the root there is none that tells.)
        if !(K::NAMES && error.is_denied() && key != self.tree.root()) {
            self.poll(key, error);
            if self.polled_for(key).is_some_and(Errno::is_exhaustion) {
                self.claim(key, self.tree.stat(key).ctime_ns);
            }
        }
    }

    /// It should rather be watched, having changed at that time.
    pub(super) fn claim(&mut self, key: Key, changed_ns: i64) {
        if planted(Defect::NoClaims) {
            return;
        }
        let at = self.claims.entry(key).or_insert(changed_ns);
        *at = changed_ns.max(*at);
    }

    /// It has changed. If it is polled, it may do so again. `permitted`: it may be possible
    /// to watch now what may not be read.
    pub(super) fn claim_as_changed(&mut self, key: Key, permitted: bool) {
        let changed_ns = self.tree.stat(key).ctime_ns;
        // The directory's watch would have told.
        let above = self.tree.parent(key).filter(|_| self.by_name);
        for key in above.into_iter().chain([key]) {
            let hopeless = |why: Errno| why == Errno::SILENT || (why.is_denied() && !permitted);
            if self.polled_for(key).is_some_and(|why| !hopeless(why)) {
                self.claim(key, changed_ns);
            }
        }
    }

    /// What should rather be watched, and how much that is worth.
    pub fn take_claims<K: Kernel>(&mut self, into: &mut Vec<(Worth, Token)>) {
        if self.claims.is_empty() {
            return;
        }
        for (key, changed_ns) in std::mem::take(&mut self.claims) {
            let polled = self.tree.is_live(key) && self.has_poll_mark(key);
            if polled && self.needs_watch::<K>(key) {
                let rank = self.rank(key);
                into.push((Worth { rank, changed_ns }, token(self.id, key)));
            }
        }
    }

    pub(super) fn rank(&self, key: Key) -> Rank {
        match self.tree.kind(key) {
            _ if key == self.tree.root() => Rank::Root,
            Kind::Dir => Rank::Dir,
            _ => Rank::File,
        }
    }

    /// How much the watch of an entry is worth; `None` if there is no such entry.
    pub fn worth<K: Kernel>(&self, token: Token) -> Option<Worth> {
        let key = self.entry(token).filter(|&key| self.tree.is_live(key))?;
        let changed = |key: Key| self.tree.stat(key).ctime_ns;
        let below = self.tree.children(key).filter(|_| K::NAMES);
        Some(Worth {
            rank: match self.has_poll_mark(key) {
                true => Rank::Polled,
                false => self.rank(key),
            },
            changed_ns: below.map(changed).chain([changed(key)]).max()?,
        })
    }

    /// Gives up the watch of an entry. Whatever had been told of it by the time `fetched`
    /// has been fetched.
    pub fn evict<K: Kernel>(&mut self, kernel: &mut K, token: Token, fetched: Now) {
        let why = kernel.room().shortage(kernel.held().0 as usize);
        kernel.unwatch(token);
        if let Some(key) = self.entry(token) {
            self.trust_times::<K>(key, fetched);
            if !planted(Defect::EvictedForgotten) {
                self.poll(key, why);
                self.dirty.tell |= !self.degraded;
            }
        }
    }

    /// What was written to within a granule of the clock since it was looked at has been
    /// told: from here on times tell, if that granule has passed and nothing is owed.
    pub(super) fn trust_times<K: Kernel>(&mut self, key: Key, now: Now) {
        if self.dirty.owes_looks() || self.has_poll_mark(key) {
            return;
        }
        let entries = self.tree.children(key).filter(|_| K::NAMES);
        for key in entries.chain([key]).collect::<Vec<Key>>() {
            let stat = self.tree.stat(key);
            if stat.kind != Kind::Dir && !is_racy(&stat, now) {
                self.tree.set_mark(key, Marks::RACY, false);
            }
        }
    }

    /// Whether an entry is on a file system that does not tell of everything, so that no
    /// other shall lose its watch for it.
    pub fn renounce(&mut self, token: Token) -> bool {
        let Some(key) = self.entry(token) else {
            return false;
        };
        let silent = self.silent.contains(&self.tree.stat(key).id.dev);
        if silent {
            self.poll(key, Errno::SILENT);
        }
        silent
    }

    /// Watches an entry that was polled.
    pub fn grant<K: Kernel>(&mut self, kernel: &mut K, token: Token) -> Result<(), Errno> {
        let Some(key) = self.entry(token) else {
            return Ok(());
        };
        let stat = self.tree.stat(key);
        let path = self.path_on_disk(key);
        let granted = kernel.watch_path(token, &path, Some(stat.id));
        match granted {
            Ok(()) => self.tree.set_mark(key, Marks::POLLED, false),
            // It is polled on; if it is elsewhere it is found there.
            Err(error) if !error.is_elsewhere() => self.poll(key, error),
            Err(_) => {}
        }
        if planted(Defect::GrantedNotLookedAt) {
            return granted;
        }
        // What happened to it until then was told to nobody.
        if granted.is_ok() {
            self.look_at_name_of(key, What::ATTRIB | What::UNTOLD | What::LIST);
            if stat.kind == Kind::Dir && self.is_listed(key) {
                self.begin_early::<K>(&[key]);
                self.dirty.scan(key, Depth::Entries);
            }
        }
        granted
    }

    /// What is polled comes into use, or is no more.
    pub(super) fn tell_of_polling(&mut self, emit: &mut Emitter<'_>) {
        if self.catching_up {
            return; // It has not been tried.
        }
        let degraded = self.is_degraded();
        let recovered = std::mem::take(&mut self.recovered) && !degraded;
        if (degraded && !self.degraded) || recovered {
            self.degraded = degraded;
            let count = self.tree.polled() + usize::from(self.blind);
            emit.polling(count as u64, &self.tree.stat(self.tree.root()));
        }
    }

    /// Whether it is looked at in rounds, because no note would tell of it.
    pub(super) fn is_polled(&self, key: Key) -> bool {
        let kind = self.tree.kind(key);
        let by_itself = !self.by_name && matches!(kind, Kind::File | Kind::Dir);
        let above = self.tree.parent(key).filter(|_| !by_itself);
        self.has_poll_mark(key) || above.is_some_and(|above| self.has_poll_mark(above))
    }
}
