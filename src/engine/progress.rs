//! How far a first crawl has come, and that it is to end: the two things that others may
//! read and say while it is under way.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by the thread that crawls and those that ask.
#[derive(Default, Debug)]
pub struct Progress {
    crawling: AtomicBool,
    entries: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// A crawl begins.
    pub fn begin(&self) {
        self.entries.store(0, Ordering::Relaxed);
        self.cancelled.store(false, Ordering::Relaxed);
        self.crawling.store(true, Ordering::Release);
    }

    /// So many entries have been found by now. Whether it is to go on.
    pub fn reached(&self, entries: usize) -> bool {
        self.entries.store(entries as u64, Ordering::Relaxed);
        !self.is_cancelled()
    }

    /// It is over.
    pub fn end(&self) {
        self.entries.store(0, Ordering::Relaxed);
        self.crawling.store(false, Ordering::Release);
    }

    /// Entries found by a crawl that is under way.
    pub fn entries(&self) -> Option<u64> {
        let crawling = self.crawling.load(Ordering::Acquire);
        crawling.then(|| self.entries.load(Ordering::Relaxed))
    }

    /// It is to end. Takes no lock: may be called in a signal handler.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it is to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
