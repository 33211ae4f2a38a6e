//! Every defect that can be planted in the engine is found by the simulation.

mod sim;

use kw::engine::defect::{plant, Defect};
use kw::kernel::sim::systems::SYSTEMS;
use sim::script::Script;
use sim::{generate, on_all_cores, setting, try_each, try_run};
use std::sync::Mutex;

/// Seeds tried for a defect. Most are found by a scenario.
const SEEDS: u64 = 2000;

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
    for seed in 1..=setting("KW_SEEDS").unwrap_or(SEEDS) {
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
    let mut scenarios = sim::script::all();
    // What fails anyway finds nothing.
    scenarios.retain(|(_, script)| {
        let mut systems = SYSTEMS.iter().flat_map(|(_, models)| models.iter());
        systems.all(|system| !script.suits(system) || try_each(script, system).is_ok())
    });
    let found = Mutex::new(Vec::new());
    on_all_cores(|at| {
        let Some(&defect) = Defect::ALL.get(at) else {
            return false;
        };
        let result = find(defect, &scenarios);
        found.lock().expect("no panic here").push((defect, result));
        true
    });
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
