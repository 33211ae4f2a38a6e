//! The simulated NetBSD posts what the real one was heard to post.
//!
//! `tests/traces/netbsd-7.99.34.md` is what a NetBSD kernel told of one operation
//! at a time, on tmpfs, ffs and ext2fs. Here each of its rows is done again, in the
//! words of a scenario, on the model of that file system in
//! `src/kernel/sim/systems.rs`; every cell must come out the same. A row that only
//! one side has is a failure, too.

use kw::kernel::hint::vnode;
use kw::kernel::sim::ops::Op;
use kw::kernel::sim::systems::System;
use kw::kernel::sim::{absolute, ByVnode, Sim};
use kw::kernel::Token;
use std::collections::BTreeMap;

const RECORDING: &str = include_str!("traces/netbsd-7.99.34.md");

/// The recording's rows, each a label and below it
///
///     what was there before | what is watched | what is done
///
/// as `tools/vnode-trace.c` has them. D and E are directories, there and empty
/// when a row begins; `F=D/f` is the watch of column F, `D` short for `D=D`.
/// `drain` forgets what was posted until then. Beside the words of a scenario
/// there is `silence`: an operation that the simulation has no word for. It posts
/// nothing, so the recording must have `none` in every cell.
///
/// `#` says where something else is done than was recorded, and why it will do.
const ROWS: &str = "
open(O_CREAT) new empty file in D, close
    | D | create D/f
create + write 5 bytes (no drain between)
    | D | write D/f hello
# Without a text, `append` opens the file and closes it.
open(O_CREAT) of an existing file, close
    write D/f hello | D F=D/f | append D/f
# Without a text, `write` is open(O_TRUNC).
open(O_TRUNC) of a 5-byte file
    write D/f hello | D F=D/f | write D/f
open(O_TRUNC) of an empty file
    create D/f | D F=D/f | write D/f
write inside the file (overwrite, same size)
    write D/f hello | D F=D/f | overwrite D/f HE
# Without a text nothing is written, not even 0 bytes; but the file was open to write.
write of 0 bytes
    write D/f hello | D F=D/f | overwrite D/f
append (O_APPEND write, file grows)
    write D/f hello | D F=D/f | append D/f more
first write into an empty file
    create D/f | D F=D/f | overwrite D/f more
# The simulation has one truncation, by path: both kinds are one setattr of the vnode.
ftruncate shrink 5 -> 2
    write D/f hello | D F=D/f | truncate D/f 2
ftruncate to 0
    write D/f hello | D F=D/f | truncate D/f 0
ftruncate grow 5 -> 100
    write D/f hello | D F=D/f | truncate D/f 100
ftruncate to the same size
    write D/f hello | D F=D/f | truncate D/f 5
truncate(path) shrink 5 -> 2
    write D/f hello | D F=D/f | truncate D/f 2
read the file
    write D/f hello | D F=D/f | silence
chmod file
    write D/f hello | D F=D/f | chmod D/f 600
# Owners do not change here; whichever attribute is set, it is the same deed.
chown file (same owner)
    write D/f hello | D F=D/f | chmod D/f 600
utimes file
    write D/f hello | D F=D/f | age D/f
chmod dir D/c
    mkdir D/c | D F=D/c | chmod D/c 700
utimes dir D/c
    mkdir D/c | D F=D/c | age D/c
read directory D/c (getdents)
    mkdir D/c | D F=D/c | silence
link(2) D/f -> D/h
    write D/f hello | D F=D/f | ln D/f D/h
link(2) D/f -> E/h
    write D/f hello | D E F=D/f | ln D/f E/h
unlink one of two links (R: fd opened by the other name)
    write D/f hello, ln D/f D/h | D F=D/f R=D/h | rm D/f
unlink the last link
    write D/f hello | D F=D/f | rm D/f
unlink an empty file (last link)
    create D/f | D F=D/f | rm D/f
unlink, then recreate the same name (one drain)
    write D/f hello | D F=D/f | rm D/f, write D/f new
# Nothing is open here: a name where nobody watches stands for the descriptor.
write through an fd after the last unlink (F armed before unlink)
    write D/f hello, ln D/f fd | D F=D/f | rm D/f, drain, overwrite fd 123456789
mkdir D/c
    | D | mkdir D/c
rmdir of the empty dir D/c
    mkdir D/c | D F=D/c | rmdir D/c
rmdir, then mkdir the same name (one drain)
    mkdir D/c | D F=D/c | rmdir D/c, mkdir D/c
