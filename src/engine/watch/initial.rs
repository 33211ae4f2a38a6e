//! First sight: what the first crawl has found is told as if it had just appeared.
//!
//! A caller with a mirror needs no crawl of its own then, which could not be made to
//! agree with the events that follow. It is told a portion at a time, so that a large tree
//! is not in memory twice; meanwhile notes are taken down as looks that are owed, and none
//! is made: the snapshot stays as it was when the watch began.

use super::Watch;
use crate::engine::event::{flag, kind, Emitter};
use crate::tree::Key;

/// How far it has been told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Initial {
    /// From here on it is still to be told.
    From(Key),
    /// That it was all is still to be told.
    Ready,
}

impl Watch {
    /// Whether something of the first crawl is still to be told.
    pub fn is_initial(&self) -> bool {
        self.initial.is_some()
    }

    /// Tells a portion.
    pub(super) fn tell_initial(&mut self, emit: &mut Emitter<'_>) {
        for _ in 0..self.options.initial {
            match self.initial {
                Some(Initial::From(key)) => {
                    let is_root = key == self.tree.root();
                    let kind = if is_root {
                        kind::ROOT_BACK
                    } else {
                        kind::CREATED
                    };
                    self.tell_with(emit, kind, flag::INITIAL, key);
                    let next = self.tree.successor(key);
                    self.initial = Some(next.map_or(Initial::Ready, Initial::From));
                }
                Some(Initial::Ready) => {
                    self.tell(emit, kind::READY, self.tree.root());
                    self.initial = None;
                }
                None => return,
            }
        }
    }
}
