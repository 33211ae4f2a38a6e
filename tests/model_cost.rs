//! What a change costs, in system calls, on every simulated kqueue: the bounds of
//! `docs/design.md`, met exactly. Each is measured in a tree of 100 entries and in
//! one of 10,000, both where the change is made and elsewhere, and must not differ.
//! What one system needs beyond them is a [`More`] with its reason.

mod sim;

use kw::engine::budget::Polling;
use kw::kernel::sim::ops::Op;
use kw::kernel::sim::systems::{System, SYSTEMS};
use kw::kernel::sim::{ByName, ByVnode, ByVnodeEarly, Family};
use kw::kernel::{Kernel, Kind};
use sim::Trial;
use std::time::Duration;

/// What a caller who waits is woken for, and what is asked of the kernel then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cost {
    waits: u64,
    fetches: u64,
    listings: u64,
    stats: u64,
    opens: u64,
    registrations: u64,
}

impl Cost {
    fn and(self, more: Cost) -> Cost {
        Cost {
            waits: self.waits + more.waits,
            fetches: self.fetches + more.fetches,
            listings: self.listings + more.listings,
            stats: self.stats + more.stats,
            opens: self.opens + more.opens,
            registrations: self.registrations + more.registrations,
        }
    }
}

const NOTHING: Cost = Cost {
    waits: 0,
    fetches: 0,
    listings: 0,
    stats: 0,
    opens: 0,
    registrations: 0,
};
/// Something came or went: when that was seen, notes are fetched once more.
const STRUCTURAL: Cost = Cost {
    waits: 1,
    fetches: 2,
    ..NOTHING
};

/// What one system is allowed besides.
struct More {
    system: &'static str,
    cost: Cost,
    why: &'static str,
}

/// Each of the directories concerned is listed once more on OpenBSD, and the timer
/// for that is set.
const fn openbsd(listings: u64) -> More {
    More {
        system: "openbsd",
        cost: Cost {
            waits: 1,
            fetches: 1,
            listings,
            registrations: 1,
            ..NOTHING
        },
        why: "a directory may have been told before its names changed",
    }
}

/// A caller who has nothing else to do.
fn wait<F: Family>(trial: &mut Trial<F>) -> Cost {
    let before = trial.sim().counters();
    let mut waits = 0;
    loop {
        let notes = trial.sim().queue.is_readable();
        let owed = trial.engine.owes();
        if !notes && !owed {
            match trial.engine.patience() {
                Some(time) => trial.sim().pass(time),
                None => break,
            }
        }
        waits += 1;
        assert!(waits < 100, "the engine does not come to rest");
        // A timer that goes off makes the kqueue readable as a note does.
        trial.turn(notes || !owed).unwrap();
    }
    // A wait that ends in vain costs nothing but itself.
    trial.sim().pass(Duration::from_secs(10));
    trial.turn(false).unwrap();
    let after = trial.sim().counters();
    Cost {
        waits,
        fetches: after.fetches - before.fetches,
        listings: after.listings - before.listings,
        stats: after.stats - before.stats,
        opens: after.opens - before.opens,
        registrations: after.registrations - before.registrations,
    }
}

fn perform<F: Family>(trial: &mut Trial<F>, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let op = Op::parse(&words).expect(line);
    trial.sim().perform(&op, 0).expect(line);
}

/// Makes a directory with `n` files, half of them in it and half further below.
fn fill<F: Family>(trial: &mut Trial<F>, dir: &str, n: usize) {
    perform(trial, &format!("mkdir {dir}"));
    for i in 0..n {
        let below = i - i % 100;
        if i == below {
            perform(trial, &format!("mkdir {dir}/s{i}"));
        }
        match i % 2 {
            0 => perform(trial, &format!("create {dir}/f{i}")),
            _ => perform(trial, &format!("create {dir}/s{below}/f{i}")),
        }
    }
}

/// A watched tree with `n` files below a directory that nothing happens in, and as
/// many below `d`, where it does. No look is in doubt any more.
fn sized<F: Family>(system: &'static System, n: usize) -> Trial<F> {
    let mut trial = Trial::<F>::new(system);
    fill(&mut trial, "far", n);
    fill(&mut trial, "d", n);
    for line in ["create d/seen", "mkdir d/empty", "mkdir e"] {
        perform(&mut trial, line);
    }
    assert_eq!(trial.watch(b"."), Ok(true));
    perform(&mut trial, "wait 1100");
    for _ in 0..2 {
        trial.poll().unwrap();
    }
    assert_eq!(trial.told, [""; 0]);
    trial
}

fn measure<F: Family>(system: &'static System, lines: &[String], told: &[String]) -> Cost {
    let [small, large] = [100, 10_000].map(|n| {
        let mut trial = sized::<F>(system, n);
        for line in lines {
            perform(&mut trial, line);
        }
        let cost = wait(&mut trial);
        assert_eq!(trial.told, told, "{}", system.names[0]);
        cost
    });
    let name = system.names[0];
    assert_eq!(small, large, "{name}: the cost grows with the tree");
    large
}

