//! The root of a watch: a path, at which something is or is not, and the ancestors that
//! it hangs on.

use super::{is_racy, Watch};
use crate::engine::defect::{planted, Defect};
use crate::engine::dirty::Dirty;
use crate::engine::event::{flag, kind, Emitter};
use crate::engine::look::{token, Findings};
use crate::engine::progress::Progress;
use crate::kernel::{Anchor, Errno, Kernel, Kind, Place, Stat, Token, What};
use crate::tree::{Key, Marks};
use std::path::Path;
use std::sync::Arc;

/// How often the ancestors of a root are watched anew because they changed
/// while that was done.
pub(super) const ANCHOR_TRIES: usize = 16;

impl Watch {
    /// Stats, watches and crawls the root into an empty snapshot.
    pub(super) fn crawl_root<K: Kernel>(
        &mut self,
        kernel: &mut K,
        stat: Stat,
        progress: Option<&Arc<Progress>>,
    ) -> Result<(), Errno> {
        let root = self.tree.root();
        self.tree.set_stat(root, stat);
        self.tree.set_mark(root, Marks::UNREADABLE, false);
        self.tree.set_mark(root, Marks::POLLED, false);
        self.dirty.unwatched.swap_remove(&root); // It is watched anew here.
        if stat.kind != Kind::Dir {
            let watched = kernel.watch_path(token(self.id, root), &self.root, Some(stat.id));
            match watched {
                Ok(()) => {}
                Err(error) if error.is_elsewhere() => return Err(error),
                Err(error) => self.refuse::<K>(root, error),
            }
            return self.confirm_root(kernel, stat);
        }
        let mut found = Findings::of_first_crawl(kernel.now(), progress.cloned());
        let place = Place {
            token: token(self.id, root),
            path: &self.root.clone(),
            id: Some(stat.id),
            doubted: false,
            many: false,
        };
        self.tree.begin_bulk();
        kernel.crawl(place, &mut self.view(&mut found));
        for token in std::mem::take(&mut found.unwanted) {
            kernel.unwatch(token);
        }
        for twice in self.tree.end_bulk() {
            // readdir may give a name twice while names come and go.
            if !self.tree.contains(twice) {
                continue;
            }
            let below: Vec<Key> = self.tree.subtree(twice).collect();
            for &key in below.iter().rev() {
                kernel.unwatch(token(self.id, key));
                self.tree.remove(key);
            }
        }
        if progress.is_some_and(|p| p.is_cancelled()) {
            return Err(Errno::CANCELLED);
        }
        let vanished = found.is_astray(root);
        let Findings {
            later,
            troubles,
            refused,
            begun,
            ..
        } = found;
        self.begin_early::<K>(&begun);
        self.recent.looked(root, true, &[root]);
        self.recent.until(root, kernel.now().since);
        if vanished {
            return Err(Errno::ABSENT);
        }
        // Not even the root can be read: that is an error, not an event.
        if let Some((_, error)) = troubles.iter().find(|(key, _)| *key == root) {
            return Err(*error);
        }
        for (dir, depth) in later {
            self.dirty.scan(dir, depth);
        }
        for (key, _) in &troubles {
            if !self.tree.contains(*key) {
                continue; // It was there twice.
            }
            self.tree.set_mark(*key, Marks::UNREADABLE, false);
            self.look_again(*key); // A turn reports it.
        }
        for (key, error) in refused {
            self.refuse::<K>(key, error);
        }
        self.confirm_root(kernel, stat)
    }

    /// Now that it is watched, the root is looked at again: it may have changed
    /// before, or be gone. A kqueue takes a watch of what was removed, and stays
    /// silent.
    pub(super) fn confirm_root<K: Kernel>(
        &mut self,
        kernel: &mut K,
        before: Stat,
    ) -> Result<(), Errno> {
        if planted(Defect::RootNotConfirmed) {
            return Ok(());
        }
        let stat = kernel.stat_path(&self.root)?;
        if !stat.same_inode(&before) {
            return Err(Errno::OTHER);
        }
        let root = self.tree.root();
        let since = stat.mtime_ns != self.tree.stat(root).mtime_ns;
        self.tree.set_stat(root, stat);
        let racy = since || is_racy(&stat, kernel.now());
        self.tree.set_mark(root, Marks::RACY, racy);
        Ok(())
    }

