//! Notes in, events out.
//!
//! A kernel's note is only a reason to look. The engine looks, compares with
//! the [snapshot](crate::tree), and what differs is the event stream. One turn:
//!
//! 1. [`dirty`]: notes become looks that are owed, each once;
//! 2. [`look`]: the looks are made and taken down beside the snapshot;
//! 3. [`moves`]: what vanished is paired with what appeared;
//! 4. [`sequence`]: the differences are carried out on the snapshot in an order
//!    that can be applied, each step being one [`event`];
//! 5. [`recent`]: looks by path that a rename made doubtful are owed again.
//!
//! Which entries there are at all for a watch is the affair of the [`filter`] and of
//! [`gitignore`].
//! Which entries have a watch if not all can, and when the others are looked at, is
//! the [`budget`]'s affair.
//!
//! There is no system call here, no clock and no condition on the operating
//! system: all that is behind [`Kernel`].

pub mod budget;
pub mod defect;
pub mod dirty;
pub mod event;
pub mod filter;
pub mod gitignore;
pub mod look;
pub mod moves;
pub mod progress;
pub mod recent;
pub mod replay;
pub mod sequence;
pub mod watch;
pub mod words;

use crate::collections::IndexMap;
use crate::kernel::{Errno, Kernel, Note, Notes, Now, Token, What};
use crate::tree::image::Damaged;
use budget::{Budget, Polling, Rank, Worth};
use defect::{planted, Defect};
use event::{Batch, Emitter};
use look::token;
use progress::Progress;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use watch::{Options, Watch};

/// How many turns are taken in a row before the caller gets a say. A tree in
/// which directories are renamed all the time may always owe one more look.
const TURNS: usize = 64;

/// Several watches over one kernel.
#[derive(Debug)]
pub struct Engine<K> {
    kernel: K,
    watches: BTreeMap<i32, Watch>,
    last_watch: i32,
    sequence: u64,
    notes: Notes,
    overflows: u64,
    /// Notes of directories, which may have come before their change was complete,
    /// with the time when it surely is; and a look at each that is watched only now,
    /// of which such a note may have come before the watch.
    early: IndexMap<(Token, What), Duration>,
    /// When the last turn began: if no note waits at the next one, all that were
    /// posted before have been fetched.
    last_turn: Duration,
    progress: Arc<Progress>,
    /// Whether there is a watch in which something has to settle: most often there is none,
    /// and they need not be asked one by one, several times in each turn.
    settling: bool,
    /// What is fetched in so many turns need not settle: it may have happened before the
    /// caller asked for all there is.
    hurried: u8,
    /// When what is polled is looked at next.
    next_tick: Option<Duration>,
    budget: Budget,
}

impl<K: Kernel> Engine<K> {
    /// An engine without watches.
    pub fn new(kernel: K) -> Engine<K> {
        Engine {
            kernel,
            watches: BTreeMap::new(),
            last_watch: 0,
            sequence: 0,
            notes: Notes::default(),
            overflows: 0,
            early: IndexMap::default(),
            last_turn: Duration::ZERO,
            progress: Arc::default(),
            settling: false,
            hurried: 0,
            next_tick: None,
            budget: Budget::default(),
        }
    }

    /// Says how many watches there may be; what is above that is given up at once. What
    /// there is more room for now is watched in the next round.
    pub fn set_limit(&mut self, limit: Option<usize>) {
        // An ancestor's watch may go, and its notes with it. An error will show when the
        // next turn fetches.
        let _ = self.fetch();
        self.kernel.room_mut().set_limit(limit);
        self.kernel.reopen_room();
        self.budget.barren = false;
        for watch in self.watches.values_mut() {
            watch.reconsider_anchors(&mut self.kernel);
        }
        self.balance();
        self.plan_deadline();
    }

    /// Says how what has no watch is looked at.
    pub fn set_polling(&mut self, polling: Polling) {
        self.budget.polling = polling;
    }

    /// Complete rounds of looks at all that is polled, and how long it took in the last
    /// one until everything was looked at once more.
    pub fn rounds(&self) -> (u64, Duration) {
        self.budget.rounds()
    }

