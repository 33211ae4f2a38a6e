//! The promise under fire: concurrent writers at full speed on a real disk,
//! then quiet, and `replay(T0, events)` must be the tree on disk, with every
//! prefix applicable.
//!
//! `KW_SEEDS` says how many seeds are run (300), `KW_SEED` which is the first
//! (or, without `KW_SEEDS`, the only one), `KW_OPS` how many operations each
//! writer makes (200 with two writers: 400 in all), `KW_WRITERS` how many
//! writers there are. A seed fixes what each writer does; how they interleave
//! is the machine's affair.

mod common;

use common::{difference, disk, Sandbox, RECURSIVE};
use kw::watcher::HandleOptions;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// xorshift64*: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % sides
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A path that may or may not exist, at most four deep. All writers draw from
/// the same few names, so that they get in each other's way.
fn some_path(dice: &mut Dice, root: &Path) -> PathBuf {
    let mut path = root.to_path_buf();
    for _ in 0..=dice.roll(4) {
        path.push(format!("{}{}", ["d", "e", "f"][dice.roll(3)], dice.roll(3)));
    }
    path
}

/// One random operation on files with several names.
///
/// inotify tells of a write by the name that was written through. If that name
/// is gone again before anyone can look, or is in a directory that is not
/// watched (yet), nobody can know which file it was. So the names that are
/// written through stay, in directories that are renamed but do not leave; the
/// other names come, go and change hands.
fn operate_on_links(dice: &mut Dice, root: &Path, me: usize) -> std::io::Result<()> {
    use std::io::Write;
    let dirs = [0, 0].map(|_: i32| root.join(format!("links{}", dice.roll(3))));
    let lasting = dirs[0].join(format!("lasting{}", dice.roll(2)));
    let [path, other] = [&dirs[0], &dirs[1]].map(|dir| dir.join(format!("k{}", dice.roll(4))));
    match dice.roll(9) {
        0..=1 => fs::hard_link(&lasting, &other),
        2 => fs::hard_link(&path, &other),
        3..=4 => fs::OpenOptions::new()
            .append(true)
            .open(&lasting)?
            .write_all(b"more"),
        5 => fs::rename(&path, &other),
        6 => {
            let temporary = path.with_extension(format!("tmp{me}"));
            fs::write(&temporary, vec![b'z'; dice.roll(50)])?;
            fs::rename(&temporary, &path)
        }
        7 => fs::remove_file(&path),
        _ if dirs[1].exists() => Ok(()),
        _ => fs::rename(&dirs[0], &dirs[1]),
    }
}

/// One random operation. Most of those that cannot be done just fail.
fn operate(dice: &mut Dice, root: &Path, outside: &Path, me: usize) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let path = some_path(dice, root);
    match dice.roll(22) {
        0..=3 => fs::write(&path, vec![b'x'; dice.roll(50)]),
        4..=5 => fs::OpenOptions::new()
            .append(true)
            .open(&path)?
            .write_all(b"more"),
        6..=7 => fs::create_dir_all(&path),
        8 => fs::remove_file(&path),
        9 => fs::remove_dir_all(&path),
        10..=12 => fs::rename(&path, some_path(dice, root)),
        13 => {
            // An atomic save.
            let temporary = path.with_extension(format!("tmp{me}"));
            fs::write(&temporary, vec![b'y'; dice.roll(50)])?;
            fs::rename(&temporary, &path)
        }
        14 | 20 | 21 => operate_on_links(dice, root, me),
        15 => std::os::unix::fs::symlink("target", &path),
        16 => {
            // Two names swapped.
            let (other, aside) = (
                some_path(dice, root),
                path.with_extension(format!("swap{me}")),
            );
            fs::rename(&path, &aside)?;
            let first = fs::rename(&other, &path);
            fs::rename(&aside, &other).and(first)
        }
        17 => fs::set_permissions(
            &path,
            fs::Permissions::from_mode(0o700 | dice.roll(64) as u32),
        ),
        18 => {
            // Leaves the tree, changes, comes back, perhaps elsewhere. Its files'
            // content is left alone: they may have links in the tree, and a write
            // from outside is told to nobody.
            let away = outside.join(format!("away{me}"));
            fs::rename(&path, &away)?;
            if away.is_dir() {
                let _ = fs::write(away.join("new"), "n");
                let _ = fs::create_dir_all(away.join("d0/d1"));
                let _ = fs::remove_dir_all(away.join("e0"));
                let _ = fs::rename(away.join("d1"), away.join("e1"));
            }
            let back = fs::rename(&away, some_path(dice, root));
            if back.is_err() {
                let _ = fs::remove_dir_all(&away);
                let _ = fs::remove_file(&away);
            }
            back
        }
        _ => {
            // A whole tree at once.
            fs::create_dir_all(path.join("d0/e0/f"))?;
            for name in ["a", "d0/b", "d0/e0/c", "d0/e0/f/d"] {
                fs::write(path.join(name), name)?;
            }
            Ok(())
        }
    }
}

