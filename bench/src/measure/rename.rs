//! A directory with thousands of descendants gets another name.
//!
//! `told` is the time until the first line that has the new name, `done` until the last
//! line; `events` is how many were needed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::burst::fill;
use super::{said, Bench};
use crate::clock::{after, now_ns};
use crate::contenders::{Contender, Mode, Running};
use crate::results::{Case, Unit};
use crate::trees::Tree;

/// Nothing for so long, and it is over.
const QUIET: Duration = Duration::from_millis(1500);
/// How long the first line may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures it.
pub fn measure(bench: &mut Bench) -> Result<(), String> {
    let directories = bench.scale.renamed_directories;
    eprintln!("rename: a directory with {} descendants", directories * 10);
    let place = bench.place()?;
    let mut tree = said(Tree::empty(place.path(), "rename"), place.path())?;
    let root = tree.root.clone();
    let names = [root.join("the-one-name"), root.join("the-other-name")];
    said(fs::create_dir(&names[0]), &root)?;
    // With the directory itself ten descendants each.
    said(fill(&mut tree, &names[0], directories, 9), &root)?;
    let mut case = Case::new("rename", "directory", None);
    bench.turn_about(&mut case, bench.scale.rounds, |case, contender, round| {
        let forth = names[0].exists();
        let (from, to) = if forth {
            (&names[0], &names[1])
        } else {
            (&names[1], &names[0])
        };
        let mut running = contender.start(Mode::Print, &root, bench.limit)?;
        running.pump(Duration::from_millis(300))?;
        turn(case, contender, round, &mut running, from, to)
    });
    bench.keep(&case);
    Ok(())
}

fn turn(
    case: &mut Case,
    contender: &Contender,
    round: usize,
    running: &mut Running,
    from: &Path,
    to: &Path,
) -> Result<(), String> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let cpu_before = running.cpu_ns();
    let begin_ns = now_ns();
    said(fs::rename(from, to), from)?;
    let (mut told_ns, mut done_ns, mut events) = (None, begin_ns, 0);
    let mut deadline_ns = after(PATIENCE);
    while let Some(line) = running.next_line(deadline_ns)? {
        done_ns = line.at_ns;
        events += running.events_in(&line);
        if told_ns.is_none() && running.tells_of(&line, &name) {
            told_ns = Some(line.at_ns);
        }
        if told_ns.is_some() {
            deadline_ns = after(QUIET);
        }
    }
    let told_ns = told_ns.ok_or_else(|| format!("did not tell of it within {PATIENCE:?}"))?;
    let cpu = running.cpu_ns().saturating_sub(cpu_before) as f64;
    let mut add = |figure, unit, value| case.add(contender.name, round, figure, unit, value);
    add("told", Unit::Ns, (told_ns - begin_ns) as f64);
    add("done", Unit::Ns, (done_ns - begin_ns) as f64);
    add("events", Unit::Count, events as f64);
    add("cpu", Unit::Ns, cpu);
    Ok(())
}
