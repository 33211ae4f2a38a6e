//! Which entries have a watch when not all can have one, and when the others are
//! looked at.
//!
//! A watch goes to the entry it is worth most to: directories first, because they
//! show what comes and goes, then files, by how recently they changed. What is polled
//! and changes makes a claim; if there is no room, what is worth less gives way.
//!
//! What has no watch is looked at in rounds, a bounded number of looks at each tick.

use super::watch::Watch;
use crate::kernel::{Kernel, Token};
use std::collections::BTreeMap;
use std::time::Duration;

/// How what has no watch is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Polling {
    /// Between two ticks.
    pub interval: Duration,
    /// How many looks a tick owes at most.
    pub looks: usize,
}

impl Default for Polling {
    fn default() -> Polling {
        Polling {
            interval: Duration::from_secs(1),
            looks: 2500,
        }
    }
}

/// What a watch is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// An entry that is polled all the same.
    Polled,
    /// A file, or a link.
    File,
    /// A directory.
    Dir,
    /// The root.
    Root,
}

/// How much a watch is worth; more is kept for longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Worth {
    /// What it is for.
    pub rank: Rank,
    /// When that changed last.
    pub changed_ns: i64,
}

/// In every so many rounds a polled directory is listed whatever its times say: they
/// may have been set back, or be coarse.
const THOROUGH: u64 = 4;

/// A round of looks at all that is polled.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    began: Duration,
    /// Whether directories are listed whatever their times say.
    pub thorough: bool,
    /// The watch that it has come to.
    pub at: i32,
}

/// The watches of a handle, and the rounds.
#[derive(Default, Debug)]
pub struct Budget {
    /// How the rounds are made.
    pub polling: Polling,
    /// What has a watch, the least worthy last. Put in order when it has been used up:
    /// an entry that has changed since is passed over.
    order: Vec<(Worth, Token)>,
    /// How many watches had been opened when that was done, if nothing was passed over
    /// since: those that came later are not in it.
    opened: Option<u64>,
    /// The kernel refused a watch although one had just been given up for it: there is
    /// no use in giving up more, until the next round.
    pub barren: bool,
    round: Option<Round>,
    rounds: u64,
    took: Duration,
}

impl Budget {
    /// The round under way, or a new one.
    pub fn round(&mut self, now: Duration, thorough: bool) -> Round {
        *self.round.get_or_insert_with(|| {
            self.barren = false;
            Round {
                began: now,
                thorough: thorough || self.rounds % THOROUGH == 0,
                at: 0,
            }
        })
    }

    /// Whether a round is under way.
    pub fn is_under_way(&self) -> bool {
        self.round.is_some()
    }

    /// It has come to this watch, and goes on with it at the next tick.
    pub fn pause(&mut self, at: i32) {
        if let Some(round) = &mut self.round {
            round.at = at;
        }
    }

    /// Everything was looked at.
    pub fn complete(&mut self, now: Duration) {
        if let Some(round) = self.round.take() {
            self.rounds += 1;
            self.took = now.saturating_sub(round.began) + self.polling.interval;
        }
    }

    /// Whatever was under way begins anew.
    pub fn interrupt(&mut self) {
        self.round = None;
    }

    /// Complete rounds so far, and how long it took until all was looked at once more.
    pub fn rounds(&self) -> (u64, Duration) {
        (self.rounds, self.took)
    }

    /// Nothing is polled.
    pub fn rest(&mut self) {
        self.round = None;
        self.order = Vec::new();
    }

    /// A watch was opened that is no file's.
    pub fn opened_directory(&mut self, before: u64, now: u64) {
        if self.opened == Some(before) {
            self.opened = Some(now);
        }
    }

    /// The watch that is worth least, if it is worth less than `than`.
    pub fn least<K: Kernel>(
        &mut self,
        kernel: &K,
        watches: &BTreeMap<i32, Watch>,
        than: Option<Worth>,
    ) -> Option<Token> {
        let worth = |token: Token| watches.get(&token.watch())?.worth::<K>(token);
        let opened = kernel.counters().opens;
        for again in [true, false] {
            while let Some((before, token)) = self.order.pop() {
                let now = worth(token).filter(|_| kernel.is_watched(token));
                if now.is_none_or(|now| now > before) {
                    self.opened = self.opened.filter(|_| now.is_none());
                    continue;
                }
                if than.is_some() && kernel.is_shared(token) {
                    continue; // That would make no room.
                }
                // There may be a file among those that came later.
                let is_file = before.rank <= Rank::File;
                if again && !K::NAMES && !is_file && self.opened != Some(opened) {
                    break;
                }
                if than.is_some_and(|than| before >= than) {
                    self.order.push((before, token));
                    return None;
                }
                return Some(token);
            }
            if again {
                let all = kernel.tokens();
                let order = all.filter_map(|token| Some((worth(token)?, token)));
                self.order = order.collect();
                self.opened = Some(opened);
                self.order.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        None
    }
}