create file inside child dir D/c (F = D/c)
    mkdir D/c | D F=D/c | write D/c/x 1
mkdir inside child dir D/c (F = D/c)
    mkdir D/c | D F=D/c | mkdir D/c/s
remove the tree D/c/x, D/c (X = D/c/x)
    mkdir D/c, write D/c/x 1 | D F=D/c X=D/c/x | rm D/c/x, rmdir D/c
rename file within D: f -> g
    write D/f hello | D F=D/f | mv D/f D/g
rename file across: D/f -> E/f
    write D/f hello | D E F=D/f | mv D/f E/f
rename file within D over existing g (R = old g)
    write D/f hello, write D/g old | D F=D/f R=D/g | mv D/f D/g
rename file across over existing E/g (R = old E/g)
    write D/f hello, write E/g old | D E F=D/f R=E/g | mv D/f E/g
rename over existing g that has a second link E/h (R = old g)
    write D/f hello, write D/g old, ln D/g E/h | D F=D/f R=D/g | mv D/f D/g
rename f onto h, two links of one file (POSIX no-op)
    write D/f hello, ln D/f D/h | D F=D/f R=D/h | mv D/f D/h
rename f onto itself
    write D/f hello | D F=D/f | mv D/f D/f
editor save: write D/h, rename h over f (R = old f)
    write D/f hello | D R=D/f | write D/h new-text, mv D/h D/f
rename dir within D: c -> c2
    mkdir D/c | D F=D/c | mv D/c D/c2
rename non-empty dir c -> c2, then unlink c2/x and recreate it (X = file c/x)
    mkdir D/c, write D/c/x 1 | D F=D/c X=D/c/x | mv D/c D/c2, rm D/c2/x, write D/c2/x 2
rename dir across: D/c -> E/c
    mkdir D/c | D E F=D/c | mv D/c E/c
rename non-empty dir across: D/c -> E/c (X = file c/x)
    mkdir D/c, write D/c/x 1 | D E F=D/c X=D/c/x | mv D/c E/c
rename dir within D over empty dir c2 (R = old c2)
    mkdir D/c, mkdir D/c2 | D F=D/c R=D/c2 | mv D/c D/c2
rename dir across over empty dir E/c (R = old E/c)
    mkdir D/c, mkdir E/c | D E F=D/c R=E/c | mv D/c E/c
symlink create D/l
    | D | symlink nowhere D/l
symlink delete D/l
    symlink nowhere D/l | D | rm D/l
mkfifo D/l
    | D | mkfifo D/l
unlink the symlink to a watched file (F = target)
    write D/f hello, symlink f D/l | D F=D/f | rm D/l
delete of the watched top dir (F = a, nobody watches its parent)
    | F=D | rmdir D
rename of the watched top dir a -> b/c (E = b, F = a)
    | E F=D | mv D E/c
two creates with no drain between (D)
    | D | create D/f, create D/g
same dir opened twice, two knotes (D and X)
    | D X=D | create D/f
";

/// As a cell spells them, in its order.
const NOTES: [(u32, &str); 7] = [
    (vnode::DELETE, "DELETE"),
    (vnode::WRITE, "WRITE"),
    (vnode::EXTEND, "EXTEND"),
    (vnode::ATTRIB, "ATTRIB"),
    (vnode::LINK, "LINK"),
    (vnode::RENAME, "RENAME"),
    (vnode::REVOKE, "REVOKE"),
];

/// The columns: D, E, F, R, X.
const COLUMNS: [char; 5] = ['D', 'E', 'F', 'R', 'X'];
type Cells = [String; COLUMNS.len()];

/// What is done again of a row of the recording.
struct Row {
    before: &'static str,
    watched: &'static str,
    steps: &'static str,
}

fn rows() -> BTreeMap<&'static str, Row> {
    let mut rows = BTreeMap::new();
    let mut lines = ROWS
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    while let Some(label) = lines.next() {
        let parts: Vec<_> = lines
            .next()
            .into_iter()
            .flat_map(|l| l.split('|'))
            .collect();
        let [before, watched, steps] = parts[..] else {
            panic!("{label}: not three parts: {parts:?}");
        };
        let row = Row {
            before,
            watched,
            steps,
        };
        assert!(rows.insert(label, row).is_none(), "{label}: twice");
    }
    rows
}

