//! What a change costs, in system calls, on Linux: the bounds of
//! `docs/design.md`. They must not depend on the size of the tree, so each is
//! measured in a small tree and in a large one.
//!
//! A note of inotify carries a name. Where the table allows a listing of the
//! directory, one stat of that name serves instead, and is asserted here.
#![cfg(all(target_os = "linux", not(feature = "libkqueue")))]

mod common;

use common::{Sandbox, RECURSIVE};
use kw::watcher::Stats;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A tree with `n` files below a directory that nothing happens in, and a
/// directory `d` of `n` entries in which it does.
fn sized(n: usize) -> Sandbox {
    let mut sandbox = Sandbox::with(RECURSIVE, |root| {
        fill(&root.join("far"), n);
        fill(&root.join("d"), n);
        fs::create_dir(root.join("e")).unwrap();
        fs::write(root.join("e/f"), "x").unwrap();
    });
    // Times of birth are in the past then, and no look is in doubt any more.
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(sandbox.poll(), [""; 0]);
    sandbox.write("e/settle", "x");
    sandbox.poll();
    sandbox
}

fn fill(dir: &Path, n: usize) {
    fs::create_dir(dir).unwrap();
    for i in 0..n {
        if i % 100 == 0 {
            fs::create_dir(dir.join(format!("s{i}"))).unwrap();
        }
        fs::write(dir.join(format!("s{}/f{i}", i - i % 100)), "x").unwrap();
    }
}

/// What one change cost, in both trees; it must be the same.
fn cost(act: fn(&Sandbox), expected: &[&str]) -> Stats {
    let [small, large] = [100, 10_000].map(|n| {
        let mut sandbox = sized(n);
        let (events, cost) = sandbox.cost(act);
        assert_eq!(events, expected);
        cost
    });
    assert_eq!(
        small.calls.stats, large.calls.stats,
        "stats grow with the tree"
    );
    assert_eq!(
        small.calls.listings, large.calls.listings,
        "listings grow with the tree"
    );
    assert_eq!(
        small.calls.fetches, large.calls.fetches,
        "fetches grow with the tree"
    );
    assert_eq!(
        small.calls.opens, large.calls.opens,
        "opens grow with the tree"
    );
    large
}

#[test]
fn a_modified_file_costs_one_wait_and_one_stat() {
    let cost = cost(|s| s.append("e/f", "more"), &["modified e/f"]);
    assert_eq!((cost.waits, cost.calls.fetches), (1, 1));
    assert_eq!((cost.calls.stats, cost.calls.listings), (1, 0));
    assert_eq!((cost.calls.opens, cost.calls.registrations), (0, 0));
}

#[test]
fn a_created_file_costs_one_stat() {
    let cost = cost(|s| s.symlink("x", "d/new"), &["created d/new"]);
    assert_eq!(cost.waits, 1);
    assert!(
        cost.calls.stats <= 1 && cost.calls.listings <= 1,
        "{cost:?}"
    );
    assert_eq!((cost.calls.opens, cost.calls.registrations), (0, 0));
}

#[test]
fn a_created_directory_costs_one_open_one_registration_and_one_listing() {
    let cost = cost(|s| s.mkdir("d/new"), &["created d/new/"]);
    assert_eq!((cost.waits, cost.calls.listings), (1, 1));
    assert_eq!((cost.calls.opens, cost.calls.registrations), (1, 1));
    // Its name, and twice its descriptor: is it the one that the name led to,
    // and what is it now that it is watched.
    assert!(cost.calls.stats <= 3, "{cost:?}");
}

#[test]
fn a_deleted_file_costs_one_look_at_its_name() {
    let cost = cost(|s| s.remove("d/s0/f0"), &["deleted d/s0/f0"]);
    assert_eq!(cost.waits, 1);
    assert!(cost.calls.stats + cost.calls.listings <= 1, "{cost:?}");
    assert_eq!((cost.calls.opens, cost.calls.registrations), (0, 0));
}

#[test]
fn a_renamed_file_costs_two_looks_at_names() {
    let cost = cost(|s| s.rename("d/s0/f0", "e/g"), &["moved d/s0/f0 -> e/g"]);
    assert_eq!(cost.waits, 1);
    assert!(cost.calls.stats + cost.calls.listings <= 3, "{cost:?}");
    assert!(cost.calls.listings <= 2, "{cost:?}");
    assert_eq!((cost.calls.opens, cost.calls.registrations), (0, 0));
}

#[test]
fn a_renamed_directory_with_ten_thousand_descendants_costs_no_more() {
    let cost = cost(|s| s.rename("d", "e/d2"), &["moved d -> e/d2/"]);
    assert_eq!(cost.waits, 1);
    assert!(cost.calls.stats + cost.calls.listings <= 3, "{cost:?}");
    assert!(cost.calls.listings <= 2, "{cost:?}");
    assert_eq!((cost.calls.opens, cost.calls.registrations), (0, 0));
}

#[test]
fn waiting_costs_nothing_but_the_wait() {
    let sandbox = sized(1000);
    let before = sandbox.watcher.stats();
    let mut put = |_: usize, _: kw::engine::event::Event<'_>| panic!("nothing happened");
    let timeout = Some(Duration::from_millis(300));
    assert_eq!(sandbox.watcher.poll(16, timeout, &mut put).unwrap(), 0);
    let after = sandbox.watcher.stats();
    assert_eq!(after.waits - before.waits, 1);
    assert_eq!(after.calls, before.calls);
}
