//! From a write to the line that tells of it.
//!
//! A file in a tree of 10,000 is opened, one byte is written to it, it is closed; the time
//! from just before pwrite(2) until the line has been read from the contender's pipe is one
//! sample. The next comes 2 to 4 ms after that. Under load another thread makes, writes to
//! and removes up to a thousand files a second elsewhere in the tree.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{said, Bench};
use crate::clock::{after, now_ns};
use crate::contenders::{Contender, Mode};
use crate::results::{percentile, Case, Unit};
use crate::trees::{Shape, Tree};

/// Files in the tree.
const FILES: u64 = 10_000;
/// Files that are written to in turn, so that a late line is not taken for the next one.
const TARGETS: usize = 100;
/// Between a line and the next write; up to twice that, so that no timer keeps step.
const PAUSE: Duration = Duration::from_millis(2);
/// Between opening a file and writing to it.
const AFTER_OPEN: Duration = Duration::from_micros(500);
/// A write that is not told of in this time counts as missed.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many missed in a row, and the contender is given up.
const MISSED: usize = 5;
/// Between two files of the load.
const LOAD_EVERY: Duration = Duration::from_millis(1);

/// Measures idle and under load.
pub fn measure(bench: &mut Bench) -> Result<(), String> {
    for load in [false, true] {
        let place = bench.place()?;
        let mut tree = said(
            Tree::of_shape(place.path(), Shape::Wide, FILES),
            place.path(),
        )?;
        let root = tree.root.clone();
        let busy = said(tree.add_directory(&root), &root)?;
        let targets = said(targets(&mut tree), &root)?;
        let name = if load { "under load" } else { "idle" };
        eprintln!("latency: {name}");
        let mut case = Case::new("latency", name, None);
        bench.turn_about(&mut case, bench.scale.rounds, |case, contender, round| {
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                if load {
                    scope.spawn(|| churn(&busy, &stop));
                }
                let outcome = turn(bench, case, contender, round, &root, &targets);
                stop.store(true, Ordering::Relaxed);
                outcome
            })
        });
        bench.keep(&case);
    }
    Ok(())
}

/// Files whose names cannot be found within other names: `w`, a number, and nothing that a
/// longer number could go on with.
fn targets(tree: &mut Tree) -> io::Result<Vec<(PathBuf, String)>> {
    let step = tree.directories.len() / TARGETS;
    let directories: Vec<PathBuf> = tree
        .directories
        .iter()
        .step_by(step.max(1))
        .cloned()
        .collect();
    let target = |(i, directory): (usize, &PathBuf)| {
        let name = format!("w{i:04}");
        let path = directory.join(&name);
        File::create(&path)?;
        Ok((path, name))
    };
    directories
        .iter()
        .enumerate()
        .take(TARGETS)
        .map(target)
        .collect()
}

fn turn(
    bench: &Bench,
    case: &mut Case,
    contender: &Contender,
    round: usize,
    tree: &Path,
    targets: &[(PathBuf, String)],
) -> Result<(), String> {
    let mut running = contender.start(Mode::Print, tree, bench.limit)?;
    running.pump(Duration::from_millis(300))?;
    let begin = Instant::now();
    let mut samples = Vec::new();
    let (mut missed, mut in_a_row) = (0, 0);
    for i in 0..bench.scale.latency_samples {
        if begin.elapsed() > bench.scale.latency_time {
            break;
        }
        // What is still to be told of the last write.
        while running.next_line(0)?.is_some() {}
        let (path, name) = &targets[i % targets.len()];
        let written_ns = said(write(path), path)?;
        let deadline_ns = written_ns + PATIENCE.as_nanos() as u64;
        let told_ns = loop {
            match running.next_line(deadline_ns)? {
                Some(line) if running.tells_of(&line, name) => break Some(line.at_ns),
                Some(_) => {}
                None => break None,
            }
        };
        match told_ns {
            Some(told_ns) => {
                samples.push(told_ns.saturating_sub(written_ns) as f64);
                in_a_row = 0;
            }
            None => {
                missed += 1;
                in_a_row += 1;
            }
        }
        if in_a_row == MISSED {
            return Err(format!(
                "{MISSED} writes in a row were not told of within {PATIENCE:?}"
            ));
        }
        // The samples themselves are random enough for a jitter.
        let jitter = told_ns.unwrap_or(0) % PAUSE.as_nanos() as u64;
        pause(&mut running, PAUSE + Duration::from_nanos(jitter))?;
    }
    case.add_to_distribution(contender.name, &samples);
    samples.sort_by(f64::total_cmp);
    for (figure, percent) in [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)] {
        if let Some(value) = percentile(&samples, percent) {
            case.add(contender.name, round, figure, Unit::Ns, value);
        }
    }
    case.add(
        contender.name,
        round,
        "missed",
        Unit::Count,
        f64::from(missed),
    );
    Ok(())
}

/// Reads on meanwhile: under load a pipe that nobody reads would be full soon.
fn pause(running: &mut crate::contenders::Running, time: Duration) -> Result<(), String> {
    let deadline_ns = after(time);
    while running
        .next_line(deadline_ns)?
        .is_some_and(|line| line.at_ns < deadline_ns)
    {}
    Ok(())
}

/// Writes one byte, as an editor would to an existing file; when it began to.
fn write(path: &Path) -> io::Result<u64> {
    let file = OpenOptions::new().write(true).open(path)?;
    // Who asks the kernel to be told of the opening, too, would be awake already.
    thread::sleep(AFTER_OPEN);
    let now = now_ns();
    file.write_all_at(b"x", 0)?;
    Ok(now)
}

/// The load.
fn churn(directory: &Path, stop: &AtomicBool) {
    for i in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = directory.join(format!("load{}", i % 1000));
        // A load that fails is none, and the samples are still right.
        let _ = fs::write(&path, "load");
        let _ = fs::remove_file(&path);
        thread::sleep(LOAD_EVERY);
    }
}