    /// Watches a root. When this returns, the snapshot stands: what changes from
    /// then on is reported.
    pub fn add(&mut self, spelling: &[u8], path: &Path, options: Options) -> Result<i32, Errno> {
        let id = self.last_watch.checked_add(1).ok_or(Errno::FULL)?;
        self.last_watch = id;
        let progress = Arc::clone(&self.progress);
        progress.begin();
        let watch = Watch::open(&mut self.kernel, id, spelling, path, options, &progress);
        progress.end();
        self.insert(id, watch?);
        // What changed during the crawl, and until watches had found their places, belongs
        // to the tree as it is now, not to the events.
        let mut balanced = false;
        for _ in 0..TURNS {
            if let Err(error) = self.fetch() {
                self.remove(id);
                return Err(error);
            }
            let Some(watch) = self.watches.get_mut(&id) else {
                break;
            };
            if watch.dirty.is_empty() {
                if balanced {
                    break;
                }
                self.balance();
                balanced = true;
                continue;
            }
            Self::turn_of(
                watch,
                &mut self.kernel,
                &mut self.notes,
                None,
                &mut self.sequence,
                None,
            );
            self.distribute();
        }
        self.await_begun();
        if let Some(watch) = self.watches.get_mut(&id) {
            watch.begin();
        }
        self.plan_deadline();
        Ok(id)
    }

    /// Watches a root of which a snapshot was saved. What has changed since is told by the
    /// turns that follow, and then that this was all.
    pub fn resume(
        &mut self,
        spelling: &[u8],
        path: &Path,
        options: Options,
        saved: &[u8],
    ) -> Result<Result<i32, Damaged>, Errno> {
        let id = self.last_watch.checked_add(1).ok_or(Errno::FULL)?;
        let kernel = &mut self.kernel;
        let watch = match Watch::resume(kernel, id, spelling, path, options, saved)? {
            Ok(watch) => watch,
            Err(damaged) => return Ok(Err(damaged)),
        };
        self.last_watch = id;
        self.insert(id, watch);
        Ok(Ok(id))
    }

    fn insert(&mut self, id: i32, watch: Watch) {
        self.settling |= watch.settles();
        self.watches.insert(id, watch);
    }

    /// What has been told of a watch, as bytes to be kept; `None` if there is no such watch.
    pub fn save(&self, id: i32) -> Option<Vec<u8>> {
        self.watches.get(&id).map(Watch::save)
    }

    /// Ends a watch. Whether there was one.
    pub fn remove(&mut self, id: i32) -> bool {
        match self.watches.remove(&id) {
            Some(mut watch) => {
                watch.close(&mut self.kernel);
                self.settling = self.watches.values().any(Watch::settles);
                true
            }
            None => false,
        }
    }

    /// Fetches notes from the kernel.
    fn fetch(&mut self) -> Result<(), Errno> {
        self.kernel.notes(&mut self.notes)?;
        self.distribute();
        Ok(())
    }

    /// Hands fetched notes to the watches they are for.
    fn distribute(&mut self) {
        let hurried = self.hurried > 0 && !planted(Defect::SyncLetsSettle);
        let settling = self.settling && !hurried && !self.notes.is_empty();
        let now = settling.then(|| self.kernel.now().since);
        let due = K::EARLY.map(|delay| self.kernel.now().since + delay);
        for note in self.notes.iter() {
            if note == Note::Overflow {
                self.overflows += 1;
            }
            if let (Some(due), Note::Entry(token, what)) = (due, note) {
                let early = what.has(What::WRITE) && may_be_early(&self.watches, token);
                if early && !planted(Defect::EarlyIsComplete) {
                    self.early.insert((token, What::WRITE), due);
                }
            }
            heed(&mut self.watches, &note, now);
        }
        self.notes.clear();
    }

    /// Directories that are watched since this turn are looked at once more when what
    /// was told of before must be complete.
    fn await_begun(&mut self) {
        let Some(delay) = K::EARLY else {
            return;
        };
        let due = self.kernel.now().since + delay;
        for (id, watch) in &mut self.watches {
            for key in watch.take_begun() {
                let what = What::UNTOLD | What::LIST;
                self.early.insert((token(*id, key), what), due);
            }
        }
    }

