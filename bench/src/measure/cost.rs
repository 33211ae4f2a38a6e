//! What one change costs, by the size of the tree: in instructions, which do not shake.
//!
//! `cost/change.c` makes a number of changes and calls kw_poll after each; callgrind
//! counts what is executed within kw_poll. libkw only. By the same way, what kw_add
//! executes for each entry.

use std::path::Path;
use std::process::Command;

use super::{said, Bench};
use crate::contenders::KW;
use crate::results::{Case, Unit};
use crate::trees::{Shape, Tree};

/// The changes, as `change.c` calls them.
const KINDS: [&str; 3] = ["write", "rename", "create"];

/// Measures the sizes and shapes.
pub fn measure(bench: &mut Bench) -> Result<(), String> {
    for shape in [Shape::Wide, Shape::Flat] {
        for files in bench.scale.sizes.clone() {
            eprintln!("cost of a change: {shape}, {files} files");
            let place = bench.place()?;
            let tree = said(Tree::of_shape(place.path(), shape, files), place.path())?;
            let directory = tree.directories.last().unwrap_or(&tree.root);
            let count = |function, kind, changes| {
                instructions(bench, function, &tree.root, directory, kind, changes)
            };
            let mut case = Case::new("cost", shape.to_string(), Some(files));
            for kind in KINDS {
                let changes = bench.scale.cost_changes;
                match count("kw_poll", kind, changes) {
                    Ok(counted) => {
                        case.add(KW, 0, kind, Unit::Count, counted as f64 / changes as f64);
                    }
                    Err(reason) => {
                        case.fail(KW, bench.without_place(&reason));
                        break;
                    }
                }
            }
            if let Ok(counted) = count("kw_add", "create", 0) {
                let per_entry = counted as f64 / tree.entries() as f64;
                case.add(KW, 0, "crawl_per_entry", Unit::Count, per_entry);
            }
            bench.keep(&case);
        }
    }
    Ok(())
}

/// Instructions executed within `function`.
fn instructions(
    bench: &Bench,
    function: &str,
    tree: &Path,
    directory: &Path,
    kind: &str,
    changes: u64,
) -> Result<u64, String> {
    let place = bench.place()?;
    let out = place.path().join("callgrind");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(bench.programs.bin.join("change"))
        .args([tree, directory])
        .arg(kind)
        .arg(changes.to_string())
        .output()
        .map_err(|error| format!("valgrind: {error} (valgrind installs it)"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(text
            .lines()
            .last()
            .unwrap_or("valgrind has failed")
            .to_string());
    }
    let profile = said(std::fs::read_to_string(&out), &out)?;
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("totals:"));
    total
        .and_then(|total| total.trim().parse().ok())
        .ok_or("callgrind told no total".to_string())
}
