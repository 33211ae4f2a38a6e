//! Every defect that can be planted in the engine is found by the simulation.

mod sim;

use kw::engine::defect::{plant, Defect};
use kw::kernel::sim::systems::SYSTEMS;
use sim::script::Script;
use sim::{generate, try_each, try_run};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// Seeds tried for a defect. Most are found within ten.
fn seeds() -> u64 {
    std::env::var("KW_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(2000)
}

/// What finds a defect: a scenario or a seed, the file system, and how.
type Find = (String, &'static str, String);

fn find(defect: Defect, scenarios: &[(String, Script)]) -> Option<Find> {
    for (name, script) in scenarios {
        for system in SYSTEMS.iter().flat_map(|(_, models)| models.iter()) {
            if !script.suits(system) {
                continue;
            }
            plant(Some(defect));
            let found = try_each(script, system);
            plant(None);
            if let Err(why) = found {
                return Some((name.clone(), system.names[0], why));
            }
        }
    }
    for seed in 1..=seeds() {
        let script = generate::script(seed, 200);
        for (_, models) in SYSTEMS {
            let system = models[(seed % models.len() as u64) as usize];
            plant(Some(defect));
            let found = try_run(&script, system);
            plant(None);
            if let Err(why) = found {
                return Some((format!("seed {seed}"), system.names[0], why));
            }
        }
    }
    None
}

#[test]
fn every_planted_defect_is_found() {
    std::panic::set_hook(Box::new(|_| {})); // Panics are finds here.
    let mut scenarios = sim::script::all();
    // What fails anyway finds nothing.
    scenarios.retain(|(_, script)| {
        let mut systems = SYSTEMS.iter().flat_map(|(_, models)| models.iter());
        systems.all(|system| !script.suits(system) || try_each(script, system).is_ok())
    });
    let only = std::env::var("KW_DEFECT").ok();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(&defect) = Defect::ALL.get(at) else {
                    return;
                };
                if only
                    .as_ref()
                    .is_some_and(|only| *only != format!("{defect:?}"))
                {
                    continue;
                }
                let result = find(defect, &scenarios);
                found.lock().expect("no panic here").push((defect, result));
            });
        }
    });
    let _ = std::panic::take_hook();
    let found = found.into_inner().expect("no panic here");
    let mut missed = Vec::new();
    for (defect, result) in found {
        match result {
            Some((by, system, why)) => {
                let why: String = why.chars().take(100).collect();
                println!("{defect:?}: {by} on {system}: {why}");
            }
            None => missed.push(defect),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
    assert!(Defect::ALL.len() >= 25);
}