    fn turn_of(
        watch: &mut Watch,
        kernel: &mut K,
        foreign: &mut Notes,
        batch: Option<&mut Batch>,
        sequence: &mut u64,
        now: Option<Now>,
    ) {
        let now = now.unwrap_or_else(|| kernel.now());
        let root = watch.spelling();
        let mut emit = Emitter {
            batch,
            sequence,
            watch: watch.id(),
            root: &root,
            mask: watch.mask(),
            expanded: watch.is_expanded(),
        };
        watch.turn(kernel, &mut emit, foreign, now);
    }

    /// Fetches notes unless none waits, makes the looks that are owed and
    /// writes what they show into `batch`. When it leaves `batch` empty and
    /// answers `false`, everything that had happened before the call has been
    /// reported; `true` says that more looks are owed.
    pub fn turn(&mut self, fetch: bool, batch: &mut Batch) -> Result<bool, Errno> {
        let began = self.kernel.now();
        if fetch || self.kernel.due().is_some_and(|due| due <= began.since) {
            self.fetch()?;
        } else {
            let watches = self.watches.values_mut();
            let heeded = watches.filter(|w| w.dirty.is_empty());
            heeded.for_each(|w| w.rest(self.last_turn));
        }
        self.due();
        // Later it is later: looks may take their time.
        let mut now = Some(began);
        for _ in 0..TURNS {
            let mut idle = true;
            for watch in self.watches.values_mut() {
                if !watch.owes() {
                    continue;
                }
                idle = false;
                let sequence = &mut self.sequence;
                Self::turn_of(
                    watch,
                    &mut self.kernel,
                    &mut self.notes,
                    Some(batch),
                    sequence,
                    now.take(),
                );
            }
            self.distribute();
            if idle || !batch.is_empty() {
                break;
            }
        }
        self.balance();
        self.await_begun();
        self.plan_deadline();
        self.last_turn = began.since;
        self.hurried = match fetch {
            true => self.hurried.saturating_sub(1),
            false => 0,
        };
        Ok(self.owes())
    }

    /// When the last turn began.
    pub fn last_turn(&self) -> Duration {
        self.last_turn
    }

    /// Whether looks are owed that could be made now.
    pub fn owes(&self) -> bool {
        self.watches.values().any(Watch::owes)
    }

    /// Owes the looks whose time has come.
    fn due(&mut self) {
        let settling = self.settling && self.settled_at().is_some();
        if self.early.is_empty() && self.next_tick.is_none() && !settling {
            return;
        }
        let now = self.kernel.now().since;
        let settled = |watch: &&mut Watch| watch.settled_at().is_some_and(|at| at <= now);
        if settling {
            self.watches
                .values_mut()
                .filter(settled)
                .for_each(Watch::settle);
        }
        let watches = &mut self.watches;
        self.early.retain(|&(token, what), at| {
            let due = *at <= now;
            if due && may_be_early(watches, token) {
                heed(watches, &Note::Entry(token, what), None);
            }
            !due
        });
        if self.next_tick.is_some_and(|at| at <= now) {
            self.next_tick = None;
            self.tick();
        }
    }

    /// Owes some looks at what is polled.
    fn tick(&mut self) {
        if self.watches.values().all(|w| !w.needs_ticks()) {
            return self.budget.rest();
        }
        let looks = self.budget.polling.looks;
        if self.look_at_polled(looks, false) {
            self.budget.complete(self.kernel.now().since);
        }
    }

    /// Whether that was everything.
    fn look_at_polled(&mut self, mut looks: usize, thorough: bool) -> bool {
        let now = self.kernel.now().since;
        if !self.budget.is_under_way() {
            self.kernel.reopen_room(); // Others may have given back something.
        }
        let round = self.budget.round(now, thorough);
        let room = !self.kernel.is_full();
        for (id, watch) in self.watches.range_mut(round.at..) {
            if !watch.tick::<K>(&mut looks, round.thorough, room) {
                self.budget.pause(*id);
                return false;
            }
        }
        true
    }

