//! The promise on every kernel, from seeds.
//!
//! `KW_SEEDS` says how many seeds are run on each of the five kernels, `KW_SEED`
//! which is the first (or, without `KW_SEEDS`, the only one), `KW_OPS` how many
//! operations a seed has, `KW_KERNEL` on which file system only. A seed that
//! fails is printed as a scenario, as small as it could be made.

mod sim;

use kw::kernel::sim::systems::{System, SYSTEMS};
use sim::{generate, on_all_cores, setting, shrink, try_run};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

/// The file system on which a seed is run for one of the five kernels.
fn model(models: &[&'static System], seed: u64) -> &'static System {
    models[(seed % models.len() as u64) as usize]
}

#[test]
fn the_stream_replays_on_every_kernel() {
    let only = setting("KW_SEED");
    let seeds = setting("KW_SEEDS").unwrap_or(if only.is_some() { 1 } else { 20_000 });
    let operations = setting("KW_OPS").unwrap_or(200) as usize;
    let kernel = std::env::var("KW_KERNEL").ok();
    let first = only.unwrap_or(1);
    let (runs, events, checks) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failures: Mutex<Vec<String>> = Mutex::default();
    on_all_cores(|at| {
        let enough = failures.lock().map_or(true, |f| f.len() >= 3);
        if at as u64 >= seeds || enough {
            return false;
        }
        let seed = first + at as u64;
        let script = generate::script(seed, operations);
        for (name, models) in SYSTEMS {
            let system = match &kernel {
                Some(kernel) => match models.iter().find(|s| s.names.contains(&&**kernel)) {
                    Some(system) => system,
                    None => continue,
                },
                None => model(models, seed),
            };
            match try_run(&script, system) {
                Ok(report) => {
                    runs.fetch_add(1, Ordering::Relaxed);
                    events.fetch_add(report.lines.len() as u64, Ordering::Relaxed);
                    checks.fetch_add(report.checks as u64, Ordering::Relaxed);
                }
                Err(why) => {
                    let small = shrink::shrink(&script, system, &why, 3000);
                    let again = try_run(&small, system).err().unwrap_or_default();
                    let text = format!(
                        "seed {seed} on {name} ({}): {why}\n\n{}\n=> {again}\n",
                        system.names[0],
                        shrink::scenario(&small, system)
                    );
                    if let Ok(mut failures) = failures.lock() {
                        failures.push(text);
                    }
                }
            }
        }
        true
    });
    println!("{runs:?} runs, {events:?} events, {checks:?} quiet moments checked");
    let failures = failures.into_inner().expect("no thread panicked");
    for failure in &failures {
        eprintln!("{failure}");
    }
    assert!(failures.is_empty(), "{} failed", failures.len());
}
