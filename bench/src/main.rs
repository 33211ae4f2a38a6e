//! The command line of the harness; `make bench` calls it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kw_bench::contenders::{Contender, Programs, FLOOR, KW, KW_2};
use kw_bench::machine::Machine;
use kw_bench::measure::{self, Bench, Scale};
use kw_bench::report;
use kw_bench::results::{Measured, Results};

/// The measurements, in the order in which they are made.
const MEASUREMENTS: [&str; 7] = [
    "ready", "latency", "burst", "rename", "cost", "idle", "size",
];

/// Whom a quick run measures if it is not told.
const QUICK: [&str; 4] = [FLOOR, KW, KW_2, "notify"];

/// Measures libkw beside other file watchers and beside the bare system calls.
#[derive(Parser)]
struct Options {
    /// Small sizes, few rounds and only what needs no peer to be installed, to see whether
    /// it works: less than a minute
    #[arg(long)]
    quick: bool,
    /// Only these measurements: ready, latency, burst, rename, cost, idle, size
    #[arg(long, value_delimiter = ',', value_parser = MEASUREMENTS)]
    only: Vec<String>,
    /// Only these contenders, by their names in the report; the floor and kw always
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
    /// Sizes of trees for ready and cost, in files
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<u64>,
    /// Rounds of each measurement
    #[arg(long)]
    rounds: Option<usize>,
    /// How many seconds a contender may take to get ready [default: 120; quick: 10]
    #[arg(long)]
    limit: Option<u64>,
    /// Where the trees are made: on the file system that is to be measured
    #[arg(long, overrides_with = "dir")]
    dir: PathBuf,
    /// Where the report goes
    #[arg(long)]
    out: PathBuf,
    /// Where the report goes if it is not one of everything, in full
    #[arg(long)]
    part_out: PathBuf,
    /// The programs floor, kw and change
    #[arg(long)]
    bin: PathBuf,
    /// The installed libraries
    #[arg(long)]
    lib: PathBuf,
    /// The peers that make bench-peers installs
    #[arg(long)]
    peers: PathBuf,
    /// Measure nothing: write the report anew from its results.json
    #[arg(long)]
    render: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("kw-bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Whether libkw has done what it must.
fn run(options: &Options) -> Result<bool, String> {
    let all = options.only.is_empty()
        && options.contenders.is_empty()
        && options.sizes.is_empty()
        && options.rounds.is_none()
        && options.limit.is_none();
    let out = match all && !options.quick {
        true => &options.out,
        false => &options.part_out,
    };
    if options.render {
        let results = report::read(out)?;
        report::write(&results, out)?;
        return Ok(true);
    }
    let results = measured(options)?;
    report::write(&results, out)?;
    print!("{}", report::tables(&results));
    println!("\nThe report is in {}", out.display());
    let complaints = report::complaints(&results);
    for complaint in &complaints {
        eprintln!("kw-bench: {complaint}");
    }
    Ok(complaints.is_empty())
}

fn measured(options: &Options) -> Result<Results, String> {
    let programs = Programs {
        bin: options.bin.clone(),
        peers: options.peers.clone(),
    };
    let contenders = chosen(options, &programs);
    let described = contenders.iter().map(described).collect();
    let mut bench = Bench {
        contenders: contenders
            .into_iter()
            .filter(|contender| contender.version.is_ok())
            .collect(),
        programs,
        place: options.dir.clone(),
        scale: scale(options),
        limit: Duration::from_secs(options.limit.unwrap_or(match options.quick {
            true => 10,
            false => 120,
        })),
        rows: Vec::new(),
    };
    bench.spread();
    let is_wanted = |name: &&str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    for name in MEASUREMENTS.into_iter().filter(is_wanted) {
        match name {
            "ready" => measure::ready::measure(&mut bench),
            "latency" => measure::latency::measure(&mut bench),
            "burst" => measure::burst::measure(&mut bench),
            "rename" => measure::rename::measure(&mut bench),
            "cost" => measure::cost::measure(&mut bench),
            "idle" => measure::idle::measure(&mut bench),
            _ => measure::size::measure(&mut bench, &options.lib),
        }?;
    }
    Ok(Results {
        machine: Machine::this(&options.dir, options.quick),
        contenders: described,
        rows: bench.rows,
    })
}

/// Those that are asked for, whether they are there or not.
fn chosen(options: &Options, programs: &Programs) -> Vec<Contender> {
    let is_wanted = |contender: &Contender| {
        if options.contenders.is_empty() {
            return !options.quick || QUICK.contains(&contender.name);
        }
        let is_named = |name: &String| letters(name) == letters(contender.name);
        [FLOOR, KW].contains(&contender.name) || options.contenders.iter().any(is_named)
    };
    let all = Contender::all(programs).into_iter();
    all.filter(is_wanted).collect()
}

/// Of a name, what a shell has no meaning for: `kw-2-threads` is `kw (2 threads)`.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// What the report says of a contender; says it now, too.
fn described(contender: &Contender) -> Measured {
    match &contender.version {
        Ok(version) => eprintln!("{} {version}", contender.name),
        Err(reason) => eprintln!("{} is skipped: {reason}", contender.name),
    }
    Measured {
        name: contender.name.to_string(),
        version: contender.version.clone().ok(),
        skipped: contender.version.clone().err(),
        note: contender.note.to_string(),
    }
}

fn scale(options: &Options) -> Scale {
    let mut scale = match options.quick {
        true => Scale::quick(),
        false => Scale::full(),
    };
    if !options.sizes.is_empty() {
        scale.sizes = options.sizes.clone();
    }
    if let Some(rounds) = options.rounds {
        scale.rounds = rounds;
        scale.rounds_of_the_largest = rounds;
    }
    scale
}
