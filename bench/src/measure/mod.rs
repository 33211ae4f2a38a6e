//! What is measured. Each module has one measurement: what it does to the tree, and what
//! it takes from the contenders.

pub mod burst;
pub mod cost;
pub mod idle;
pub mod latency;
pub mod ready;
pub mod rename;
pub mod size;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::contenders::{Contender, Programs, FLOOR, KW};
use crate::results::{Case, Row};

/// A peer whose turn takes longer than this has one turn in a case, not several.
const SLOW: Duration = Duration::from_secs(15);

/// What the measurements have in common.
#[derive(Debug)]
pub struct Bench {
    /// Those that are there.
    pub contenders: Vec<Contender>,
    /// The programs, for measurements of libkw alone.
    pub programs: Programs,
    /// A directory for the trees.
    pub place: PathBuf,
    /// How much is done.
    pub scale: Scale,
    /// How long a contender may take to get ready.
    pub limit: Duration,
    /// What was measured so far.
    pub rows: Vec<Row>,
}

/// How much is done.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Scale {
    /// Files of the trees for `ready` and `cost`.
    pub sizes: Vec<u64>,
    pub all_shapes: bool,
    pub rounds: usize,
    /// Rounds with trees of a million files.
    pub rounds_of_the_largest: usize,
    pub latency_samples: usize,
    pub latency_time: Duration,
    pub burst_files: u64,
    pub checkout_files: u64,
    pub removed_directories: u64,
    pub renamed_directories: u64,
    pub cost_changes: u64,
    pub idle: Duration,
}

impl Scale {
    /// For figures to be shown.
    pub fn full() -> Scale {
        Scale {
            sizes: vec![1_000, 10_000, 100_000, 1_000_000],
            all_shapes: true,
            rounds: 3,
            rounds_of_the_largest: 2,
            latency_samples: 1_000,
            latency_time: Duration::from_secs(5),
            burst_files: 100_000,
            checkout_files: 5_000,
            removed_directories: 2_000,
            renamed_directories: 1_000,
            cost_changes: 1_000,
            idle: Duration::from_secs(10),
        }
    }

    /// To see whether it works.
    pub fn quick() -> Scale {
        Scale {
            sizes: vec![1_000, 4_000],
            all_shapes: false,
            rounds: 2,
            rounds_of_the_largest: 1,
            latency_samples: 50,
            latency_time: Duration::from_secs(1),
            burst_files: 2_000,
            checkout_files: 200,
            removed_directories: 50,
            renamed_directories: 20,
            cost_changes: 100,
            idle: Duration::from_secs(1),
        }
    }
}

impl Bench {
    /// Gives every contender its turn in each round, every round beginning with another
    /// one. Who fails is out of the case, and only the reason is kept.
    fn turn_about<'a>(
        &'a self,
        case: &mut Case,
        rounds: usize,
        mut turn: impl FnMut(&mut Case, &'a Contender, usize) -> Result<(), String>,
    ) {
        let mut slow: Vec<&str> = Vec::new();
        for round in 0..rounds {
            let (before, from) = self
                .contenders
                .split_at(round % self.contenders.len().max(1));
            // Each comes after another one, too, whose marks the kernel may still be at.
            let mut order: Vec<&'a Contender> = from.iter().chain(before).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for contender in order {
                let is_out = case.has_failed(contender.name) || slow.contains(&contender.name);
                if is_out || !case.is_for(contender.name) {
                    continue;
                }
                let begin = Instant::now();
                if let Err(reason) = turn(case, contender, round) {
                    case.fail(contender.name, self.without_place(&reason));
                }
                let peer = ![FLOOR, KW].contains(&contender.name);
                if peer && begin.elapsed() > SLOW {
                    slow.push(contender.name);
                }
            }
        }
    }

    /// Keeps the rows of a case that is over.
    fn keep(&mut self, case: &Case) {
        for (contender, reason) in case.failed() {
            eprintln!("  {contender}: {reason}");
        }
        self.rows.extend(case.rows());
    }

    /// Has ext4 put each tree into a part of the disk of its own, for the reason that
    /// `burst` gives. Other file systems do not know what is meant, and need it not.
    pub fn spread(&self) {
        let mut command = Command::new("chattr");
        command.arg("+T").arg(&self.place).stderr(Stdio::null());
        // Without it the burst may be slow; its `writer` shows that.
        let _ = command.status();
    }

    /// A reason without the part of its paths that is of this machine.
    fn without_place(&self, reason: &str) -> String {
        reason.replace(&format!("{}/", self.place.display()), "")
    }

    /// A directory of its own for the trees of one measurement.
    fn place(&self) -> Result<tempfile::TempDir, String> {
        said(
            tempfile::Builder::new()
                .prefix("kw-bench-")
                .tempdir_in(&self.place),
            &self.place,
        )
    }
}

/// An error with the path that it is about.
fn said<T>(result: std::io::Result<T>, path: &Path) -> Result<T, String> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}
