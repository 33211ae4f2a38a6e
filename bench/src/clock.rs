//! The clock that all processes share.

use std::time::Duration;

/// Nanoseconds by `CLOCK_MONOTONIC`, which a contender reads just so.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is writable, and this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// `duration` from now.
pub fn after(duration: Duration) -> u64 {
    now_ns() + duration.as_nanos() as u64
}
