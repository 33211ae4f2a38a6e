//! The machine that was measured on.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a figure depends on besides the program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// As the processor calls itself.
    pub cpu: String,
    /// Processors that can be used.
    pub cores: usize,
    /// Of the whole machine, in bytes.
    pub memory_bytes: u64,
    /// `uname -sr`.
    pub kernel: String,
    /// The type of the file system that the trees were on.
    pub file_system: String,
    /// `fs.inotify.max_queued_events`: what is lost by a watcher that is slow depends on it.
    pub max_queued_events: u64,
    /// Year, month, day.
    pub date: String,
    /// The commit of libkw.
    pub revision: String,
    /// Small sizes and few rounds: figures that only show that it works.
    pub quick: bool,
}

impl Machine {
    /// This one, for trees in `place`.
    pub fn this(place: &Path, quick: bool) -> Machine {
        let read = |path: &str| {
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        let value = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|rest| rest.trim_matches([':', ' ', '\t']).to_string())
                .unwrap_or_default()
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let kilobytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        Machine {
            cpu: value(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kilobytes * 1024,
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease")),
            file_system: file_system(place),
            max_queued_events: read("/proc/sys/fs/inotify/max_queued_events")
                .parse()
                .unwrap_or(0),
            date: OffsetDateTime::now_utc().date().to_string(),
            revision: std::env::var("KW_BENCH_REVISION").unwrap_or_else(|_| "unknown".into()),
            quick,
        }
    }

    /// In one line.
    pub fn in_words(&self) -> String {
        format!(
            "{}, {} cores, {:.0} GiB, {}, {}",
            self.cpu,
            self.cores,
            self.memory_bytes as f64 / (1u64 << 30) as f64,
            self.kernel,
            self.file_system,
        )
    }
}

/// The type of the file system that `place` is on, from the mount with the longest path
/// that leads there.
fn file_system(place: &Path) -> String {
    let place = place.canonicalize().unwrap_or_else(|_| place.to_path_buf());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, point, kind) = (words.next()?, words.next()?, words.next()?);
        place
            .starts_with(point)
            .then(|| (point.len(), kind.to_string()))
    });
    mounts
        .max()
        .map_or_else(|| "unknown".to_string(), |mount| mount.1)
}
