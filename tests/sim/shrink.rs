//! From a script that fails to a small one that fails as well.

use super::script::{Script, Step};
use super::try_run;
use kw::kernel::sim::systems::System;
use std::fmt::Write;

/// Whether a script still fails, and in the same way: what is said before the
/// first detail. (Shrinking must not slip from one defect to another.)
fn fails(script: &Script, system: &'static System, kind: &str) -> bool {
    try_run(script, system).is_err_and(|why| kind_of(&why) == kind)
}

fn kind_of(why: &str) -> String {
    let known = [
        "does not come to rest",
        "not at rest",
        "was left behind",
        "is not watched",
        "another inode",
        "something that is gone",
        "a deadline",
        "panic",
        "created",
        "deleted",
        "moved",
        "changed",
        "replayed",
        "untold",
        "mode",
    ];
    let found = known.iter().find(|k| why.contains(**k));
    found.map_or_else(|| why.to_string(), |k| k.to_string())
}

/// Takes away what can be taken away. Tries at most so often.
pub fn shrink(script: &Script, system: &'static System, why: &str, mut tries: usize) -> Script {
    let kind = kind_of(why);
    let mut best = script.clone();
    let mut chunk = best.steps.len() / 2;
    while chunk > 0 && tries > 0 {
        let mut at = 0;
        let mut progress = false;
        while at < best.steps.len() && tries > 0 {
            let mut candidate = best.clone();
            let end = (at + chunk).min(candidate.steps.len());
            candidate.steps.drain(at..end);
            tries -= 1;
            if fails(&candidate, system, &kind) {
                best = candidate;
                progress = true;
            } else {
                at = end;
            }
        }
        if chunk == 1 && !progress {
            break;
        }
        chunk = (chunk / 2).max(1);
    }
    // Simpler timing.
    for at in 0..best.steps.len() {
        for simplify in [
            |s: &mut kw::kernel::sim::Scheduled| (s.after, s.late, s.early) = (0, 0, 0),
            |s: &mut kw::kernel::sim::Scheduled| s.late = 0,
            |s: &mut kw::kernel::sim::Scheduled| s.early = 0,
            |s: &mut kw::kernel::sim::Scheduled| s.after = s.after.min(1),
        ] {
            let mut candidate = best.clone();
            if let Step::Do(scheduled) = &mut candidate.steps[at] {
                simplify(scheduled);
            }
            if candidate.steps != best.steps && tries > 0 {
                tries -= 1;
                if fails(&candidate, system, &kind) {
                    best = candidate;
                }
            }
        }
    }
    best
}

/// A script as a scenario, ready to be saved.
pub fn scenario(script: &Script, system: &System) -> String {
    let mut text = format!("# {}\nonly {}\n", script.title, system.names[0]);
    for step in &script.steps {
        let _ = writeln!(text, "{step}");
    }
    text
}
