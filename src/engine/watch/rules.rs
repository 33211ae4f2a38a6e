//! The files that say what is excluded in the directories they are in: entries like any
//! other, and read again when they have changed.

use super::Watch;
use crate::engine::defect::{planted, Defect};
use crate::engine::dirty::Depth;
use crate::engine::event::Emitter;
use crate::engine::filter::NAME;
use crate::engine::look::token;
use crate::kernel::{Kernel, Kind, Place};
use crate::tree::Key;

impl Watch {
    /// An entry has changed, which may be such a file.
    pub(super) fn heed_rules(&mut self, key: Key) {
        if self.options.heeds_gitignore() && self.tree.name(key) == NAME {
            self.dirty.rules.extend(self.tree.parent(key));
        }
    }

    /// Nothing is known but the snapshot.
    pub(super) fn owe_rules(&mut self) {
        if self.options.heeds_gitignore() {
            let all = self.tree.subtree(self.tree.root());
            let with = all.filter(|&key| self.tree.child(key, NAME).is_some());
            self.dirty.rules.extend(with.collect::<Vec<Key>>());
        }
    }

    /// Whether some are to be read.
    pub(super) fn owes_rules(&self) -> bool {
        !(self.dirty.rules.is_empty() && self.rules.unread.is_empty())
    }

    /// Reads those that have changed. What they say now is another matter for all that is
    /// below their directories.
    pub(super) fn read_rules<K: Kernel>(&mut self, kernel: &mut K, emit: &mut Emitter<'_>) {
        let mut dirs = std::mem::take(&mut self.dirty.rules);
        dirs.append(&mut self.rules.unread);
        for dir in dirs {
            let is_dir = self.tree.is_live(dir) && self.tree.kind(dir) == Kind::Dir;
            if !is_dir || planted(Defect::RulesKept) {
                continue;
            }
            let path = self.path_on_disk(dir);
            let place = Place {
                token: token(self.id, dir),
                path: &path,
                id: Some(self.tree.stat(dir).id),
                doubted: true,
                many: false,
            };
            let content = kernel.read(place, NAME);
            match content {
                // When it is known where it is.
                Err(error) if error.is_other() => {
                    self.rules.unread.insert(dir);
                    continue;
                }
                // When there is one; until then it says what it said.
                Err(error) if error.is_exhaustion() => {
                    self.rules.unread.insert(dir);
                    self.refuse::<K>(dir, error);
                    continue;
                }
                _ => {}
            }
            let before = self.rules.trouble(dir);
            if self.rules.set(dir, content) {
                self.dirty.scan(dir, Depth::Tree);
            }
            let trouble = self.rules.trouble(dir);
            if let Some(error) = trouble.filter(|_| trouble != before) {
                let mut path = Vec::new();
                match self.tree.child(dir, NAME) {
                    Some(file) => self.tree.path(file, &mut path),
                    None => self.tree.path(dir, &mut path),
                }
                emit.error(&path, error.0, None);
            }
        }
        let tree = &self.tree;
        self.rules.forget(|key| tree.is_live(key));
    }
}