    pub(super) fn drop_anchors<K: Kernel>(&mut self, kernel: &mut K) {
        let links = std::mem::take(&mut self.link_anchors);
        for level in (0..self.anchors).chain(links) {
            kernel.unwatch(Token::Anchor {
                watch: self.id,
                level,
            });
        }
        self.anchors = 0;
    }

    /// Watches the ancestors of the root. Where one cannot be watched, the one
    /// above it tells when its name changes hands; where that does not help, the
    /// root's path is looked at from time to time.
    pub(super) fn place_anchors<K: Kernel>(&mut self, kernel: &mut K) {
        for _ in 0..ANCHOR_TRIES {
            if planted(Defect::NoAnchors) {
                return;
            }
            let placed = self.try_anchors(kernel);
            // A link may have come to lead elsewhere before that was watched.
            match self.follow_links(kernel) {
                Ok(true) => {}
                Ok(false) if !placed => {}
                Ok(false) => return,
                Err(_) => {
                    self.blind = true;
                    return;
                }
            }
        }
        self.blind = true; // It comes and goes faster than it can be watched.
    }

    /// Whether each is watched that is there, the nearest of which keeps vigil over an
    /// absent root.
    pub(super) fn try_anchors<K: Kernel>(&mut self, kernel: &mut K) -> bool {
        self.blind = false;
        self.blind_for = None;
        self.cramped = false;
        if self.are_anchors_too_many(kernel) {
            self.give_up_anchors(kernel);
            return true;
        }
        // Dropping them makes notes of its own; a queue that has just overflowed is
        // spared these.
        let mut before: Vec<u32> = Vec::new();
        match self.dirty.everything {
            true => {
                before.extend(0..self.anchors);
                before.append(&mut self.link_anchors);
            }
            false => self.drop_anchors(kernel),
        }
        let root = self.root.clone();
        let mut vigil_kept = self.present;
        let mut nearest = true;
        let mut settled = true;
        let mut unguarded_below = false;
        let mut below = root.as_path();
        // The name below, in the ancestor that is to be watched, is unguarded.
        let mut unguarded = self.present && self.is_special();
        for (level, above) in root.ancestors().skip(1).enumerate() {
            let role = match (self.present, vigil_kept) {
                _ if unguarded => Anchor::Vigil,
                (true, _) if level == 0 => Anchor::Parent,
                (_, true) => Anchor::Above,
                (_, false) => Anchor::Vigil,
            };
            let level = level as u32;
            let token = Token::Anchor {
                watch: self.id,
                level,
            };
            let before = kernel.stat_path(above);
            let watched = kernel.watch_anchor(token, above, role);
            if let Err(error) = watched {
                kernel.unwatch(token);
                let full = error.is_exhaustion();
                let hopeless = !vigil_kept || unguarded || full || error == Errno::SILENT;
                if hopeless && !error.is_elsewhere() {
                    self.blind = true;
                    self.blind_for = Some(error);
                }
                self.cramped |= full;
            }
            // The root was there without following any link. If one has come to
            // be on the way, what it leads through is nobody's to watch.
            let after = kernel.stat_path(above);
            let is_link = after.is_ok_and(|stat| stat.kind == Kind::Symlink);
            // It may have been another one by the time that it was watched (a kqueue
            // takes a descriptor first), or come just after that.
            let id = |stat: Stat| stat.id;
            settled &= match watched {
                Ok(()) => before.map(id) == after.map(id),
                Err(error) if error.is_elsewhere() => {
                    let back = after.is_ok_and(|stat| stat.kind == Kind::Dir);
                    !self.present && !back
                }
                Err(_) => true,
            };
            self.blind |= is_link;
            unguarded = is_link || watched.is_err_and(|e| !e.is_elsewhere());
            if !vigil_kept && watched.is_ok() && !is_link {
                vigil_kept = true;
                // It was not there to be watched; it may be by now.
                let there = |stat: Stat| stat.kind == Kind::Dir;
                let now_there = level > 0 && kernel.stat_path(below).is_ok_and(there);
                nearest = !now_there || unguarded_below;
            }
            unguarded_below = unguarded;
            below = above;
            self.anchors = level + 1;
        }
        settled &= self.anchor_links(kernel);
        // The way to it may be a shorter one.
        before.retain(|level| *level >= self.anchors && !self.link_anchors.contains(level));
        for level in before {
            let watch = self.id;
            kernel.unwatch(Token::Anchor { watch, level });
        }
        nearest && settled
    }

