//! The engine in a simulated world: carries out a script, folds the events over
//! the tree as it was, and checks the promise at every quiet moment.
#![allow(dead_code)] // Each test uses its part.

pub mod generate;
pub mod script;
pub mod shrink;
pub mod wish;

use kw::engine::budget::Polling;
use kw::engine::defect::{plant, Defect};
use kw::engine::event::{flag, kind, Batch, Event};
use kw::engine::replay::{replay, Node as Leaf, Replayed};
use kw::engine::watch::Watch;
use kw::engine::Engine;
use kw::kernel::sim::files::{Files, Node};
use kw::kernel::sim::ops::{escape, Op};
use kw::kernel::sim::systems::System;
use kw::kernel::sim::{absolute, ByName, ByVnode, ByVnodeEarly, Family, Scheduled, Sim};
use kw::kernel::{Counters, Id, Kernel, Kind, Stat, Token};
use kw::tree::{Key, Marks};
use script::{Expected, Script, Step};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wish::{Rule, Wish};

/// A number from the environment.
pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Calls `job` with 0, 1, 2, ... on every core, until it answers that there is no
/// more. Panics within it are results, and not printed.
pub fn on_all_cores(job: impl Fn(usize) -> bool + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| while job(next.fetch_add(1, Ordering::Relaxed)) {});
        }
    });
    let _ = std::panic::take_hook();
}

/// What a run brought.
#[derive(Default, Debug)]
pub struct Report {
    /// Every event, in the words of a scenario.
    pub lines: Vec<String>,
    /// Quiet moments at which everything was checked.
    pub checks: usize,
    /// What the kernel was asked.
    pub counters: Counters,
    /// What was to happen while the engine worked, and came too late for that.
    pub left: Vec<Op>,
}

/// Runs a script on a system. `Err` says what was wrong.
pub fn run(script: &Script, system: &'static System) -> Result<Report, String> {
    match (system.inotify, system.early) {
        (true, _) => Trial::<ByName>::run(script, system),
        (false, false) => Trial::<ByVnode>::run(script, system),
        (false, true) => Trial::<ByVnodeEarly>::run(script, system),
    }
}

/// The defect that `KW_DEFECT` names: with it a developer sees what finds it.
fn wanted_defect() -> Option<Defect> {
    static WANTED: OnceLock<Option<Defect>> = OnceLock::new();
    *WANTED.get_or_init(|| {
        let name = std::env::var("KW_DEFECT").ok()?;
        let defect = Defect::ALL.iter().find(|d| format!("{d:?}") == name);
        Some(*defect.unwrap_or_else(|| panic!("no defect {name}")))
    })
}