/// The recording's rows, by file system.
fn recorded() -> BTreeMap<&'static str, BTreeMap<&'static str, Cells>> {
    let mut tables = BTreeMap::new();
    let mut table = None;
    for line in RECORDING.lines() {
        if let Some(file_system) = line.strip_prefix("## ") {
            table = Some(tables.entry(file_system).or_insert_with(BTreeMap::new));
            continue;
        }
        let Some(row) = line.strip_prefix("| ").and_then(|l| l.strip_suffix('|')) else {
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 1 + COLUMNS.len(), "{line}");
        if cells[0] == "operation" {
            let letters = cells[1..].iter().filter_map(|c| c.chars().next());
            assert!(letters.eq(COLUMNS), "{line}");
            continue;
        }
        let table = table.as_mut().expect("a heading before the first row");
        let before = table.insert(cells[0], std::array::from_fn(|i| cells[1 + i].to_string()));
        assert!(before.is_none(), "twice: {line}");
    }
    tables
}

fn token(column: usize) -> Token {
    Token::Entry {
        watch: 0,
        index: column as u32,
        generation: 0,
    }
}

fn perform(sim: &mut Sim<ByVnode>, steps: &str) -> Result<(), String> {
    for step in steps.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        match step {
            "silence" => {}
            "drain" => drop(
                sim.queue
                    .fetch(&mut sim.files, &mut kw::kernel::Notes::default()),
            ),
            _ => {
                let words: Vec<&str> = step.split(' ').collect();
                let done = sim.perform(&Op::parse(&words)?, 0);
                done.map_err(|error| format!("{step}: {error:?}"))?;
            }
        }
    }
    Ok(())
}

/// A row as the simulation has it.
fn simulated(system: &'static System, row: &Row) -> Result<Cells, String> {
    let mut sim = Sim::<ByVnode>::new(system);
    perform(&mut sim, "mkdir D, mkdir E")?;
    perform(&mut sim, row.before)?;
    let mut watched = [false; COLUMNS.len()];
    for watch in row.watched.split_whitespace() {
        let (letter, path) = watch.split_once('=').unwrap_or((watch, watch));
        let column = COLUMNS.iter().position(|c| letter.chars().eq([*c]));
        let column = column.ok_or(format!("{watch}: no such column"))?;
        let node = sim.files.find(&absolute(path.as_bytes()), true, &|_| true);
        let node = node.map_err(|error| format!("{watch}: {error:?}"))?;
        // All bits, as in the recording.
        let added = sim
            .queue
            .add(&mut sim.files, token(column), node, vnode::TREE);
        added.map_err(|error| format!("{watch}: {error:?}"))?;
        watched[column] = true;
    }
    perform(&mut sim, row.steps)?;
    Ok(std::array::from_fn(|column| match watched[column] {
        true => cell(sim.queue.pending(token(column))),
        false => String::new(),
    }))
}

fn cell(mut bits: u32) -> String {
    let mut names = Vec::new();
    for (bit, name) in NOTES {
        if bits & bit != 0 {
            names.push(name.to_string());
            bits &= !bit;
        }
    }
    if bits != 0 {
        names.push(format!("{bits:#x}"));
    }
    match names[..] {
        [] => "none".to_string(),
        _ => names.join("+"),
    }
}

#[test]
fn the_simulated_netbsd_posts_what_was_recorded() {
    let rows = rows();
    let recorded = recorded();
    let (mut cells, mut wrong) = (0, Vec::new());
    assert!(recorded.keys().eq(&["ext2fs", "ffs", "tmpfs"]));
    for (file_system, table) in &recorded {
        let system = System::named(&format!("netbsd-{file_system}")).expect("a model");
        for label in rows.keys().filter(|label| !table.contains_key(*label)) {
            wrong.push(format!("{file_system}: {label}: not in the recording"));
        }
        for (label, was) in table {
            let Some(row) = rows.get(label) else {
                wrong.push(format!("{file_system}: {label}: only in the recording"));
                continue;
            };
            let is = match simulated(system, row) {
                Ok(is) => is,
                Err(why) => {
                    wrong.push(format!("{file_system}: {label}: {why}"));
                    continue;
                }
            };
            for ((column, was), is) in COLUMNS.iter().zip(was).zip(&is) {
                cells += usize::from(!was.is_empty());
                if was != is {
                    let recorded = format!("recorded {was:?}, simulated {is:?}");
                    wrong.push(format!("{file_system}: {label}: {column}: {recorded}"));
                }
            }
        }
    }
    println!(
        "{} rows on {} file systems, {cells} cells",
        rows.len(),
        recorded.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
