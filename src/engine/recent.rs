//! Which directories were looked at by path of late.
//!
//! A path can lead astray: if an ancestor was renamed a moment ago, a look by
//! path sees another directory, or none. The kernel has posted a note of that
//! rename by the time the rename returns; but the look may come between the
//! rename and its note. So whatever was looked at by path is remembered until
//! such a note must have arrived, and is looked at again if one does.

use crate::collections::{HashMap, IndexMap, IndexSet, Reset};
use crate::tree::Key;
use std::time::Duration;

/// A rename's note follows its effect within the same system call. This is how
/// long we suppose a kernel can be kept from getting from the one to the other.
const WINDOW: Duration = Duration::from_secs(1);

/// So many former ways are kept for their memory.
const SPARE: usize = 64;

/// What is beyond doubt is forgotten so many times in a window: not in each turn, of which
/// there may be thousands.
const PURGES: u32 = 4;

/// Directories looked at by path.
#[derive(Default, Debug)]
pub struct Recent {
    now: Duration,
    looked: IndexMap<Key, Look>,
    /// What was looked at a window before this is beyond doubt.
    beyond: Duration,
    /// When the last of these were forgotten.
    purged: Duration,
    /// The memory of former ways.
    spare: Vec<Vec<Key>>,
    /// By directory: what in it was another inode when a crawl watched it than
    /// when its entry was read.
    suspects: HashMap<Key, Vec<Key>>,
    suspected: Duration,
}

#[derive(Debug)]
struct Look {
    at: Duration,
    /// Whether all below was crawled.
    crawled: bool,
    /// What the paths led through, the directory itself included. (It may be
    /// elsewhere by the time that one of these turns out to have been moving.)
    way: Vec<Key>,
}

impl Look {
    fn is_in_doubt(&self, beyond: Duration) -> bool {
        self.at + WINDOW > beyond
    }
}

impl Recent {
    /// A turn begins.
    pub fn begin(&mut self, now: Duration) {
        self.now = now;
    }

    /// A directory was looked at by a path that led through these.
    pub fn looked(&mut self, dir: Key, crawled: bool, way: &[Key]) {
        let spare = &mut self.spare;
        let look = self.looked.entry(dir).or_insert_with(|| Look {
            at: self.now,
            crawled,
            way: spare.pop().unwrap_or_default(),
        });
        if !look.is_in_doubt(self.beyond) {
            look.crawled = false;
            look.way.clear();
        }
        look.at = self.now;
        look.crawled |= crawled;
        if look.way.is_empty() {
            look.way.extend(way);
        } else if look.way != way {
            look.way.extend(way);
            look.way.sort_unstable();
            look.way.dedup();
        }
    }

    /// Looking at a directory, and at all below it, took until then.
    pub fn until(&mut self, dir: Key, at: Duration) {
        if let Some(look) = self.looked.get_mut(&dir) {
            look.at = at;
        }
        if !self.suspects.is_empty() {
            self.suspected = at;
        }
    }

    /// Directories that were looked at through one of those that are `moving`,
    /// with whether all below was crawled.
    pub fn through<'a>(
        &'a self,
        moving: &'a IndexSet<Key>,
    ) -> impl Iterator<Item = (Key, bool)> + 'a {
        let led_through = |look: &&Look| look.way.iter().any(|step| moving.contains(step));
        let looks = self.looked.iter();
        let looks = looks.filter(|(_, look)| look.is_in_doubt(self.beyond));
        looks.filter_map(move |(&key, look)| led_through(&look).then_some((key, look.crawled)))
    }

    /// Whether all below this directory was crawled by path.
    pub fn was_crawled(&self, dir: Key) -> bool {
        let look = self.looked.get(&dir);
        look.is_some_and(|look| look.crawled && look.is_in_doubt(self.beyond))
    }

    /// A crawl met a directory that was another inode than its entry said. Mostly
    /// that is a mount point, or a file system that puts any number there; or it was
    /// renamed just then, and its stream may be that of another.
    pub fn suspect(&mut self, parent: Key, dir: Key) {
        self.suspects.entry(parent).or_default().push(dir);
        self.suspected = self.now;
    }

    /// The suspects in a directory, who are suspects no longer.
    pub fn take_suspects(&mut self, parent: Key) -> Vec<Key> {
        if self.suspects.is_empty() {
            return Vec::new();
        }
        self.suspects.remove(&parent).unwrap_or_default()
    }

    /// A turn ends whose notes have all been heeded: what was looked at long
    /// enough before it is beyond doubt.
    pub fn end(&mut self) {
        let now = self.now;
        if self.suspected + WINDOW <= now {
            self.suspects = HashMap::new();
        }
        self.beyond = now;
        if self.purged + WINDOW / PURGES > now {
            return;
        }
        self.purged = now;
        let spare = &mut self.spare;
        self.looked.retain(|_, look| {
            let keep = look.is_in_doubt(now);
            if !keep && spare.len() < SPARE {
                look.way.clear();
                spare.push(std::mem::take(&mut look.way));
            }
            keep
        });
        if self.looked.is_empty() {
            self.looked.reset();
        }
    }
}