    pub(super) fn are_anchors_too_many<K: Kernel>(&self, kernel: &K) -> bool {
        !kernel.room().has_room_for_anchors()
    }

    /// How many ancestors the root has, and the links on the way to it.
    pub(super) fn levels(&self) -> usize {
        self.root.ancestors().skip(1).count() + self.levels_of_links()
    }

    /// There are more watches than are allowed, and these are the last.
    pub fn give_up_anchors<K: Kernel>(&mut self, kernel: &mut K) {
        self.drop_anchors(kernel);
        self.blind = true;
        self.blind_for = Some(Errno::FULL);
        self.cramped = true;
        self.dirty.tell |= !self.degraded;
    }

    /// The number of watches allowed is another one.
    pub fn reconsider_anchors<K: Kernel>(&mut self, kernel: &mut K) {
        self.denied_anchors = false;
        match self.are_anchors_too_many(kernel) {
            true if !self.cramped => self.give_up_anchors(kernel),
            true => {}
            false => self.dirty.anchors |= self.cramped,
        }
    }

    /// Whether its ancestors shall have watches that others have.
    pub fn claims_anchors(&self) -> bool {
        self.claims_anchors
    }

    /// How many watches the ancestors of the root need, if they shall be given up
    /// elsewhere.
    pub fn claim_of_anchors<K: Kernel>(&mut self, kernel: &K) -> usize {
        if !self.claims_anchors || self.are_anchors_too_many(kernel) {
            return 0;
        }
        self.claims_anchors = false;
        self.denied_anchors = true;
        self.dirty.anchors = true;
        self.levels()
    }

    /// Whether the root is neither a file nor a directory.
    pub(super) fn is_special(&self) -> bool {
        let kind = self.tree.stat(self.tree.root()).kind;
        !matches!(kind, Kind::File | Kind::Dir)
    }

    /// Whether a name in the ancestor at that level is on the way to the root.
    pub(super) fn is_on_the_way(&self, level: u32, name: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let led = self.led_by(level);
        let step = led.and_then(|(path, level)| path.ancestors().nth(level));
        step.and_then(Path::file_name)
            .is_some_and(|n| n.as_bytes() == name)
    }

    /// Looks at the root's path: whether something is there, and the same.
    pub(super) fn look_at_root<K: Kernel>(&mut self, kernel: &mut K, emit: &mut Emitter<'_>) {
        for _ in 0..ANCHOR_TRIES {
            let what = self.dirty.root.take().unwrap_or_default();
            let mut anchors = std::mem::take(&mut self.dirty.anchors);
            let before = (self.present, self.is_special());
            let led = self.follow_links(kernel);
            anchors |= led == Ok(true);
            let home = self
                .present
                .then(|| self.tree.stat(self.tree.root()).id.dev);
            self.compare_root(kernel, emit, what, led.map(drop));
            self.await_mount(kernel, what, home);
            if !anchors && (self.present, self.is_special()) == before {
                return;
            }
            let doubted = self.blind;
            self.place_anchors(kernel);
            if self.present && !doubted {
                // Renamed above, and back: looks by path went astray meanwhile.
                self.dirty.moving.insert(self.tree.root());
            }
            // It may have come or gone while the ancestors were not watched.
            self.dirty.root = Some(What::default());
        }
        self.dirty.root = None;
    }

    pub(super) fn compare_root<K: Kernel>(
        &mut self,
        kernel: &mut K,
        emit: &mut Emitter<'_>,
        what: What,
        led: Result<(), Errno>,
    ) {
        let root = self.tree.root();
        let answer = match led.and_then(|()| kernel.stat_path(&self.root)) {
            // It has just come to lead elsewhere.
            Ok(stat) if self.is_led() && stat.kind == Kind::Symlink => Err(Errno::ABSENT),
            answer => answer,
        };
        match (self.present, answer) {
            (true, Ok(stat)) if self.tree.stat(root).same_inode(&stat) => {
                if self.root_trouble.take().is_some() {
                    self.look_at_shut(root);
                }
                self.update(emit, root, stat, what, kernel.now(), false);
            }
            (true, Ok(stat)) if stat.kind == self.tree.kind(root) && stat.kind != Kind::Dir => {
                kernel.unwatch(token(self.id, root));
                if let Err(error) = self.crawl_root(kernel, stat, None) {
                    self.root_gone(kernel, emit);
                    if error.is_other() {
                        self.dirty.root(What::default());
                    }
                } else {
                    let mut path = Vec::new();
                    self.tree.path(root, &mut path);
                    let stat = self.tree.stat(root);
                    emit.emit(kind::MODIFIED, flag::REPLACED, &path, None, Some(&stat));
                }
            }
            (true, Ok(stat)) => {
                self.root_gone(kernel, emit);
                self.root_back(kernel, emit, stat);
            }
            (true, Err(error)) if error.is_elsewhere() => {
                self.root_gone(kernel, emit);
            }
            (true, Err(error)) => self.root_denied(emit, error),
            (false, Ok(stat)) => self.root_back(kernel, emit, stat),
            (false, Err(error)) if error.is_absent() => self.root_trouble = None,
            (false, Err(error)) => self.root_denied(emit, error),
        }
    }

