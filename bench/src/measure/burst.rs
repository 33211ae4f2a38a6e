//! Much at once: is anything lost, how late is the last of it told of, what does it cost?
//!
//! A thread of the harness changes the tree at full speed while the contender counts:
//!
//! - `create`, `delete`: empty files in a hundred directories;
//! - `checkout`: as version control does it, files are written beside and renamed over,
//!   some removed, some made;
//! - `remove`: a whole tree, as `rm -r` does it.
//!
//! `drain` is from the end of the writer until the last that was new was told of, in
//! percent of the time that the writer took. `lost` is what was never told of.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{said, Bench};
use crate::clock::now_ns;
use crate::contenders::{Contender, Mode, Running};
use crate::results::{Case, Unit};
use crate::tally::Count;
use crate::trees::Tree;

/// Nothing new for so long, and nothing more is waited for: longer than any contender
/// gathers changes.
const QUIET: Duration = Duration::from_secs(3);
/// How often a contender is asked while what it has to tell of is waited for.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Directories for `create` and `delete`.
const DIRECTORIES: u64 = 100;
/// Files in a directory for `checkout` and `remove`.
const FILES_PER_DIRECTORY: u64 = 10;

/// Measures all four.
pub fn measure(bench: &mut Bench) -> Result<(), String> {
    create_and_delete(bench)?;
    checkout(bench)?;
    remove(bench)
}

/// First all contenders create, then all delete. ext4 looks for a free inode beside each
/// that was deleted in the last five minutes: after the deletion of 100,000 files the next
/// burst of creates would be ten times as slow, and none.
fn create_and_delete(bench: &mut Bench) -> Result<(), String> {
    let files = bench.scale.burst_files;
    let rounds = bench.scale.rounds;
    let mut made: HashMap<(&str, usize), Burst> = HashMap::new();
    eprintln!("burst: {files} files are created");
    let mut case = Case::new("burst", "create", None);
    bench.turn_about(&mut case, rounds, |case, contender, round| {
        let burst = Burst::of(bench, files)?;
        let mut running = watching(bench, contender, &burst.tree)?;
        let work = Work {
            expected: files,
            told: |count| count.created,
        };
        work.run(case, contender, round, &mut running, || burst.create())?;
        made.insert((contender.name, round), burst);
        Ok(())
    });
    let created = case;
    eprintln!("burst: {files} files are deleted");
    let mut case = Case::new("burst", "delete", None);
    bench.turn_about(&mut case, rounds, |case, contender, round| {
        let Some(burst) = made.remove(&(contender.name, round)) else {
            return Ok(());
        };
        let mut running = watching(bench, contender, &burst.tree)?;
        let work = Work {
            expected: files,
            told: |count| count.deleted,
        };
        work.run(case, contender, round, &mut running, || burst.delete())
    });
    drop(made);
    bench.keep(&created);
    bench.keep(&case);
    Ok(())
}

/// A tree and the files that are to be in it.
struct Burst {
    tree: Tree,
    paths: Vec<PathBuf>,
    _place: TempDir,
}

impl Burst {
    fn of(bench: &Bench, files: u64) -> Result<Burst, String> {
        let place = bench.place()?;
        let tree = Tree::of_directories(place.path(), "burst", DIRECTORIES, 0);
        let mut tree = said(tree, place.path())?;
        let mut paths = Vec::new();
        for i in 0..files {
            let directory = &tree.directories[(i * DIRECTORIES / files) as usize];
            paths.push(directory.join(format!("f{}", tree.free)));
            tree.free += 1;
        }
        Ok(Burst {
            tree,
            paths,
            _place: place,
        })
    }

    fn create(&self) -> io::Result<()> {
        let mut paths = self.paths.iter();
        paths.try_for_each(|path| File::create_new(path).map(drop))
    }

    fn delete(&self) -> io::Result<()> {
        self.paths.iter().try_for_each(fs::remove_file)
    }
}

fn checkout(bench: &mut Bench) -> Result<(), String> {
    let files = bench.scale.checkout_files;
    let directories = files / FILES_PER_DIRECTORY;
    eprintln!("burst: {files} files are checked out");
    // Kept until all are done, because of the deleted inodes.
    let mut kept = Vec::new();
    let mut case = Case::new("burst", "checkout", None);
    bench.turn_about(&mut case, bench.scale.rounds, |case, contender, round| {
        let place = bench.place()?;
        let tree = Tree::of_directories(place.path(), "checkout", directories, FILES_PER_DIRECTORY);
        let mut tree = said(tree, place.path())?;
        let plan = Checkout::of(&mut tree).map_err(|error| error.to_string())?;
        let mut running = watching(bench, contender, &tree)?;
        let work = Work {
            expected: plan.files(),
            told: |count| count.touched,
        };
        kept.push((tree, place));
        work.run(case, contender, round, &mut running, || plan.carry_out())
    });
    drop(kept);
    bench.keep(&case);
    Ok(())
}

/// What a checkout does: in each directory one file goes, one is new, the others change.
struct Checkout {
    replaced: Vec<PathBuf>,
    removed: Vec<PathBuf>,
    made: Vec<PathBuf>,
}

