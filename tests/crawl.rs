//! Trees that are large enough for a crawl by several threads, and change meanwhile.
#![cfg(all(target_os = "linux", not(feature = "libkqueue")))]

mod common;

use common::{difference, disk, Sandbox, RECURSIVE};
use kw::engine::event::{kind, Event};
use kw::engine::watch::Options;
use kw::watcher::{HandleOptions, Stats, Status, Watcher};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many directories, three levels deep, with two files each.
fn plant(top: &Path, dirs: usize) {
    for i in 0..dirs {
        let dir = top.join(format!("a{}/b{}/c{i}", i % 4, i % 7));
        fs::create_dir_all(&dir).unwrap();
        for name in ["f", "g"] {
            fs::write(dir.join(name), name).unwrap();
        }
    }
}

fn with_threads(crawl_threads: usize) -> HandleOptions {
    HandleOptions {
        crawl_threads,
        ..HandleOptions::default()
    }
}

/// The tests of this file come one after the other: one of them counts threads.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most threads of libkw's that this process has at a time, while `over` is not set.
fn most_threads(over: &AtomicBool) -> usize {
    let mut most = 0;
    while !over.load(Ordering::Acquire) {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        most = most.max(names.filter(|name| name.trim() == "libkw").count());
    }
    most
}

#[test]
fn a_large_tree_is_crawled_by_as_many_threads_as_are_allowed() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    plant(root.path(), 6000);
    for threads in [1, 3] {
        let watcher = Watcher::open(&with_threads(threads)).unwrap();
        let over = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let seen = scope.spawn(|| most_threads(&over));
            let path = root.path().as_os_str().as_bytes();
            watcher.add(path, RECURSIVE).unwrap();
            over.store(true, Ordering::Release);
            seen.join().unwrap()
        });
        assert_eq!(seen, threads - 1);
    }
}

#[test]
fn the_snapshot_does_not_depend_on_the_number_of_threads() {
    let _alone = alone();
    let options = Options {
        sync_all: true,
        ..RECURSIVE
    };
    for threads in [0, 1, 2, 5] {
        let mut sandbox = Sandbox::opened(&with_threads(threads), options.clone(), |root| {
            plant(root, 600);
            // What is older than a tick of the clock is in no doubt.
            std::thread::sleep(Duration::from_millis(50));
        });
        sandbox.watcher.sync();
        assert_eq!(sandbox.poll(), [""; 0], "each entry is as it was seen");
        let stats = sandbox.watcher.stats();
        assert_eq!(stats.entries as usize, sandbox.replayed.len());
        assert_eq!(sandbox.poll(), [""; 0]);
        fs::rename(sandbox.path("a1"), sandbox.path("moved")).unwrap();
        fs::remove_dir_all(sandbox.path("a2")).unwrap();
        sandbox.poll();
        sandbox.check();
    }
}

#[test]
fn the_limit_of_watches_holds_for_all_threads_together() {
    let _alone = alone();
    for threads in [1, 4] {
        let options = HandleOptions {
            watch_limit: Some(100),
            ..with_threads(threads)
        };
        let mut sandbox = Sandbox::opened(&options, RECURSIVE, |root| plant(root, 600));
        assert!(sandbox.watcher.stats().kernel_watches <= 100);
        fs::write(sandbox.path("a0/b0/new"), "x").unwrap();
        sandbox.watcher.sync();
        sandbox.poll();
        sandbox.check();
    }
}

/// A directory that two watches share takes one kernel watch, not two.
#[test]
fn what_is_shared_is_not_counted_twice() {
    let _alone = alone();
    for threads in [1, 4] {
        let options = HandleOptions {
            watch_limit: Some(300),
            ..with_threads(threads)
        };
        let sandbox = Sandbox::opened(&options, RECURSIVE, |root| {
            fs::create_dir(root.join("sub")).unwrap();
        });
        let watcher = &sandbox.watcher;
        let sub = sandbox.path("sub");
        watcher.add(sub.as_os_str().as_bytes(), RECURSIVE).unwrap();
        // Some 200 directories: there is room for them once.
        plant(&sandbox.outside.join("big"), 170);
        fs::rename(sandbox.outside.join("big"), sub.join("big")).unwrap();
        let mut degraded = 0;
        let mut put =
            |_: usize, event: Event<'_>| degraded += i32::from(event.kind == kind::DEGRADED);
        while watcher.poll(64, Some(Duration::ZERO), &mut put).unwrap() > 0 {}
        assert_eq!(degraded, 0);
        assert_eq!(watcher.stats().polled, 0);
    }
}