/// On every kqueue these operations are told as these events, and cost as much.
fn costs<S: AsRef<str>>(lines: &[S], told: &[S], cost: Cost, more: &[More]) {
    let [lines, told] = [lines, told].map(|list| {
        let words = list.iter().map(|word| word.as_ref().to_string());
        words.collect::<Vec<String>>()
    });
    let models = SYSTEMS.iter().flat_map(|(_, models)| models.iter());
    let mut wrong = Vec::new();
    for system in models.filter(|system| !system.inotify) {
        let name = system.names[0];
        let measured = match system.early {
            false => measure::<ByVnode>(system, &lines, &told),
            true => measure::<ByVnodeEarly>(system, &lines, &told),
        };
        let more = more.iter().find(|more| more.system == name);
        let allowed = more.map_or(cost, |more| cost.and(more.cost));
        if measured != allowed {
            let why = more.map_or("the table", |more| more.why);
            wrong.push(format!("{name}: {measured:?}, not {allowed:?} ({why})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn waiting_costs_nothing_but_the_wait() {
    costs::<&str>(&[], &[], NOTHING, &[]);
}

#[test]
fn a_modified_file_costs_one_wait_and_one_stat() {
    let cost = Cost {
        waits: 1,
        fetches: 1,
        stats: 1,
        ..NOTHING
    };
    costs(&["append d/f0 x"], &["MODIFIED d/f0"], cost, &[]);
}

#[test]
fn a_created_file_costs_one_listing_one_open_one_registration_and_one_stat() {
    let cost = Cost {
        listings: 1,
        stats: 1,
        opens: 1,
        registrations: 1,
        ..STRUCTURAL
    };
    costs(&["create d/new"], &["CREATED d/new"], cost, &[openbsd(1)]);
}

#[test]
fn a_hundred_created_files_cost_one_listing_and_two_registrations() {
    let cost = Cost {
        listings: 1,
        stats: 100,
        opens: 100,
        registrations: 2,
        ..STRUCTURAL
    };
    let each = |what: &str| -> Vec<String> {
        let names = 100..200; // As long as one another: listed in this order.
        names.map(|i| format!("{what} d/new{i}")).collect()
    };
    costs(&each("create"), &each("CREATED"), cost, &[openbsd(1)]);
}

#[test]
fn a_created_directory_costs_a_listing_and_a_stat_of_its_own_besides() {
    let cost = Cost {
        listings: 2,
        stats: 2,
        opens: 1,
        registrations: 1,
        ..STRUCTURAL
    };
    // The new directory is looked at once more itself, and, being so new, listed.
    let itself = Cost {
        stats: 1,
        ..openbsd(1).cost
    };
    let more = More {
        cost: openbsd(1).cost.and(itself),
        ..openbsd(1)
    };
    costs(&["mkdir d/new"], &["CREATED d/new/"], cost, &[more]);
}

#[test]
fn what_is_deleted_costs_one_listing_and_no_stat() {
    let cost = Cost {
        listings: 1,
        ..STRUCTURAL
    };
    let more = [openbsd(1)];
    costs(&["rm d/f0"], &["DELETED d/f0"], cost, &more);
    costs(&["rmdir d/empty"], &["DELETED d/empty/"], cost, &more);
}

#[test]
fn a_file_renamed_within_a_directory_costs_one_listing_and_one_stat() {
    let cost = Cost {
        listings: 1,
        stats: 1,
        ..STRUCTURAL
    };
    let told = ["MOVED d/f0 -> d/g"];
    costs(&["mv d/f0 d/g"], &told, cost, &[openbsd(1)]);
}

#[test]
fn a_file_renamed_across_directories_costs_two_listings_and_one_stat() {
    let cost = Cost {
        listings: 2,
        stats: 1,
        ..STRUCTURAL
    };
    let told = ["MOVED d/f0 -> e/g"];
    costs(&["mv d/f0 e/g"], &told, cost, &[openbsd(2)]);
}

/// `tmpfs_nrename` posts `NOTE_DELETE` to the directory of a file that is replaced.
const DRAGONFLY_TMPFS: More = More {
    system: "dragonfly-tmpfs",
    cost: Cost {
        stats: 2,
        ..NOTHING
    },
    why: "the directory is told that it was deleted, so its own name is looked at",
};

#[test]
fn a_file_replaced_by_one_that_was_known_costs_one_listing_and_one_stat() {
    let cost = Cost {
        listings: 1,
        stats: 1,
        ..STRUCTURAL
    };
    let told = ["MODIFIED|REPLACED d/f0", "DELETED d/seen"];
    let more = [openbsd(1), DRAGONFLY_TMPFS];
    costs(&["mv d/seen d/f0"], &told, cost, &more);
}

#[test]
fn an_atomic_save_costs_one_stat_more_than_a_created_file() {
    let cost = Cost {
        listings: 1,
        stats: 2,
        opens: 1,
        registrations: 1,
        ..STRUCTURAL
    };
    let lines = ["write d/new x", "mv d/new d/f0"];
    let more = [openbsd(1), DRAGONFLY_TMPFS];
    costs(&lines, &["MODIFIED|REPLACED d/f0"], cost, &more);
}

#[test]
fn a_renamed_directory_with_ten_thousand_descendants_costs_no_more_than_a_file() {
    let cost = Cost {
        listings: 1,
        stats: 1,
        ..STRUCTURAL
    };
    costs(&["mv d g"], &["MOVED d/ -> g/"], cost, &[openbsd(1)]);
}

#[test]
fn nor_does_one_that_is_renamed_across_directories() {
    let cost = Cost {
        listings: 2,
        stats: 1,
        ..STRUCTURAL
    };
    let rewritten = More {
        system: "netbsd-ext2fs",
        cost: Cost {
            listings: 1,
            ..NOTHING
        },
        why: "the directory is told that it was written to: its `..` was",
    };
    let more = [openbsd(2), rewritten];
    costs(&["mv d e/g"], &["MOVED d/ -> e/g/"], cost, &more);
}

/// Where nothing has a watch and nothing happens, each entry costs one look a round. The
/// directory that it is in is opened and made sure of, once for all that is in it. Every
/// fourth round lists each directory.
fn rounds<F: Family>(system: &'static System) {
    let mut trial = Trial::<F>::new(system);
    fill(&mut trial, "d", 1000);
    trial.engine.set_limit(Some(0));
    assert_eq!(trial.watch(b"."), Ok(true));
    perform(&mut trial, "wait 3000");
    trial.rounds(4).unwrap(); // Whatever was too new then is not any more.
    let watch = trial.engine.watches().next().unwrap();
    let tree = watch.tree();
    let all = tree.subtree(tree.root());
    let dirs = all.filter(|&key| tree.kind(key) == Kind::Dir).count() as u64;
    let entries = watch.entries() as u64;
    let name = system.names[0];
    let mut thorough = 0;
    for _ in 0..4 {
        let before = trial.sim().counters();
        trial.rounds(1).unwrap();
        let after = trial.sim().counters();
        let (listings, stats) = (after.listings - before.listings, after.stats - before.stats);
        // Nothing is opened to be watched (inotify opens what it lists), and a kqueue's
        // timer is set.
        let opens = after.opens - before.opens;
        let registrations = after.registrations - before.registrations;
        let needed = if F::NAMES { (listings, 0) } else { (0, 1) };
        assert_eq!((opens, registrations), needed, "{name}");
        assert!(listings == 0 || listings == dirs, "{name}: {listings}");
        thorough += u64::from(listings > 0);
        // Besides, the root's path is looked at.
        // (Where files are listed before and after a directory, twice.)
        let sure = dirs * if listings > 0 { 5 } else { 2 };
        let most = entries + sure + 4;
        assert!(
            (entries..=most).contains(&stats),
            "{name}: {stats} of {most}"
        );
    }
    assert_eq!(thorough, 1, "{name}");
}

#[test]
fn a_round_of_the_polled_costs_a_stat_an_entry() {
    for system in SYSTEMS.iter().flat_map(|(_, models)| models.iter()) {
        match (system.inotify, system.early) {
            (true, _) => rounds::<ByName>(system),
            (false, true) => rounds::<ByVnodeEarly>(system),
            (false, false) => rounds::<ByVnode>(system),
        }
    }
}

/// A tick makes as many looks as it may, however large the tree is.
fn ticks<F: Family>(system: &'static System) {
    let [small, large] = [2_000, 10_000].map(|n| {
        let mut trial = Trial::<F>::new(system);
        fill(&mut trial, "d", n);
        trial.engine.set_limit(Some(0));
        trial.engine.set_polling(Polling {
            looks: 100,
            ..Polling::default()
        });
        assert_eq!(trial.watch(b"."), Ok(true));
        perform(&mut trial, "wait 3000");
        let mut most = 0;
        trial.poll().unwrap();
        for _ in 0..1000 {
            let before = trial.sim().counters();
            perform(&mut trial, "wait 1000");
            trial.poll().unwrap();
            let after = trial.sim().counters();
            most = most.max(after.stats - before.stats);
        }
        most
    });
    let name = system.names[0];
    // An entry, its directory, and the root's path.
    assert!(small <= 100 + 100 + 10, "{name}: {small}");
    assert!(
        large <= small + 2,
        "{name}: {large}, where there is less {small}"
    );
}

#[test]
fn a_tick_costs_as_much_as_it_may_whatever_the_size_of_the_tree() {
    for system in SYSTEMS.iter().flat_map(|(_, models)| models.iter()) {
        match (system.inotify, system.early) {
            (true, _) => ticks::<ByName>(system),
            (false, true) => ticks::<ByVnodeEarly>(system),
            (false, false) => ticks::<ByVnode>(system),
        }
    }
}
