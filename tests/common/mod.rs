//! A directory of its own for every test, a watcher on it, and the oracle.
#![allow(dead_code)] // Each test file uses its part.

use kw::engine::event::{flag, kind, Event};
use kw::engine::replay::{replay, Node, Replayed};
use kw::engine::watch::Options;
use kw::watcher::{HandleOptions, Stats, Watcher};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything below the root, all kinds of events.
pub const RECURSIVE: Options = Options::ALL;

/// Where sandboxes are made: `KW_TEST_DIR`, else the system's temporary directory.
pub fn base() -> PathBuf {
    std::env::var_os("KW_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// The tree on disk, as the oracle would have it.
pub fn disk(root: &Path) -> Replayed {
    let mut tree = Replayed::new();
    let mut todo = vec![(root.to_path_buf(), Vec::new())];
    while let Some((path, relative)) = todo.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        let is_dir = meta.is_dir();
        let flags = match meta.file_type() {
            t if t.is_dir() => flag::IS_DIR,
            t if t.is_symlink() => flag::IS_SYMLINK,
            _ => 0,
        };
        let node = Node {
            flags,
            inode: meta.ino(),
            size: if is_dir { 0 } else { meta.size() },
            mtime_ns: if is_dir {
                0
            } else {
                meta.mtime() * 1_000_000_000 + meta.mtime_nsec()
            },
        };
        if is_dir {
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                let mut below = relative.clone();
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend_from_slice(entry.file_name().as_bytes());
                todo.push((entry.path(), below));
            }
        }
        tree.insert(relative, node);
    }
    tree
}

/// The first difference between two trees, in words.
pub fn difference(replayed: &Replayed, disk: &Replayed) -> Option<String> {
    let paths: std::collections::BTreeSet<_> = replayed.keys().chain(disk.keys()).collect();
    for path in paths {
        let (a, b) = (replayed.get(path), disk.get(path));
        if a != b {
            let path = String::from_utf8_lossy(path);
            return Some(format!("{path:?}: replayed {a:?}, on disk {b:?}"));
        }
    }
    None
}

/// One line that says what an event says, with paths relative to the root.
pub fn describe(event: &Event<'_>) -> String {
    let relative = |path: &[u8]| {
        let path = &path[event.root_len.min(path.len())..];
        String::from_utf8_lossy(path).into_owned()
    };
    let what = match event.kind {
        kind::CREATED => "created",
        kind::DELETED => "deleted",
        kind::MODIFIED if event.flags & flag::REPLACED != 0 => "replaced",
        kind::MODIFIED => "modified",
        kind::ATTRIB => "attrib",
        kind::MOVED => "moved",
        kind::RESCANNED => "rescanned",
        kind::ROOT_GONE => "root gone",
        kind::ROOT_BACK => "root back",
        kind::UNMOUNTED => "unmounted",
        kind::DEGRADED => "degraded",
        kind::ERROR => "error",
        _ => "?",
    };
    let mut line = format!("{what} {}", relative(event.path));
    if let Some(dest) = event.dest {
        line += &format!(" -> {}", relative(dest));
    }
    if event.flags & flag::IS_DIR != 0 {
        line.push('/');
    }
    line.trim_end().to_string()
}

/// A watched directory in which nothing else happens.
pub struct Sandbox {
    pub root: PathBuf,
    pub outside: PathBuf,
    pub watcher: Watcher,
    pub replayed: Replayed,
    _dir: tempfile::TempDir,
}

impl Sandbox {
    /// Fills a directory with `prepare`, then watches it.
    pub fn with(options: Options, prepare: impl FnOnce(&Path)) -> Sandbox {
        Sandbox::opened(&HandleOptions::default(), options, prepare)
    }

