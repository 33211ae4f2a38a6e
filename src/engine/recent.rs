//! Which directories were looked at by path of late.
//!
//! A path can lead astray: if an ancestor was renamed a moment ago, a look by
//! path sees another directory, or none. The kernel has posted a note of that
//! rename by the time the rename returns; but the look may come between the
//! rename and its note. So whatever was looked at by path is remembered until
//! such a note must have arrived, and is looked at again if one does.

use crate::tree::Key;
use indexmap::IndexMap;
use std::time::Duration;

/// A rename's note follows its effect within the same system call. This is how
/// long we suppose a kernel can be kept from getting from the one to the other.
const WINDOW: Duration = Duration::from_secs(1);

/// Directories looked at by path, with whether all below was crawled.
#[derive(Default, Debug)]
pub struct Recent {
    now: Duration,
    looked: IndexMap<Key, (Duration, bool)>,
}

impl Recent {
    /// A turn begins.
    pub fn begin(&mut self, now: Duration) {
        self.now = now;
    }

    /// A directory was looked at by path.
    pub fn looked(&mut self, dir: Key, crawled: bool) {
        let entry = self.looked.entry(dir).or_insert((self.now, crawled));
        *entry = (self.now, entry.1 || crawled);
    }

    /// Directories that were looked at, with whether all below was crawled.
    pub fn iter(&self) -> impl Iterator<Item = (Key, bool)> + '_ {
        self.looked
            .iter()
            .map(|(&key, &(_, crawled))| (key, crawled))
    }

    /// Whether all below this directory was crawled by path.
    pub fn was_crawled(&self, dir: Key) -> bool {
        self.looked.get(&dir).is_some_and(|&(_, crawled)| crawled)
    }

    /// A turn ends whose notes have all been heeded: what was looked at long
    /// enough before it is beyond doubt.
    pub fn end(&mut self) {
        let now = self.now;
        self.looked.retain(|_, (at, _)| *at + WINDOW > now);
        if self.looked.is_empty() && self.looked.capacity() > 1024 {
            self.looked.shrink_to_fit();
        }
    }
}
