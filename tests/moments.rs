//! Every pair of operations at every moment, in a small tree.
//!
//! Seeds find what nobody thought of, but a race that needs one particular pair of
//! operations at one particular call is rare among them. So here, what is rare
//! there is had in full: each operation is done to a tree that holds one of
//! everything; while the engine looks at what that changed (or takes its first
//! snapshot), each other operation is done at the first moment, the second, and
//! so on to the last. On every modelled file system.
//!
//! `KW_KERNEL` names one file system; what fails is printed as a scenario.

mod sim;

use kw::kernel::sim::systems::{System, SYSTEMS};
use sim::script::{Script, Step};
use sim::{on_all_cores, shrink, try_each};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// One of everything: hard links, a link, a FIFO, a shut directory, depth, a
/// directory beside the tree.
const TREE: &str = "
    mkdirs d/s
    write d/x xxx
    write d/s/y xxx
    ln d/x h
    mkdir e
    write e/x zzz
    write f xxx
    symlink f l
    mkfifo p
    mkdir shut
    write shut/x xxx
    chmod shut 0
    mkdirs ../out/n/s
    write ../out/n/s/x xxx
    write ../out/x xxx
";

/// What is done, some of it in several steps that nothing comes between.
const DEEDS: &[&str] = &[
    "write d/new one",
    "write f more",
    "overwrite f abc",
    "append d/x y",
    "append h y",
    "truncate d/s/y 1",
    "rm f",
    "rm d/x",
    "rmtree d",
    "rmtree e",
    "rm e/x; rmdir e; mkdir e",
    "rm f; mkdir f",
    "rm f; create f",
    "rm l; mkdir l",
    "rm l; symlink d l",
    "rm p; write p x",
    "write t one; mv t f",
    "write t one; mv t e/x",
    "mv f g",
    "mv f d/f",
    "mv f e/x",
    "mv d/x e/x",
    "mv l e/l",
    "mv l ../out/l",
    "mv p e/p",
    "mv f ../out/f",
    "mv ../out/x e/n",
    "mv d e/d",
    "mv e d/s/e",
    "mv d/s e/s",
    "mv d/s s",
    "mv d ../out/d",
    "mv ../out/n n",
    "mv ../out/n e/n; write e/n/s/z z",
    "mv d t; mv e d; mv t e",
    "mv d t; mv t/s d; mv t d/t",
    "mv f t; mv d/x f; mv t d/x",
    "swap d e",
    "swap f d/x",
    "swap d/s e",
    "ln f d/g",
    "ln d/x e/h",
    "ln f t; rm f",
    "mkdirs m/n; write m/n/o x",
    "mkdir m; mv d m/d; mv e m/e",
    "chmod d 0",
    "chmod d 700",
    "chmod d/s 300",
    "chmod shut 755",
    "mv shut e/shut",
    "chmod f 0",
    "age f",
    "mount e",
    "mv . ../r",
    "mv . ../r; mv ../r .",
    "mv .. ../../w2",
    "rmtree .",
    "rmtree .; mkdir .; write ./f new",
    "mv . ../r; mv ../out .",
    "mv . ../r; symlink r .",
];

fn script(lines: &str) -> Script {
    let text: String = lines
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    Script::parse(&format!("# every pair at every moment\n{text}")).expect("as in a scenario")
}

/// The steps of a deed, none of which need succeed: another may have been in its way.
fn steps(deed: &str) -> Vec<Step> {
    let lines: String = deed
        .split(';')
        .map(|op| format!("? {}\n", op.trim()))
        .collect();
    script(&lines).steps
}

/// A deed, and another one at each moment of what follows. `polled`: without watches, and
/// what follows is a look at everything.
fn pair(first: Option<&str>, second: &str, polled: bool) -> Script {
    let mut all = script(TREE);
    if polled {
        all.steps.push(Step::Budget(Some(0)));
    }
    let watch = script("? watch").steps;
    let mut racing = steps(second);
    if let Step::Do(scheduled) = racing[0].clone() {
        racing[0] = Step::Each(scheduled);
    }
    match first {
        Some(first) => {
            all.steps.extend(watch);
            all.steps.push(Step::Poll(Vec::new(), 0));
            all.steps.extend(steps(first));
            all.steps.extend(polled.then_some(Step::Sync));
            all.steps.extend(racing);
        }
        None => {
            all.steps.extend(racing);
            all.steps.extend(watch);
        }
    }
    all
}

fn suits(deed: &str, system: &System) -> bool {
    system.swaps || !deed.contains("swap ")
}

#[test]
fn any_two_changes_at_any_moment_replay() {
    every_pair(false);
}

#[test]
fn and_so_they_do_where_everything_is_polled() {
    every_pair(true);
}

fn every_pair(polled: bool) {
    let only = std::env::var("KW_KERNEL").ok();
    let firsts = || std::iter::once(None).chain(DEEDS.iter().map(|deed| Some(*deed)));
    let pairs: Vec<_> = firsts()
        .flat_map(|first| DEEDS.iter().map(move |second| (first, *second)))
        .collect();
    let runs = AtomicUsize::new(0);
    let failures: Mutex<Vec<String>> = Mutex::default();
    on_all_cores(|at| {
        let Some(&(first, second)) = pairs.get(at) else {
            return false;
        };
        let script = pair(first, second, polled);
        // Without notes a kernel's file systems are much alike: the first will do.
        let models = |of: &'static [&'static System]| of.iter().take(if polled { 1 } else { 99 });
        for system in SYSTEMS.iter().flat_map(|(_, of)| models(of)) {
            let wanted = only.as_ref().is_none_or(|k| system.names.contains(&&**k));
            let both = first.iter().chain([&second]);
            if !wanted || !both.into_iter().all(|deed| suits(deed, system)) {
                continue;
            }
            match try_each(&script, system) {
                Ok(n) => drop(runs.fetch_add(n, Ordering::Relaxed)),
                Err(why) => failures.lock().expect("no panic here").push(format!(
                    "{first:?}, then {second:?} on {}: {why}\n\n{}",
                    system.names[0],
                    shrink::scenario(&script, system)
                )),
            }
        }
        true
    });
    let failures = failures.into_inner().expect("no panic there");
    println!("{} pairs, {runs:?} runs", pairs.len());
    for failure in failures.iter().take(200) {
        eprintln!("{failure}");
    }
    assert!(failures.is_empty(), "{} failed", failures.len());
}
