//! The scenarios in `tests/scenarios`, on every modelled kernel.
//!
//! `KW_SCENARIO` names one file, `KW_KERNEL` one file system; `KW_TRACE` shows
//! what the engine asks of the kernel.

mod sim;

use kw::kernel::sim::systems::SYSTEMS;
use sim::script;
use std::path::PathBuf;

#[test]
fn every_scenario_holds_on_every_kernel() {
    let only = std::env::var_os("KW_SCENARIO").map(PathBuf::from);
    let kernel = std::env::var("KW_KERNEL").ok();
    let scenarios = only.map_or_else(script::all, |file| vec![script::one(&file)]);
    let (mut runs, mut failed) = (0, Vec::new());
    for (name, script) in &scenarios {
        for system in SYSTEMS.iter().flat_map(|(_, models)| models.iter()) {
            let wanted = kernel.as_ref().is_none_or(|k| system.names.contains(&&**k));
            if !wanted || !script.suits(system) {
                continue;
            }
            runs += 1;
            if let Err(why) = sim::try_each(script, system) {
                failed.push(format!("{name} on {}: {why}", system.names[0]));
            }
        }
    }
    println!("{} scenarios, {runs} runs", scenarios.len());
    for why in &failed {
        eprintln!("{why}");
    }
    assert!(failed.is_empty(), "{} failed", failed.len());
    assert!(runs >= scenarios.len(), "scenarios that run nowhere");
}