impl Checkout {
    fn of(tree: &mut Tree) -> io::Result<Checkout> {
        let mut plan = Checkout {
            replaced: Vec::new(),
            removed: Vec::new(),
            made: Vec::new(),
        };
        for directory in &tree.directories {
            let mut files: Vec<PathBuf> = fs::read_dir(directory)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<_>>()?;
            plan.removed.extend(files.pop());
            plan.replaced.append(&mut files);
            plan.made.push(directory.join(format!("f{}", tree.free)));
            tree.free += 1;
        }
        Ok(plan)
    }

    fn files(&self) -> u64 {
        (self.replaced.len() + self.removed.len() + self.made.len()) as u64
    }

    fn carry_out(&self) -> io::Result<()> {
        for path in &self.replaced {
            let beside = path.with_extension("new");
            fs::write(&beside, "another content")?;
            fs::rename(&beside, path)?;
        }
        self.removed.iter().try_for_each(fs::remove_file)?;
        self.made
            .iter()
            .try_for_each(|path| fs::write(path, "content"))
    }
}

fn remove(bench: &mut Bench) -> Result<(), String> {
    let directories = bench.scale.removed_directories;
    eprintln!(
        "burst: a tree of {} entries is removed",
        directories * FILES_PER_DIRECTORY
    );
    let mut case = Case::new("burst", "remove", None);
    bench.turn_about(&mut case, bench.scale.rounds, |case, contender, round| {
        let place = bench.place()?;
        let mut tree = said(Tree::empty(place.path(), "remove"), place.path())?;
        let root = tree.root.clone();
        let top = said(tree.add_directory(&root), &root)?;
        // With the directory itself ten entries each.
        said(
            fill(&mut tree, &top, directories, FILES_PER_DIRECTORY - 1),
            &top,
        )?;
        let mut running = watching(bench, contender, &tree)?;
        let work = Work {
            expected: tree.entries(),
            told: |count| count.deleted,
        };
        work.run(case, contender, round, &mut running, || {
            fs::remove_dir_all(&top)
        })
    });
    bench.keep(&case);
    Ok(())
}

/// Adds directories to `top`, with files.
pub(super) fn fill(tree: &mut Tree, top: &Path, directories: u64, files: u64) -> io::Result<()> {
    for _ in 0..directories {
        let directory = tree.add_directory(top)?;
        for _ in 0..files {
            tree.add_file(&directory)?;
        }
    }
    Ok(())
}

fn watching(bench: &Bench, contender: &Contender, tree: &Tree) -> Result<Running, String> {
    let mut running = contender.start(Mode::Count, &tree.root, bench.limit)?;
    running.pump(Duration::from_millis(200))?;
    Ok(running)
}

/// What is to be told of.
struct Work {
    /// How many distinct names.
    expected: u64,
    /// In which way.
    told: fn(&Count) -> u64,
}

impl Work {
    /// Has `writer` do it, and takes the figures.
    fn run(
        &self,
        case: &mut Case,
        contender: &Contender,
        round: usize,
        running: &mut Running,
        writer: impl FnOnce() -> io::Result<()> + Send,
    ) -> Result<(), String> {
        running.reset()?;
        let cpu_before = running.cpu_ns();
        let (begin_ns, end_ns) = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let begin_ns = now_ns();
                writer().map(|()| (begin_ns, now_ns()))
            });
            while !writer.is_finished() {
                running.pump(Duration::from_millis(5))?;
            }
            match writer.join() {
                Ok(times) => times.map_err(|error| format!("the writer: {error}")),
                Err(_) => Err("the writer has failed".to_string()),
            }
        })?;
        let count = self.settle(running)?;
        let cpu = running.cpu_ns().saturating_sub(cpu_before) as f64;
        let took = (end_ns - begin_ns) as f64;
        let drain = count.last_ns.saturating_sub(end_ns) as f64;
        let told = (self.told)(&count);
        let mut add = |figure, unit, value| case.add(contender.name, round, figure, unit, value);
        add("writer", Unit::Ns, took);
        add("drain", Unit::Percent, drain / took * 100.0);
        add(
            "lost",
            Unit::Count,
            self.expected.saturating_sub(told) as f64,
        );
        add("events", Unit::Count, count.events as f64);
        add("cpu", Unit::Ns, cpu);
        add("cpu_per_entry", Unit::Ns, cpu / self.expected as f64);
        if count.events > 0 {
            add("cpu_per_event", Unit::Ns, cpu / count.events as f64);
        }
        Ok(())
    }

    /// Waits until all is told of, or nothing new for long.
    fn settle(&self, running: &mut Running) -> Result<Count, String> {
        let mut count = running.count()?;
        let mut quiet = Duration::ZERO;
        while (self.told)(&count) < self.expected && quiet < QUIET {
            running.pump(ASK_EVERY)?;
            let now = running.count()?;
            quiet = if now == count {
                quiet + ASK_EVERY
            } else {
                Duration::ZERO
            };
            count = now;
        }
        Ok(count)
    }
}
