//! What many entries have in common, kept once.

use crate::collections::IndexSet;
use crate::kernel::{Kind, Stat};

/// The part of a [`Stat`] that is the same for most entries of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Class {
    pub dev: u64,
    pub kind: Kind,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Class {
    pub fn of(stat: &Stat) -> Class {
        Class {
            dev: stat.id.dev,
            kind: stat.kind,
            mode: stat.mode,
            nlink: stat.nlink,
            uid: stat.uid,
            gid: stat.gid,
        }
    }
}

/// All classes that there have been since [`Classes::is_wasteful`] was heeded.
#[derive(Default, Debug)]
pub struct Classes {
    all: IndexSet<Class>,
    /// The one that was asked for last: often the next one, too.
    last: u32,
}

impl Classes {
    pub fn get(&self, number: u32) -> &Class {
        &self.all[number as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Class> + '_ {
        self.all.iter()
    }

    pub fn number(&mut self, class: Class) -> u32 {
        if self.all.get_index(self.last as usize) != Some(&class) {
            self.last = self.all.insert_full(class).0 as u32;
        }
        self.last
    }

    /// Whether most must be of no use, where there are so many entries.
    pub fn is_wasteful(&self, entries: usize) -> bool {
        self.all.len() > 1024 + entries
    }

    /// Classes held.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.all.len()
    }
}