    /// Looks at everything that no note may have told of, now.
    pub fn sync(&mut self) {
        self.hurried = 2;
        self.budget.interrupt();
        for watch in self.watches.values_mut() {
            watch.sync();
        }
        if self.watches.values().any(Watch::needs_ticks) {
            self.look_at_polled(usize::MAX, true);
            self.budget.interrupt(); // It was none of the rounds that are counted.
        }
        self.hasten();
    }

    /// Watches are given up where there are more than are allowed, and where something
    /// that has none needs one more.
    fn balance(&mut self) {
        let mut claims: Vec<(Worth, Token)> = Vec::new();
        for watch in self.watches.values_mut() {
            watch.take_claims::<K>(&mut claims);
        }
        // (What has one may be polled because it cannot be read.)
        claims.retain(|(_, token)| !self.kernel.is_watched(*token));
        let mut fetched = None;
        while self.is_in_excess() {
            let fetched = self.fetch_once(&mut fetched);
            if self.give_up_least(None, fetched).is_none() {
                for watch in self.watches.values_mut() {
                    watch.give_up_anchors(&mut self.kernel);
                }
                break;
            }
        }
        claims.sort_unstable_by(|a, b| b.cmp(a));
        for (worth, token) in claims {
            let watch = self.watches.get_mut(&token.watch());
            if self.kernel.is_full() && watch.is_some_and(|w| w.renounce(token)) {
                continue;
            }
            let mut given_up = None;
            if self.kernel.is_full() && !self.budget.barren {
                let fetched = self.fetch_once(&mut fetched);
                if self.kernel.is_full() {
                    given_up = self.give_up_least(Some(worth), fetched);
                }
            }
            if self.kernel.is_full() {
                break;
            }
            let opened = self.kernel.counters().opens;
            match (self.grant(token), given_up) {
                (Err(error), _) if error.is_exhaustion() => {
                    self.budget.barren |= given_up.is_some();
                    break;
                }
                // It cannot be watched at all, or in vain.
                (Err(_), Some(other)) => {
                    self.kernel.unwatch(token);
                    let _ = self.grant(other);
                }
                (Ok(()), _) if worth.rank > Rank::File => {
                    let now = self.kernel.counters().opens;
                    self.budget.opened_directory(opened, now);
                }
                _ => {}
            }
        }
        self.make_room_for_anchors(&mut fetched);
    }

    /// With a watch the notes go that wait for it: before one is given up they are
    /// fetched. Answers when that was.
    fn fetch_once(&mut self, fetched: &mut Option<Now>) -> Now {
        if let Some(now) = *fetched {
            return now;
        }
        let now = self.kernel.now();
        *fetched = Some(now);
        let _ = self.fetch(); // An error will show when the next turn fetches.
        now
    }

    fn is_in_excess(&self) -> bool {
        self.kernel.room().excess(self.kernel.held().0 as usize) > 0
    }

    /// Gives up the watch that is worth least, if it is worth less than this.
    fn give_up_least(&mut self, than: Option<Worth>, fetched: Now) -> Option<Token> {
        let token = self.budget.least(&self.kernel, &self.watches, than)?;
        let watch = self.watches.get_mut(&token.watch())?;
        watch.evict(&mut self.kernel, token, fetched);
        Some(token)
    }

    fn grant(&mut self, token: Token) -> Result<(), Errno> {
        match self.watches.get_mut(&token.watch()) {
            Some(watch) => watch.grant(&mut self.kernel, token),
            None => Ok(()),
        }
    }

    /// A root whose ancestors could not be watched for want of room gets it.
    fn make_room_for_anchors(&mut self, fetched: &mut Option<Now>) {
        let than = Worth {
            rank: Rank::Root,
            changed_ns: i64::MIN,
        };
        let claiming = self.watches.iter().filter(|(_, w)| w.claims_anchors());
        let ids: Vec<i32> = claiming.map(|(&id, _)| id).collect();
        for id in ids {
            let watch = self.watches.get_mut(&id).filter(|_| !self.budget.barren);
            let levels = watch.map_or(0, |w| w.claim_of_anchors(&self.kernel));
            if levels == 0 {
                continue;
            }
            let spare = self.kernel.room().spare(self.kernel.held().0 as usize);
            if spare >= levels {
                continue;
            }
            let fetched = self.fetch_once(fetched);
            for _ in spare..levels {
                if self.give_up_least(Some(than), fetched).is_none() {
                    break;
                }
            }
        }
    }