#[test]
fn a_tree_that_changes_while_threads_crawl_it_replays() {
    let _alone = alone();
    for seed in 0..10 {
        let mut sandbox = Sandbox::opened(&with_threads(2 + seed % 3), RECURSIVE, |_| {});
        let (root, outside) = (sandbox.root.clone(), sandbox.outside.clone());
        plant(&outside.join("big"), 300);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let big = root.join("big");
                for i in 0..12 {
                    fs::rename(outside.join("big"), &big).unwrap();
                    std::thread::sleep(Duration::from_micros((seed * 370 % 3000) as u64));
                    for j in 0..6 {
                        let name = |n: usize| big.join(format!("a{}/b{}", n % 4, n % 7));
                        let _ = fs::rename(name(i + j), name(i + j + 1).join("within"));
                        let _ = fs::rename(name(j + 2).join("within"), name(j + 3));
                        let _ = fs::write(name(j).join(format!("n{i}")), "x");
                        let _ = fs::remove_dir_all(name(i * j + 3).join(format!("c{j}")));
                    }
                    if i % 3 == 1 {
                        fs::rename(big.join("a0"), root.join(format!("kept{i}"))).unwrap();
                        plant(&big, 100);
                    }
                    if i < 11 {
                        fs::rename(&big, outside.join("big")).unwrap();
                    }
                }
                over.store(true, Ordering::Release);
            });
            loop {
                let quiet = over.load(Ordering::Acquire);
                sandbox.poll_with(64, Duration::from_millis(1));
                if quiet {
                    break;
                }
            }
        });
        if let Some(why) = difference(&sandbox.replayed, &disk(&sandbox.root)) {
            panic!("seed {seed}: {why}");
        }
    }
}

#[test]
fn a_crawl_can_be_watched_and_ended_from_another_thread() {
    let _alone = alone();
    let dir = tempfile::tempdir_in(common::base()).unwrap();
    plant(dir.path(), 6000);
    let path = dir.path().as_os_str().as_bytes();
    for threads in [1, 4] {
        let watcher = Watcher::open(&with_threads(threads)).unwrap();
        let held = |s: &Stats| (s.watches, s.entries, s.kernel_watches, s.crawling);
        let before = watcher.stats();
        let mut ended = false;
        // A crawl may be over before anybody sees it.
        for _ in 0..100 {
            let over = AtomicBool::new(false);
            let (added, seen) = std::thread::scope(|scope| {
                let end = scope.spawn(|| {
                    while !over.load(Ordering::Acquire) {
                        let stats = watcher.stats();
                        if stats.crawling == 1 && stats.entries > 100 {
                            watcher.wake();
                            return stats.entries;
                        }
                    }
                    0
                });
                let added = watcher.add(path, RECURSIVE);
                over.store(true, Ordering::Release);
                (added, end.join().unwrap())
            });
            match added {
                Ok(watch) => watcher.remove(watch).unwrap(),
                Err(failure) => {
                    assert_eq!(failure.status, Status::Interrupted);
                    assert!(seen > 100 && seen < 18_000, "{seen} entries were found");
                    ended = true;
                }
            }
            assert_eq!(
                held(&watcher.stats()),
                held(&before),
                "nothing is left of it"
            );
        }
        assert!(ended);
        watcher.add(path, RECURSIVE).unwrap();
        assert!(watcher.stats().entries > 18_000);
    }
}

/// The least that something takes, of several times: what others do on this machine adds to
/// it, and takes nothing away.
fn least(mut act: impl FnMut() -> Duration) -> Duration {
    (0..5).map(|_| act()).min().unwrap()
}

#[test]
fn what_was_saved_is_loaded_in_a_fifth_of_the_time_of_the_crawl() {
    let _alone = alone();
    let dir = tempfile::tempdir_in(common::base()).unwrap();
    plant(dir.path(), 4000);
    let saved = dir.path().join("saved");
    let path = dir.path().as_os_str().as_bytes();
    let file = saved.as_os_str().as_bytes();
    let crawl = least(|| {
        let watcher = Watcher::open(&with_threads(1)).unwrap();
        let began = Instant::now();
        let watch = watcher.add(path, RECURSIVE).unwrap();
        let took = began.elapsed();
        watcher.save(watch, file).unwrap();
        took
    });
    let load = least(|| {
        let watcher = Watcher::open(&with_threads(1)).unwrap();
        let began = Instant::now();
        watcher.resume(path, RECURSIVE, file).unwrap();
        began.elapsed()
    });
    assert!(load * 5 < crawl, "loaded in {load:?}, crawled in {crawl:?}");
}