    /// A root went with its file system: that it is mounted again nobody tells, so that the
    /// root's path is looked at from time to time until there is one. `home`: the device that
    /// the root was on before.
    fn await_mount<K: Kernel>(&mut self, kernel: &mut K, what: What, home: Option<u64>) {
        let now = self
            .present
            .then(|| self.tree.stat(self.tree.root()).id.dev);
        let taken = what.has(What::UNMOUNT | What::REVOKE) && home.is_some() && now != home;
        if taken && !planted(Defect::MountsNotAwaited) {
            let nearest = self
                .root
                .ancestors()
                .find_map(|above| kernel.stat_path(above).ok());
            self.bare = nearest.map(|stat| stat.id.dev);
        }
        if now.is_some() && now != self.bare {
            self.bare = None;
        }
    }

    /// Something may be there, but cannot be looked at: said once, and looked at
    /// again before long.
    pub(super) fn root_denied(&mut self, emit: &mut Emitter<'_>, error: Errno) {
        if self.root_trouble != Some(error) {
            self.root_trouble = Some(error);
            let root = self.present.then(|| self.tree.stat(self.tree.root()));
            emit.error(b"", error.0, root.as_ref());
        }
    }

    pub(super) fn root_gone<K: Kernel>(&mut self, kernel: &mut K, emit: &mut Emitter<'_>) {
        let root = self.tree.root();
        let all: Vec<Key> = self.tree.subtree(root).collect();
        if planted(Defect::ParentsDeletedFirst) {
            for &key in &all[1..] {
                self.tell(emit, kind::DELETED, key);
            }
            emit.mask = 0;
        }
        for &key in all[1..].iter().rev() {
            self.tell(emit, kind::DELETED, key);
            kernel.unwatch(token(self.id, key));
            self.tree.remove(key);
        }
        self.tell(emit, kind::ROOT_GONE, root);
        kernel.unwatch(token(self.id, root));
        self.tree.set_mark(root, Marks::UNREADABLE, false);
        self.tree.set_mark(root, Marks::POLLED, false);
        self.present = false;
        self.rules.clear();
        self.unreadable.clear();
        self.polled.clear();
        self.claims.clear();
        let root = self.dirty.root.take();
        self.dirty = Dirty {
            root,
            ..Dirty::default()
        };
    }

    /// Lets go of what was made for a root that could not be had.
    pub(super) fn abandon_root<K: Kernel>(&mut self, kernel: &mut K) {
        let root = self.tree.root();
        let below: Vec<Key> = self.tree.subtree(root).collect();
        for &key in below.iter().rev() {
            kernel.unwatch(token(self.id, key));
            if key != root {
                self.tree.remove(key);
            }
        }
        self.tree.set_mark(root, Marks::POLLED, false);
        self.rules.clear();
        self.unreadable.clear();
        self.polled.clear();
        self.claims.clear();
        self.dirty.rules.clear();
        self.dirty.scans.clear();
        self.dirty.names.clear();
    }

    pub(super) fn root_back<K: Kernel>(
        &mut self,
        kernel: &mut K,
        emit: &mut Emitter<'_>,
        stat: Stat,
    ) {
        if let Err(error) = self.crawl_root(kernel, stat, None) {
            self.abandon_root(kernel);
            if error.is_other() {
                self.dirty.root(What::default());
            } else if !error.is_elsewhere() {
                self.root_denied(emit, error);
            }
            return;
        }
        self.present = true;
        self.root_trouble = None;
        let root = self.tree.root();
        self.tell(emit, kind::ROOT_BACK, root);
        let all: Vec<Key> = self.tree.subtree(root).skip(1).collect();
        for key in all {
            self.tell(emit, kind::CREATED, key);
        }
    }
}
