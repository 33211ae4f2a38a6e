//! Which pointers are live handles.
//!
//! C code passes what it likes: a handle it has freed, one of another library,
//! an uninitialised variable. Asking here first turns that into an error code
//! instead of a crash. Nothing is locked, so that [`kw_wake`](super::kw_wake) can
//! ask in a signal handler.

use super::kw_handle;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Handles in a block. Most programs never need a second block.
const SLOTS: usize = 64;

struct Block {
    slots: [AtomicPtr<kw_handle>; SLOTS],
    /// The next block; once made it stays.
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Block {
        Block {
            slots: [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS],
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

static FIRST: Block = Block::new();

fn blocks() -> impl Iterator<Item = &'static Block> {
    let mut next = Some(&FIRST);
    std::iter::from_fn(move || {
        let block = next?;
        // SAFETY: NULL, or from Box::into_raw in `enter`, and never freed.
        next = unsafe { block.next.load(Ordering::Acquire).as_ref() };
        Some(block)
    })
}

/// Takes a new handle in.
pub fn enter(handle: *mut kw_handle) {
    loop {
        let mut last = &FIRST;
        for block in blocks() {
            for slot in &block.slots {
                let null = ptr::null_mut();
                let taken =
                    slot.compare_exchange(null, handle, Ordering::AcqRel, Ordering::Relaxed);
                if taken.is_ok() {
                    return;
                }
            }
            last = block;
        }
        let more = Box::into_raw(Box::new(Block::new()));
        let null = ptr::null_mut();
        let first = last
            .next
            .compare_exchange(null, more, Ordering::AcqRel, Ordering::Relaxed);
        if first.is_err() {
            // SAFETY: made above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(more) });
        }
    }
}

/// The handle at that address, if there is one.
pub fn find<'a>(handle: *mut kw_handle) -> Option<&'a kw_handle> {
    if handle.is_null() {
        return None;
    }
    let live = blocks().any(|block| {
        let mut slots = block.slots.iter();
        slots.any(|slot| slot.load(Ordering::Acquire) == handle)
    });
    // SAFETY: it is live, hence from Box::into_raw and not freed; that no other
    // thread frees it during a call is the caller's part of the contract.
    live.then(|| unsafe { &*handle })
}

/// Takes a handle out. Whether it was in.
pub fn leave(handle: *mut kw_handle) -> bool {
    blocks().any(|block| {
        block.slots.iter().any(|slot| {
            let null = ptr::null_mut();
            slot.compare_exchange(handle, null, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    })
}