    /// The same, with options for the handle.
    pub fn opened(
        handle: &HandleOptions,
        options: Options,
        prepare: impl FnOnce(&Path),
    ) -> Sandbox {
        let dir = tempfile::Builder::new()
            .prefix("kw")
            .tempdir_in(base())
            .expect("a temporary directory");
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        prepare(&root);
        let watcher = Watcher::open(handle).unwrap();
        watcher.add(root.as_os_str().as_bytes(), options).unwrap();
        let replayed = disk(&root);
        Sandbox {
            root,
            outside,
            watcher,
            replayed,
            _dir: dir,
        }
    }

    /// An empty directory, watched recursively.
    pub fn new() -> Sandbox {
        Sandbox::with(RECURSIVE, |_| {})
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn append(&self, name: &str, content: &str) {
        use std::io::Write;
        let mut options = fs::OpenOptions::new();
        let mut file = options.append(true).open(self.path(name)).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    pub fn mkdir(&self, name: &str) {
        fs::create_dir_all(self.path(name)).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    pub fn link(&self, from: &str, to: &str) {
        fs::hard_link(self.path(from), self.path(to)).unwrap();
    }

    pub fn symlink(&self, target: &str, name: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    /// Every event there is, folded into the oracle's tree.
    pub fn poll(&mut self) -> Vec<String> {
        self.poll_with(64, Duration::ZERO)
    }

    pub fn poll_with(&mut self, capacity: usize, timeout: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let replayed = &mut self.replayed;
            let mut put = |_: usize, event: Event<'_>| {
                lines.push(describe(&event));
                if let Err(why) = replay(replayed, &event) {
                    panic!("{why}\nevents so far: {lines:#?}");
                }
            };
            let n = self
                .watcher
                .poll(capacity, Some(timeout), &mut put)
                .unwrap();
            if n == 0 {
                return lines;
            }
        }
    }

    /// The events must be these, in this order, and replay.
    pub fn expect(&mut self, expected: &[&str]) {
        let events = self.poll();
        assert_eq!(events, expected, "events");
        self.check();
    }

    /// The events must be these, in any order, and replay.
    pub fn expect_set(&mut self, expected: &[&str]) {
        let mut events = self.poll();
        events.sort();
        let mut expected: Vec<_> = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(events, expected, "events, sorted");
        self.check();
    }

    /// What was replayed must be what is on disk.
    pub fn check(&self) {
        if let Some(why) = difference(&self.replayed, &disk(&self.root)) {
            panic!("{why}");
        }
    }

    /// System calls that `act` and polling until 0 cost.
    pub fn cost(&mut self, act: impl FnOnce(&Sandbox)) -> (Vec<String>, Stats) {
        let before = self.watcher.stats();
        act(self);
        let mut lines = Vec::new();
        let mut put = |_: usize, event: Event<'_>| lines.push(describe(&event));
        self.watcher
            .poll(1024, Some(Duration::from_secs(5)), &mut put)
            .unwrap();
        let mut cost = self.watcher.stats();
        cost.waits -= before.waits;
        cost.calls.fetches -= before.calls.fetches;
        cost.calls.listings -= before.calls.listings;
        cost.calls.stats -= before.calls.stats;
        cost.calls.opens -= before.calls.opens;
        cost.calls.registrations -= before.calls.registrations;
        (lines, cost)
    }
}

/// Bytes as a path.
pub fn bytes(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

impl Sandbox {
    /// Removes a tree that may be deeper than a path can be long.
    pub fn remove_deep(&self, name: &str) {
        // Flatten: hoist the child of the top directory until there is none.
        let (top, hoist) = (self.path(name), self.outside.join("hoist"));
        fs::rename(&top, &hoist).unwrap();
        loop {
            let child = fs::read_dir(&hoist).unwrap().next();
            let Some(child) = child else { break };
            let next = self.outside.join("next");
            fs::rename(child.unwrap().path(), &next).unwrap();
            fs::remove_dir(&hoist).unwrap();
            fs::rename(&next, &hoist).unwrap();
        }
        fs::remove_dir(&hoist).unwrap();
    }
}
