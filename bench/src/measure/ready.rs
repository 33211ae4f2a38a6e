//! How long until a tree is watched, and what memory that takes.
//!
//! `ready` is from the start of the process until the harness knows, less the same with an
//! empty tree in the same round: so the start of an interpreter does not count. `in_process`
//! is by the contender's own clock, around the call that watches the tree. `cpu` is the CPU
//! time until then, less that with an empty tree; on a machine that does other things
//! meanwhile it is the steadier figure.
//!
//! `memory_per_entry` is what the process has more than with an empty tree, by entry.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{said, Bench};
use crate::contenders::{Contender, Mode, Ready};
use crate::results::{Case, Unit};
use crate::trees::{Shape, Tree};

/// Until a contender's memory is as it stays.
const SETTLES: Duration = Duration::from_millis(200);

/// Measures all shapes and sizes.
pub fn measure(bench: &mut Bench) -> Result<(), String> {
    let all = [Shape::Wide, Shape::Deep, Shape::Flat];
    let shapes = if bench.scale.all_shapes {
        &all[..]
    } else {
        &all[..1]
    };
    for &shape in shapes {
        // Who gave up on a tree is not tried on a larger one.
        let mut gave_up: Vec<(String, String)> = Vec::new();
        for files in bench.scale.sizes.clone() {
            let place = bench.place()?;
            let tree = said(Tree::of_shape(place.path(), shape, files), place.path())?;
            let empty = said(Tree::empty(place.path(), "empty"), place.path())?;
            eprintln!(
                "ready: {shape}, {files} files, {} directories",
                tree.directories.len()
            );
            said(walk(&tree.root), &tree.root)?;
            let mut case = Case::new("ready", shape.to_string(), Some(files));
            for (contender, reason) in &gave_up {
                case.fail(contender, reason.clone());
            }
            let largest = files >= 1_000_000;
            let rounds = if largest {
                bench.scale.rounds_of_the_largest
            } else {
                bench.scale.rounds
            };
            bench.turn_about(&mut case, rounds, |case, contender, round| {
                turn(bench, case, contender, round, &tree, &empty)
            });
            let failed = case.failed();
            gave_up = failed
                .map(|(name, why)| (name.to_string(), why.to_string()))
                .collect();
            bench.keep(&case);
        }
    }
    Ok(())
}

fn turn(
    bench: &Bench,
    case: &mut Case,
    contender: &Contender,
    round: usize,
    tree: &Tree,
    empty: &Tree,
) -> Result<(), String> {
    let (on_empty, empty_bytes) = once(bench, contender, &empty.root)?;
    let (ready, bytes) = once(bench, contender, &tree.root)?;
    let more = |with: u64, without: u64| with as f64 - without as f64;
    let mut add = |figure, unit, value| case.add(contender.name, round, figure, unit, value);
    add("ready", Unit::Ns, more(ready.wall_ns, on_empty.wall_ns));
    add("empty", Unit::Ns, on_empty.wall_ns as f64);
    add("cpu", Unit::Ns, more(ready.cpu_ns, on_empty.cpu_ns));
    if let Some(own_ns) = ready.own_ns {
        add("in_process", Unit::Ns, own_ns as f64);
    }
    let per_entry = more(bytes, empty_bytes) / tree.entries() as f64;
    add("memory_per_entry", Unit::Bytes, per_entry);
    add("memory", Unit::Bytes, bytes as f64);
    Ok(())
}

/// Starts it on a tree, and takes its memory when that has settled.
fn once(bench: &Bench, contender: &Contender, tree: &Path) -> Result<(Ready, u64), String> {
    let mut running = contender.start(Mode::Print, tree, bench.limit)?;
    running.pump(SETTLES)?;
    Ok((running.ready.clone(), running.memory_bytes()))
}

/// Looks at everything once, so that the first contender finds the kernel's caches as the
/// others do.
fn walk(directory: &Path) -> std::io::Result<()> {
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.metadata()?.is_dir() {
                left.push(entry.path());
            }
        }
    }
    Ok(())
}
