//! What is allocated for a change when the same things go on happening: nothing.
#![cfg(all(target_os = "linux", not(feature = "libkqueue")))]

mod common;

use allocation_counter::{measure, AllocationInfo};
use common::{Sandbox, RECURSIVE};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// So many files are changed between two polls.
const FILES: usize = 50;
/// Rounds before the memory is there, and rounds that are measured.
const ROUNDS: [usize; 2] = [40, 20];

/// What `kw_poll` allocates while `act` is done to each file in every round. The files
/// lie in several directories and have names that are not short.
fn polling(act: impl Fn(&PathBuf, usize)) -> (AllocationInfo, usize) {
    let name = |i: usize| format!("d{}/a file whose name is not short, number {i}", i % 7);
    let mut sandbox = Sandbox::with(RECURSIVE, |root| {
        for dir in 0..7 {
            fs::create_dir(root.join(format!("d{dir}"))).unwrap();
        }
        for i in 0..FILES {
            File::create(root.join(name(i))).unwrap();
        }
    });
    sandbox.poll();
    let files: Vec<PathBuf> = (0..FILES).map(|i| sandbox.path(&name(i))).collect();
    let (mut sum, mut events) = (AllocationInfo::default(), 0);
    for round in 0..ROUNDS[0] + ROUNDS[1] {
        if round == ROUNDS[0] / 2 {
            // What was crawled is beyond doubt after a second, and is forgotten.
            std::thread::sleep(Duration::from_millis(1500));
        }
        for file in &files {
            act(file, round);
        }
        let mut told = 0;
        let info = measure(|| loop {
            let zero = Some(Duration::ZERO);
            let n = sandbox.watcher.poll(16, zero, &mut |_, _| told += 1);
            if n.unwrap() == 0 {
                break;
            }
        });
        if round >= ROUNDS[0] {
            sum.count_total += info.count_total;
            sum.bytes_total += info.bytes_total;
            events += told;
        }
    }
    (sum, events)
}

#[track_caller]
fn allocates_nothing((info, events): (AllocationInfo, usize), at_least: usize) {
    assert!(events >= at_least * ROUNDS[1], "{events} events");
    let (count, bytes) = (info.count_total, info.bytes_total);
    assert_eq!((count, bytes), (0, 0), "allocated for {events} events");
}

#[test]
fn nothing_is_allocated_for_files_that_are_written_to() {
    let cost = polling(|file, _| {
        let mut file = OpenOptions::new().append(true).open(file).unwrap();
        file.write_all(b"x").unwrap();
    });
    allocates_nothing(cost, FILES);
}

#[test]
fn nothing_is_allocated_for_files_that_come_and_go() {
    let cost = polling(|file, round| match round % 2 {
        0 => fs::remove_file(file).unwrap(),
        _ => drop(File::create(file).unwrap()),
    });
    allocates_nothing(cost, FILES);
}

#[test]
fn nothing_is_allocated_for_atomic_saves() {
    let cost = polling(|file, _| {
        let temporary = file.with_extension("tmp");
        fs::write(&temporary, "x").unwrap();
        fs::rename(&temporary, file).unwrap();
    });
    allocates_nothing(cost, FILES);
}
