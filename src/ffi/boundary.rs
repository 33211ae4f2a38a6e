//! Crossing the boundary: no panic gets out, every error is kept.

// Older lints do not see that they are, on systems without thread-locals of their own.
#![allow(clippy::missing_const_for_thread_local)]

use super::{
    kw_handle, registry, KW_E_BUSY, KW_E_DENIED, KW_E_FORKED, KW_E_INTERNAL, KW_E_INTERRUPTED,
    KW_E_INVALID, KW_E_LIMIT, KW_E_NOT_FOUND, KW_E_NO_WATCH, KW_E_SNAPSHOT, KW_E_SYSTEM,
    KW_E_TOO_LONG,
};
use crate::kernel::posix::THREAD;
use crate::watcher::{Failure, Status, Watcher};
use once_cell::sync::OnceCell;
use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::panic::{catch_unwind, AssertUnwindSafe, PanicHookInfo};

/// Errors of calls that had no handle to keep them.
pub mod record {
    use super::Failure;
    use std::cell::RefCell;

    thread_local! {
        static LAST: RefCell<Option<Failure>> = const { RefCell::new(None) };
    }

    /// Keeps an error for the calling thread.
    pub fn keep_without_handle(failure: Failure) {
        // A thread that is being torn down has nobody left to ask for it.
        let _ = LAST.try_with(|last| last.replace(Some(failure)));
    }

    /// The calling thread's last one.
    pub fn last_without_handle() -> Option<Failure> {
        LAST.try_with(|last| last.borrow().clone()).unwrap_or(None)
    }
}

/// The `KW_E_` code of a status.
pub fn status_code(status: Status) -> c_int {
    match status {
        Status::Invalid => KW_E_INVALID,
        Status::System => KW_E_SYSTEM,
        Status::Busy => KW_E_BUSY,
        Status::Interrupted => KW_E_INTERRUPTED,
        Status::Forked => KW_E_FORKED,
        Status::Internal => KW_E_INTERNAL,
        Status::NotFound => KW_E_NOT_FOUND,
        Status::Denied => KW_E_DENIED,
        Status::NoWatch => KW_E_NO_WATCH,
        Status::Limit => KW_E_LIMIT,
        Status::TooLong => KW_E_TOO_LONG,
        Status::Snapshot => KW_E_SNAPSHOT,
    }
}

thread_local! {
    /// How many of our functions this thread is in.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// What std calls when there is a panic.
type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;

/// Keeps a panic of ours from being printed: the caller gets KW_E_INTERNAL.
/// (Others' panics are printed as ever, where they share this copy of std.)
pub fn silence_panics() {
    // In a static, not in the closure: a closure that holds nothing takes no memory.
    static OTHERS: OnceCell<Hook> = OnceCell::new();
    OTHERS.get_or_init(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(|info| {
            let inside = INSIDE.try_with(Cell::get).unwrap_or(0) > 0;
            let ours = inside || std::thread::current().name() == Some(THREAD);
            if let Some(others) = OTHERS.get().filter(|_| !ours) {
                others(info);
            }
        }));
        others
    });
}

/// Runs what may panic, silently.
fn caught<T>(body: impl FnOnce() -> T) -> std::thread::Result<T> {
    let count = |by: i32| {
        let _ = INSIDE.try_with(|n| n.set(n.get().wrapping_add_signed(by)));
    };
    count(1);
    let result = catch_unwind(AssertUnwindSafe(body));
    count(-1);
    result
}

/// Runs what needs no handle.
pub fn guard(body: impl FnOnce() -> Result<c_int, Failure>) -> c_int {
    let failure = match caught(body) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(Status::Internal, "panic"),
    };
    let status = status_code(failure.status);
    record::keep_without_handle(failure);
    status
}

/// Runs what needs a handle, if it is one. After a panic the handle refuses
/// further work: what it knows may be half changed.
pub fn guard_handle(
    handle: *mut kw_handle,
    body: impl FnOnce(&Watcher) -> Result<c_int, Failure>,
) -> c_int {
    let Some(handle) = registry::find(handle) else {
        return guard(|| Err(Failure::new(Status::Invalid, "not a live handle")));
    };
    let watcher = &handle.watcher;
    if let Err(failure) = watcher.check() {
        // Another process's locks may be held by threads that do not exist here.
        return guard(|| Err(failure));
    }
    let failure = match caught(|| body(watcher)) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure,
        Err(_) => {
            watcher.mark_broken();
            Failure::new(Status::Internal, "panic")
        }
    };
    watcher.remember(&failure);
    status_code(failure.status)
}

/// Copies bytes into a C array, cut to fit, always with a NUL at the end.
pub fn copy_text(from: &[u8], to: &mut [c_char]) {
    let Some(room) = to.len().checked_sub(1) else {
        return;
    };
    for (to, from) in to.iter_mut().zip(&from[..from.len().min(room)]) {
        *to = *from as c_char;
    }
}
