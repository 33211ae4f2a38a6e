//! The walk over a new tree.

use crate::kernel::{Errno, Hint, Kind, Place, Token, Verdict, Visitor};
use std::os::unix::ffi::OsStrExt;
use walkdir::DirEntryExt;

/// What a walk needs of a kernel, for each entry the visitor wants.
pub trait Walk {
    /// Watches and stats a directory and reports it to the visitor. Whether to
    /// go on into it: not if it is no directory (any more) or not to be had.
    fn walk_dir(&mut self, place: Place<'_>, visitor: &mut dyn Visitor) -> bool;
    /// Watches and stats anything that is not to be gone into. May put it off.
    fn walk_leaf(
        &mut self,
        dir: Place<'_>,
        name: &[u8],
        token: Token,
        hint: Hint,
        visitor: &mut dyn Visitor,
    );
    /// The walk leaves a directory behind or is over: what was put off is due.
    fn walk_flush(&mut self, visitor: &mut dyn Visitor);
    /// A directory was read.
    fn walk_listed(&mut self);
    /// What a file in a directory holds.
    fn walk_read(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Vec<u8>, Errno>;
}

/// Walks the tree below `root` with walkdir, which yields a directory before it
/// reads it: that is the moment at which it is watched.
///
/// walkdir reads directories by path. A rename during the walk may therefore
/// show it the inside of another directory; every directory on the way has been
/// watched by then, so a note of that rename is waiting, and the engine reads
/// again what the walk had reached through it.
pub fn walk<W: Walk>(kernel: &mut W, root: Place<'_>, visitor: &mut dyn Visitor) {
    if !walk_into(kernel, root, visitor) {
        return;
    }
    // The tokens of the directories on the way to the current entry.
    let mut way: Vec<Token> = vec![root.token];
    let mut walk = walkdir::WalkDir::new(root.path)
        .follow_root_links(false)
        .into_iter();
    kernel.walk_listed();
    while let Some(step) = walk.next() {
        let entry = match step {
            Ok(entry) => entry,
            Err(error) => {
                // Depth d: the entry at that depth could not be read. One that
                // vanished since its parent was listed is reported by a note.
                let depth = error.depth();
                let errno = error.io_error().and_then(std::io::Error::raw_os_error);
                // walkdir gives a directory that it cannot open its own depth, and
                // one that it cannot read on the depth of its entries.
                let inner = way.get(depth).copied();
                let outer = depth.checked_sub(1).and_then(|d| way.get(d)).copied();
                for dir in inner
                    .into_iter()
                    .chain(outer.filter(|_| error.path().is_none()))
                {
                    visitor.unlisted(dir, Errno(errno.unwrap_or(libc::EIO)));
                }
                continue;
            }
        };
        let depth = entry.depth();
        if depth == 0 {
            continue;
        }
        if way.len() > depth {
            way.truncate(depth);
        }
        let (Some(&parent), Some(parent_path)) = (way.last(), entry.path().parent()) else {
            continue;
        };
        let hint = Hint {
            ino: entry.ino(),
            kind: kind_of_file_type(entry.file_type()),
        };
        let is_dir = hint.kind == Some(Kind::Dir);
        let name = entry.file_name().as_bytes();
        let dir = Place {
            token: parent,
            path: parent_path,
            id: None,
            doubted: false,
            many: false,
        };
        let go_in = match visitor.found(parent, name, hint) {
            Verdict::Skip => false,
            Verdict::Leaf(token) => {
                kernel.walk_leaf(dir, name, token, hint, visitor);
                false
            }
            Verdict::Enter(token) if is_dir => {
                kernel.walk_flush(visitor);
                way.push(token);
                let place = Place {
                    token,
                    path: entry.path(),
                    id: None,
                    doubted: false,
                    many: false,
                };
                walk_into(kernel, place, visitor)
            }
            Verdict::Enter(token) => {
                kernel.walk_leaf(dir, name, token, hint, visitor);
                false
            }
        };
        if !visitor.goes_on() {
            break;
        }
        if go_in {
            kernel.walk_listed();
        } else if is_dir {
            walk.skip_current_dir();
        }
    }
    kernel.walk_flush(visitor);
}

/// Watches a directory, and reads the file in it that the visitor wants read. Whether to
/// go on into it.
fn walk_into<W: Walk>(kernel: &mut W, dir: Place<'_>, visitor: &mut dyn Visitor) -> bool {
    let go_in = kernel.walk_dir(dir, visitor);
    if let Some(name) = visitor.reads().filter(|_| go_in) {
        let content = kernel.walk_read(dir, name);
        visitor.content(dir.token, content);
    }
    go_in
}

fn kind_of_file_type(kind: std::fs::FileType) -> Option<Kind> {
    Some(if kind.is_dir() {
        Kind::Dir
    } else if kind.is_file() {
        Kind::File
    } else if kind.is_symlink() {
        Kind::Symlink
    } else {
        Kind::Other
    })
}