/// The same; a panic is an error, too.
pub fn try_run(script: &Script, system: &'static System) -> Result<Report, String> {
    if let Some(defect) = wanted_defect() {
        plant(Some(defect));
    }
    let caught = std::panic::catch_unwind(|| run(script, system));
    caught.unwrap_or_else(|why| {
        let text = why.downcast_ref::<String>().cloned();
        let text = text.or_else(|| why.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Longer than any granule of a clock that a script may ask for.
const GRANULES: Duration = Duration::from_secs(3);

/// More moments than the engine's calls for one change in any scenario.
const MOMENTS: u32 = 1000;

/// Runs a script once, or once for each moment at which its operations for each
/// moment can happen. Answers how often.
pub fn try_each(script: &Script, system: &'static System) -> Result<usize, String> {
    let mut runs = 0;
    each(script, system, &mut runs)?;
    Ok(runs)
}

/// Answers what came too late in every run.
fn each(script: &Script, system: &'static System, runs: &mut usize) -> Result<Vec<Op>, String> {
    let each_of = |step: &Step| matches!(step, Step::Each(_));
    let Some(at) = script.steps.iter().position(each_of) else {
        *runs += 1;
        return Ok(try_run(script, system)?.left);
    };
    let Step::Each(scheduled) = script.steps[at].clone() else {
        unreachable!("as found above");
    };
    let op = scheduled.op.clone();
    let mut always: Option<Vec<Op>> = None;
    let mut one = script.clone();
    for after in 1..=MOMENTS {
        one.steps[at] = Step::Do(Scheduled {
            after,
            ..scheduled.clone()
        });
        let left = each(&one, system, runs).map_err(|why| format!("@{after} {op}: {why}"))?;
        let too_late = left.contains(&op);
        match &mut always {
            Some(always) => always.retain(|op| left.contains(op)),
            None => always = Some(left),
        }
        if too_late {
            return Ok(always.unwrap_or_default());
        }
    }
    Err(format!("there is no end to the moments for {op}"))
}

/// A watch, and the caller's idea of its tree.
struct Watched {
    id: i32,
    label: String,
    /// Where it is, symbolic links resolved.
    root: Vec<u8>,
    /// The path that was given, if links lead from there to the root.
    given: Option<Vec<u8>>,
    wish: Wish,
    replayed: Replayed,
    /// The content of every file at the last quiet moment.
    contents: HashMap<Node, Content>,
    /// Files of which new content was told since: the version that had been seen by then.
    told: HashMap<Id, u64>,
    /// What has moved with a directory, and is to be told of at once.
    expanded: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

impl Watched {
    /// A directory that moves is followed by all that is in it, if that is wanted.
    fn expand(&mut self, event: &Event<'_>) -> Result<(), String> {
        let relative = |path: &[u8]| path[event.root_len.min(path.len())..].to_vec();
        let moved = (
            relative(event.path),
            relative(event.dest.unwrap_or_default()),
        );
        if event.flags & flag::EXPANDED != 0 {
            return match self.expanded.remove(&moved) {
                true => Ok(()),
                false => Err(format!("{}: not expected", describe(event, ""))),
            };
        }
        self.check_expanded()?;
        if event.kind == kind::MOVED && self.wish.expanded {
            let (mut path, mut dest) = moved;
            path.push(b'/');
            dest.push(b'/');
            let below = self.replayed.keys().filter_map(|p| p.strip_prefix(&*path));
            let moved = |rest: &[u8]| ([&path, rest].concat(), [&dest, rest].concat());
            self.expanded = below.map(moved).collect();
        }
        Ok(())
    }

    fn check_expanded(&self) -> Result<(), String> {
        match self.expanded.first() {
            None => Ok(()),
            Some((path, _)) => Err(format!("{:?}: not told as moved, too", escape(path))),
        }
    }
}

/// How often a file's content and its permissions were changed.
type Content = (u64, u64);

/// The tree as it is.
#[derive(Default)]
struct World {
    tree: Replayed,
    /// Paths below which nothing can be known.
    closed: Vec<Vec<u8>>,
    /// Files whose content no kernel told of.
    silent: BTreeSet<Vec<u8>>,
    modes: BTreeMap<Vec<u8>, u32>,
    files: BTreeMap<Vec<u8>, Node>,
}

/// A run.
pub struct Trial<F> {
    pub engine: Engine<Sim<F>>,
    watches: Vec<Watched>,
    batch: Batch,
    report: Report,
    /// Calls and operations up to the last quiet moment, and entries then.
    settled: (Counters, u64, u64),
    /// Events since the last poll of the script.
    pub told: Vec<String>,
    polling: Polling,
    /// Nothing has been polled since the last sync.
    synced: bool,
    /// What was saved under a name, and the caller's idea of the tree by then.
    saved: HashMap<String, Saved>,
}

/// What was known of a watch.
struct Saved {
    image: Vec<u8>,
    replayed: Replayed,
    contents: HashMap<Node, Content>,
    told: HashMap<Id, u64>,
}

fn leaf(stat: &Stat) -> Leaf {
    let is_dir = stat.kind == Kind::Dir;
    Leaf {
        flags: match stat.kind {
            Kind::Dir => flag::IS_DIR,
            Kind::Symlink => flag::IS_SYMLINK,
            _ => 0,
        },
        inode: stat.id.ino,
        size: if is_dir { 0 } else { stat.size },
        mtime_ns: if is_dir { 0 } else { stat.mtime_ns },
    }
}

/// An event in the words of a scenario.
fn describe(event: &Event<'_>, label: &str) -> String {
    let path = |path: &[u8]| {
        let relative = &path[event.root_len.min(path.len())..];
        let mark = match event.flags {
            f if f & flag::IS_DIR != 0 => "/",
            f if f & flag::IS_SYMLINK != 0 => "@",
            _ => "",
        };
        if relative.is_empty() {
            return ".".to_string(); // As in the C tests, without a mark.
        }
        format!("{}{mark}", escape(relative))
    };
    let what = match event.kind {
        kind::CREATED => "CREATED",
        kind::DELETED => "DELETED",
        kind::MODIFIED if event.flags & flag::REPLACED != 0 => "MODIFIED|REPLACED",
        kind::MODIFIED => "MODIFIED",
        kind::ATTRIB => "ATTRIB",
        kind::MOVED if event.flags & flag::EXPANDED != 0 => "MOVED|EXPANDED",
        kind::MOVED => "MOVED",
        kind::RESCANNED => "RESCANNED",
        kind::ROOT_GONE => "ROOT_GONE",
        kind::ROOT_BACK => "ROOT_BACK",
        kind::READY => "READY",
        kind::UNMOUNTED => "UNMOUNTED",
        kind::DEGRADED => "DEGRADED",
        kind::ERROR => "ERROR",
        _ => "?",
    };
    let mut line = format!("{what} {}", path(event.path));
    if let Some(dest) = event.dest {
        line = format!("{what} {} -> {}", path(event.path), path(dest));
    }
    if event.kind == kind::DEGRADED && event.count == 0 {
        line += " ended";
    }
    if event.kind == kind::ERROR {
        line += &format!(" errno={}", event.error);
    }
    if label.is_empty() {
        line
    } else {
        format!("{label}: {line}")
    }
}

impl<F: Family> Trial<F> {
    pub fn new(system: &'static System) -> Trial<F> {
        let mut engine = Engine::new(Sim::new(system));
        let progress = Arc::clone(engine.progress());
        engine.kernel_mut().progress = Some(progress);
        Trial {
            engine,
            watches: Vec::new(),
            batch: Batch::default(),
            report: Report::default(),
            settled: Default::default(),
            told: Vec::new(),
            polling: Polling::default(),
            synced: false,
            saved: HashMap::new(),
        }
    }

    fn run(script: &Script, system: &'static System) -> Result<Report, String> {
        let mut trial = Trial::<F>::new(system);
        trial.sim().trace = std::env::var_os("KW_TRACE").is_some();
        for step in &script.steps {
            trial.step(step)?;
        }
        trial.quiet()?;
        trial.audit()?;
        trial.close()?;
        Ok(trial.report)
    }

    /// The kernel.
    pub fn sim(&mut self) -> &mut Sim<F> {
        self.engine.kernel_mut()
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Do(scheduled) => {
                self.synced = false;
                let sim = self.sim();
                if scheduled.after == 0 && sim.agenda.is_empty() {
                    sim.act(scheduled.clone());
                } else {
                    sim.agenda.push_back(scheduled.clone());
                }
            }
            Step::Each(_) => return Err("a script for each moment is run by `each`".to_string()),
            Step::Granule(ns) => self.sim().files.granule_ns = *ns,
            Step::Casefold => self.sim().files.fold = self.sim().system.folds,
            Step::Kindless => self.sim().files.kinds = false,
            Step::Queue(n) => self.sim().queue.capacity = *n,
            Step::Pace(ns) => self.sim().pace = Duration::from_nanos(*ns),
            Step::Watch(wish) => {
                let added = self.watch_as(wish)?;
                if wish.succeeds.is_some_and(|wanted| wanted != added) {
                    return Err(format!("watch {}: {added}", escape(&wish.path)));
                }
            }
            Step::Unwatch(label) => {
                let at = self.watches.iter().position(|w| w.label == *label);
                if let Some(at) = at {
                    let watched = self.watches.remove(at);
                    self.engine.remove(watched.id);
                }
            }
            Step::Save(label, name) => self.save(label, name)?,
            Step::Sync => {
                self.engine.sync();
                self.synced = true;
            }
            Step::Peek => {
                self.peek()?;
                self.synced = false;
            }
            Step::Budget(limit) => {
                self.engine.set_limit(*limit);
                self.sim().performed += 1; // It has looks of its own.
                self.check_budget()?;
            }
            Step::Looks(looks) => {
                self.polling.looks = *looks;
                self.engine.set_polling(self.polling);
            }
            Step::Poll(expected, line) => {
                self.quiet()?;
                self.compare(expected)
                    .map_err(|why| format!("line {line}: {why}"))?;
                if expected.is_empty() {
                    self.audit()?;
                }
                self.told.clear();
            }
        }
        match self.sim().wrong.take() {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    /// Adds a watch of everything.
    pub fn watch(&mut self, path: &[u8]) -> Result<bool, String> {
        self.watch_as(&Wish {
            path: path.into(),
            ..Wish::default()
        })
    }

    /// Adds a watch. Whether there is one now.
    pub fn watch_as(&mut self, wish: &Wish) -> Result<bool, String> {
        let spelling = absolute(&wish.path);
        let options = wish.options();
        let os_path = Path::new(OsStr::from_bytes(&spelling));
        let quiet = !self.sim().is_pending();
        let first = self.watches.is_empty();
        let saved = self.saved.get(&wish.since);
        if saved.is_none() && !wish.since.is_empty() {
            return Ok(false); // What was to be saved had been refused.
        }
        let added = match saved {
            None => self.engine.add(&spelling, os_path, options.clone()),
            Some(saved) => {
                let resumed = self
                    .engine
                    .resume(&spelling, os_path, options.clone(), &saved.image);
                match resumed {
                    Ok(Err(damaged)) => return Err(format!("{damaged:?}")),
                    Ok(Ok(id)) => Ok(id),
                    Err(error) => Err(error),
                }
            }
        };
        // A watch that is refused is no failure: the root may be gone by now.
        let Ok(id) = added else {
            return Ok(false);
        };
        let mut watched = Watched {
            id,
            label: wish.label.clone(),
            root: Vec::new(),
            given: None,
            wish: wish.clone(),
            replayed: Replayed::new(),
            contents: HashMap::new(),
            told: HashMap::new(),
            expanded: BTreeSet::new(),
        };
        let watch = self.engine.watches().find(|w| w.id() == id);
        let watch = watch.expect("just added");
        watched.root = watch.root().as_os_str().as_bytes().to_vec();
        watched.given = watch.is_led().then_some(spelling);
        if let Some(saved) = self.saved.get(&wish.since) {
            watched.replayed = saved.replayed.clone();
            watched.contents = saved.contents.clone();
            watched.told = saved.told.clone();
            self.watches.push(watched);
            self.sim().performed += 3; // It has looks of its own.
            return Ok(true);
        }
        watched.replayed = snapshot(watch);
        if let Some(world) = world(self.sim(), &watched, false) {
            let wrong = difference(&watched.replayed, &world).filter(|_| quiet);
            if let Some(why) = wrong {
                return Err(format!("the first crawl: {why}"));
            }
            watched.contents = contents(&self.sim().files, &world);
        }
        if options.initial > 0 {
            watched.replayed.clear(); // Its events begin with nothing.
        }
        self.watches.push(watched);
        if first && quiet {
            self.sim().unveil(); // It has seen what is mounted.
        }
        self.check_budget()?;
        Ok(true)
    }

    /// Saves what was told of a watch.
    fn save(&mut self, label: &str, name: &str) -> Result<(), String> {
        self.peek()?;
        let Some(watched) = self.watches.iter().find(|w| w.label == label) else {
            return Ok(()); // It was refused.
        };
        let image = self.engine.save(watched.id).ok_or("no such watch")?;
        let saved = Saved {
            image,
            replayed: watched.replayed.clone(),
            contents: watched.contents.clone(),
            told: watched.told.clone(),
        };
        self.saved.insert(name.to_string(), saved);
        Ok(())
    }

    /// Polls until there is nothing to tell, and what has to settle has done so.
    pub fn poll(&mut self) -> Result<(), String> {
        self.peek()?;
        let settling = self.engine.watches().any(|w| w.settled_at().is_some());
        if std::mem::take(&mut self.synced) && settling && !self.sim().is_pending() {
            return Err("something has to settle after a sync".to_string());
        }
        for _ in 0..1000 {
            let settles = self.engine.watches().any(Watch::settles);
            let settled_at = self.engine.watches().filter_map(Watch::settled_at).min();
            let sim = self.sim();
            if let Some(at) = settled_at {
                let wait = at.saturating_sub(sim.now().since);
                if sim.deadline().is_none_or(|deadline| deadline > at) {
                    return Err("there is no deadline for what has to settle".to_string());
                }
                sim.pass(wait);
            } else if !settles || !sim.queue.is_readable() {
                return Ok(());
            }
            // (What was made when something had settled may have made a note of its own.)
            self.peek()?;
        }
        Err("there is no end to what has to settle".to_string())
    }

    /// Polls until there is nothing to tell, as `kw_poll` with a timeout of 0 does.
    /// Every event must apply.
    fn peek(&mut self) -> Result<(), String> {
        let mut rounds = 0;
        let start = self.sim().calls;
        let allowed = 20_000 + 200 * self.sim().agenda.len() as u64;
        loop {
            let notes = self.sim().queue.is_readable();
            let mut owed = self.turn(notes)?;
            let quiet = (!notes || rounds > 1) && !owed && self.batch.is_empty();
            rounds += 1;
            if quiet && self.engine.hasten() {
                owed = self.turn(false)?;
            }
            if !self.batch.is_empty() {
                rounds = 0;
            } else if quiet && !owed {
                return Ok(());
            }
            if self.sim().calls - start > allowed {
                return Err("the engine does not come to rest".to_string());
            }
        }
    }

    /// One turn. Whether looks are owed still. Every event must apply.
    pub fn turn(&mut self, fetch: bool) -> Result<bool, String> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let owed = self.engine.turn(fetch, &mut batch);
        for event in batch.iter() {
            let Some(watched) = self.watches.iter_mut().find(|w| w.id == event.watch) else {
                return Err(format!("event {} of no watch", event.sequence));
            };
            let line = describe(&event, &watched.label);
            if self.engine.kernel().trace {
                eprintln!("=> {line}");
            }
            self.told.push(line.clone());
            self.report.lines.push(line);
            watched.expand(&event)?;
            replay(&mut watched.replayed, &event)?;
            if event.kind & (kind::MODIFIED | kind::CREATED | kind::ROOT_BACK) != 0 {
                watched
                    .told
                    .insert(event.id, self.engine.kernel().seen(event.id));
            }
        }
        self.batch = batch;
        for watched in &self.watches {
            watched.check_expanded()?;
        }
        self.check_budget()?;
        owed.map_err(|error| format!("poll: {error}"))
    }

    /// Lets everything happen that is still to happen, then checks everything.
    pub fn quiet(&mut self) -> Result<(), String> {
        self.poll()?;
        // Whatever the engine left no time for happens now.
        while let Some(next) = self.sim().agenda.pop_front() {
            self.report.left.push(next.op.clone());
            self.sim().act(next);
        }
        self.sim().release(true);
        self.poll()?;
        self.check_cost()?;
        self.sim().mend();
        if self.is_polling() {
            // What was owed a second look because of a fault gets it, and what may
            // have been written to within a granule of the clock.
            for _ in 0..2 {
                self.sim().pass(GRANULES);
                self.rounds(1)?;
            }
        }
        self.check()?;
        if let Some(wrong) = self.sim().wrong.take() {
            return Err(wrong);
        }
        self.sim().settle();
        self.report.checks += 1;
        self.report.counters = self.sim().counters();
        self.settle_cost();
        Ok(())
    }

    /// The cost of what happened since the last quiet moment is bounded by it. What
    /// a single change may cost is asserted by `tests/model_cost.rs`; here changes
    /// meet in every way, and none may cost more than a few looks at all there is.
    fn check_cost(&mut self) -> Result<(), String> {
        const LOOKS: u64 = 5;
        let looks = |c: &Counters| c.listings + c.stats + c.opens;
        let (before, performed, entries) = self.settled;
        let cost = looks(&self.sim().counters()) - looks(&before);
        let performed = self.sim().performed - performed;
        // What is on the way to a root is looked at, too.
        let led = self.watches.iter().filter(|w| w.given.is_some()).count() as u64;
        let known = entries.max(self.entries()) + 10 * (1 + led);
        let allowed = LOOKS * (performed + 1) * known;
        match cost <= allowed {
            true => Ok(()),
            false => Err(format!("{cost} looks after {performed} operations")),
        }
    }

    fn entries(&self) -> u64 {
        self.engine.watches().map(|w| w.entries() as u64).sum()
    }

    fn settle_cost(&mut self) {
        self.settled = (self.sim().counters(), self.sim().performed, self.entries());
    }

    /// A sync of everything: whatever the kernel kept to itself is told.
    fn audit(&mut self) -> Result<(), String> {
        if !self.watches.iter().any(|watched| watched.wish.all) {
            return Ok(());
        }
        self.engine.sync();
        self.poll()?;
        for at in 0..self.watches.len() {
            if self.watches[at].wish.all {
                let checked = self.check_watch(at, true);
                checked.map_err(|why| format!("after a sync of all: {why}"))?;
            }
        }
        self.settle_cost();
        Ok(())
    }

    /// What one watch has told is what is; `exact`: also what nobody was told of.
    fn check_watch(&mut self, at: usize, exact: bool) -> Result<(), String> {
        let watched = &self.watches[at];
        let Some(world) = world(self.engine.kernel(), watched, exact) else {
            return Ok(());
        };
        let watch = self.engine.watches().find(|w| w.id() == watched.id);
        let contents = contents(&self.engine.kernel().files, &world);
        let wrong = difference(&watched.replayed, &world)
            .or_else(|| wrong_mode(watch.expect("not removed"), &world))
            .or_else(|| untold(self.engine.kernel(), watched, &world, &contents, exact));
        if let Some(why) = wrong {
            return Err(format!("{}: {why}", String::from_utf8_lossy(&watched.root)));
        }
        let watched = &mut self.watches[at];
        watched.contents = contents;
        watched.told.clear();
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        for at in 0..self.watches.len() {
            self.check_watch(at, false)?;
        }
        self.check_trees()
    }

    /// What is in here and in the kernel agrees, and is at rest.
    fn check_trees(&mut self) -> Result<(), String> {
        for watch in self.engine.watches() {
            watch.tree().check()?;
            if watch.tree().detached() != 0 {
                return Err("a subtree was left behind".to_string());
            }
        }
        self.check_watches()?;
        if self.check_spent().is_err() {
            // The last one may have shown that a watch is to spare; and what was refused
            // room for its ancestors asks for it in every fourth.
            self.rounds(4)?;
            self.check_spent()?;
        }
        if let Some(early) = Sim::<F>::EARLY {
            self.sim().pass(early * 2);
            self.poll()?;
        }
        // At rest: one more turn looks at nothing and tells nothing.
        let before = self.sim().counters();
        self.poll()?;
        let after = self.sim().counters();
        let looks = |c: &Counters| (c.listings, c.stats, c.opens);
        let polled = self.is_polling();
        if (!polled && looks(&before) != looks(&after)) || !self.batch.is_empty() {
            return Err(format!("not at rest: {before:?}, then {after:?}"));
        }
        if !polled && self.sim().deadline().is_some() {
            return Err("a deadline, and nothing is owed".to_string());
        }
        self.check_tick()
    }

    /// Whether something is looked at from time to time.
    fn is_polling(&self) -> bool {
        self.engine.watches().any(|w| w.needs_ticks())
    }

    /// Lets time pass until everything that is polled was looked at so many times more,
    /// from beginning to end.
    pub fn rounds(&mut self, count: u64) -> Result<(), String> {
        // What is under way may have passed by what changed since.
        let whole = count + u64::from(self.engine.is_round_under_way());
        let wanted = self.engine.rounds().0 + whole;
        let looks = self.polling.looks.max(1) as u64;
        let patience = 10 + whole * (10 + 20 * (self.entries() + 10) / looks);
        for _ in 0..patience {
            if !self.is_polling() || self.engine.rounds().0 >= wanted {
                return Ok(());
            }
            let interval = self.polling.interval;
            self.sim().pass(interval);
            self.poll()?;
        }
        Err("there is no end to a round".to_string())
    }

    /// Where nothing happens, a tick makes no more looks than it may.
    fn check_tick(&mut self) -> Result<(), String> {
        if !self.is_polling() {
            return Ok(());
        }
        let interval = self.polling.interval;
        self.sim().pass(interval);
        let looks = |c: &Counters| c.listings + c.stats + c.opens;
        let before = looks(&self.sim().counters());
        let overflows = self.engine.overflows();
        self.poll()?;
        if self.engine.overflows() > overflows {
            return Ok(()); // A watch that ends makes a note, for which a queue may be too short.
        }
        let made = looks(&self.sim().counters()) - before;
        // A look at an entry by its path takes one at the directory as well; a directory
        // is opened, and where one is listed it may be watched first. A root's ancestors
        // are looked at once each, whatever is left, and so is the way to it by links.
        let ancestors = |watched: &Watched| if watched.given.is_some() { 24 } else { 12 };
        let ancestors: u64 = self.watches.iter().map(ancestors).sum();
        let allowed = 5 * (self.polling.looks as u64 + 1) + 3 * ancestors + 10;
        match made <= allowed {
            true => Ok(()),
            false => Err(format!(
                "a tick of {} looks made {made}",
                self.polling.looks
            )),
        }
    }

    /// While a directory is polled for want of room, no file has a watch; and nothing is
    /// while there is room.
    fn check_spent(&self) -> Result<(), String> {
        let sim = self.engine.kernel();
        let veiled = sim.files.mounts().any(|root| sim.is_veiled(root));
        if sim.queue.limit.is_some() || veiled {
            return Ok(()); // What a kernel refuses, or hides, may be had again later.
        }
        let (mut wanting, mut spent) = (None, None);
        for watch in self.engine.watches().filter(|w| w.entries() > 0) {
            let tree = watch.tree();
            for key in tree.subtree(tree.root()) {
                let is_dir = tree.stat(key).kind == Kind::Dir;
                let (index, generation) = key.parts();
                let token = Token::Entry {
                    watch: watch.id(),
                    index,
                    generation,
                };
                let watched = sim.is_watched(token);
                match watch.polled_for(key) {
                    Some(why) if !why.is_exhaustion() || watched => {}
                    // It may have gone from a directory that cannot be listed.
                    Some(_) if is_below_shut(tree, key) => {}
                    Some(_) if is_dir || !sim.is_full() => {
                        wanting.get_or_insert((tree, key));
                    }
                    Some(_) => {}
                    None if watched && !is_dir && key != tree.root() => {
                        spent.get_or_insert((tree, key));
                    }
                    None => {}
                }
            }
        }
        let cramped = self.engine.watches().any(Watch::is_cramped);
        if cramped && sim.room().has_room_for_anchors() && spent.is_some() {
            return Err("the ancestors of a root have no watch, but a file has".to_string());
        }
        let name = |(tree, key): (&kw::tree::Tree, Key)| {
            let mut path = Vec::new();
            tree.path(key, &mut path);
            escape(&path)
        };
        match (wanting, spent) {
            (Some(dir), _) if !sim.is_full() => Err(format!("{:?} has no watch", name(dir))),
            (Some(dir), Some(file)) => {
                let (dir, file) = (name(dir), name(file));
                Err(format!("{dir:?} has no watch, but {file:?} has"))
            }
            _ => Ok(()),
        }
    }

    /// Never more watches than are allowed.
    fn check_budget(&mut self) -> Result<(), String> {
        let kernel = self.engine.kernel();
        match kernel.room().excess(kernel.held().0 as usize) {
            0 => Ok(()),
            n => Err(format!("{n} watches more than are allowed")),
        }
    }

    /// Everything that needs a watch has one, on the right inode, and nothing else.
    fn check_watches(&self) -> Result<(), String> {
        let sim = self.engine.kernel();
        for watch in self.engine.watches() {
            if watch.entries() == 0 {
                continue;
            }
            let tree = watch.tree();
            let watched = self.watches.iter().find(|w| w.id == watch.id());
            let wish = &watched.expect("every watch is one of ours").wish;
            let home = tree.stat(tree.root()).id.dev;
            for key in tree.subtree(tree.root()) {
                let stat = tree.stat(key);
                let is_root = key == tree.root();
                let needed = match stat.kind {
                    Kind::Dir if F::NAMES => {
                        let mut path = Vec::new();
                        tree.path(key, &mut path);
                        wish.goes_into(&path, stat.id.dev == home)
                    }
                    Kind::Dir | Kind::File => is_root || !F::NAMES,
                    Kind::Symlink => sim.system.links && !F::NAMES,
                    Kind::Other => false,
                };
                let (index, generation) = key.parts();
                let token = Token::Entry {
                    watch: watch.id(),
                    index,
                    generation,
                };
                let mut path = Vec::new();
                tree.path(key, &mut path);
                let path = escape(&path);
                match sim.queue.node_of(token) {
                    None if !needed => {}
                    // What may not be read cannot be watched.
                    None if stat.mode & 0o400 == 0 => {}
                    None if tree.has_mark(key, Marks::POLLED) => {}
                    None if tree.has_mark(key, Marks::UNREADABLE) => {}
                    None if is_beyond_reach(tree, key) => {}
                    None => return Err(format!("{path:?} is not watched")),
                    Some(node) if sim.files.stat(node).id == stat.id => {}
                    Some(_) => return Err(format!("{path:?}: the watch is on another inode")),
                }
            }
        }
        for token in sim.queue.tokens() {
            let (id, key) = match token {
                Token::Anchor { watch, .. } => (watch, None),
                Token::Entry {
                    watch,
                    index,
                    generation,
                } => (watch, Some(Key::from_parts(index, generation))),
            };
            let Some(watch) = self.engine.watches().find(|w| w.id() == id) else {
                return Err(format!("{token:?}: its watch is gone"));
            };
            if key.is_some_and(|key| !watch.tree().is_live(key) || watch.entries() == 0) {
                return Err(format!("{token:?}: a watch of something that is gone"));
            }
        }
        Ok(())
    }

    /// Removes every watch: nothing may be left.
    fn close(&mut self) -> Result<(), String> {
        for watched in std::mem::take(&mut self.watches) {
            self.engine.remove(watched.id);
        }
        match self.engine.kernel().queue.tokens().next() {
            Some(token) => Err(format!("{token:?} was left behind")),
            None => Ok(()),
        }
    }

    fn compare(&self, expected: &[Expected]) -> Result<(), String> {
        let system = self.engine.kernel().system;
        let names = system.names;
        if system.inotify && !system.births {
            // A number is given to the next file at once, and nothing tells the two
            // apart: what is told replays, but may be told otherwise.
            return Ok(());
        }
        let rank = |e: &Expected| names.iter().position(|n| *n == e.kernel);
        for never in expected.iter().filter(|e| e.never) {
            let is_one = |line: &&String| never.events.iter().any(|e| line.starts_with(&**e));
            let here = never.kernel.is_empty() || rank(never).is_some();
            if let Some(line) = self.told.iter().find(is_one).filter(|_| here) {
                return Err(format!("never expected {line:?}, told {:?}", self.told));
            }
        }
        let expected: Vec<&Expected> = expected.iter().filter(|e| !e.never).collect();
        let named = expected
            .iter()
            .filter(|e| rank(e).is_some())
            .min_by_key(|e| rank(e));
        let general = expected.iter().find(|e| e.kernel.is_empty());
        let Some(&expected) = named.or(general) else {
            return Ok(());
        };
        let (mut wanted, mut told) = (expected.events.clone(), self.told.clone());
        // That nothing is polled any more is told when a round shows it: on a disk, later.
        let ended = |line: &String| line.ends_with(" ended");
        if !wanted.iter().any(ended) {
            told.retain(|line| !ended(line));
        }
        if expected.any_order {
            wanted.sort();
            told.sort();
        }
        if wanted != told {
            return Err(format!("expected {wanted:?}, told {:?}", self.told));
        }
        Ok(())
    }
}

/// Whether a directory above may not be searched.
fn is_beyond_reach(tree: &kw::tree::Tree, key: Key) -> bool {
    let above = tree.ancestry(key).skip(1);
    above
        .into_iter()
        .any(|dir| tree.stat(dir).mode & 0o100 == 0)
}

/// Whether a directory above may not be listed or not be searched.
fn is_below_shut(tree: &kw::tree::Tree, key: Key) -> bool {
    let above = tree.ancestry(key).skip(1);
    above
        .into_iter()
        .any(|dir| tree.stat(dir).mode & 0o500 != 0o500)
}

/// The engine's snapshot, as the oracle would have it.
fn snapshot(watch: &Watch) -> Replayed {
    let tree = watch.tree();
    let entry = |key: Key| {
        let mut path = Vec::new();
        tree.path(key, &mut path);
        (path, leaf(&tree.stat(key)))
    };
    if watch.entries() == 0 {
        return Replayed::new();
    }
    tree.subtree(tree.root()).map(entry).collect()
}

/// The tree below a watch's root. `None` if the watcher may not even see the root.
/// `exact`: with what nobody was told of.
fn world<F: Family>(sim: &Sim<F>, watched: &Watched, exact: bool) -> Option<World> {
    let files = &sim.files;
    let allowed = |stat: &Stat| stat.mode & 0o100 != 0;
    let is_veiled = |node: Node| sim.is_veiled(node) && !exact;
    let is_hidden = |path: &[u8]| {
        let mut cuts = (0..path.len()).filter(|&at| path[at] == b'/');
        cuts.any(|at| {
            let above = files.find(&path[..at], true, &allowed);
            above.is_ok_and(is_veiled)
        })
    };
    let root = match &watched.given {
        None => watched.root.clone(),
        Some(given) if is_hidden(given) => return None,
        Some(given) => match files.find(given, true, &allowed) {
            Ok(node) => files.path_of(node)?,
            Err(error) if error.is_denied() => return None,
            Err(_) => return Some(World::default()),
        },
    };
    if is_hidden(&root) {
        return None;
    }
    // DragonFly's tmpfs tells the directory alone that an entry was replaced.
    let parent = root.iter().rposition(|&b| b == b'/').unwrap_or(0);
    let parent = files.find(&root[..parent], true, &allowed);
    let unreadable = parent.is_ok_and(|dir| files.stat(dir).mode & 0o400 == 0);
    if sim.system.names[0] == "dragonfly-tmpfs" && unreadable && !exact {
        return None;
    }
    let root = match files.find(&root, false, &allowed) {
        Ok(node) => node,
        Err(error) if error.is_denied() => return None,
        Err(_) => return Some(World::default()),
    };
    let stat = files.stat(root);
    if stat.kind == Kind::Dir && stat.mode & 0o400 == 0 {
        return None;
    }
    let mut world = World::default();
    let mut todo: Vec<(Vec<u8>, Node, Rc<Vec<Rule>>)> = vec![(Vec::new(), root, Rc::default())];
    while let Some((path, node, mut rules)) = todo.pop() {
        let stat = files.stat(node);
        let outside = F::NAMES && watched.wish.is_filtered() && sim.was_linked(node);
        if (sim.is_silent(node) || outside) && !exact {
            world.silent.insert(path.clone());
        }
        world.tree.insert(path.clone(), leaf(&stat));
        world.modes.insert(path.clone(), stat.mode);
        if stat.kind == Kind::File {
            world.files.insert(path.clone(), node);
        }
        if is_veiled(node) {
            // Most kernels tell nobody that something was mounted.
            world.closed.push(path);
            continue;
        }
        let home = files.stat(root).id.dev == stat.id.dev;
        if stat.kind != Kind::Dir || !watched.wish.goes_into(&path, home) {
            continue;
        }
        if stat.mode & 0o500 != 0o500 {
            world.closed.push(path);
            continue;
        }
        if let Ok(file) = files.child(node, b".gitignore") {
            let stat = files.stat(file);
            let outside = F::NAMES && sim.was_linked(file);
            if watched.wish.gitignore && (sim.is_silent(file) || outside) && !exact {
                // What it says may have changed, and nobody was told.
                world.closed.push(path);
                continue;
            }
            if stat.kind == Kind::File && stat.mode & 0o400 != 0 {
                let text = files.inode(file).text.clone();
                let dir = path.clone();
                Rc::make_mut(&mut rules).push(Rule { dir, text });
            }
        }
        for name in files.inode(node).entries.keys() {
            let mut path = path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            if let Ok(child) = files.child(node, name) {
                if watched.wish.wants(&path, files.stat(child).kind, &rules) {
                    todo.push((path, child, Rc::clone(&rules)));
                }
            }
        }
    }
    Some(world)
}

impl World {
    /// Whether a directory above is one below which nothing can be known.
    fn is_closed(&self, path: &[u8]) -> bool {
        let is_above = |dir: &Vec<u8>| match path.strip_prefix(&**dir) {
            Some(rest) => !rest.is_empty() && (dir.is_empty() || rest[0] == b'/'),
            None => false,
        };
        self.closed.iter().any(is_above)
    }
}

/// What is in every file of the tree.
fn contents(files: &Files, world: &World) -> HashMap<Node, Content> {
    let content = |&node: &Node| {
        let inode = files.inode(node);
        (node, (inode.version, inode.chmods))
    };
    world.files.values().map(content).collect()
}

/// A file whose content changed since the last quiet moment, and nothing was told,
/// because its size and its time are what they were.
fn untold<F: Family>(
    sim: &Sim<F>,
    watched: &Watched,
    world: &World,
    contents: &HashMap<Node, Content>,
    exact: bool,
) -> Option<String> {
    let is_untold = |&(path, node): &(&Vec<u8>, &Node)| {
        let before = watched.contents.get(node);
        // Most kqueues tell of a truncation as of a change of permissions.
        let excused = |before: &Content| !F::NAMES && before.1 != contents[node].1;
        before.is_some_and(|before| before.0 != contents[node].0 && !excused(before))
            && watched.told.get(&sim.files.stat(*node).id) < Some(&contents[node].0)
            && (exact || !sim.is_hidden(*node))
            && sim.files.inode(*node).set_back < contents[node].0
            && !world.silent.contains(path)
    };
    let (path, _) = world.files.iter().find(is_untold)?;
    Some(format!("{:?}: content changed untold", escape(path)))
}

/// An entry whose permissions are not those that the engine knows.
fn wrong_mode(watch: &Watch, world: &World) -> Option<String> {
    let tree = watch.tree();
    let known = (watch.entries() > 0).then(|| tree.subtree(tree.root()));
    for key in known.into_iter().flatten() {
        let mut path = Vec::new();
        tree.path(key, &mut path);
        let mode = world.modes.get(&path).copied();
        let unknowable =
            world.is_closed(&path) || world.closed.contains(&path) || world.silent.contains(&path);
        if mode.is_some_and(|mode| mode != tree.stat(key).mode) && !unknowable {
            let (path, known) = (escape(&path), tree.stat(key).mode);
            return Some(format!("{path:?}: mode {known:o} known, in truth {mode:?}"));
        }
    }
    None
}

/// The first difference between what was told and what is, in words.
fn difference(replayed: &Replayed, world: &World) -> Option<String> {
    let closed: BTreeSet<&[u8]> = world.closed.iter().map(Vec::as_slice).collect();
    let is_closed = |path: &[u8]| world.is_closed(path);
    let paths: BTreeSet<_> = replayed.keys().chain(world.tree.keys()).collect();
    for path in paths {
        if is_closed(path) {
            continue;
        }
        let strip = |leaf: Option<&Leaf>| {
            leaf.map(|l| {
                if world.silent.contains(path) {
                    Leaf {
                        size: 0,
                        mtime_ns: 0,
                        ..*l
                    }
                } else {
                    *l
                }
            })
        };
        let (a, b) = (strip(replayed.get(path)), strip(world.tree.get(path)));
        let mounted =
            closed.contains(path.as_slice()) && b.is_some_and(|b| b.flags == flag::IS_DIR);
        if a != b && !(mounted && a.is_some_and(|a| a.flags == flag::IS_DIR)) {
            let path = escape(path);
            return Some(format!("{path:?}: replayed {a:?}, in truth {b:?}"));
        }
    }
    None
}

/// What each kind of event was told how often.
pub fn tally(lines: &[String]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for line in lines {
        let word = line.split(' ').next().unwrap_or_default();
        *tally.entry(word.to_string()).or_default() += 1;
    }
    tally
}