/// One seed. With limits to the number of watches, which change meanwhile, if it is to be
/// so. `Err` says what was wrong.
fn run(seed: u64, writers: usize, operations: usize, limited: bool) -> Result<usize, String> {
    let mut dice = Dice::new(seed);
    let mut limits = Dice::new(seed ^ 0xfe3d);
    let mut limit = move || [0, 1, 5, 10, 20, 40, 80][limits.roll(7)];
    let handle = HandleOptions {
        watch_limit: limited.then(&mut limit),
        ..HandleOptions::default()
    };
    let mut sandbox = Sandbox::opened(&handle, RECURSIVE, |root| {
        let outside = root.with_file_name("outside");
        for dir in ["links0", "links1"] {
            let dir = root.join(dir);
            fs::create_dir(&dir).expect("a fresh directory");
            for name in ["lasting0", "lasting1"] {
                fs::write(dir.join(name), name).expect("a fresh file");
            }
        }
        for _ in 0..dice.roll(100) {
            let _ = operate(&mut dice, root, &outside, 0);
        }
    });
    let (root, outside) = (sandbox.root.clone(), sandbox.outside.clone());
    let capacity = [1, 7, 64, 1000][dice.roll(4)];
    let pause = [0, 0, 1, 5][dice.roll(4)];
    let busy = AtomicUsize::new(writers);
    let outcome = std::thread::scope(|scope| {
        for me in 0..writers {
            let (root, outside, busy) = (&root, &outside, &busy);
            scope.spawn(move || {
                let mut dice = Dice::new(seed ^ ((me as u64 + 1) << 40));
                for _ in 0..operations {
                    let _ = operate(&mut dice, root, outside, me);
                }
                busy.fetch_sub(1, Ordering::Release);
            });
        }
        let (mut events, mut turns) = (0, 0u32);
        loop {
            let quiet = busy.load(Ordering::Acquire) == 0;
            let lines = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                sandbox.poll_with(capacity, Duration::from_millis(pause))
            }));
            match lines {
                Ok(lines) => {
                    events += lines.len();
                    turns += 1;
                    if limited && turns % 5 == 0 {
                        sandbox.watcher.set_limit(Some(limit()));
                    }
                }
                Err(why) => {
                    let text = why.downcast_ref::<String>().cloned().unwrap_or_default();
                    return Err(text);
                }
            }
            if quiet {
                return Ok(events);
            }
        }
    });
    let events = outcome?;
    if limited {
        // What is polled is as it was at the last look.
        sandbox.watcher.sync();
        sandbox.poll_with(capacity, Duration::ZERO);
    }
    if let Some(why) = difference(&sandbox.replayed, &disk(&root)) {
        return Err(why);
    }
    Ok(events)
}

#[test]
fn the_stream_replays_under_concurrent_writers() {
    stress(300, false);
}

#[test]
fn it_does_with_few_watches_and_with_none() {
    stress(100, true);
}

fn stress(seeds: u64, limited: bool) {
    let only = setting("KW_SEED");
    let seeds = setting("KW_SEEDS").unwrap_or(if only.is_some() { 1 } else { seeds });
    let writers = setting("KW_WRITERS").unwrap_or(2) as usize;
    let operations = setting("KW_OPS").unwrap_or(400 / writers as u64) as usize;
    let first = only.unwrap_or(1);
    let (mut events, mut failed) = (0, Vec::new());
    for seed in first..first + seeds {
        match run(seed, writers, operations, limited) {
            Ok(n) => events += n,
            Err(why) => {
                eprintln!("seed {seed}: {why}");
                failed.push(seed);
            }
        }
    }
    println!("{seeds} seeds, {events} events");
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
    assert!(events as u64 > seeds, "the writers did nothing");
}
