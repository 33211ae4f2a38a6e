//! What a watcher uses while nothing happens.

use std::thread;
use std::time::Duration;

use super::{said, Bench};
use crate::contenders::{Mode, Running, KW_2};
use crate::results::{Case, Unit};
use crate::trees::{Shape, Tree};

/// Files in the tree.
const FILES: u64 = 10_000;
/// Until they have come to rest.
const SETTLES: Duration = Duration::from_secs(2);

/// Measures all at the same time: who does nothing disturbs nobody.
pub fn measure(bench: &mut Bench) -> Result<(), String> {
    let time = bench.scale.idle;
    eprintln!("idle: {} s", time.as_secs());
    let place = bench.place()?;
    let tree = said(
        Tree::of_shape(place.path(), Shape::Wide, FILES),
        place.path(),
    )?;
    let mut case = Case::new("idle", "cpu", None);
    let mut all: Vec<(&'static str, Running)> = Vec::new();
    // The second thread of libkw takes part in a crawl only.
    let contenders = bench.contenders.iter();
    for contender in contenders.filter(|contender| contender.name != KW_2) {
        match contender.start(Mode::Count, &tree.root, bench.limit) {
            Ok(running) => all.push((contender.name, running)),
            Err(reason) => case.fail(contender.name, bench.without_place(&reason)),
        }
    }
    thread::sleep(SETTLES);
    let before: Vec<u64> = all.iter().map(|(_, running)| running.cpu_ns()).collect();
    thread::sleep(time);
    for ((name, running), before) in all.iter().zip(before) {
        let cpu = running.cpu_ns().saturating_sub(before) as f64 / time.as_secs_f64();
        case.add(name, 0, "cpu_per_second", Unit::Ns, cpu);
    }
    bench.keep(&case);
    Ok(())
}