    /// Makes the looks now that were to wait until a change is complete: one
    /// that was complete before the caller asked is seen by them.
    pub fn hasten(&mut self) -> bool {
        for &(token, what) in self.early.keys() {
            if may_be_early(&self.watches, token) {
                heed(&mut self.watches, &Note::Entry(token, what), None);
            }
        }
        !self.early.is_empty()
    }

    /// Asks the kernel to wake us for the next look that waits for its time.
    fn plan_deadline(&mut self) {
        if self.watches.values().all(|w| !w.needs_ticks()) {
            self.next_tick = None;
            self.budget.rest();
            self.kernel.room_mut().reopen(); // It is asked again when the need arises.
        } else if self.next_tick.is_none() {
            self.next_tick = Some(self.kernel.now().since + self.budget.polling.interval);
        }
        // A kernel may have no descriptor left for a timer. Who waits in `poll`
        // wakes all the same (see `patience`), and the next turn asks again.
        let _ = self.kernel.set_deadline(self.deadline());
    }

    fn deadline(&self) -> Option<Duration> {
        let early = self.early.values().copied().min();
        let settled = self.settling.then(|| self.settled_at()).flatten();
        let least = early.into_iter().chain(settled).chain(self.next_tick).min();
        match self.kernel.due() {
            None => least,
            held => held.into_iter().chain(least).min(),
        }
    }

    /// When the first of what has to settle will have done so.
    fn settled_at(&self) -> Option<Duration> {
        self.watches.values().filter_map(Watch::settled_at).min()
    }

    /// How long until the next look that waits for its time.
    pub fn patience(&self) -> Option<Duration> {
        let at = self.deadline()?;
        Some(at.saturating_sub(self.kernel.now().since))
    }

    /// Why something is polled, if anything is; and whether that is for the limit that was
    /// set.
    pub fn reason(&self) -> Option<(Errno, bool)> {
        let why = self.watches.values().find_map(Watch::reason)?;
        let room = self.kernel.room();
        let (held, limit) = (self.kernel.held().0 as usize, room.limit());
        let refused = room.last_refusal().filter(|_| why.is_exhaustion());
        let reached = limit.is_some_and(|limit| held >= limit) && why.is_exhaustion();
        let given_up = why == Errno::FULL && refused.is_none();
        Some((refused.unwrap_or(why), reached || given_up))
    }

    /// Whether a round has begun and not come to its end.
    pub fn is_round_under_way(&self) -> bool {
        self.budget.is_under_way()
    }

    /// How far the first crawl has come that is under way; to end it, too.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The kernel.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The kernel, to let things happen in it.
    #[cfg(feature = "sim")]
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// The watches.
    pub fn watches(&self) -> impl Iterator<Item = &Watch> + '_ {
        self.watches.values()
    }

    /// Times that the kernel said that it had lost notes.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }
}

/// Whether the change that a note tells of may be incomplete: one of a directory's
/// entries. A file that is written to has been. (A root may turn from one to the other.)
fn may_be_early(watches: &BTreeMap<i32, Watch>, token: Token) -> bool {
    let watch = watches.get(&token.watch());
    watch.is_some_and(|w| w.is_directory(token))
}

/// `now`: what was fetched then, which may have to settle.
fn heed(watches: &mut BTreeMap<i32, Watch>, note: &Note<'_>, now: Option<Duration>) {
    let heed = |watch: &mut Watch| match now {
        Some(now) => watch.heed_in_time(note, now),
        None => watch.heed(note),
    };
    match note.watch() {
        None => watches.values_mut().for_each(heed),
        Some(id) => watches.get_mut(&id).map_or((), heed),
    }
}
